"""How a statistic changed: the ratio of its size to that at the start, or to that of another run."""

import numpy as np

from tandv.page.answers.columns import Columns, highest, lowest

EARLY = 5  # steps of a layer whose median a change is measured from: one step alone is noise for all that follow
CHANGE = f"log2 of {{}} over the median of its first {EARLY} values"  # of the name of a statistic


def early(values: np.ndarray) -> np.ndarray:
    """Return the median size of the first `EARLY` finite values of each row; NaN of a row without any.

    >>> early(np.array([[np.nan, 1, -2, 3, 4, 5, 100.0]])).tolist()
    [3.0]

    Args:
        values: [rows, steps].
    """
    out = np.full(len(values), np.nan, values.dtype)
    for row, own in enumerate(values):
        first = own[:64] if np.isfinite(own[:64]).sum() >= EARLY else own
        if len(finite := first[np.isfinite(first)][:EARLY]):
            out[row] = np.median(np.abs(finite))
    return out


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
    with np.errstate(divide="ignore"):
        high, low = np.log2(highest(of_sizes, of)), np.log2(lowest(of_sizes, of))
    return np.where(-low > high, low, high)
