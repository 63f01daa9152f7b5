"""`AttentionEvolutionPlotter`: collect attention patterns at chosen steps, and plot how they change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tandv.analysis.attention import attention_curves, attention_means
from tandv.analysis.attention.batches import Batch
from tandv.analysis.patterns import mean_pattern
from tandv.probes.inspection import attention_patterns, same_random_numbers
from tandv.probes.measures import mask_of, tokens_of

if TYPE_CHECKING:
    from tandv.viz.layout.facet import Figure

Data = dict[str, np.ndarray]


class Extracted(dict[str, np.ndarray]):
    """Mean patterns by layer, {layer: [head, query, key]}, and the entropies and scores of the same examples.

    >>> Extracted({"attn": np.eye(2)[None]}, pd.DataFrame())["attn"].shape
    (1, 2, 2)

    Args:
        patterns: the mean pattern of each head by layer.
        curves: one row of `attention_curves`.
    """

    def __init__(self, patterns: Data, curves: pd.DataFrame):
        super().__init__(patterns)
        self.curves = curves


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

    def extract_attention_patterns(self, dataloader: Iterable[Any], num_samples: int = 100) -> Extracted:
        """Return the mean patterns of `num_samples` examples of `dataloader`, {layer: [head, query, key]}.

        Entropies and scores of all examples come with them. One batch at a time is in memory; `attention_patterns` of
        `tandv.probes` returns the patterns of single examples. If the examples are token numbers they are stored for
        the scores of heads, with the `attention_mask` of batches that are dicts, which leaves out padding: use the same
        ones each time, from a loader that does not shuffle. Random generators are left as they were.

        Raises ValueError if sequences differ in length: pad them.
        """
        if num_samples < 1:
            raise ValueError(f"num_samples={num_samples} are no samples; give 1 or more")
        with same_random_numbers(dataloader):
            found = attention_means(self._patterns(dataloader, num_samples), self.causal)
        self.tokens, self.mask = found.tokens, found.mask
        return Extracted(found.patterns, found.curves)

    def _patterns(self, dataloader: Iterable[Any], num_samples: int) -> Iterator[Batch]:
        left = num_samples
        for batch in dataloader:
            found = attention_patterns(self.model, batch, self._layers, call=self._call)
            tokens, mask = (None if one is None else one[:left] for one in (tokens_of(batch), mask_of(batch)))
            yield {layer: array[:left] for layer, array in found.items()}, tokens, mask
            left -= len(next(iter(found.values())))
            if left <= 0:  # without drawing one more batch
                return

    def add_epoch_data(self, epoch: int, data: Data) -> None:
        """Store what the patterns `data` of an `epoch`, or of any step, show: their means, and the scores of heads.

        `data` is what `extract_attention_patterns` returned, or patterns of examples [example, head, query, key].

        Raises ValueError for an epoch that is no whole number.
        """
        if int(epoch) != epoch:
            raise ValueError(f"epoch={epoch} is no whole number; count steps instead, such as batches since the start")
        if isinstance(data, Extracted):
            self._rows[int(epoch)] = data.curves.set_axis(pd.Index([int(epoch)], name="step"))
            self.history[int(epoch)] = dict(data)
            return
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
