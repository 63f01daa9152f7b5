"""Units of module outputs and of the gradients with respect to them (`track(units=True)`), measured where they live."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from tandv.measure.device import Arriving
from tandv.tensor_types import ACTIVATION
from tandv.track.common.measurements import Quantity
from tandv.track.common.units import Key, Units

_LAST = (nn.Linear, nn.Bilinear, nn.Embedding, nn.EmbeddingBag, nn.LayerNorm, nn.RMSNorm, nn.RNNBase)
_SECOND = (nn.modules.conv._ConvNd, nn.modules.batchnorm._NormBase, nn.GroupNorm)


class UnitSums:
    """The largest magnitude and the sum of squares of each unit in the current step.

    Units lie along the last axis of what linear layers, embeddings, layer norms and recurrent layers return, and along
    the second of what convolutions, batch, instance and group norms do. All other modules have them where the module
    did that ran before, if the output has as many axes and units; outputs of two axes along the second.
    """

    def __init__(self) -> None:
        self._rules: dict[int, int] = {}  # axis by the position of the module in the model
        self._axes: dict[str, int] = {}  # of outputs, by their names
        self._before: tuple[int, int, int] | None = None  # axes, axis and units of what ran before
        self._sums: dict[Key, tuple[torch.Tensor, torch.Tensor]] = {}

    def follow(self, modules: Sequence[nn.Module], positions: Sequence[int]) -> None:
        """Update to the modules that the model has now, and their positions."""
        self._rules = {
            position: -1 if isinstance(module, _LAST) else 1
            for module, position in zip(modules, positions, strict=True)
            if isinstance(module, _LAST + _SECOND)
        }

    def add(self, values: torch.Tensor, quantity: Quantity, phase: str = "") -> None:
        """Measure the units of a tensor, if it has a known axis of them; calls of one step add up."""
        axis = self._axis_of(values, quantity)
        if axis is None or not values.numel():
            return
        largest, squares = _measured(values, [one for one in range(values.ndim) if one != axis])
        key = quantity.tensor_type, quantity.name, phase or quantity.phase
        known = self._sums.get(key)
        if known is not None and len(known[0]) == len(largest):
            largest, squares = torch.maximum(known[0], largest), known[1] + squares
        self._sums[key] = largest, squares

    def _axis_of(self, values: torch.Tensor, quantity: Quantity) -> int | None:
        if quantity.tensor_type != ACTIVATION:
            axis = self._axes.get(quantity.name)
            return axis if axis is not None and axis < values.ndim else None
        axis = self._rules.get(quantity.order[1])
        if axis is not None:
            axis = axis % values.ndim if values.ndim > max(axis, 0) else None
        elif self._before is not None and values.ndim == self._before[0]:
            _, axis, units = self._before
            axis = axis if values.shape[axis] == units else None
        elif values.ndim == 2:
            axis = 1
        if axis is None:
            self._axes.pop(quantity.name, None)
            return None
        self._axes[quantity.name] = axis
        self._before = values.ndim, axis, values.shape[axis]
        return axis

    def take(self) -> Callable[[], Mapping[Key, Units]]:
        """Begin to copy the numbers of the step to the host, one copy for each device; return what waits for them."""
        sums, self._sums, self._before = self._sums, {}, None
        of: dict[Any, list[Key]] = {}
        for key, (largest, _) in sums.items():
            of.setdefault((largest.device, largest.dtype), []).append(key)
        sent = [(keys, Arriving(torch.cat([part for key in keys for part in sums[key]]))) for keys in of.values()]
        sizes = {key: len(largest) for key, (largest, _) in sums.items()}

        def arrived() -> Mapping[Key, Units]:
            out = {}
            for keys, numbers in sent:
                flat, start = numbers.numpy(), 0
                for key in keys:
                    middle, end = start + sizes[key], start + 2 * sizes[key]
                    out[key] = Units(flat[start:middle], flat[middle:end])
                    start = end
            return out

        return arrived


def _measured(values: torch.Tensor, over: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the largest magnitude and the sum of squares over some axes."""
    wide = torch.float64 if values.dtype == torch.float64 else torch.float32
    if over and not values.is_cpu and values.dtype.itemsize > 1:
        norm = torch.linalg.vector_norm  # which needs no memory besides its result
        return norm(values, torch.inf, over, dtype=wide), norm(values, 2, over, dtype=wide).square_()
    values = values.to(wide)
    if not over:
        return values.abs(), values.square()
    # On a CPU 10 to 20 times as fast as norms over leading axes.
    return torch.maximum(values.amax(over), -values.amin(over)), values.square().sum(over)
