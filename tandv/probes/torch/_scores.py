"""Tell scores of attention from logits: what a layer's own weights give along an axis is no score of a key.

So the softmax of a router or of an output is not taken for attention, whatever shape it has.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils.weak import WeakTensorKeyDictionary

_PRODUCTS = {"mm", "addmm", "bmm", "baddbmm", "linear", "matmul", "_scaled_mm", "mkldnn_linear"}
_CONVOLUTIONS = {"convolution", "_convolution", "convolution_overrideable", "mkldnn_convolution"}


class Logits:
    """Which axis of each tensor has the output features of a layer's weight; forgets tensors that are gone.

    Args:
        parameters: of the model.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]):
        self._weights = {p.untyped_storage().data_ptr() for p in parameters if not p.is_meta}
        self._axes: Any = WeakTensorKeyDictionary()

    def follow(self, name: str, given: Sequence[Any], output: Any) -> None:
        """Note what an operation makes of its arguments."""
        tensors = [one for one in given if isinstance(one, torch.Tensor)]
        if not isinstance(output, torch.Tensor) or not tensors or not output.ndim:
            return
        if name in _PRODUCTS or name in _CONVOLUTIONS:
            if any(self._is_weight(one) for one in tensors[1:]):
                self._axes[output] = 1 if name in _CONVOLUTIONS else output.ndim - 1
            return
        for one in tensors:
            if one in self._axes:
                axis = _moved(name, given, one, self._axes[one], output)
                if axis is not None:
                    self._axes[output] = axis
                return

    def are(self, tensor: torch.Tensor, axis: int) -> bool:
        """Tell whether the values of a tensor along an axis are features that a layer's own weight gives."""
        return self._axes.get(tensor) == axis % tensor.ndim

    def _is_weight(self, tensor: torch.Tensor) -> bool:
        return not tensor.is_meta and tensor.untyped_storage().data_ptr() in self._weights


def _moved(name: str, given: Sequence[Any], tensor: torch.Tensor, axis: int, output: torch.Tensor) -> int | None:
    """Return where an axis is after an operation; None if it is there no longer."""
    if name == "permute":
        return [one % tensor.ndim for one in given[1]].index(axis)
    if name in ("transpose", "t"):
        first, second = (one % tensor.ndim for one in (given[1:3] if name == "transpose" else (0, tensor.ndim - 1)))
        return {first: second, second: first}.get(axis, axis)
    if output.shape == tensor.shape:
        return axis
    if axis == tensor.ndim - 1 and output.shape[-1] == tensor.shape[-1]:
        return output.ndim - 1
    return None
