"""What attention does: how spread out its rows are, how different its heads, and which known patterns they show.

Attention is given as probabilities, after the softmax: [..., query, key] for rows, [..., head, query, key] for heads.
Leading axes (the examples of a batch) are averaged over.

>>> attention_entropy(np.eye(4)).tolist()
[0.0, 0.0, 0.0, 0.0]
"""

import warnings
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import entr

from tandv.analysis._probabilities import probabilities, whole_sequences, with_heads
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
    heads = with_heads(attention)
    if mask is not None:
        real = _real(mask, heads)
        visible = real if visible is None else real & as_array(visible).astype(bool)
    return _per_head(attention_entropy(heads, causal=causal, visible=visible, normalised=normalised))


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


def previous_token_score(attention: ArrayLike, mask: ArrayLike | None = None) -> np.ndarray:
    """Return how much each head attends to the previous token: mean of A[i, i − 1] over i ≥ 1 (Elhage et al. 2021).

    >>> previous_token_score(np.eye(4)[None, [0, 0, 1, 2]]).tolist()  # row i attends to i - 1
    [1.0]

    Args:
        attention: probabilities of whole sequences, [..., head, query, key].
        mask: which positions hold a token and no padding, [position] or [example, position]; None for all.
    """
    square = whole_sequences(attention)
    return _pattern_score(square, _before(square) & _real(mask, square))


def duplicate_token_score(attention: ArrayLike, tokens: ArrayLike, mask: ArrayLike | None = None) -> np.ndarray:
    """Return how much each head attends to earlier copies of the current token: [head] (Elhage et al. 2021).

    For every query whose token has occurred before, the attention to all its earlier occurrences is summed; the score
    is the mean over those queries, NaN if no token occurs twice.

    >>> duplicate_token_score(np.eye(3)[None, [0, 1, 0]], tokens=[5, 7, 5]).tolist()  # row 2 attends to position 0
    [1.0]

    Args:
        attention: probabilities of whole sequences, [..., head, query, key].
        tokens: the token at each position, [position] or [example, position].
        mask: which positions hold a token and no padding, [position] or [example, position]; None for all.
    """
    square = whole_sequences(attention)
    return _pattern_score(square, _repeated(tokens, square) & _real(mask, square))


def induction_score(attention: ArrayLike, tokens: ArrayLike, mask: ArrayLike | None = None) -> np.ndarray:
    """Return how much each head attends to what followed earlier copies of the current token (Olsson et al. 2022).

    This is the prefix-matching score: for every query i whose token has occurred before, the attention to all earlier
    positions j < i with tokens[j − 1] = tokens[i] is summed; the score is the mean over the queries that have such a
    position, NaN if there is none.

    >>> induction_score(np.eye(3)[None, [0, 1, 1]], tokens=[5, 7, 5]).tolist()  # row 2 attends to position 1
    [1.0]

    Args:
        attention: probabilities of whole sequences, [..., head, query, key].
        tokens: the token at each position, [position] or [example, position].
        mask: which positions hold a token and no padding, [position] or [example, position]; None for all.
    """
    square = whole_sequences(attention)
    return _pattern_score(square, _followers(tokens, square, mask) & _real(mask, square))


def head_scores(attention: ArrayLike, tokens: ArrayLike | None = None, mask: ArrayLike | None = None) -> pd.DataFrame:
    """Return all pattern scores of causal attention, one row per head, with the scores of uniform attention.

    Columns: `previous_token`, and with `tokens` also `duplicate_token` and `induction`; each has a `<name>_chance`, the
    score of a head that attends equally to itself and to everything before it. A score is meaningful only above its
    chance.

    >>> tokens = [5, 7, 9, 5, 7, 9]
    >>> attention = np.eye(6)[None, [0, 0, 0, 1, 2, 3]]  # positions 3, 4, 5 attend to what followed their first copies
    >>> table = head_scores(attention, tokens)
    >>> float(table["induction"][0]), round(float(table["induction_chance"][0]), 3)
    (1.0, 0.206)

    Args:
        attention: probabilities of whole sequences, [..., head, query, key].
        tokens: the token at each position, [position] or [example, position].
        mask: which positions hold a token and no padding, [position] or [example, position]; None for all.
    """
    square = whole_sequences(attention)
    length = square.shape[-1]
    real = _real(mask, square)
    wanted = {"previous_token": _before(square)}
    if tokens is not None:
        wanted |= {"duplicate_token": _repeated(tokens, square), "induction": _followers(tokens, square, mask)}
    seen = np.tri(length, dtype=bool) & real
    uniform = seen / np.maximum(seen.sum(-1, keepdims=True), 1)
    columns = {}
    for name, keys in wanted.items():
        columns[name] = _pattern_score(square, keys & real)
        chance = _pattern_score(uniform if uniform.ndim > 2 else uniform[None], keys & real)
        columns[f"{name}_chance"] = np.full(square.shape[-3], chance[0])
    return pd.DataFrame(columns, index=pd.RangeIndex(square.shape[-3], name="head"))


def attention_curves(
    history: Mapping[int, Mapping[str, ArrayLike]],
    tokens: ArrayLike | None = None,
    *,
    causal: bool | None = None,
    mask: ArrayLike | None = None,
) -> pd.DataFrame:
    """Return entropy and scores of every head over training, as curves.

    Columns are `<layer>/head<h>/entropy`, `<layer>/specialization_index` and, of causal attention, the scores of
    `head_scores` as `<layer>/head<h>/induction`, ... and `<layer>/induction_chance`, ...

    >>> attention_curves({0: {"attn": np.eye(4)[None]}})["attn/head0/entropy"].to_dict()
    {0: 0.0}

    Args:
        history: {step: {layer: probabilities [..., head, query, key]}}.
        tokens: the token at each position, [position] or [example, position].
        causal: whether attention is causal; None decides for each layer: it is if no position ever attends to a later
            one.
        mask: which positions hold a token and no padding, [position] or [example, position]; None for all.

    Tokens that look padded without a mask are said in a warning.
    """
    if mask is None and tokens is not None and (words := _padding_in(as_array(tokens))):
        warnings.warn(words, UserWarning, stacklevel=2)
    layers = {layer: None for step in history for layer in history[step]}
    masked = {
        layer: all(_is_causal(history[step][layer]) for step in history if layer in history[step])
        if causal is None
        else causal
        for layer in layers
    }
    rows = {}
    for step in sorted(history):
        row = rows.setdefault(step, {})
        for layer, attention in history[step].items():
            found = head_specialisation(attention, causal=masked[layer], mask=mask)
            for head, entropy in enumerate(found.head_entropies):
                row[f"{layer}/head{head}/entropy"] = entropy
            row[f"{layer}/specialization_index"] = found.specialization_index
            for name, score in head_scores(attention, tokens, mask).items() if masked[layer] else ():
                chance = str(name).endswith("_chance")
                row |= (
                    {f"{layer}/{name}": score[0]}
                    if chance
                    else {f"{layer}/head{h}/{name}": v for h, v in score.items()}
                )
    out = pd.DataFrame.from_dict(rows, orient="index").astype(np.float64)
    out.index = pd.Index(out.index.astype(np.int64), name="step")
    return out


def _is_causal(attention: ArrayLike) -> bool:
    rows = as_array(attention)
    return rows.ndim > 1 and rows.shape[-1] == rows.shape[-2] and not np.triu(rows, 1).any()


def _per_head(values: np.ndarray) -> np.ndarray:
    """Average [..., head, query] over all axes but that of heads, leaving out NaN."""
    per_head = np.moveaxis(values, -2, 0).reshape(values.shape[-2], -1)
    known = ~np.isnan(per_head)
    with np.errstate(invalid="ignore"):
        return np.where(known, per_head, 0).sum(1) / known.sum(1)


def _pattern_score(attention: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Average the attention to `keys` ([query, key] or [example, 1, query, key]) over queries that have any.

    A query that attends to no key at all is left out, as that of padding.
    """
    mass = np.where(keys, attention, 0).sum(-1)
    return _per_head(np.where(keys.any(-1) & attention.any(-1), mass, np.nan))


def _before(attention: np.ndarray) -> np.ndarray:
    return np.eye(attention.shape[-1], k=-1, dtype=bool)


def _real(mask: ArrayLike | None, attention: np.ndarray) -> np.ndarray:
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


def _padding_in(tokens: np.ndarray) -> str:
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


def _repeated(tokens: ArrayLike, attention: np.ndarray) -> np.ndarray:
    """Return [.., query, key]: the key is an earlier occurrence of the query's token."""
    ids = as_array(tokens)
    length = attention.shape[-1]
    if ids.ndim not in (1, 2) or ids.shape[-1] != length or (ids.ndim == 2 and ids.shape[:1] != attention.shape[:-3]):
        raise ValueError(
            f"tokens have shape {ids.shape}; for this attention give ({length},)"
            + (f" or ({attention.shape[0]}, {length})" if attention.ndim == 4 else "")
        )
    same = (ids[..., :, None] == ids[..., None, :]) & np.tri(length, k=-1, dtype=bool)
    return same[:, None] if ids.ndim == 2 else same


def _followers(tokens: ArrayLike, attention: np.ndarray, mask: ArrayLike | None) -> np.ndarray:
    """Return [.., query, key]: the key follows an earlier occurrence of the query's token, and is not the query."""
    repeated = _repeated(tokens, attention) & _real(mask, attention)
    followers = np.zeros_like(repeated)
    followers[..., 1:] = repeated[..., :-1]
    return followers & np.tri(attention.shape[-1], k=-1, dtype=bool)
