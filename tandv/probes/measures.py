"""Ready-made measures of a model on a batch: functions whose numbers a probe follows over training.

Each is made of a look into the model and of a function of `tandv.analysis`; write your own in the same way.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from tandv.analysis.attention import attention_curves
from tandv.analysis.correlations import correlation_summary
from tandv.analysis.representations import effective_dimension
from tandv.probes.inspection import Layers, attention_patterns, get_intermediate_outputs

Measure = Callable[[Any, Any], Any]


def correlations(model: Any, batch: Any) -> pd.DataFrame:
    """Sum up how features correlate between all pairs of layers: see `tandv.analysis.correlation_summary`."""
    return correlation_summary(_float_outputs(model, batch))


def dimensions(model: Any, batch: Any) -> dict[str, Any]:
    """Say of every layer how many dimensions its outputs fill: see `tandv.analysis.effective_dimension`."""
    return {name: effective_dimension(array) for name, array in _float_outputs(model, batch).items()}


def heads(model: Any, batch: Any) -> dict[str, float]:
    """Give the entropy of every head, and pattern scores of causal attention, if the batch is one of token numbers.

    Names are those of `tandv.analysis.attention.attention_curves`; see `heads_of` for other batches and masks.
    """
    tokens = batch if np.asarray(batch).dtype.kind in "iu" else None
    return heads_of(tokens)(model, batch)


def heads_of(
    tokens: Any = None, *, causal: bool | None = None, layers: Layers | None = None, call: Any = None
) -> Callable[[Any, Any], dict[str, float]]:
    """Return a measure of every head's entropy and pattern scores, with these tokens behind the positions.

    Of attention that may look ahead only the entropy means something; `causal` says whether it may not, left out the
    patterns tell.

    >>> import torch
    >>> class Block(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.attention = torch.nn.MultiheadAttention(4, 2, batch_first=True)
    ...     def forward(self, x):
    ...         return self.attention(x, x, x)[0]
    >>> numbers = heads_of(causal=False)(Block(), torch.randn(3, 5, 4))
    >>> sorted(numbers)
    ['attention/head0/entropy', 'attention/head1/entropy', 'attention/specialization_index']
    """
    known = None if tokens is None else np.asarray(tokens)

    def measure(model: Any, batch: Any) -> dict[str, float]:
        patterns = attention_patterns(model, batch, layers, call=call)
        return {str(n): float(c.iloc[0]) for n, c in attention_curves({0: patterns}, known, causal=causal).items()}

    return measure


def outputs_of(layers: Layers | None = None, call: Any = None) -> Measure:
    """Return a measure that keeps the outputs of these layers."""
    return lambda model, batch: get_intermediate_outputs(model, batch, layers, call=call)


def attention_of(layers: Layers | None = None, call: Any = None) -> Measure:
    """Return a measure that keeps the attention patterns of these layers."""
    return lambda model, batch: attention_patterns(model, batch, layers, call=call)


def _float_outputs(model: Any, batch: Any) -> Mapping[str, np.ndarray]:
    found = get_intermediate_outputs(model, batch)
    return {name: array for name, array in found.items() if array.dtype.kind == "f"}
