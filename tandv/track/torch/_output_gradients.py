"""The gradients with respect to outputs of modules, measured when the backward pass computes them."""

from functools import partial
from typing import Any

import torch

from tandv.measure import dtype_name
from tandv.track.common.measurements import Quantity, in_phase
from tandv.track.torch._gradients import on_gradient
from tandv.track.torch._modes import exporting, own_operations
from tandv.track.torch._shards import local
from tandv.track.torch.values import measurable, why_not


class OutputGradients:
    """Measures tensors of a step, and the gradients with respect to them when they come.

    Args:
        tracker: the tracker, which has the measurements, the units and the scale of the loss.
    """

    def __init__(self, tracker: Any):
        self.tracker = tracker
        self._measurements = tracker.measurements
        self._on_leaves: list[Any] = []  # hooks that outlive the step unless they are removed

    def add(self, values: torch.Tensor, quantity: Quantity) -> Any:
        """Measure a tensor, and its units where they are wanted; return the handle to share it."""
        (handle,) = self._measurements.add([values], [quantity])
        if self.tracker.units is not None:
            self.tracker.units.add(values, quantity, self._measurements.phase)
        return handle

    def leave_out(self, name: str, tensor: torch.Tensor) -> None:
        why = why_not(tensor)
        self.tracker.warn_once(f"{why} are not measured (first met at {name!r})", why)

    def _want_gradient(self, wanted: list[Quantity], quantity: Quantity, tensor: torch.Tensor) -> None:
        if not tensor.requires_grad:
            return
        if not wanted:
            hook = on_gradient(tensor, partial(self.on_gradient, wanted))
            if tensor.is_leaf:  # a leaf outlives the step, and so would the hook
                self._on_leaves.append(hook)
        wanted.extend(in_phase([quantity], self._measurements.phase))

    def on_gradient(self, quantities: list[Quantity], gradient: torch.Tensor) -> None:
        """Record a gradient for each output that it is the gradient of."""
        if not self.tracker.recording or exporting():
            return
        try:
            with own_operations():
                self._add_gradient(quantities, gradient)
        except Exception as error:
            self.tracker.fail(f"in the backward pass of {quantities[0].name!r}", error)

    def _add_gradient(self, quantities: list[Quantity], gradient: torch.Tensor) -> None:
        mine, shard = local(gradient)
        values = measurable(mine) if mine is not None else None
        if values is None:
            if mine is not None:
                self.leave_out(f"the gradient of {quantities[0].name}", gradient)
            return
        if shard is not None:
            quantities = [quantity._replace(part=shard) for quantity in quantities]
        lived = dtype_name(values)
        values = self.tracker.scaler.taken_out(values, self.tracker.scaler.of_pass())
        if values is None:
            return
        if dtype_name(values) != lived:
            quantities = [quantity._replace(lived=lived) for quantity in quantities]
        handle = self.add(values, quantities[0])
        for quantity in quantities[1:]:
            if not self._measurements.share(handle, quantity):
                self._measurements.add([values], [quantity])
