"""`AttentionEvolutionPlotter`: collect attention patterns at chosen steps, and plot how they change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tandv.analysis.attention import attention_curves
from tandv.analysis.patterns import mean_pattern
from tandv.probes.inspection import attention_patterns
from tandv.probes.measures import mask_of, tokens_of

if TYPE_CHECKING:
    from tandv.viz.layout.facet import Figure

Data = dict[str, np.ndarray]


class AttentionEvolutionPlotter:
    """Collects attention patterns of a model over training, and plots how its heads change.

    Of each epoch the mean pattern of every head is kept, and the entropies and scores of all examples.

    >>> import torch
    >>> model = torch.nn.TransformerEncoderLayer(8, nhead=2, batch_first=True)
    >>> plotter = AttentionEvolutionPlotter(model=model)
    >>> for epoch in (0, 1):
    ...     data = plotter.extract_attention_patterns([torch.randn(4, 5, 8)], num_samples=4)
    ...     plotter.add_epoch_data(epoch, data)
    >>> plotter.curves.index.tolist()
    [0, 1]

    Args:
        model: the model, as in `tandv.probes.attention_patterns`.
        causal: whether attention is causal; None decides for each layer: it is if no position ever attends to a later
            one.
        layers: a layer's name, a compiled pattern, or a list of these; None for all.
        call: `call(model, batch)` runs the model; by default on the batch, or on its first part if it is a tuple
            (inputs, targets).
    """

    def __init__(self, model: Any, *, causal: bool | None = None, layers: Any = None, call: Any = None):
        self.model, self.causal = model, causal
        self._layers, self._call = layers, call or _first_part
        self.history: dict[int, Data] = {}  # mean patterns, {epoch: {layer: [head, query, key]}}
        self._rows: dict[int, pd.DataFrame] = {}
        self.tokens: np.ndarray | None = None
        self.mask: np.ndarray | None = None

    def extract_attention_patterns(self, dataloader: Iterable[Any], num_samples: int = 100) -> Data:
        """Return the patterns of `num_samples` examples of `dataloader`: {layer: (examples, heads, query, key)}.

        If the examples are token numbers they are stored for the scores of heads, with the `attention_mask` of batches
        that are dicts, which leaves out padding: use the same ones each time, from a loader that does not shuffle.

        Raises ValueError if sequences differ in length: pad them.
        """
        parts: list[Data] = []
        tokens, masks, count = [], [], 0
        for batch in dataloader:
            if count >= num_samples:
                break
            found = attention_patterns(self.model, batch, self._layers, call=self._call)
            parts.append(found)
            tokens.append(tokens_of(batch))
            masks.append(mask_of(batch))
            count += len(next(iter(found.values())))
        if not parts:
            raise ValueError("the dataloader gave no batch; give one with at least one example")

        shapes = sorted({array.shape[1:] for part in parts for array in part.values()})
        if len({tuple(array.shape[1:] for array in part.values()) for part in parts}) > 1:
            raise ValueError(f"patterns have the shapes {shapes}; pad all sequences to one length")
        self.tokens, self.mask = (
            np.concatenate(ones)[:num_samples] if all(one is not None for one in ones) else None
            for ones in (tokens, masks)
        )
        return {layer: np.concatenate([part[layer] for part in parts])[:num_samples] for layer in parts[0]}

    def add_epoch_data(self, epoch: int, data: Data) -> None:
        """Store what the patterns `data` of an `epoch`, or of any step, show: their means, and the scores of heads."""
        tokens, mask = (None if one is None or not _fits(one, data) else one for one in (self.tokens, self.mask))
        self._rows[int(epoch)] = attention_curves({int(epoch): data}, tokens, causal=self.causal, mask=mask)
        self.history[int(epoch)] = {layer: mean_pattern(array, mask) for layer, array in data.items()}

    @property
    def curves(self) -> pd.DataFrame:
        """Entropy and scores of every head, specialisation of every layer, indexed by epoch: `attention_curves`."""
        if not self._rows:
            return attention_curves({})
        table = pd.concat([self._rows[epoch] for epoch in sorted(self._rows)])
        ahead = {  # layers that look ahead at some epoch, and so have no scores
            layer
            for epoch, arrays in self.history.items()
            for layer in arrays
            if f"{layer}/previous_token_chance" not in self._rows[epoch]
        }
        lost = [str(name) for name in table if _is_score(str(name)) and str(name).partition("/")[0] in ahead]
        return table.drop(columns=lost)

    def create_attention_evolution_plot(self, **arguments: Any) -> Figure:
        """Return a figure of mean patterns at chosen epochs, and of the scores of heads over all epochs.

        `arguments` are those of `tandv.viz.attention_evolution`.
        """
        from tandv.viz import attention_evolution

        return attention_evolution(self.history, curves=self.curves, causal=self.causal, **arguments)


def _is_score(name: str) -> bool:
    return name.rpartition("/")[2].removesuffix("_chance") in ("previous_token", "duplicate_token", "induction")


def _fits(known: np.ndarray, data: Data) -> bool:
    """Tell whether tokens or a mask are of the examples of some patterns."""
    return all(known.ndim == 1 or array.shape[:-3] == known.shape[:1] for array in data.values())


def _first_part(model: Any, batch: Any) -> Any:
    """Call a model with the inputs of a batch: the first part of (inputs, targets), all of a dict but its labels."""
    if isinstance(batch, Mapping):
        return model(**{name: value for name, value in batch.items() if name not in ("labels", "label")})
    return model(batch[0]) if isinstance(batch, tuple | list) else model(batch)
