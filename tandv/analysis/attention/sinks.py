"""Attention sinks: a last column that belongs to no token, into which heads put what they give to none (gpt-oss).

A pattern has one if it has one key more than queries, is causal without it, and rows before the last attend to it.
(With a cached key, the last column is the last token: only the last row attends to it.)

>>> pattern = np.array([[[0.6, 0.0, 0.4], [0.2, 0.6, 0.2]]])  # 2 tokens and a sink
>>> found = without_sink(pattern)
>>> found.attention.shape, found.sink.tolist()
((1, 2, 2), [[0.4, 0.2]])
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tandv.arrays import as_array


class WithoutSink(NamedTuple):
    """Attention to tokens, and what goes to the sink.

    >>> without_sink(np.eye(3)[None]).sink is None
    True

    Args:
        attention: [..., query, key], as given where there is no sink; with one, rows sum to 1 less what it has.
        sink: its share of each row, [..., query]; None without one.
    """

    attention: np.ndarray
    sink: np.ndarray | None


def without_sink(attention: ArrayLike) -> WithoutSink:
    """Return attention to tokens, and apart from it the share of a sink, if there is one.

    >>> without_sink(np.array([[0.6, 0.0, 0.4], [0.2, 0.6, 0.2]])).attention.tolist()
    [[0.6, 0.0], [0.2, 0.6]]

    Args:
        attention: probabilities, [..., query, key].
    """
    rows = as_array(attention)
    if rows.ndim < 2 or rows.shape[-1] != rows.shape[-2] + 1 or rows.shape[-2] < 2:
        return WithoutSink(rows, None)
    tokens, sink = rows[..., :-1], rows[..., -1]
    if np.triu(tokens, 1).any() or not sink[..., :-1].any():
        return WithoutSink(rows, None)
    return WithoutSink(tokens, sink)


def among_tokens(found: WithoutSink) -> np.ndarray:
    """Return attention as shares of what goes to tokens: rows sum to 1 again, or to 0 where all goes to the sink.

    >>> among_tokens(without_sink(np.array([[0.5, 0.0, 0.5], [0.3, 0.3, 0.4]]))).tolist()
    [[1.0, 0.0], [0.5, 0.5]]

    Args:
        found: what `without_sink` returns.
    """
    if found.sink is None:
        return found.attention
    rows = found.attention.astype(np.float64)
    total = rows.sum(-1, keepdims=True)
    return np.divide(rows, total, out=np.zeros_like(rows), where=total > 0)
