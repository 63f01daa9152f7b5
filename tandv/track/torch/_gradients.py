"""The gradient with respect to a tensor as it is now, before later in-place operations on it.

A hook on a tensor survives in-place operations, unless the tensor is a view: that gets another node in autograd's
graph, and the hook is called for a part of the gradient or not at all. The node of its base does not change.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch._subclasses.functional_tensor import FunctionalTensor

_PRODUCTS = ("AddmmBackward0", "MmBackward0")
_TRACED = (FunctionalTensor, FakeTensor)

Receive = Callable[[torch.Tensor], None]


def on_gradient(x: torch.Tensor, receive: Receive) -> Any:
    """Call `receive` with the gradient with respect to `x` in each backward pass; return the hook's handle."""
    known = type(x) is torch.Tensor or isinstance(x, _TRACED)
    base = x._base if known and x._is_view() else None
    if base is None or base.is_leaf or base.dtype != x.dtype:
        return x.register_hook(receive)
    if isinstance(x, _TRACED) and _is_product(x, base):
        return base.register_hook(partial(_of_product, receive))
    version = _version_of(x)
    before = version._version
    base.register_hook(partial(_if_changed, receive, version, before, _place(x, base)))
    return x.register_hook(partial(_if_unchanged, receive, version, before))


def is_shared_view(x: torch.Tensor) -> bool:
    """Tell whether `x` is a view whose base other outputs may be views of.

    Of a compiled graph that returns both, autograd passes the gradient to their base, outside of the graph.
    """
    base = x._base if x._is_view() else None
    return base is not None and not base.is_leaf and not _is_product(x, base)


def _of_product(receive: Receive, gradient: torch.Tensor) -> None:
    receive(gradient)


def _if_unchanged(receive: Receive, version: torch.Tensor, before: int, gradient: torch.Tensor) -> None:
    if version._version == before:
        receive(gradient)


def _if_changed(receive: Receive, version: torch.Tensor, before: int, place: Any, gradient: torch.Tensor) -> None:
    if version._version != before:
        receive(_at(place, gradient))


def _is_product(x: torch.Tensor, base: torch.Tensor) -> bool:
    """Tell whether `x` is the reshaped matrix product of a linear layer, and the only view of it.

    The gradient is the same then, and autograd passes it to their common base where a compiled graph returns `x` and
    a view of it.
    """
    step = x.grad_fn
    if step is None or step.name() != "ViewBackward0" or base.numel() != x.numel():
        return False
    before = step.next_functions[0][0]
    hooks: Any = base._backward_hooks or {}
    if any(getattr(hook, "func", None) not in (_of_product, _if_changed) for hook in hooks.values()):
        return False  # it is an output itself
    return before is not None and before.name() in _PRODUCTS


def _version_of(x: torch.Tensor) -> torch.Tensor:
    """Return a tensor that shares the version counter of `x`, which in-place operations increase, not its memory."""
    twin = x.detach()
    if not isinstance(twin, _TRACED):
        twin.data = x.new_empty(0)
    return twin


def _place(x: torch.Tensor, base: torch.Tensor) -> Any:
    """Return the position of a view in its base; None where it is all of it."""
    if x.numel() == base.numel():
        return None
    return base.shape, base.stride(), x.shape, x.stride(), x.storage_offset() - base.storage_offset()


def _at(place: Any, gradient: torch.Tensor) -> torch.Tensor:
    """Return the part of a base's gradient that belongs to a view."""
    if place is None:
        return gradient
    shape, strides, size, steps, offset = place
    gradient = gradient.detach()
    if gradient.stride() != strides:
        gradient = gradient.new_empty_strided(shape, strides).copy_(gradient)
    return gradient.as_strided(size, steps, gradient.storage_offset() + offset)
