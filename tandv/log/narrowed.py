"""Numbers as float32, which takes half the memory, unless one of them lies beyond what float32 can hold."""

import numpy as np

__all__ = ["narrowed"]

_OF_FLOAT32 = np.finfo(np.float32)


def narrowed(values: np.ndarray) -> np.ndarray:
    """Return numbers as float32 if it holds all of them with its seven digits, else as float64.

    >>> narrowed(np.array([1.0, 0.0, np.inf])).dtype.name, narrowed(np.array([1e300, 1.0])).dtype.name
    ('float32', 'float64')

    Args:
        values: numbers of any dtype and shape.
    """
    if values.dtype != np.float64:
        return values.astype(np.float32)
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        out = values.astype(np.float32)
    sizes = np.abs(out)
    suspect = np.isinf(out) | (sizes < _OF_FLOAT32.smallest_normal)
    there = values[suspect]
    return values if (np.isfinite(there) & (there != 0)).any() else out
