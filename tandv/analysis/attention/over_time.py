"""Entropy and scores of heads over training, as curves.

>>> attention_curves({0: {"attn": np.eye(4)[None]}})["attn/head0/entropy"].to_dict()
{0: 0.0}
"""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tandv.analysis.attention._padding import padding_in
from tandv.analysis.attention._sums import columns_of, head_sums
from tandv.analysis.attention.sinks import without_sink
from tandv.arrays import as_array
from tandv.messages import some


def attention_curves(
    history: Mapping[int, Mapping[str, ArrayLike]],
    tokens: ArrayLike | None = None,
    *,
    causal: bool | None = None,
    mask: ArrayLike | None = None,
) -> pd.DataFrame:
    """Return entropy and scores of every head over training, as curves.

    Columns are `<layer>/head<h>/entropy`, `<layer>/specialization_index` and, of causal attention, the scores of
    `head_scores` as `<layer>/head<h>/induction`, ... and `<layer>/induction_chance`, ... Of attention with a sink
    (see `without_sink`) its share is `<layer>/head<h>/sink`, and the entropy is that of what goes to tokens.

    >>> attention_curves({0: {"attn": np.eye(4)[None]}})["attn/head0/entropy"].to_dict()
    {0: 0.0}

    Args:
        history: {step: {layer: probabilities [..., head, query, key]}}.
        tokens: the token at each position, [position] or [example, position].
        causal: whether attention is causal; None decides for each layer: it is if no position ever attends to a later
            one.
        mask: which positions hold a token and no padding, [position] or [example, position]; None for all.

    Tokens that look padded without a mask are said in a warning, and so is a sink.
    """
    split = {step: {layer: without_sink(array) for layer, array in history[step].items()} for step in history}
    sinks = list(dict.fromkeys(n for found in split.values() for n, one in found.items() if one.sink is not None))
    warn_of(sinks, tokens, mask)
    layers = {layer: None for step in history for layer in history[step]}
    masked = {
        layer: all(is_causal(split[step][layer].attention) for step in history if layer in history[step])
        if causal is None
        else causal
        for layer in layers
    }
    rows = {}
    for step in sorted(history):
        row = rows.setdefault(step, {})
        for layer, attention in history[step].items():
            row |= columns_of(layer, head_sums(attention, tokens, mask, masked[layer]))
    out = pd.DataFrame.from_dict(rows, orient="index").astype(np.float64)
    out.index = pd.Index(out.index.astype(np.int64), name="step")
    return out


def warn_of(sinks: Sequence[str], tokens: ArrayLike | None, mask: ArrayLike | None) -> None:
    """Warn the caller's caller of layers with a sink, and of tokens that look padded without a mask."""
    if mask is None and tokens is not None and (words := padding_in(as_array(tokens))):
        warnings.warn(words, UserWarning, stacklevel=3)
    if sinks:
        warnings.warn(
            f"{some(sinks)}: the last key is taken for an attention sink, since it belongs to no token; its share is "
            "the curve sink of each head, and entropies are of what goes to tokens",
            UserWarning,
            stacklevel=3,
        )


def is_causal(attention: ArrayLike) -> bool:
    rows = as_array(attention)
    return rows.ndim > 1 and rows.shape[-1] == rows.shape[-2] and not np.triu(rows, 1).any()
