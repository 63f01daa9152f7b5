"""Positions that hold a token and those that only fill a sequence up."""

import numpy as np
from numpy.typing import ArrayLike

from tandv.arrays import as_array


def real_pairs(mask: ArrayLike | None, attention: np.ndarray) -> np.ndarray:
    """Return [query, key] or [example, 1, query, key]: query and key are no padding; raise for another shape."""
    if mask is None:
        return np.ones((1, 1), bool)
    real = as_array(mask).astype(bool)
    queries, keys = attention.shape[-2:]
    examples = attention.shape[:-3]
    if real.ndim not in (1, 2) or real.shape[-1] != keys or queries > keys or real.shape[:-1] not in ((), examples):
        raise ValueError(
            f"the mask has shape {real.shape}; for this attention give ({keys},)"
            + (f" or ({attention.shape[0]}, {keys})" if attention.ndim == 4 else "")
        )
    pairs = real[..., keys - queries :, None] & real[..., None, :]
    return pairs[:, None] if real.ndim == 2 else pairs


_LEAST_PADDING = 3  # equal tokens in a row


def padding_in(tokens: np.ndarray) -> str:
    """Return a sentence if many examples end, or begin, with the same token several times."""
    if tokens.ndim != 2 or tokens.shape[1] <= _LEAST_PADDING or len(tokens) < 2:
        return ""
    for words, run in (("end", tokens[:, -_LEAST_PADDING:]), ("begin", tokens[:, :_LEAST_PADDING])):
        alike = (run == run[:, :1]).all(1)
        values, counts = np.unique(run[alike, 0], return_counts=True)
        if len(values) and counts.max() >= max(2, len(tokens) / 2):
            return (
                f"{counts.max()} of {len(tokens)} examples {words} with token {values[counts.argmax()]} at least "
                f"{_LEAST_PADDING} times: if this is padding, its rows count in entropies and scores; leave them out "
                "by mask=, [example, position], true where there is a token"
            )
    return ""
