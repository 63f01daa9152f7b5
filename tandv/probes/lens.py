"""Logit lens: what a model would predict after each of its layers, read through its own last norm and unembedding.

nostalgebraist, "interpreting GPT: the logit lens" (2020).
"""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tandv.arrays import as_array
from tandv.messages import named_arguments
from tandv.probes._ending import ending, is_block
from tandv.probes.inspection import Call, Layers, get_intermediate_outputs
from tandv.probes.measures import mask_of, tokens_of


class Lens(NamedTuple):
    """What each layer says about the right tokens.

    >>> Lens(["0"], np.full((1, 1, 2), 0.5), np.ones((1, 1, 2))).table["probability"].to_dict()
    {'0': 0.5}

    Args:
        layers: their names, first to last.
        probability: of the right token, [layer, example, position]; NaN where there is none.
        rank: of the right token among all, 1 for the most probable, of equal ones the mean; shaped like `probability`.
    """

    layers: list[str]
    probability: np.ndarray
    rank: np.ndarray

    @property
    def table(self) -> pd.DataFrame:
        """The means of each layer: probability, median rank, and the share of positions where the token is first."""
        known = ~np.isnan(self.rank.reshape(len(self.layers), -1))
        rows = []
        for probability, rank, there in zip(self.probability, self.rank, known, strict=True):
            ranks = rank.reshape(-1)[there]
            first = float((ranks == 1).mean())
            rows.append((float(probability.reshape(-1)[there].mean()), float(np.median(ranks)), first))
        index = pd.Index(self.layers, name="layer")
        return pd.DataFrame(rows, index=index, columns=["probability", "median_rank", "first"])


@named_arguments
def logit_lens(
    model: Any,
    batch: Any,
    layers: Layers | None = None,
    *,
    norm: str | None = None,
    unembedding: str | None = None,
    targets: Any = None,
    mask: Any = None,
    call: Call | None = None,
) -> Lens:
    """Return what each layer of a language model says about the right next token.

    The output of a layer goes through the model's last norm and its unembedding. For the last layer that must be what
    the model itself says, else an error says so; a model that changes its logits further is warned of. The model is
    left unchanged.

    >>> import torch
    >>> model = torch.nn.Sequential()
    >>> for name, part in {"embed": torch.nn.Embedding(9, 4), "layers": torch.nn.Sequential(torch.nn.Linear(4, 4)),
    ...                    "norm": torch.nn.LayerNorm(4), "head": torch.nn.Linear(4, 9)}.items():
    ...     model.add_module(name, part)
    >>> logit_lens(model, torch.tensor([[1, 2, 3]])).probability.shape
    (1, 1, 3)

    Args:
        model: a PyTorch, a flax.nnx or an equinox module, or a flax.linen module bound to its variables.
        batch: as in `get_intermediate_outputs`: tokens, or a dict with `input_ids`.
        layers: a layer's name, a compiled pattern, or a list of these, whose outputs are hidden states [example,
            position, width]; None for those called `h.0`, `layers.0`, `blocks_0`, `TransformerBlock_0`, ...
        norm: the name of the last norm, "" if there is none; None for the one after the layers.
        unembedding: the name of the layer that makes logits; None for the last one or, where there is none, for the
            embedding whose weights make the logits too.
        targets: the right token at each position, [example, position], below 0 where there is none; None for the next
            token of the batch.
        mask: which positions hold a token and no padding, [example, position]; None for the `attention_mask` of a batch
            that is a dict with one, else all.
        call: `call(model, batch)` runs the model, for models that take their input in another way.

    Raises ValueError for a batch without tokens, logits that are NaN, and for parts that are not found or do not make
    the model's logits, UnknownName for names that the model does not have.
    """
    right = _targets(batch, targets, mask)
    outputs = get_intermediate_outputs(model, batch, call=call)
    names = list(outputs)
    blocks = [name for name in names if is_block(name) and outputs[name].ndim == 3]
    wanted = blocks if layers is None else list(get_intermediate_outputs(model, batch, layers, call=call))
    if not wanted:
        raise ValueError("no layers are known by names such as h.0, layers.0 or blocks_0; give layers=")
    last = (blocks or wanted)[-1]
    end = ending(model, batch, outputs, last, norm, unembedding, call)
    if not _is_final(outputs[names[0]], end.own):
        warnings.warn(
            f"the model changes its logits after {end.unembedding!r}, as by a scale or a soft cap: ranks are its "
            f"own, probabilities are those of {end.unembedding!r}",
            UserWarning,
            stacklevel=3,
        )
    found = [_of_tokens(end.said if name == last else end.read(outputs[name]), right) for name in wanted]
    probability, rank = (np.stack(parts) for parts in zip(*found, strict=True))
    return Lens(wanted, probability, rank)


@named_arguments
def lens_of(
    layers: Layers | None = None,
    *,
    norm: str | None = None,
    unembedding: str | None = None,
    call: Call | None = None,
) -> Callable[[Any, Any], pd.DataFrame]:
    """Return a measure of what each layer says about the next token, for `probe`; see `logit_lens`.

    >>> lens_of("layers.0").__name__
    'measure'

    Args:
        layers: a layer's name, a compiled pattern, or a list of these; None for all.
        norm: the name of the last norm, "" if there is none; None for the one after the layers.
        unembedding: the name of the layer that makes logits; None for the last one.
        call: `call(model, batch)` runs the model, for models that take their input in another way.
    """

    def measure(model: Any, batch: Any) -> pd.DataFrame:
        return logit_lens(model, batch, layers, norm=norm, unembedding=unembedding, call=call).table

    return measure


def _is_final(whole: np.ndarray, own: np.ndarray) -> bool:
    """Tell whether what the whole model gives has the probabilities of its unembedding, or is of another shape."""
    if whole.shape != own.shape:
        return True
    exact = whole.astype(np.float64)
    wanted = _softmax(own.astype(np.float64))
    return any(np.allclose(one, wanted, rtol=0.01, atol=1e-3) for one in (_softmax(exact), exact))


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def _targets(batch: Any, targets: Any, mask: Any) -> np.ndarray:
    """Return the right token at each position, -1 where there is none."""
    tokens = tokens_of(batch)
    if targets is None:
        if tokens is None:
            raise ValueError("the batch holds no tokens; give targets=, the right token at each position")
        right = np.concatenate([tokens[:, 1:].astype(np.int64), np.full((len(tokens), 1), -1)], 1)
    else:
        right = as_array(targets).astype(np.int64)
    known = mask_of(batch) if mask is None else as_array(mask).astype(bool)
    if known is None:
        return _some(right)
    if known.shape != right.shape:
        raise ValueError(f"the mask has shape {known.shape}; for these tokens give {right.shape}")
    follows = known if targets is not None else np.concatenate([known[:, 1:], np.zeros((len(known), 1), bool)], 1)
    return _some(np.where(known & follows, right, -1))


def _some(right: np.ndarray) -> np.ndarray:
    if not (right >= 0).any():
        raise ValueError("no position has a right token; give longer sequences, a mask that leaves some, or targets=")
    return right


def _of_tokens(logits: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the probability and the rank of the right token at each position."""
    if logits.shape[:-1] != right.shape:
        raise ValueError(f"logits have the shape {logits.shape}, the right tokens {right.shape}; give one for each")
    if right.max() >= logits.shape[-1]:
        raise ValueError(
            f"a right token is {right.max()}, the logits are of {logits.shape[-1]} tokens; give their numbers"
        )
    exact = logits.astype(np.float64)
    there = right >= 0
    of_right = np.take_along_axis(exact, np.maximum(right, 0)[..., None], -1)
    top = exact.max(-1, keepdims=True)
    total = np.exp(exact - top).sum(-1)
    probability = np.exp(of_right - top)[..., 0] / total
    rank = 1 + (exact > of_right).sum(-1) + ((exact == of_right).sum(-1) - 1) / 2
    return np.where(there, probability, np.nan), np.where(there, rank, np.nan)
