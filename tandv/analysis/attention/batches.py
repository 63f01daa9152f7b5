"""Mean patterns, entropies and scores of heads over many batches of which one at a time is in memory.

>>> one = ({"attn": np.eye(2)[None, None]}, None, None)
>>> attention_means([one, one]).patterns["attn"].tolist()
[[[1.0, 0.0], [0.0, 1.0]]]
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tandv.analysis.attention._sums import columns_of, head_sums
from tandv.analysis.attention.over_time import is_causal, warn_of
from tandv.analysis.attention.sinks import without_sink
from tandv.analysis.patterns import pattern_sums
from tandv.arrays import as_array

Batch = tuple[Mapping[str, ArrayLike], ArrayLike | None, ArrayLike | None]
_OF_TOKENS = ("duplicate_token", "induction")


class AttentionMeans(NamedTuple):
    """What the attention of many examples is on average.

    >>> AttentionMeans({}, pd.DataFrame(), None, None).tokens is None
    True

    Args:
        patterns: the mean pattern of each head, {layer: [head, query, key]}; NaN where no example has a token.
        curves: one row of `attention_curves`: entropies and scores over all examples, at step 0.
        tokens: of all examples, [example, position]; None if a batch had none.
        mask: which positions hold a token, [example, position]; None if a batch had none.
    """

    patterns: dict[str, np.ndarray]
    curves: pd.DataFrame
    tokens: np.ndarray | None
    mask: np.ndarray | None


def attention_means(batches: Iterable[Batch], causal: bool | None = None) -> AttentionMeans:
    """Return mean patterns, entropies and scores of batches, as `attention_curves` of all their examples together.

    >>> far, near = np.full((1, 1, 2, 2), 0.5), np.eye(2)[None, None]
    >>> attention_means([({"attn": far}, None, None), ({"attn": near}, None, None)]).patterns["attn"].tolist()
    [[[0.75, 0.25], [0.25, 0.75]]]

    Args:
        batches: of each the probabilities {layer: [example, head, query, key]}, its tokens [example, position] or None,
            and its mask of positions that hold a token, [example, position] or None.
        causal: whether attention is causal; None decides for each layer: it is if no position ever attends to a later
            one.

    Raises ValueError if there is no batch, or if patterns of batches differ in shape.
    """
    patterns: dict[str, list[np.ndarray]] = {}
    sums: dict[str, dict[str, np.ndarray]] = {}
    all_tokens: list[np.ndarray | None] = []
    masks: list[np.ndarray | None] = []
    ahead, sinks = set(), {}
    shapes: dict[str, tuple[int, ...]] | None = None
    for arrays, tokens, mask in batches:
        of_these = {layer: as_array(array).shape[1:] for layer, array in arrays.items()}
        shapes = of_these if shapes is None else shapes
        if of_these != shapes:
            listed = sorted({*of_these.values(), *shapes.values()})
            raise ValueError(f"patterns have the shapes {listed}; pad all sequences to one length")
        all_tokens.append(None if tokens is None else as_array(tokens))
        masks.append(None if mask is None else as_array(mask).astype(bool))
        for layer, array in arrays.items():
            without = without_sink(array)
            masked = is_causal(without.attention) if causal is None else causal
            if not masked:
                ahead.add(layer)
            if without.sink is not None:
                sinks[layer] = None
            new = head_sums(array, tokens, mask, masked)
            known = sums.setdefault(layer, {})
            known |= {name: known[name] + value if name in known else value for name, value in new.items()}
            total, count = pattern_sums(array, mask)
            if layer in patterns:
                patterns[layer][0] += total
                patterns[layer][1] += count
            else:
                patterns[layer] = [total, count.astype(np.int64)]
    if shapes is None:
        raise ValueError("the dataloader gave no batch; give one with at least one example")
    tokens, mask = (_whole(parts) for parts in (all_tokens, masks))
    warn_of(list(sinks), tokens, mask)
    row: dict[str, float] = {}
    for layer, of_layer in sums.items():
        row |= columns_of(
            layer, {name: value for name, value in of_layer.items() if _of_all(name, layer in ahead, tokens)}
        )
    means = {
        layer: np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
        for layer, (total, count) in patterns.items()
    }
    table = pd.DataFrame([row], index=pd.Index([0], name="step"), dtype=np.float64)
    return AttentionMeans(means, table, tokens, mask)


def _whole(parts: list[np.ndarray | None]) -> np.ndarray | None:
    there = [part for part in parts if part is not None]
    return np.concatenate(there) if len(there) == len(parts) else None


def _of_all(name: str, ahead: bool, tokens: np.ndarray | None) -> bool:
    """Tell whether a quantity was measured in all batches: scores only of causal ones, some only with tokens."""
    score = name.removesuffix("_chance")
    if score in _OF_TOKENS:
        return not ahead and tokens is not None
    return score != "previous_token" or not ahead
