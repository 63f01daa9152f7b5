"""A run of several ranks that keep their own rows: each writes a log of its own, in a folder of the run's folder.

Rank 0 only says where the run lies. What comes back to it through the tree is which steps each rank has written.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tandv.log.facts import run_facts
from tandv.log.store import of_ranks
from tandv.place import place_of
from tandv.statistics import empty_rows
from tandv.track.common.folders import path_of
from tandv.track.common.measurements import Block, Later
from tandv.track.common.reporting import warn
from tandv.track.common.writer import Writer
from tandv.track.ranks.known import News
from tandv.track.ranks.part import StepPart, part_of
from tandv.track.ranks.shape import bits
from tandv.track.torch._measurements import TorchMeasurements
from tandv.track.torch._missing_ranks import MissingRanks, named
from tandv.track.torch._ranks import Ranks

PATIENCE = 600.0  # seconds that rank 0 waits for word of a step; no rows wait with it
_END = 45.0  # seconds that the end of a run waits for other ranks at most
_APPEARS = 5.0  # seconds in which a file of another machine has to appear in a file system that both have
_LOG = "log"

_Make = Callable[[], list[Block]]


class OwnMeasurements(TorchMeasurements):
    """The measurements of one step on one rank, whose rows are kept apart from those of others.

    Args:
        ranks: the ranks.
        exponents: the columns of the histogram.
    """

    def __init__(self, ranks: Ranks, exponents: tuple[int, int] | None):
        super().__init__(exponents)
        self.ranks = ranks
        self.leave: Callable[[], None] = lambda: None  # ends taking part, once what was measured is written

    def take_later(self, step: int) -> Later:
        later, rank = super().take_later(step), self.ranks.rank
        return Later(lambda: later.make()._replace(rank=rank), later.size)


class RankLog:
    """The writer of a rank that keeps its own rows.

    Args:
        ranks: the ranks.
        open_log: makes the writer of a log; it is called with the arguments of `Writer` that are not the run's.
    """

    def __init__(self, ranks: Ranks, open_log: Callable[..., Writer]):
        self.writes = ranks.rank == 0  # what a run has once: curves, checkpoints
        self._ranks, self._open = ranks, open_log
        self._missing = MissingRanks(ranks)
        self._elsewhere: list[int] = []  # ranks whose rows lie on other machines
        self._writer: Writer
        self.path: Path | str
        self.out_path: Path | str

    def enter(self, plan: str, measurements: OwnMeasurements) -> None:
        """Begin the log of this rank, together with the other ranks.

        Args:
            plan: which steps are recorded; it must be the same on all ranks.
            measurements: of this rank.

        Raises RuntimeError where they cannot begin, and OSError where this rank cannot write.
        """
        self._ranks.enter(plan, self._missing.add, lambda word: None, PATIENCE)
        try:
            if self.writes:
                self._lead(plan)
            else:
                self._follow(self._ranks.hear_log(plan))
        except BaseException:
            self._ranks.tree.end()
            raise
        measurements.leave = self._leave

    def _lead(self, plan: str) -> None:
        ranks = self._ranks
        if (problem := ranks.problem()) is not None:
            ranks.tell_log(plan, problem=problem)
            raise RuntimeError(problem)
        try:
            writer = self._writer = self._open(written=self._written)
            writer.flush({"ranks": self._missing.facts()})
        except Exception as error:
            ranks.tell_log(plan, problem=f"rank 0 could not begin the log: {error}")
            raise
        self.path, self.out_path = writer.path, writer.out_path
        ranks.tell_log(plan, path=str(self.path), log=str(self.out_path), run=writer.identity)

    def _follow(self, log: Mapping[str, str]) -> None:
        self.path, self.out_path = path_of(log["path"]), path_of(log[_LOG])
        name = of_ranks.folder_of(self._ranks.rank)
        own = Path(self.path, name) if isinstance(self.path, Path) else f"{self.path.rstrip('/')}/{name}"
        is_there = _appears(self.path, log["run"])
        self._writer = self._open(path=own, exports=(), written=self._written, identity=log["run"], one_file=False)
        if not is_there:
            warn(
                f"rank {self._ranks.rank} does not see the folder {self.path} that rank 0 has made, so they have no "
                f"file system in common there: what it records is kept in {self._writer.path} of its own machine; "
                f"copy that folder to the same name in rank 0's folder, or give a path= that all ranks have"
            )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    def append(self, make: _Make, size: int) -> None:
        """Keep the rows of a step. Raises RuntimeError where rank 0 tracks no longer."""
        if not self.writes and (over := self._ranks.tree.over):
            raise RuntimeError(over)
        self._writer.append(make, size)

    def flush(self, facts: Mapping[str, Any] | None = None) -> None:
        """Write the rows that are kept so far, and on rank 0 which ranks have written which steps."""
        self._writer.flush({**(facts or {}), **self._facts()})

    def check(self) -> None:
        """Report what the threads have to say; raise their first error."""
        self._missing.report()
        tree = self._ranks.tree
        if tree.error is not None:
            error, tree.error = tree.error, None
            raise error
        self._writer.check()

    def close(self, status: str, facts: Callable[[], Mapping[str, Any]] = dict) -> None:
        """Write what is left; on rank 0 the finished log, once the others have written theirs, though not for ever."""
        self._leave()
        if self.writes:
            self._writer.wait()
            self._ranks.tree.join(_END)
            self._note_elsewhere()
        self._writer.close(status, lambda: {**facts(), **self._facts()})
        self._ranks.tree.join(_END)
        if self.writes:
            self.out_path = self._writer.out_path
        self._missing.report()

    def _leave(self) -> None:
        self._writer.flush()
        self._writer.queue(self._ranks.tree.end)

    def _facts(self) -> dict[str, Any]:
        if not self.writes:
            return {"rank": self._ranks.rank}
        return {"ranks": {**self._missing.facts(), **({"elsewhere": self._elsewhere} if self._elsewhere else {})}}

    def _written(self, steps: Sequence[int]) -> None:
        """Tell rank 0 of steps whose rows are on disk, in the thread of the writer."""
        for step in steps:
            self._ranks.tree.give(_word_of(step, self._ranks.rank), News({}, {}))

    def _note_elsewhere(self) -> None:
        place = place_of(self.path)
        there = {of_ranks.rank_of(f"{name}/") for name in of_ranks.folders(place)}
        self._elsewhere = lost = [rank for rank in bits(self._missing.seen) if rank and rank not in there]
        if lost:
            self._missing.note(
                f"what {named(lost)} recorded does not lie in {self.path}, as other machines have no file system in "
                f"common with that of rank 0 there: the finished log is without it; copy their folders to "
                f"{place.below(of_ranks.RANKS)}, and read {self.path}"
            )


def _word_of(step: int, rank: int) -> StepPart:
    """Return a part without rows, which tells that a rank has written a step."""
    return part_of(step, rank, [], empty_rows(0))


def _appears(path: Path | str, run: str) -> bool:
    """Tell whether the folder of a run is the one that rank 0 has made; an address is the same on all machines."""
    if not isinstance(path, Path):
        return True
    until = time.monotonic() + _APPEARS
    while run_facts(path).get("identity") != run:
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True
