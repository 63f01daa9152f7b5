"""Expanded tensors, whose elements share memory: each is measured once, and counted as often as it occurs."""

from typing import Any

import numpy as np

from tandv.statistics import SUMS

COUNTED = ("numel", "nans", "infs", "zeros")  # with SUMS and `counts` the fields of a row that add up over elements


def once_each(tensor: Any) -> Any:
    """Return a view of a torch tensor or NumPy array in which an expanded dimension has length 1.

    >>> once_each(np.broadcast_to(np.ones((3, 1)), (3, 5))).shape
    (3, 1)
    """
    strides = tensor.stride() if hasattr(tensor, "stride") else tensor.strides
    if 0 not in strides:
        return tensor
    repeated = [stride == 0 and size > 1 for size, stride in zip(tensor.shape, strides, strict=True)]
    return tensor[tuple(slice(0, 1) if again else slice(None) for again in repeated)] if any(repeated) else tensor


def times(rows: np.ndarray, count: int) -> np.ndarray:
    """Return measurements of tensors in which each element occurs `count` times, from measurements of it once.

    >>> from tandv import statistics
    >>> row = statistics.empty_rows(1)
    >>> row["numel"], row["sum"] = 2, 3.0
    >>> times(row, 5)[["numel", "sum"]].tolist()
    [(10, 15.0)]
    """
    out = rows.copy()
    for name in (*COUNTED, *SUMS, "counts"):
        out[name] *= count
    return out
