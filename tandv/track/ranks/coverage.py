"""Which ranks the rows of each step are of, as run.json says it."""

from typing import Any

from tandv.track.ranks.shape import bits

_AT_MOST = 1000  # periods that are told


class RankCoverage:
    """Collects which ranks are in the rows of each step.

    >>> coverage = RankCoverage(4)
    >>> for step, who in enumerate([0b1111, 0b0111, 0b0111, 0b1111]):
    ...     missing = coverage.add(step, who)
    >>> coverage.facts()
    {'size': 4, 'steps_of_all': 2, 'incomplete': [{'steps': [1, 2], 'missing': [3]}]}

    Args:
        size: how many ranks there are.
    """

    def __init__(self, size: int):
        self._all = (1 << size) - 1
        self._size, self._whole, self._untold = size, 0, 0
        self._goes_on = False  # the latest period
        self._periods: list[tuple[int, int, int]] = []  # first and last step, and the missing ranks

    def add(self, step: int, who: int) -> int:
        """Note the ranks of a step, and return those that are missing, both as bits.

        Args:
            step: the step; they come in ascending order, but for what is late.
            who: the ranks in its rows.
        """
        missing = self._all & ~who
        goes_on, self._goes_on = self._goes_on, bool(missing)
        if not missing:
            self._whole += 1
        elif goes_on and self._periods[-1][2] == missing:
            self._periods[-1] = (self._periods[-1][0], step, missing)
        elif len(self._periods) < _AT_MOST:
            self._periods.append((step, step, missing))
        else:
            self._untold, self._goes_on = self._untold + 1, False
        return missing

    def facts(self) -> dict[str, Any]:
        """Return what run.json says: periods of recorded steps, and which ranks their rows lack."""
        periods = [{"steps": [first, last], "missing": bits(missing)} for first, last, missing in self._periods]
        more = {"further_incomplete_steps": self._untold} if self._untold else {}
        return {"size": self._size, "steps_of_all": self._whole, "incomplete": periods} | more
