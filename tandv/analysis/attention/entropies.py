"""How spread out the rows of attention are, and how different its heads.

>>> attention_entropy(np.eye(4)).tolist()
[0.0, 0.0, 0.0, 0.0]
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import entr

from tandv.analysis.attention._padding import real_pairs
from tandv.analysis.attention._probabilities import per_head, probabilities, with_heads
from tandv.analysis.attention.sinks import among_tokens, without_sink
from tandv.arrays import as_array


def attention_entropy(
    attention: ArrayLike,
    *,
    causal: bool = False,
    visible: ArrayLike | None = None,
    normalised: bool = False,
) -> np.ndarray:
    """Return the entropy of each row of attention, −Σ p log p in nats: [..., query], 0 if it attends to one key alone.

    Rows are divided by their sum, so that rounding in half precision does no harm. A row without visible keys is NaN.

    >>> uniform = np.tril(np.ones((3, 3))) / [[1], [2], [3]]
    >>> attention_entropy(uniform, causal=True, normalised=True).round(12).tolist()
    [nan, 1.0, 1.0]

    Args:
        attention: probabilities, [..., query, key].
        causal: whether query i can attend only to keys 0 to i.
        visible: a mask that broadcasts to [..., query, key], true where attention is possible.
        normalised: divide by the largest possible entropy, the log of the number of visible keys; a row with one
            visible key is NaN then.

    Raises ValueError if rows are not probabilities (visible keys sum to 1 within 0.01, nothing negative).
    """
    rows, seen = probabilities(attention, causal, visible)
    count = seen.sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = np.where(count > 0, entr(rows / rows.sum(-1, keepdims=True)).sum(-1), np.nan)
        return entropy / np.where(count > 1, np.log(count), np.nan) if normalised else entropy


def head_entropy(
    attention: ArrayLike,
    *,
    causal: bool = False,
    visible: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    normalised: bool = False,
) -> np.ndarray:
    """Return the entropy of each head in nats, averaged over examples and over the rows that have one: [head].

    Of attention with a sink (see `without_sink`) it is that of what goes to tokens.

    >>> head_entropy([np.eye(4), np.full((4, 4), 0.25)]).round(4).tolist()  # the second is log 4
    [0.0, 1.3863]

    Args:
        attention: probabilities, [..., head, query, key].
        causal: whether query i can attend only to keys 0 to i.
        visible: a mask that broadcasts to [..., query, key], true where attention is possible.
        mask: which positions hold a token and no padding, [position] or [example, position]; None for all.
        normalised: divide by the largest possible entropy, the log of the number of visible keys; a row with one
            visible key is NaN then.
    """
    return per_head(entropy_rows(attention, causal=causal, visible=visible, mask=mask, normalised=normalised))


def entropy_rows(
    attention: ArrayLike,
    *,
    causal: bool = False,
    visible: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    normalised: bool = False,
) -> np.ndarray:
    """Return what `head_entropy` averages: [..., head, query], NaN for rows that have none.

    >>> entropy_rows([np.eye(2)], mask=[True, False]).tolist()
    [[0.0, nan]]

    Args:
        attention: probabilities, [..., head, query, key].
        causal: whether query i can attend only to keys 0 to i.
        visible: a mask that broadcasts to [..., query, key], true where attention is possible.
        mask: which positions hold a token and no padding, [position] or [example, position]; None for all.
        normalised: divide by the largest possible entropy, the log of the number of visible keys; a row with one
            visible key is NaN then.
    """
    heads = among_tokens(without_sink(with_heads(attention)))
    if mask is not None:
        real = real_pairs(mask, heads)
        visible = real if visible is None else real & as_array(visible).astype(bool)
    return attention_entropy(heads, causal=causal, visible=visible, normalised=normalised)


class HeadSpecialisation(NamedTuple):
    """How different the heads of a layer are.

    >>> head_specialisation([np.eye(4), np.eye(4)]).specialization_index
    0.0

    Args:
        head_entropies: the entropy of each head in nats, [head].
        mean_entropy: their mean.
        entropy_spread: their population standard deviation.
        specialization_index: the largest minus the smallest; it grows with the number of heads by chance alone, so
            compare only layers with equally many heads.
    """

    head_entropies: np.ndarray
    mean_entropy: float
    entropy_spread: float
    specialization_index: float


def head_specialisation(
    attention: ArrayLike,
    *,
    causal: bool = False,
    visible: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    normalised: bool = False,
) -> HeadSpecialisation:
    """Return how different the heads of a layer are: the spread and the range of their entropies.

    >>> focused, diffuse = np.eye(4), np.full((4, 4), 0.25)
    >>> round(head_specialisation([focused, diffuse]).specialization_index, 4)  # log 4
    1.3863

    Args:
        attention: probabilities, [..., head, query, key].
        causal: whether query i can attend only to keys 0 to i.
        visible: a mask that broadcasts to [..., query, key], true where attention is possible.
        mask: which positions hold a token and no padding, [position] or [example, position]; None for all.
        normalised: divide by the largest possible entropy, the log of the number of visible keys; a row with one
            visible key is NaN then.
    """
    heads = head_entropy(attention, causal=causal, visible=visible, mask=mask, normalised=normalised)
    return HeadSpecialisation(heads, float(heads.mean()), float(heads.std()), float(np.ptp(heads)))
