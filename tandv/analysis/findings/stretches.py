"""Stretches of steps in which something holds, and what a tensor did in the steps before: own history."""

import numpy as np

BACK = 20  # steps that are a tensor's own history
FEWEST = 8  # of them, before anything is called unusual
LEAST_SPREAD = 0.1  # bits: a tensor that hardly moves is not unusual for moving a little


def log2(values: np.ndarray) -> np.ndarray:
    """Return the binary logarithm; NaN of what is zero or not finite.

    >>> log2(np.array([8.0, 0.0, np.inf])).tolist()
    [3.0, nan, nan]

    Args:
        values: any numbers, of any shape.
    """
    with np.errstate(all="ignore"):
        out = np.log2(values)
    out[~np.isfinite(out)] = np.nan
    return out


def typical(values: np.ndarray, axis: int) -> np.ndarray:
    """Return the median of the finite values along an axis; NaN where there is none.

    >>> typical(np.array([[1.0, np.nan, np.inf], [np.nan, np.nan, 2.0]]), 1).tolist()
    [1.0, 2.0]

    Args:
        values: any numbers, of two axes.
        axis: the axis that the result lacks.
    """
    known = np.where(np.isfinite(values), values, np.nan)
    rows = np.sort(known if axis else known.T, axis=1)  # NaN last
    return _median(rows, np.isfinite(rows).sum(1))


def begins(mask: np.ndarray, least: int) -> np.ndarray:
    """Return where each row first holds at `least` steps in a row, -1 where it never does, [rows].

    >>> begins(np.array([[0, 1, 0, 1, 1], [1, 0, 1, 0, 1]], bool), 2).tolist()
    [3, -1]

    Args:
        mask: whether it holds, [rows, steps].
        least: steps in a row.
    """
    steps = mask.shape[1]
    if steps < least:
        return np.full(len(mask), -1)
    counts = np.zeros((len(mask), steps + 1), np.int32)
    np.cumsum(mask, axis=1, out=counts[:, 1:])
    whole = counts[:, least:] - counts[:, :-least] == least
    return np.where(whole.any(1), whole.argmax(1), -1)


def earliest(starts: np.ndarray) -> int | None:
    """Return the row that begins first, the first of several; None if none does.

    >>> earliest(np.array([-1, 7, 3])), earliest(np.array([-1]))
    (2, None)

    Args:
        starts: as `begins` returns them, [rows].
    """
    there = np.flatnonzero(starts >= 0)
    return int(there[np.argmin(starts[there])]) if len(there) else None


def history(values: np.ndarray, row: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return median and spread of the steps before some cells, [cells] each; NaN where too few are known.

    The spread is 1.4826 times the median of the absolute deviations, which is the standard deviation of a normal
    distribution, and at least `LEAST_SPREAD`.

    Args:
        values: [rows, steps].
        row, column: the cells, [cells] integers.
    """
    at = column[:, None] - np.arange(BACK, 0, -1)
    before = np.where(at >= 0, values[row[:, None], np.maximum(at, 0)], np.nan)
    known = np.isfinite(before).sum(1)
    before = np.sort(before, axis=1)  # NaN last
    median = _median(before, known)
    away = np.sort(np.abs(before - median[:, None]), axis=1)
    spread = np.maximum(1.4826 * _median(away, known), LEAST_SPREAD)
    few = known < FEWEST
    median[few], spread[few] = np.nan, np.nan
    return median, spread


def _median(ascending: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the median of each row's first `known` values; NaN where there is none."""
    if not ascending.shape[1]:
        return np.full(len(ascending), np.nan)
    rows = np.arange(len(ascending))
    low, high = np.maximum((known - 1) // 2, 0), np.minimum(known // 2, ascending.shape[1] - 1)
    return (ascending[rows, low] + ascending[rows, high]) / 2


def leaps(values: np.ndarray, bits: float, spreads: float) -> tuple[np.ndarray, np.ndarray]:
    """Return by how much values are above their own last steps where that is unusual, else 0; and by how many spreads.

    Both must be exceeded: where a loss is near 0, gradients jump from batch to batch, and a smooth tensor has hardly
    any spread. Returns two arrays [rows, steps].

    >>> values = np.zeros((1, 12)); values[0, 10] = 5.0
    >>> leaps(values, 3.0, 8.0)[0].tolist()[0][9:]
    [0.0, 5.0, 0.0]

    Args:
        values: [rows, steps], as `log2` returns them.
        bits: what they are above the median of the last steps.
        spreads: by how many spreads.
    """
    # Above the median by `bits` is above the least of those steps by as much: the few cells that can be it.
    known = np.where(np.isnan(values), np.inf, values)
    least = np.full_like(known, np.inf)
    for shift in range(1, BACK + 1):
        np.minimum(least[:, shift:], known[:, :-shift], out=least[:, shift:])
    with np.errstate(invalid="ignore"):
        row, column = np.nonzero(values - least > bits)
    above, by = np.zeros(values.shape, np.float32), np.zeros(values.shape, np.float32)
    if len(row):
        median, spread = history(values, row, column)
        more = values[row, column] - median
        unusual = (more > bits) & (more > spreads * spread)
        row, column = row[unusual], column[unusual]
        above[row, column], by[row, column] = more[unusual], (more / spread)[unusual]
    return above, by
