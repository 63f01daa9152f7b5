"""What is averaged over the rows of a layer's attention, as sums: those of several batches add up.

>>> sums = head_sums(np.eye(4)[None], None, None, causal=False)
>>> columns_of("attn", sums)
{'attn/head0/entropy': 0.0, 'attn/specialization_index': 0.0}
"""

import numpy as np
from numpy.typing import ArrayLike

from tandv.analysis.attention._padding import real_pairs
from tandv.analysis.attention._probabilities import mean_of, sums_per_head, whole_sequences
from tandv.analysis.attention.entropies import entropy_rows
from tandv.analysis.attention.scores import score_rows
from tandv.analysis.attention.sinks import without_sink
from tandv.arrays import as_array

Sums = dict[str, np.ndarray]  # of each quantity [2, head]: the sum over rows, and of how many


def head_sums(attention: ArrayLike, tokens: ArrayLike | None, mask: ArrayLike | None, causal: bool) -> Sums:
    """Return the sums of entropies, of a sink's shares and, of causal attention, of the scores of each head.

    Args:
        attention: probabilities, [..., head, query, key].
        tokens: the token at each position, [position] or [example, position].
        mask: which positions hold a token and no padding, [position] or [example, position]; None for all.
        causal: whether query i can attend only to keys 0 to i; only then are there scores.
    """
    rows = {"entropy": entropy_rows(attention, causal=causal, mask=mask)}
    if (sink := without_sink(attention).sink) is not None:
        rows["sink"] = _of_real_rows(sink, attention, mask)
    if causal:
        rows |= score_rows(whole_sequences(attention), tokens, mask)
    return {name: sums_per_head(values) for name, values in rows.items()}


def columns_of(layer: str, sums: Sums) -> dict[str, float]:
    """Return the means of a layer by the names of curves: `<layer>/head0/entropy`, ..."""
    row: dict[str, float] = {}
    for name, of_heads in sums.items():
        means = mean_of(of_heads).tolist()
        row |= (
            {f"{layer}/{name}": means[0]}
            if name.endswith("_chance")
            else {f"{layer}/head{head}/{name}": mean for head, mean in enumerate(means)}
        )
        if name == "entropy":
            row[f"{layer}/specialization_index"] = float(np.ptp(means))
    return row


def _of_real_rows(sink: np.ndarray, attention: ArrayLike, mask: ArrayLike | None) -> np.ndarray:
    """Return the share of a sink of each row of a token that attends to anything, else NaN."""
    rows = as_array(attention).astype(np.float64)
    real = real_pairs(mask, rows[..., :-1]).any(-1)
    return np.where(rows.any(-1) & real, sink, np.nan)
