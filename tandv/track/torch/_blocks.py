"""Block formats of operands (`track(formats=[...])`): what casts of inputs, weights, outputs and gradients would do."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from tandv.measure.device import Arriving
from tandv.measure.device_blocks import measure_where_it_lives
from tandv.tensor_types import ACTIVATION, GRADIENT, INPUT, WEIGHT
from tandv.track.common.block_formats import Axes, axis_of, with_columns
from tandv.track.common.measurements import Key, Later, Quantity
from tandv.track.torch._measurements import TorchMeasurements

_CHANNELS_SECOND = ("Conv", "BatchNorm", "InstanceNorm", "GroupNorm", "MaxPool", "AvgPool")  # in names of modules


class BlockMeasurements(TorchMeasurements):
    """The measurements of one step, with those of block formats of the operands of matrix products.

    Blocks lie along the axis that the forward product sums over, see `_axis`, or along that of `axes`. A tensor is
    measured where it lives. Calls of one step add up.
    """

    def __init__(self, formats: Sequence[str], axes: Axes, *given: Any, **named: Any):
        self._formats, self._axes = list(formats), axes
        self._sums: dict[torch.device, dict[Key, torch.Tensor]] = defaultdict(dict)
        self._of_handles: dict[Any, tuple[int, torch.Size, torch.Tensor]] = {}
        self._of_shapes: dict[torch.Size, int] = {}  # axes as usual, of tensors of this step
        self._of_outputs: dict[str, int] = {}  # likewise, of all outputs that were met, by name
        super().__init__(*given, **named)

    def clear(self) -> None:
        self._sums, self._of_handles, self._of_shapes = defaultdict(dict), {}, {}
        super().clear()

    def _add(self, tensors: Sequence[Any], quantities: Sequence[Quantity]) -> list[Any]:
        handles = super()._add(tensors, quantities)
        for tensor, quantity, handle in zip(tensors, quantities, handles, strict=True):
            axis = self._axis(quantity, tensor.shape)
            if axis is not None and tensor.dtype != torch.float64:
                found = measure_where_it_lives(tensor, self._formats, axis)
                self._of_handles[handle] = axis, tensor.shape, found
                self._note(quantity, found)
        return handles

    def _share(self, handle: Any, quantity: Quantity) -> bool:
        """Let a measured tensor count for another quantity, unless its blocks lie along another axis there."""
        if handle not in self._of_handles:
            return super()._share(handle, quantity)
        axis, shape, found = self._of_handles[handle]
        wanted = self._axis(quantity, shape)
        if wanted not in (axis, None) or not super()._share(handle, quantity):
            return False
        if wanted is not None:
            self._note(quantity, found)
        return True

    def _note(self, quantity: Quantity, found: torch.Tensor) -> None:
        sums = self._sums[found.device]
        sums[quantity.key] = found + sums[quantity.key] if quantity.key in sums else found

    def _axis(self, quantity: Quantity, shape: torch.Size) -> int | None:
        """Return the axis of a tensor along which its blocks lie.

        Where the module does not tell, it is that of the tensor of this shape before; of gradients, of the output.
        """
        if len(shape) > 2 and any(name in quantity.type for name in _CHANNELS_SECOND):
            usual = 1
        elif "Linear" in quantity.type or quantity.tensor_type == WEIGHT:
            usual = -1
        elif quantity.tensor_type == GRADIENT:
            usual = self._of_outputs.get(quantity.name, -1)
        else:
            usual = self._of_shapes.get(shape, -1)
        if quantity.tensor_type in (INPUT, ACTIVATION):
            self._of_shapes[shape] = usual
        if quantity.tensor_type == ACTIVATION:
            self._of_outputs[quantity.name] = usual
        return axis_of(self._axes, quantity.tensor_type, len(shape), usual)

    def _merge_early(self) -> None:
        sums = self._sums
        super()._merge_early()  # which clears
        self._sums = sums

    def take_later(self, step: int) -> Later:
        with self._alone:
            arriving = [(list(sums), Arriving(torch.stack(list(sums.values())))) for sums in self._sums.values()]
            later = super().take_later(step)

        def make() -> Any:
            sums: dict[Key, np.ndarray] = {}
            for keys, numbers in arriving:
                for key, found in zip(keys, numbers.numpy(), strict=True):
                    sums[key] = sums[key] + found if key in sums else found
            return with_columns(later.make(), sums, self._formats)

        return Later(make, later.size)
