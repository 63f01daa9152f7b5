"""Look at a place: which files of a run count, and their index; or the whole log, where only that can be read."""

import contextlib
import json
from collections.abc import Collection
from pathlib import PurePath
from typing import NamedTuple

import pandas as pd

from tandv.log._index import File, NewerFile, indexed
from tandv.log._unreadable import UnreadableFile
from tandv.log._whole import FINISHED, read_file, read_folder, warn_of
from tandv.log.schema import SchemaError
from tandv.log.store import listing, of_ranks
from tandv.log.store.layers import NAME as MODEL
from tandv.log.store.layers import Tensor
from tandv.place import Place

TRIES = 20  # times that a run which is written meanwhile is looked at again


class Opened(NamedTuple):
    """What opening found: the files of a run with their index, or the whole log where it has no such files."""

    files: list[File]
    whole: pd.DataFrame | None
    model: list[Tensor] | None  # the tensors in the order of the model, if the run has written it down
    damaged: list[str]
    signature: tuple


def signature_of(place: Place) -> tuple:
    """Return what changes when a log is written anew, or rows are added to it."""
    if place.kind() != "folder":
        return (place.state(),)
    parts = of_ranks.of_parts(place)
    return (*sorted(parts.items()), *((name, place.below(name).state()) for name in FINISHED))


def look(place: Place, kind: str, ranks: Collection[int] | None = None) -> Opened:
    """Open what lies at a place, of all ranks or some, again where files vanish because they are joined."""
    for _ in range(TRIES):
        if not place.kind():
            raise FileNotFoundError(f"cannot read {place}: it is not there any more")
        signature = signature_of(place)
        try:
            if kind == "file":
                return _opened_file(place, signature)
            return _opened_run(place, signature, ranks)
        except FileNotFoundError:
            continue
    raise UnreadableFile(f"cannot read {place}: its files change faster than they are read; try again")


def _opened_file(place: Place, signature: tuple) -> Opened:
    if place.beginning(4) == b"PAR1" and (file := indexed(place)) is not None:  # one file of a run
        return Opened([file], None, None, [], signature)
    return Opened([], read_file(place), None, [], signature)


def _opened_run(place: Place, signature: tuple, ranks: Collection[int] | None) -> Opened:
    if (found := _run_files(place, ranks)) is None:
        return Opened([], read_folder(place), None, [], signature)
    files, damaged = found
    if damaged and not files:
        raise UnreadableFile(f"cannot open the run {place}:\n  " + "\n  ".join(damaged))
    warn_of(damaged, place, stacklevel=6)
    return Opened(files, None, None if damaged else _model(place, ranks), damaged, signature)


def _run_files(place: Place, ranks: Collection[int] | None) -> tuple[list[File], list[str]] | None:
    """Return the files of a run with their index, and a sentence for each that is damaged.

    None if there are no files of rows, or they are of an older tandv, or one is damaged and the finished log is there.

    Args:
        place: the folder of the run.
        ranks: only the folders of these are looked into; None for all.
    """
    files, damaged = [], []
    names = of_ranks.counting(place, ranks=ranks)
    for name in names:
        try:
            file = indexed(place.below(*name.split("/")))
        except NewerFile:
            raise
        except UnreadableFile as error:
            damaged.append(str(error))
            continue
        if file is None:
            return None
        files.append(file)
    if not files and not damaged:
        return None
    _check_one_run(place, files, set(names), ranks)
    if (damaged or not files) and any(place.below(name).kind() for name in FINISHED):
        return None
    return files, damaged


def _check_one_run(place: Place, files: list[File], counting: set[str], ranks: Collection[int] | None) -> None:
    """Raise SchemaError where a file in the folder is of another run, be it one whose parts others seem to cover."""
    covered = [name for name in of_ranks.of_parts(place) if listing.span(name) and name not in counting]
    others = []
    for name in covered:
        if ranks is not None and (of_ranks.rank_of(name) or 0) not in ranks:
            continue
        with contextlib.suppress(FileNotFoundError, UnreadableFile):  # it has been joined, or was never finished
            others.append(indexed(place.below(*name.split("/"))))
    runs: dict[str, str] = {}  # the first file of each
    for file in (*files, *filter(None, others)):
        if file.run is not None:
            runs.setdefault(file.run, PurePath(file.place.path).relative_to(place.path).as_posix())
    if len(runs) > 1:
        raise SchemaError(
            f"{place}: {' and '.join(list(runs.values())[:2])} are of two runs: two runs lie in one folder; move the "
            "files of one of them to a folder of its own"
        )


def _model(place: Place, ranks: Collection[int] | None) -> list[Tensor] | None:
    """Return the tensors in the order of the model, of all ranks or some; None if it is not known."""
    try:
        lists = []
        for folder in ("", *of_ranks.folders(place)):
            if ranks is not None and (of_ranks.rank_of(f"{folder}/") or 0) not in ranks:
                continue
            file = place.below(*filter(None, folder.split("/")), MODEL)
            if folder and file.state() is None:  # of a rank that has written nothing
                continue
            lists.append([(str(kind), str(name)) for kind, name in json.loads(file.read())["tensors"]])
        return of_ranks.in_one_order(lists)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
