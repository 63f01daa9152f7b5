"""How a statistic changed: the ratio of its size to that at the start, or to that of another run."""

import numpy as np

from tandv.page.answers.columns import Columns, highest, lowest

EARLY = 5  # steps of a layer whose median a change is measured from: one step alone is noise for all that follow
_BEGIN = 64  # steps among which these nearly always are
CHANGE = f"log2 of {{}} over the median of its first {EARLY} values"  # of the name of a statistic


def early(values: np.ndarray) -> np.ndarray:
    """Return the median size of the first `EARLY` finite values of each row; NaN of a row without any.

    >>> early(np.array([[np.nan, 1, -2, 3, 4, 5, 100.0]])).tolist()
    [3.0]

    Args:
        values: [rows, steps].
    """
    begin = values[:, :_BEGIN]
    if begin.shape != values.shape and (np.isfinite(begin).sum(1) < EARLY).any():
        begin = values  # some layer appears late
    finite = np.isfinite(begin)
    taken = finite & (np.cumsum(finite, axis=1) <= EARLY)
    sizes = np.sort(np.where(taken, np.abs(begin), np.nan), axis=1)  # NaN last
    count, row = taken.sum(1), np.arange(len(values))
    if not sizes.shape[1]:
        return np.full(len(values), np.nan, values.dtype)
    middle = sizes[row, np.maximum(count - 1, 0) // 2].astype(np.float64), sizes[row, count // 2]
    return ((middle[0] + middle[1]) / 2).astype(values.dtype)


def ratios(values: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Return the ratios of sizes; where both are 0 nothing has changed: 1.

    >>> ratios(np.array([-4.0, 0.0]), np.array([2.0, 0.0])).tolist()
    [2.0, 1.0]

    Args:
        values: what is compared.
        base: what it is compared to.
    """
    values, base = np.abs(values), np.abs(base)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.where((values == base) & np.isfinite(base), np.ones((), values.dtype), values / base)


def logs_of_ratios(of_sizes: np.ndarray, of: Columns) -> np.ndarray:
    """Return in each column the log2 that is largest in size: of the highest ratio or of the lowest."""
    return _further(highest(of_sizes, of), lowest(of_sizes, of))


def changes(values: np.ndarray, of: Columns) -> np.ndarray:
    """Return in each column the log2 of the ratio of sizes to that at the start that is largest in size.

    >>> from tandv.page.answers.columns import columns
    >>> changes(np.array([[1.0, 1, 1, 1, 1, 8, 0.5]]), columns(np.arange(7), None, None, 2)).tolist()
    [[0.0, 3.0]]

    Args:
        values: [rows, steps], of all steps.
        of: the columns.
    """
    sizes, base = np.abs(values), early(values)[:, None]
    return _further(ratios(highest(sizes, of), base), ratios(lowest(sizes, of), base))  # pooled first: far fewer


def _further(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        up, down = np.log2(high), np.log2(low)
    return np.where(-down > up, down, up)
