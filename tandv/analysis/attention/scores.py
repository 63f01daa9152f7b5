"""Which known patterns heads show: previous tokens, duplicate tokens, induction.

>>> previous_token_score(np.eye(4)[None, [0, 0, 1, 2]]).tolist()
[1.0]
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tandv.analysis.attention._padding import real_pairs
from tandv.analysis.attention._probabilities import per_head, whole_sequences
from tandv.arrays import as_array


def previous_token_score(attention: ArrayLike, mask: ArrayLike | None = None) -> np.ndarray:
    """Return how much each head attends to the previous token: mean of A[i, i − 1] over i ≥ 1 (Elhage et al. 2021).

    >>> previous_token_score(np.eye(4)[None, [0, 0, 1, 2]]).tolist()  # row i attends to i - 1
    [1.0]

    Args:
        attention: probabilities of whole sequences, [..., head, query, key].
        mask: which positions hold a token and no padding, [position] or [example, position]; None for all.
    """
    square = whole_sequences(attention)
    return _pattern_score(square, _before(square) & real_pairs(mask, square))


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
    return _pattern_score(square, _repeated(tokens, square) & real_pairs(mask, square))


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
    return _pattern_score(square, _followers(tokens, square, mask) & real_pairs(mask, square))


def head_scores(attention: ArrayLike, tokens: ArrayLike | None = None, mask: ArrayLike | None = None) -> pd.DataFrame:
    """Return all pattern scores of causal attention, one row per head, with the scores of uniform attention.

    Columns: `previous_token`, and with `tokens` also `duplicate_token` and `induction`; each has a `<name>_chance`, the
    score of a head that attends equally to itself and to everything before it. A score is meaningful only above its
    chance. What goes to an attention sink (see `without_sink`) counts as attention to no token.

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
    heads = square.shape[-3]
    columns = {name: np.broadcast_to(per_head(rows), heads) for name, rows in score_rows(square, tokens, mask).items()}
    return pd.DataFrame(columns, index=pd.RangeIndex(heads, name="head"))


def score_rows(
    square: np.ndarray, tokens: ArrayLike | None = None, mask: ArrayLike | None = None
) -> dict[str, np.ndarray]:
    """Return what `head_scores` averages, by name: [..., head, query], NaN where a query has no score.

    Of a `<name>_chance` there is one head.

    >>> rows = score_rows(np.eye(3)[None, [0, 0, 1]])
    >>> rows["previous_token"].tolist(), rows["previous_token_chance"].round(2).tolist()
    ([[nan, 1.0, 1.0]], [[nan, 0.5, 0.33]])

    Args:
        square: what `whole_sequences` returns, [..., head, query, key].
        tokens: the token at each position, [position] or [example, position].
        mask: which positions hold a token and no padding, [position] or [example, position]; None for all.
    """
    length = square.shape[-1]
    real = real_pairs(mask, square)
    wanted = {"previous_token": _before(square)}
    if tokens is not None:
        wanted |= {"duplicate_token": _repeated(tokens, square), "induction": _followers(tokens, square, mask)}
    seen = np.tri(length, dtype=bool) & real
    uniform = seen / np.maximum(seen.sum(-1, keepdims=True), 1)
    rows = {}
    for name, keys in wanted.items():
        rows[name] = _pattern_rows(square, keys & real)
        rows[f"{name}_chance"] = _pattern_rows(uniform if uniform.ndim > 2 else uniform[None], keys & real)
    return rows


def _pattern_score(attention: np.ndarray, keys: np.ndarray) -> np.ndarray:
    return per_head(_pattern_rows(attention, keys))


def _pattern_rows(attention: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Return the attention to `keys` ([query, key] or [example, 1, query, key]) of each query that has any, else NaN.

    A query that attends to no key at all is left out, as that of padding.
    """
    mass = np.where(keys, attention, 0).sum(-1)
    return np.where(keys.any(-1) & attention.any(-1), mass, np.nan)


def _before(attention: np.ndarray) -> np.ndarray:
    return np.eye(attention.shape[-1], k=-1, dtype=bool)


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
    repeated = _repeated(tokens, attention) & real_pairs(mask, attention)
    followers = np.zeros_like(repeated)
    followers[..., 1:] = repeated[..., :-1]
    return followers & np.tri(attention.shape[-1], k=-1, dtype=bool)
