"""Measures tensors of parameters, such as weights, gradients and states, under the parameters' names."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn

from tandv import tensor_types
from tandv.measure import dtype_name
from tandv.track.common.measurements import Quantity
from tandv.track.ranks.labels import WHOLE, Shard
from tandv.track.torch._passes import PassScale
from tandv.track.torch._scaler import unscaled
from tandv.track.torch._shards import local
from tandv.track.torch.names import Named
from tandv.track.torch.values import measurable, why_not

Item = tuple[nn.Parameter, str, torch.Tensor]  # with the tensor type


class ParameterRecorder:
    """Adds tensors of parameters to the measurements of a step; those that cannot be read are left out."""

    def __init__(self, tracker: Any, names: dict[nn.Parameter, Named]):
        self._tracker = tracker
        self._measurements = tracker.measurements
        self._quantities: dict[tuple[int, str], Quantity] = {}  # by the id of a parameter, which `_names` keeps alive
        self.follow(names)

    def follow(self, names: dict[nn.Parameter, Named]) -> None:
        """Update to the parameters that the model has now, and their names."""
        self._names = names
        self._places = {p: place for place, p in enumerate(names)}
        self._quantities.clear()

    def record_gradient(self, p: nn.Parameter, gradient: torch.Tensor, scale: PassScale, reading: int) -> None:
        """Record a gradient in a reading that may not count."""
        mine, shard = local(gradient)
        values = measurable(mine) if mine is not None else None
        if values is None:
            name, why = self._names[p].name, why_not(gradient)
            self._tracker.warn_once(f"{why} are not measured (first met at Weight_Gradient of {name!r})", why)
            return
        lived, values = values, self._tracker.scaler.taken_out(values, scale)
        if values is not None:
            quantity = self._quantity(p, tensor_types.WEIGHT_GRADIENT, shard or WHOLE)
            self._measurements.add([values], [_as_it_lived(quantity._replace(reading=reading), lived, values)])

    def record(self, items: Sequence[Item], scale: torch.Tensor | None = None) -> None:
        """Record tensors, divided by a scale if there is one."""
        tensors, quantities = [], []
        for parameter, kind, tensor in items:
            mine, shard = local(tensor)
            values = measurable(mine) if mine is not None else None
            if values is None:
                name, why = self._names[parameter].name, why_not(tensor)
                self._tracker.warn_once(f"{why} are not measured (first met at {kind} of {name!r})", why)
                continue
            tensors.append(values if scale is None else unscaled(values, scale))
            quantities.append(_as_it_lived(self._quantity(parameter, kind, shard or WHOLE), values, tensors[-1]))
        if tensors:
            self._measurements.add(tensors, quantities)

    def _quantity(self, parameter: nn.Parameter, kind: str, part: Shard) -> Quantity:
        key = (id(parameter), kind)
        if key not in self._quantities or self._quantities[key].part is not part:
            named = self._names[parameter]
            order = (tensor_types.order(kind), kind, named.position, self._places[parameter])
            self._quantities[key] = Quantity(order, named.name, named.type, kind, part)
        return self._quantities[key]


def _as_it_lived(quantity: Quantity, lived: torch.Tensor, measured: torch.Tensor) -> Quantity:
    """Return a quantity with the number format that its values had before a scale was taken out of them."""
    return quantity if lived.dtype == measured.dtype else quantity._replace(lived=dtype_name(lived))


def values_of(p: nn.Parameter) -> torch.Tensor | None:
    """Return a parameter's values detached, as a DTensor where it is one; None if they cannot be read."""
    mine, shard = local(p)
    if shard is not None:
        return p.detach()
    return measurable(mine) if mine is not None else None


def keep_copies(copies: dict[nn.Parameter, torch.Tensor], parameters: Iterable[nn.Parameter]) -> None:
    """Add copies of the parameters that train to those that there are."""
    for p in parameters:
        if p.requires_grad and p not in copies and (values := values_of(p)) is not None:
            copies[p] = values.clone()
