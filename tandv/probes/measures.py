"""Ready-made measures: functions of a model and a batch that return the numbers which a probe records.

Each runs the model and passes its arrays to a function of `tandv.analysis`; your own measures can do the same.
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
    """Return how features correlate between all pairs of layers; see `tandv.analysis.correlation_summary`."""
    return correlation_summary(_float_outputs(model, batch))


def dimensions(model: Any, batch: Any) -> dict[str, Any]:
    """Return how many dimensions the outputs of each layer span; see `tandv.analysis.effective_dimension`."""
    return {name: effective_dimension(array) for name, array in _float_outputs(model, batch).items()}


def heads(model: Any, batch: Any) -> dict[str, float]:
    """Return the entropy of every attention head and, of token batches, the pattern scores of causal attention.

    Names are those of `tandv.analysis.attention.attention_curves`; see `heads_of` for other batches and masks.
    """
    tokens = batch if np.asarray(batch).dtype.kind in "iu" else None
    return heads_of(tokens)(model, batch)


def heads_of(
    tokens: Any = None, *, causal: bool | None = None, layers: Layers | None = None, call: Any = None
) -> Callable[[Any, Any], dict[str, float]]:
    """Return a measure of every head's entropy and of its pattern scores.

    >>> import torch
    >>> model, batch = torch.nn.TransformerEncoderLayer(8, nhead=2, batch_first=True), torch.ones(3, 5, 8)
    >>> list(heads_of()(model, batch))[0]
    'self_attn/head0/entropy'

    Args:
        tokens: the tokens at the positions, [batch, length]; without them there are scores of positions only.
        causal: whether attention is causal; None finds it out from the patterns. Without a causal mask only the entropy
            is defined.
        layers: a layer's name, a compiled pattern, or a list of these; None for all.
        call: `call(model, batch)` runs the model, for models that take their input in another way.
    """
    known = None if tokens is None else np.asarray(tokens)

    def measure(model: Any, batch: Any) -> dict[str, float]:
        patterns = attention_patterns(model, batch, layers, call=call)
        return {str(n): float(c.iloc[0]) for n, c in attention_curves({0: patterns}, known, causal=causal).items()}

    return measure


def outputs_of(layers: Layers | None = None, call: Any = None) -> Measure:
    """Return a measure that records the outputs of some layers.

    >>> import torch
    >>> model, batch = torch.nn.TransformerEncoderLayer(8, nhead=2, batch_first=True), torch.ones(3, 5, 8)
    >>> outputs_of("norm2")(model, batch)["norm2"].shape
    (3, 5, 8)

    Args:
        layers: a layer's name, a compiled pattern, or a list of these; None for all.
        call: `call(model, batch)` runs the model, for models that take their input in another way.
    """
    return lambda model, batch: get_intermediate_outputs(model, batch, layers, call=call)


def attention_of(layers: Layers | None = None, call: Any = None) -> Measure:
    """Return a measure that records the attention patterns of some layers.

    >>> import torch
    >>> model, batch = torch.nn.TransformerEncoderLayer(8, nhead=2, batch_first=True), torch.ones(3, 5, 8)
    >>> attention_of("self_attn")(model, batch)["self_attn"].shape
    (3, 2, 5, 5)

    Args:
        layers: a layer's name, a compiled pattern, or a list of these; None for all.
        call: `call(model, batch)` runs the model, for models that take their input in another way.
    """
    return lambda model, batch: attention_patterns(model, batch, layers, call=call)


def _float_outputs(model: Any, batch: Any) -> Mapping[str, np.ndarray]:
    found = get_intermediate_outputs(model, batch)
    return {name: array for name, array in found.items() if array.dtype.kind == "f"}
