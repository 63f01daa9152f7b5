"""What lies at a place that is looked at again and again: the pieces of its log, of which only new files are read."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tandv.log._across import has_rows_twice, phases_of, ranks_of
from tandv.log._folder import files_of, model_of, models_of
from tandv.log._index import File, indexed
from tandv.log._lacking import Gap, gaps, words_of
from tandv.log._memory import give_back
from tandv.log._missing_ranks import behind, missing_ranks
from tandv.log._pieces import FilePiece, Handles, Piece, TablePiece
from tandv.log._rows import Numbering
from tandv.log._saved import Key, load
from tandv.log._unreadable import SchemaError, UnreadableFile
from tandv.log.finding import LOGS, lies_at
from tandv.log.store.layers import Tensor, natural
from tandv.messages import UnknownName, kept_warnings, listed, some, unknown
from tandv.place import Place, Unreachable

_TRIES = 20  # times that a run whose files are joined meanwhile is looked at again
_AT_ONCE = 2_000  # new files that are read before what is there is shown
_MERGED = 100_000  # rows of several ranks that are merged
_LARGE = 100_000  # rows of a file with a large footer
_SAID = 5  # damaged files that are named
_LONG = 0.5  # seconds, for a listing
_REST = 20  # times as long as a long listing took, nothing is listed again
_ELSEWHERE = 2.0  # seconds in which a place that is not of this machine is not asked again
_ERRORS = (UnreadableFile, SchemaError, UnknownName, Unreachable, OSError)


class Source:
    """The pieces of the log at a place.

    Args:
        place: the folder of a run, or a file.
        phase: the phase that is asked for; None chooses one.
        rank: the rank that is asked for; None merges all of a small log, and chooses one of a large one.

    Raises FileNotFoundError and UnreadableFile for what is no log, UnknownName for a phase or rank that is not there.
    """

    def __init__(self, place: Place, phase: str | None, rank: int | None):
        self.place, self._kind = place, lies_at(place)
        self._asked = _Choice(phase, rank)
        self.chosen = self._asked  # what is shown
        self.numbers = Numbering()
        self.handles = Handles()
        self.pieces: list[Piece] = []
        self.phases: list[str] = []
        self.ranks: list[int] = []
        self._seen: dict[Key, _Seen] = {}
        self._refused: set[Key] = set()  # files whose footer is whole, and whose rows are not
        self._saved = load(place) if place.is_local and self._kind == "run" else {}
        self._state: Any = None
        self._model: tuple[Any, list[Tensor]] = (None, [])
        self._notes: list[str] = []
        self._next = 0.0  # when to look again
        self._took = 0.0  # how long it took to list the files
        self.look()
        if not self.pieces and (said := self._damage()):
            raise UnreadableFile(f"cannot open the run {place}:\n  " + "\n  ".join(said))
        self._check()

    @property
    def notes(self) -> list[str]:
        """Sentences about what is not shown, or was chosen."""
        return list(dict.fromkeys([*self._notes, *self._damage(), *words_of(self.gaps)]))

    @property
    def gaps(self) -> list[Gap]:
        """What damaged files of a run leave out."""
        if not any(one.damage for one in self._seen.values()) and not self._refused:
            return []
        return gaps(None if key in self._refused else one.file for key, one in self._seen.items() if not one.waits)

    def _damage(self) -> list[str]:
        """Return a sentence for each of the first damaged files, and how many more there are."""
        found = [one.damage for one in self._seen.values() if one.damage]
        more = [f"{len(found) - _SAID:,} more files are damaged"] if len(found) > _SAID else []
        return [*found[:_SAID], *more]

    @property
    def tensors(self) -> list[Tensor]:
        """The tensors that have rows, in the order of the model."""
        layouts = [layout for piece in self.pieces for layout in piece.layouts.values()]
        rows = set(np.concatenate([np.zeros(0, np.int32), *(one.tensors for one in layouts)]).tolist())
        there = {one for one, number in self.numbers.items() if number in rows}
        of_model = [one for one in self._model[1] if one in there]
        others = sorted(there.difference(of_model), key=natural)
        if any(isinstance(piece, TablePiece) for piece in self.pieces):  # which has them in the order of the model
            others.sort(key=self.numbers.__getitem__)
        return [*of_model, *others]

    @property
    def is_file(self) -> bool:
        """Whether it is one file, not the folder of a run."""
        return self._kind == "file"

    def look(self, at_once: bool = False) -> bool:
        """Look for new files; tell whether anything changed. What is wrong becomes a note, all else is shown.

        Args:
            at_once: look even where that was done a moment ago, and takes long.
        """
        if time.monotonic() < self._next and not at_once:
            return False
        before = self._state, self._notes, [piece.identity for piece in self.pieces]
        first = self._state is None
        for _ in range(_TRIES):
            try:
                self._look()
                break
            except FileNotFoundError:  # joined with others meanwhile
                continue
            except _ERRORS as error:
                if first:
                    raise
                self._notes = [str(error)]
                break
        else:
            self._notes = [f"{self.place} changes faster than it is read, or is not there any more"]
        rest = _REST * self._took if self._took > _LONG else 0.0
        self._next = time.monotonic() + max(rest, 0.0 if self.place.is_local else _ELSEWHERE)
        now = self._state, self._notes, [piece.identity for piece in self.pieces]
        if any(
            isinstance(one, FilePiece) and one.size > _LARGE and one.identity not in before[2] for one in self.pieces
        ):
            give_back()
        return before != now

    def _look(self) -> None:
        if not self.place.kind():
            raise FileNotFoundError(f"{self.place} is not there any more")
        notes: list[str] = []
        began = time.monotonic()
        files = files_of(self.place, self._kind, notes)
        self._took = time.monotonic() - began
        finished = [] if self._kind == "file" else [self.place.below(name).state() for name in LOGS]
        model = None if self._kind == "file" else models_of(self.place)
        state = ([key for key, _ in files], finished, model)
        if state == self._state and not any(one.waits for one in self._seen.values()):
            return
        if model != self._model[0]:
            self._model = model, model_of(self.place, notes)
        seen = dict(self._index(files, notes))
        damaged = any(one.damage for one in seen.values())
        there = [one.file for one in seen.values() if one.file]
        old = any(one.old for one in seen.values())
        self._seen = {} if old else seen
        if old or ((damaged or not there) and (self._kind == "file" or any(finished))):
            self._take_table(notes)
        elif there:
            self._take_files([(key, one.file) for key, one in seen.items() if one.file], notes)
        else:
            self.pieces = []
            if not damaged:
                notes.append("the run has no rows yet")
        if self._kind == "run":
            notes += missing_ranks(self.place)
            notes += behind(self.place, there)
        self._state, self._notes = state, notes

    def _index(self, files: list[tuple[Key, Place]], notes: list[str]) -> Iterator[tuple[Key, "_Seen"]]:
        """Yield what is known of each file; of new ones the footer is read, of so many as do not take long."""
        new = 0
        for key, place in files:
            known = self._seen.get(key)
            if known is None or known.waits:
                new += 1
                saved = self._saved.get(key)
                if saved is not None:
                    known = _Seen(file=saved.file)
                else:
                    known = _seen(place, self._kind) if new <= _AT_ONCE else _Seen(waits=True)
            yield key, known
        if new > _AT_ONCE:
            notes.append(f"{new - _AT_ONCE:,} files are not read yet")

    def _take_files(self, files: list[tuple[Key, File]], notes: list[str]) -> None:
        runs = {file.run for _, file in files if file.run is not None}
        if len(runs) > 1:
            own = next(file.run for _, file in files if file.run is not None)
            others = [Path(file.place.path).name for _, file in files if file.run not in (None, own)]
            files = [(key, file) for key, file in files if file.run in (None, own)]
            notes.append(f"two runs lie in one folder: {some(others)} of another run are not shown")
        keys = {key for key, _ in files}
        known = {piece.identity: piece for piece in self.pieces if piece.identity in keys}
        new = [file for key, file in files if key not in known]
        # Phases and ranks of files that were read before are known already.
        phases = phases_of(new) | (set(self.phases or [""]) if known else set())
        ranks = ranks_of(new) | (set(self.ranks) if known else set())
        rows = sum(group.rows for _, file in files for group in file.groups)
        self.phases = sorted(phases) if phases - {""} else []
        self.ranks = sorted(ranks)
        if len(ranks) > 1 and self._asked.rank is None and rows <= _MERGED:
            self._take_table(notes)
            return
        chosen = self._choose(notes)
        if chosen != self.chosen:
            known, self.chosen = {}, chosen
        pieces: list[Piece] = []
        self._refused = set()
        for key, file in files:
            if self.chosen.rank in self.ranks and not _may_have(file, self.chosen.rank):
                continue
            try:
                pieces.append(known.get(key) or self._piece(key, file))
            except UnreadableFile as error:
                notes.append(str(error))
                self._refused.add(key)
        self.pieces = pieces
        if has_rows_twice(pieces):
            notes.append("some rows are there twice, of which the later are shown: two runs may lie in one folder")

    def _piece(self, key: Key, file: File) -> FilePiece:
        phase = self.chosen.phase if self.phases else None
        saved = self._saved.get(key)
        layouts = None if saved is None else saved.numbered(self.numbers)
        piece = FilePiece(key, file, self.handles, self.numbers, phase, self.chosen.rank, layouts)
        self._seen[key] = _Seen(file=piece.file)  # without its footer
        return piece

    def _choose(self, notes: list[str], merging: bool = False) -> "_Choice":
        """Return which phase and rank are shown, None for all ranks merged, and note what was chosen."""
        phase, rank = self._asked
        if phase is None and self.phases:
            phase = "" if "" in self.phases else self.phases[0]
            what = "what lies outside of any phase" if not phase else f"the phase {phase!r}"
            notes.append(f"shown is {what}; the log has {some([one or '(none)' for one in self.phases])}")
        if rank is None and len(self.ranks) > 1:
            rank = None if merging else self.ranks[0]
            words = f"the ranks {listed(self.ranks, 8)} are merged"
            if rank is not None:
                words = f"shown is rank {rank} of {listed(self.ranks, 8)}: the log is too large to merge them here"
            notes.append(words)
        return _Choice(phase, rank)

    def _take_table(self, notes: list[str]) -> None:
        """Read the whole log as a table: of an older tandv, in one file, or of ranks that are merged."""
        from tandv.log._log import Log
        from tandv.log.logframe import phases, ranks, select

        with kept_warnings() as kept:
            table = Log(self.place).frame()
            self.phases, self.ranks = sorted(phases(table)), ranks(table)
            self.chosen = self._choose(notes, merging=True)
            phase = self.chosen.phase if self.phases else None
            table = select(table, phase=phase, rank=self.chosen.rank)
        notes += map(str, kept)
        self.handles.close()
        identity = (str(self.place), time.monotonic_ns())
        self.pieces = [TablePiece(identity, table, self.numbers)]

    def _check(self) -> None:
        """Raise UnknownName for a phase or a rank that is asked for and not there."""
        if not self.pieces:
            return
        phase, rank = self._asked
        if phase and phase not in self.phases:
            raise UnknownName(unknown("phase", phase, self.phases, "this log"))
        if rank is not None and rank not in self.ranks:
            raise UnknownName(unknown("rank", rank, self.ranks, "this log"))


class _Choice(NamedTuple):
    phase: str | None
    rank: int | None


class _Seen(NamedTuple):
    """What is known of a file: its index, or what is damaged, or that it is of an older tandv, or has to wait."""

    file: File | None = None
    damage: str = ""
    old: bool = False
    waits: bool = False


def _may_have(file: File, rank: int | None) -> bool:
    return rank is None or file.ranks is None or file.ranks[0] <= rank <= file.ranks[1]


def _seen(place: Place, kind: str) -> _Seen:
    try:
        if kind == "file" and place.beginning(4) != b"PAR1":
            return _Seen(old=True)
        file = indexed(place)
    except UnreadableFile as error:
        return _Seen(damage=str(error)) if kind == "run" else _Seen(old=True)  # the other reader says what it is
    return _Seen(old=True) if file is None else _Seen(file=file)
