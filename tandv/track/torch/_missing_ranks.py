"""What is said of ranks that are missing: once in a warning on rank 0, and of each step in run.json."""

from collections import deque
from typing import Any

from tandv.track.common.reporting import warn
from tandv.track.ranks.coverage import RankCoverage
from tandv.track.ranks.part import StepPart
from tandv.track.ranks.shape import bits
from tandv.track.torch._ranks import Ranks

_NAMED = 5  # ranks that a message names at most


class MissingRanks:
    """Collects which ranks are in each step, in the thread of the tree; `report` warns, in that of training.

    Args:
        ranks: the ranks.
    """

    def __init__(self, ranks: Ranks):
        self._ranks, self._coverage = ranks, RankCoverage(ranks.size)
        self._notes = deque[str]()
        self._told = 0  # ranks of which it was said that they are missing, as bits
        self.seen = 0  # ranks that are in some step, as bits

    def add(self, part: StepPart) -> None:
        """Note the ranks of a step that is as complete as it gets."""
        self.seen |= part.who
        new = self._coverage.add(part.step, part.who) & ~self._told
        self._told |= new
        merging = self._ranks.tree.merging
        gone = [rank for rank in bits(new) if rank in merging.gone]
        late = [rank for rank in bits(new) if rank not in merging.gone]
        run_json = "the log goes on, and run.json says which steps lack which ranks"
        if gone:
            ends = "tracks no longer: its block has ended, or its tracker failed"
            if len(gone) > 1:
                ends = "track no longer: their blocks have ended, or their trackers failed"
            self.note(f"{named(gone)} {ends}; {run_json}")
        if late:
            self.note(f"{named(late)} {'is' if len(late) == 1 else 'are'} late at step {part.step}; {run_json}")

    def note(self, message: str) -> None:
        """Keep a message, of any thread."""
        self._notes.append(message)

    def report(self) -> None:
        """Warn of what has been noted."""
        while self._notes:
            warn(self._notes.popleft())

    def facts(self) -> dict[str, Any]:
        """Return what run.json says of the ranks."""
        return self._coverage.facts()


def named(ranks: list[int]) -> str:
    """Return ranks as text, the first of them by their numbers."""
    some = ", ".join(map(str, ranks[:_NAMED])) + (f" and {len(ranks) - _NAMED} more" if len(ranks) > _NAMED else "")
    return f"rank{'s' if len(ranks) > 1 else ''} {some}"
