"""Steps in the columns of a screen: which lie in each, and what a column shows of several.

A column shows the value that is largest in size, so that a spike of one step is seen at any width, and a flag if any of
its steps has it; it counts as not logged only if none of its steps was.
"""

from typing import NamedTuple

import numpy as np

from tandv.log.shown import ABSENT


class Columns(NamedTuple):
    """The logged steps of a range in columns of about equally many.

    >>> columns(np.array([0, 1, 2, 4, 8]), None, None, 2).starts.tolist()
    [0.0, 2.0, 8.0]

    Args:
        first: the position of the first step that is shown.
        end: the position after the last one.
        edges: the position, from `first` on, at which each column begins, [cols].
        starts: the step at which each column begins, and the last step of all, [cols + 1].
        pooled: how many steps are in the column that has most.
    """

    first: int
    end: int
    edges: np.ndarray
    starts: np.ndarray
    pooled: int


def columns(steps: np.ndarray, first: float | None, last: float | None, width: int) -> Columns:
    """Return the columns of the steps from `first` to `last`, both included.

    Args:
        steps: the logged steps, ascending.
        first: the first step shown, logged or not; None for the first of all.
        last: the last one; None for the last of all.
        width: how many columns there are at most.
    """
    a = 0 if first is None else int(np.searchsorted(steps, first))
    b = len(steps) if last is None else int(np.searchsorted(steps, last, "right"))
    edges = np.linspace(0, b - a, min(b - a, width) + 1).astype(np.int64)
    last_of_all = steps[b - 1 : b] if b > a else [first or 0]
    starts = np.append(steps[a + edges[:-1]], last_of_all).astype(np.float64)
    return Columns(a, b, edges[:-1], starts, int(np.diff(edges).max(initial=0)))


def largest(values: np.ndarray, of: Columns) -> np.ndarray:
    """Return what is largest in size in each column, with its sign; NaN only where nothing else is.

    Args:
        values: [..., steps], of all steps or of those of the columns alone.
        of: the columns.
    """
    high = highest(values, of)
    if not high.size or not (np.fmin.reduce(values, axis=None) < 0):
        return high
    low = lowest(values, of)
    return np.where(-low > high, low, high)


def highest(values: np.ndarray, of: Columns) -> np.ndarray:
    """Return the highest value in each column that is not NaN; for the arguments see `largest`."""
    return _pooled(np.fmax, values, of)


def lowest(values: np.ndarray, of: Columns) -> np.ndarray:
    """Return the lowest value in each column that is not NaN; for the arguments see `largest`."""
    return _pooled(np.fmin, values, of)


def flagged(flags: np.ndarray, of: Columns) -> np.ndarray:
    """Return the flags of each column: those of any of its steps, and ABSENT if it is so of all.

    Args:
        flags: [..., steps] of uint8.
        of: the columns.
    """
    every = _pooled(np.bitwise_and, flags, of) & np.uint8(ABSENT)
    return any_bit(flags, of) & np.uint8(255 - ABSENT) | every


def any_bit(bits: np.ndarray, of: Columns) -> np.ndarray:
    """Return the bits that are set in any step of each column.

    Args:
        bits: [..., steps] of integers.
        of: the columns.
    """
    return _pooled(np.bitwise_or, bits, of)


def _pooled(how: np.ufunc, values: np.ndarray, of: Columns) -> np.ndarray:
    values = values[..., of.first : of.end]
    if of.pooled <= 1:
        return values
    return how.reduceat(values, of.edges, axis=-1)
