"""Patterns of attention averaged over examples, without their padding.

>>> mean_pattern(np.stack([np.eye(2)[None], np.full((1, 2, 2), 0.5)])).tolist()
[[[0.75, 0.25], [0.25, 0.75]]]
"""

import numpy as np
from numpy.typing import ArrayLike

from tandv.arrays import as_array


def mean_pattern(attention: ArrayLike, mask: ArrayLike | None = None) -> np.ndarray:
    """Return the mean pattern of each head over the examples that have tokens there: [head, query, key].

    Where no example has a token, as query or as key, it is NaN.

    >>> mean_pattern(np.eye(2)[None, None], mask=[[True, False]]).tolist()
    [[[1.0, nan], [nan, nan]]]

    Args:
        attention: probabilities, [..., head, query, key].
        mask: which positions hold a token and no padding, [position] or [example, position]; None for all. A key more
            than that is a sink.

    Raises ValueError for a mask of another shape.
    """
    total, count = pattern_sums(attention, mask)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def pattern_sums(attention: ArrayLike, mask: ArrayLike | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the sum of the patterns of each head over examples, and of how many: both [head, query, key].

    >>> total, count = pattern_sums(np.eye(2)[None, None], mask=[[True, False]])
    >>> total.tolist(), count.tolist()
    ([[[1.0, 0.0], [0.0, 0.0]]], [[[1, 0], [0, 0]]])

    Args:
        attention: probabilities, [..., head, query, key].
        mask: which positions hold a token and no padding, [position] or [example, position]; None for all. A key more
            than that is a sink.

    Raises ValueError for a mask of another shape.
    """
    array = as_array(attention)
    examples = array.reshape(-1, *array.shape[-3:])
    if mask is None:
        return examples.sum(0, dtype=np.float64), np.full(examples.shape[1:], len(examples))
    queries, keys = examples.shape[-2:]
    known = as_array(mask).astype(bool)
    if known.shape not in ((queries,), (len(examples), queries)):
        raise ValueError(f"the mask has shape {known.shape}; give ({queries},) or ({len(examples)}, {queries})")
    real = np.broadcast_to(known, (len(examples), queries))
    of_keys = np.concatenate([real, np.ones((len(real), keys - queries), bool)], 1)
    there = real[:, None, :, None] & of_keys[:, None, None, :]
    total = np.where(there, examples, 0).sum(0, dtype=np.float64)
    return total, np.broadcast_to(there.sum(0), total.shape)
