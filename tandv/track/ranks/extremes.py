"""Of each row the smallest and the largest value of a statistic over the ranks, and which ranks have them.

Whichever way the ranks of a step are merged, what comes out is the same: of equal values the lowest rank's counts, and
a rank without a finite value only where no other has one.
"""

from typing import NamedTuple

import numpy as np

from tandv import statistics

STATISTICS = ("mean", "std", "rm2", "max_abs", "zeros", "nans", "infs")  # whose extremes are kept

_SIGNS = np.array([1.0, -1.0])  # what makes the smallest the one that counts, at both ends


class Extremes(NamedTuple):
    """The smallest and the largest value of each statistic, and the ranks that have them."""

    values: np.ndarray  # float64 [rows, statistics, 2]
    ranks: np.ndarray  # int32 [rows, statistics, 2]

    def of(self, chosen: np.ndarray) -> "Extremes":
        """Return those of some rows, by their places or a mask."""
        return Extremes(self.values[chosen], self.ranks[chosen])


def of_one(rows: np.ndarray, rank: int | np.ndarray) -> Extremes:
    """Return the extremes of rows that one rank each has measured: its own values, rounded to float32 as in a log.

    >>> from tandv.measure import measure
    >>> found = of_one(measure([np.array([3.0, 0.0], np.float32)]), 5)
    >>> found.values[0, STATISTICS.index("max_abs")].tolist(), found.ranks[0, 0].tolist()
    ([3.0, 3.0], [5, 5])

    Args:
        rows: [rows] of `statistics.ROW` or `WIDE_ROW`.
        rank: the rank, or [rows] that of each.
    """
    found = statistics.summarise(rows)
    exact = np.stack([found[name].astype(np.float64) for name in STATISTICS], axis=1)
    with np.errstate(over="ignore"):
        rounded = exact.astype(np.float32).astype(np.float64)
    values = np.where(np.isinf(rounded), exact, rounded)  # of float64 tensors, beyond the range of float32
    ranks = np.broadcast_to(np.asarray(rank, np.int32).reshape(-1, 1, 1), (len(rows), len(STATISTICS), 2))
    return Extremes(np.repeat(values[:, :, None], 2, axis=2), ranks.copy())


def merged(ones: Extremes, others: Extremes) -> Extremes:
    """Merge the extremes of two sets of ranks, each row with the one at its place.

    Args:
        ones: of some ranks.
        others: of others.
    """
    a, b = ones.values * _SIGNS, others.values * _SIGNS
    lower = others.ranks < ones.ranks
    with np.errstate(invalid="ignore"):
        better = (b < a) | ((a == b) & lower)
    better |= np.isnan(a) & (~np.isnan(b) | lower)
    return Extremes(np.where(better, others.values, ones.values), np.where(better, others.ranks, ones.ranks))


def grouped(extremes: Extremes, groups: np.ndarray) -> Extremes:
    """Merge the rows that bear the same group number; the result is in the order of those numbers.

    Args:
        extremes: of some rows.
        groups: [rows], from 0 on, none left out.
    """
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    nth = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
    out = extremes.of(order[starts])
    for n in range(1, int(nth.max(initial=0)) + 1):
        rows = order[nth == n]
        into = groups[rows]
        both = merged(out.of(into), extremes.of(rows))
        out.values[into], out.ranks[into] = both
    return out
