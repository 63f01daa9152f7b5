"""The steps of which a rank still waits for parts: bounded in memory, and in time."""

import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from tandv.track.ranks.part import StepPart


class Sealed(NamedTuple):
    """A part that is opened when it is merged."""

    step: int
    who: int  # the ranks in it, as bits
    size: int  # bytes that it holds
    open: Callable[[], StepPart]


class Waiting:
    """Collects the parts of each step until all ranks below have sent theirs.

    A step goes on without those that have left, those that have already sent a later one, and, where more than
    `at_most` bytes are held or `patience` seconds are over, without all that are missing. What comes later still goes
    on, by itself.

    Args:
        expected: the ranks whose parts come, as bits; it may change.
        patience: seconds that a step waits.
        at_most: bytes that may be held.
    """

    def __init__(self, expected: int, patience: float, at_most: int):
        self.expected, self.patience, self.at_most = expected, patience, at_most
        self.detours = 0  # ranks whose steps may come out of order, since one on the way leaves, as bits
        self.held = 0  # bytes
        self._steps: dict[int, list[Sealed]] = {}
        self._since: dict[int, float] = {}
        self._passed: deque[int] = deque(maxlen=1000)

    def __len__(self) -> int:
        return len(self._steps)

    def has_until(self, latest: int) -> bool:
        """Tell whether a step up to the latest one of a rank is still waiting.

        Args:
            latest: the step.
        """
        return any(step <= latest for step in self._steps)

    def has_some_of(self, step: int, who: int) -> bool:
        """Tell whether a step that waits has some of these ranks already.

        Args:
            step: the step.
            who: the ranks, as bits.
        """
        return any(who & part.who for part in self._steps.get(step, ()))

    def add(self, part: Sealed, now: float) -> bool:
        """Take a part; return False where its step has gone on without it, or has its ranks already.

        Args:
            part: the part.
            now: the time in seconds.
        """
        have = self._steps.get(part.step)
        if have is None and part.step in self._passed:
            return False
        if have is None:
            have = self._steps[part.step] = []
            self._since[part.step] = now
        elif any(part.who & other.who for other in have):
            return False
        have.append(part)
        self.held += part.size
        return True

    def due(self, now: float, gone: Mapping[int, int], all_of_them: bool = False) -> list[list[Sealed]]:
        """Return, and forget, the steps that go on now, ascending; of each its parts, the lowest rank's first.

        Args:
            now: the time in seconds.
            gone: the latest step of ranks that send no more.
            all_of_them: whether no step may wait any longer.
        """
        held, later, found = self.held, 0, []
        for step in sorted(self._steps, reverse=True):  # each rank sends its steps in their order
            who = later & ~self.detours | sum(1 << rank for rank, latest in gone.items() if latest < step)
            for part in self._steps[step]:
                who |= part.who
                later |= part.who
            if not self.expected & ~who or now - self._since[step] > self.patience or all_of_them:
                found.append(step)
        first = min(self._steps.keys() - found, default=math.inf)
        found = [step for step in found if step < first or not self.detours]  # a rank above relies on the order
        for step in sorted(self._steps):
            if held <= self.at_most:
                break
            held -= sum(part.size for part in self._steps[step])
            if step not in found:
                found.append(step)
        return [self._pop(step) for step in sorted(found)]

    def _pop(self, step: int) -> list[Sealed]:
        parts = self._steps.pop(step)
        del self._since[step]
        self.held -= sum(part.size for part in parts)
        self._passed.append(step)
        return sorted(parts, key=lambda part: part.who & -part.who)
