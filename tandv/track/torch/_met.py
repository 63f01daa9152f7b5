"""The tensors of a step: a module may return, or be given, a tensor that another has returned before."""

import weakref
from typing import Any, NamedTuple

import torch

from tandv.track.common.measurements import Quantity

_AT_MOST = 10_000  # tensors of a step that are recognised when they occur again


class Met(NamedTuple):
    """A tensor of this step, unchanged since it was first seen."""

    tensor: weakref.ref[torch.Tensor]
    handle: Any  # of its measurement, to share it; None if it was not measured
    wants_gradient: list[Quantity]


class MetTensors:
    """The tensors of a step, identified by id and version."""

    def __init__(self) -> None:
        self._met: dict[tuple[int, int], Met] = {}

    def find(self, tensor: torch.Tensor) -> Met | None:
        """Return the entry of a tensor, if it was seen in this step and has not changed since."""
        if len(self._met) > _AT_MOST:  # a step of very many calls, or one that never ends
            self._met.clear()
        if tensor.is_inference():  # it has no version that in-place work would count up
            return None
        met = self._met.get(_key(tensor))
        return met if met is not None and met.tensor() is tensor else None  # ids are reused

    def keep(self, tensor: torch.Tensor, handle: Any) -> Met:
        """Remember a tensor and the handle of its measurement."""
        met = self._met[_key(tensor)] = Met(weakref.ref(tensor), handle, [])
        return met

    def let_go(self, tensor: torch.Tensor) -> None:
        """Keep no reference to a tensor that is to be swapped with another."""
        for key in [key for key in self._met if key[0] == id(tensor)]:
            del self._met[key]

    def clear(self) -> None:
        """Forget all, when the step has ended."""
        self._met.clear()


def _key(tensor: torch.Tensor) -> tuple[int, int]:
    with torch._C.DisableTorchFunctionSubclass():
        return id(tensor), 0 if tensor.is_inference() else tensor._version
