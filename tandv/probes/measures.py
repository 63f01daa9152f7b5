"""Ready-made measures: functions of a model and a batch that return the numbers which a probe records.

Each runs the model and passes its arrays to a function of `tandv.analysis`; your own measures can do the same.
"""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from tandv.analysis.attention import attention_curves
from tandv.analysis.correlations import correlation_summary
from tandv.analysis.representations import effective_dimension
from tandv.analysis.samples import MOST, Positions, rows_of_layers
from tandv.arrays import as_array
from tandv.messages import check_choices, named_arguments
from tandv.probes._batch_axes import Axes, batch_axes, size
from tandv.probes.inspection import Layers, attention_patterns, get_intermediate_outputs

Measure = Callable[[Any, Any], Any]


def correlations(model: Any, batch: Any) -> pd.DataFrame:
    """Return how features correlate between all pairs of layers, averaged over positions: `correlations_of()`."""
    return correlations_of()(model, batch)


@named_arguments
def correlations_of(
    layers: Layers | None = None,
    positions: Positions = "mean",
    *,
    mask: Any = None,
    most: int = MOST,
    call: Any = None,
) -> Callable[[Any, Any], pd.DataFrame]:
    """Return a measure of how features correlate between all pairs of layers; see `analysis.correlation_summary`.

    >>> import torch
    >>> model, batch = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh()), torch.randn(8, 5, 4)
    >>> correlations_of(["0", "1"], "tokens")(model, batch).index.tolist()
    [('0', '0'), ('0', '1'), ('1', '1')]

    Args:
        layers: a layer's name, a compiled pattern, or a list of these; None for all.
        positions: "mean" over the positions of a sequence or an image, "tokens" for a row for each position, "last"
            for the last position of each sample.
        mask: which positions of each sample count, [sample, position]; None for the `attention_mask` of a batch that
            is a dict with one, else all.
        most: the most features of a layer; of more, so many are chosen, evenly spaced.
        call: `call(model, batch)` runs the model, for models that take their input in another way.
    """
    rows = _rows_of(layers, positions, mask, most, call)
    return lambda model, batch: correlation_summary(rows(model, batch))


def dimensions(model: Any, batch: Any) -> dict[str, Any]:
    """Return how many dimensions the outputs of each layer span, averaged over positions: `dimensions_of()`."""
    return dimensions_of()(model, batch)


@named_arguments
def dimensions_of(
    layers: Layers | None = None,
    positions: Positions = "mean",
    *,
    mask: Any = None,
    most: int = MOST,
    call: Any = None,
) -> Callable[[Any, Any], dict[str, Any]]:
    """Return a measure of how many dimensions the outputs of each layer span; see `analysis.effective_dimension`.

    >>> import torch
    >>> dimensions_of()(torch.nn.Linear(4, 2, bias=False), torch.eye(4))["Linear"].participation_ratio <= 2
    True

    Args:
        layers: a layer's name, a compiled pattern, or a list of these; None for all.
        positions: "mean" over the positions of a sequence or an image, "tokens" for a row for each position, "last"
            for the last position of each sample.
        mask: which positions of each sample count, [sample, position]; None for the `attention_mask` of a batch that
            is a dict with one, else all.
        most: the most features of a layer; of more, so many are chosen, evenly spaced.
        call: `call(model, batch)` runs the model, for models that take their input in another way.
    """
    rows = _rows_of(layers, positions, mask, most, call)
    return lambda model, batch: {name: effective_dimension(array) for name, array in rows(model, batch).items()}


def heads(model: Any, batch: Any) -> dict[str, float]:
    """Return the entropy of every attention head and, of token batches, the pattern scores of causal attention.

    Names are those of `tandv.analysis.attention.attention_curves`; see `heads_of` for other batches and masks.
    """
    return heads_of(tokens_of(batch), mask=mask_of(batch))(model, batch)


@named_arguments
def heads_of(
    tokens: Any = None, *, mask: Any = None, causal: bool | None = None, layers: Layers | None = None, call: Any = None
) -> Callable[[Any, Any], dict[str, float]]:
    """Return a measure of every head's entropy and of its pattern scores.

    >>> import torch
    >>> model, batch = torch.nn.TransformerEncoderLayer(8, nhead=2, batch_first=True), torch.ones(3, 5, 8)
    >>> list(heads_of()(model, batch))[0]
    'self_attn/head0/entropy'

    Args:
        tokens: the tokens at the positions, [batch, length]; without them there are scores of positions only.
        mask: which positions hold a token and no padding, [batch, length]; None for all.
        causal: whether attention is causal; None finds it out from the patterns. Without a causal mask only the entropy
            is defined.
        layers: a layer's name, a compiled pattern, or a list of these; None for all.
        call: `call(model, batch)` runs the model, for models that take their input in another way.
    """
    known = None if tokens is None else as_array(tokens)

    def measure(model: Any, batch: Any) -> dict[str, float]:
        patterns = attention_patterns(model, batch, layers, call=call)
        found = attention_curves({0: patterns}, known, causal=causal, mask=mask)
        return {str(name): float(curve.iloc[0]) for name, curve in found.items()}

    return measure


@named_arguments
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


@named_arguments
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


def _rows_of(
    layers: Layers | None, positions: Positions, mask: Any, most: int, call: Any
) -> Callable[[Any, Any], dict[str, np.ndarray]]:
    """Return a function that gives the outputs of layers as rows of features; what it leaves out is said once."""
    check_choices(positions=(positions, Positions))
    known: set[str] = set()
    asked: dict[tuple[Any, ...], tuple[Axes | None, str]] = {}  # by the shapes of all outputs: the model runs once more

    def rows(model: Any, batch: Any) -> dict[str, np.ndarray]:
        found = get_intermediate_outputs(model, batch, layers, call=call)
        floats = {name: array for name, array in found.items() if array.dtype.kind == "f"}
        given = mask_of(batch) if mask is None else mask
        shapes = tuple((name, array.shape) for name, array in floats.items())
        if shapes not in asked:
            asked[shapes] = batch_axes(model, batch, floats, layers, call)
        axes, reason = asked[shapes]
        of = rows_of_layers(floats, size(batch), positions, mask=given, most=most, axes=axes)
        unsure = [f"only their lengths tell which are of the batch, since {reason}"] if reason else []
        for sentence in unsure + of.said:
            if sentence not in known:
                known.add(sentence)
                warnings.warn(f"outputs of layers: {sentence}", UserWarning, stacklevel=4)
        return of.layers

    return rows


def tokens_of(batch: Any) -> np.ndarray | None:
    """Return the tokens of a batch, [example, position]; None if its input is no token numbers.

    >>> tokens_of({"input_ids": [[5, 7]], "attention_mask": [[1, 1]]})
    array([[5, 7]])

    Args:
        batch: the tokens, (tokens, targets), or a dict with `input_ids` or with the tokens first.
    """
    if isinstance(batch, Mapping):
        batch = batch.get("input_ids", next(iter(batch.values())))
    elif isinstance(batch, tuple) or (isinstance(batch, list) and hasattr(batch[0], "shape")):
        batch = batch[0]
    found = as_array(batch)
    return found if found.dtype.kind in "iu" and found.ndim == 2 else None


def mask_of(batch: Any) -> np.ndarray | None:
    """Return which positions of a batch hold a token and no padding, [example, position]: its `attention_mask`.

    >>> mask_of({"input_ids": [[5, 0]], "attention_mask": [[1, 0]]})
    array([[ True, False]])

    Args:
        batch: a batch; None is returned unless it is a dict with such a mask of two axes.
    """
    if not isinstance(batch, Mapping) or (given := batch.get("attention_mask")) is None:
        return None
    found = as_array(given).astype(bool)
    return found if found.ndim == 2 else None
