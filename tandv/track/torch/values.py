"""The plain values of a tensor of any class: memory is read only where it is known to be allocated.

A subclass of Tensor may have no memory of its own (fake, quantised, masked, distributed), and the memory of a tensor
may be freed or shortened (offloading does that). Reading it would crash the process, so each tensor is checked first.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch._C._functorch import is_functorch_wrapped_tensor  # pyright: ignore[reportMissingImports]
from torch._subclasses.fake_tensor import FakeTensor

from tandv.measure import MEASURED
from tandv.measure.repeats import once_each

INSIDE = "tensors inside torch.func or vmap"  # what such tensors are called where they are left out
_FLOATS = {getattr(torch, name) for name in MEASURED if hasattr(torch, name)}
_PLAIN = {torch.Tensor, nn.Parameter}
_COMPRESSED = {torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc}


def measurable(tensor: torch.Tensor) -> torch.Tensor | None:
    """Return the plain values of a tensor on its device, detached; None if there are none.

    Of a sparse tensor these are the stored values, of a subclass the values that its protocol gives. Integers,
    booleans, complex and quantised numbers, tensors without memory and those inside a `torch.func` transform
    are not measured.

    >>> measurable(torch.ones(2, requires_grad=True))
    tensor([1., 1.])
    >>> measurable(torch.ones(2, device="meta"))
    """
    if type(tensor) not in _PLAIN:
        inner = _unwrapped(tensor)
        if inner is None:
            return None
        tensor = inner
    if not has_floats(tensor) or is_functorch_wrapped_tensor(tensor):
        return None
    if tensor.requires_grad:
        tensor = tensor.detach()
    if tensor.layout is not torch.strided:
        if tensor.layout == torch.sparse_coo:
            tensor = tensor.coalesce().values()
        elif tensor.layout in _COMPRESSED:
            tensor = tensor.values()
        else:
            return None
    elif tensor.is_nested:
        tensor = tensor.values()
    if not has_memory(tensor):
        return None
    if tensor.is_neg():
        tensor = once_each(tensor).resolve_neg().expand(tensor.shape)
    return tensor


def has_floats(tensor: torch.Tensor) -> bool:
    """Tell whether a tensor is of floats that are measured: not integers, and not two numbers of 4 bits in a byte.

    >>> has_floats(torch.ones(2)), has_floats(torch.ones(2).to(torch.uint8).view(torch.float4_e2m1fn_x2))
    (True, False)
    """
    return tensor.dtype in _FLOATS


def has_memory(tensor: torch.Tensor) -> bool:
    """Tell whether all of the memory that a strided tensor refers to is allocated."""
    try:
        if torch.Tensor.data_ptr(tensor) == 0:
            return tensor.numel() == 0
        there = tensor.untyped_storage().nbytes()
    except RuntimeError:  # functional, inside of torch.func, or of a backend without pointers
        return False
    if tensor.is_contiguous():
        needed = tensor.storage_offset() + tensor.numel()
    else:
        reach = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
        needed = (tensor.storage_offset() + reach + 1) * (tensor.numel() > 0)
    return needed * tensor.dtype.itemsize <= there


def readable(tensor: torch.Tensor) -> bool:
    """Tell whether a tensor is of torch's own class and its memory is allocated, so that operations can read it."""
    plain = type(tensor) in _PLAIN and not is_functorch_wrapped_tensor(tensor)
    return plain and (tensor.layout is not torch.strided or has_memory(tensor))


def why_not(tensor: torch.Tensor) -> str:
    """Return, for a warning, the kind of tensors for which `measurable` returns None."""
    kind = type(tensor)
    if kind.__name__ == "DTensor" and any(placement.is_partial() for placement in tensor.placements):  # type: ignore[attr-defined]
        return "terms of a sum over ranks that the step does not show"
    if is_functorch_wrapped_tensor(tensor):
        return INSIDE
    if not has_floats(tensor):
        return f"tensors of {str(tensor.dtype).removeprefix('torch.')}"
    if kind not in _PLAIN:
        return f"tensors of class {kind.__name__}, whose values cannot be read in memory,"
    if tensor.is_meta:
        return "tensors without memory (meta)"
    if tensor.layout is not torch.strided:
        return f"tensors of layout {str(tensor.layout).removeprefix('torch.').removeprefix('_')}"
    return "tensors whose memory is not there (freed, or never allocated)"


def _unwrapped(tensor: torch.Tensor) -> torch.Tensor | None:
    """Return the values of a tensor of a subclass, None if it has no protocol for them."""
    if isinstance(tensor, FakeTensor):
        return None
    with torch.no_grad():
        try:
            protocol = next(read for has, read in _PROTOCOLS if has(tensor))
            inner = protocol(tensor)
        except Exception:  # of methods of the subclass
            return None
    if inner is None or type(inner) in _PLAIN:
        return inner
    return _unwrapped(inner) if inner is not tensor else None


def _masked(tensor: Any) -> torch.Tensor | None:
    data, mask = tensor.get_data(), tensor.get_mask()
    known = type(data) in _PLAIN and type(mask) in _PLAIN and has_memory(data) and has_memory(mask)
    return data[mask] if known and data.is_cpu else None  # on a device the host would wait for their number


def _own_memory(tensor: torch.Tensor) -> torch.Tensor:
    with torch._C._DisableTorchDispatch():  # a subclass may intercept every operation on it
        return tensor.as_subclass(torch.Tensor)


def _has_own_memory(tensor: torch.Tensor) -> bool:
    with torch._C.DisableTorchFunctionSubclass():
        return tensor.layout is torch.strided and has_memory(tensor)


def _inner(tensor: Any) -> torch.Tensor | None:
    """Return the only inner tensor of a wrapper, if it has the same shape and dtype."""
    names, _ = tensor.__tensor_flatten__()
    parts = [getattr(tensor, name) for name in names]
    if len(parts) == 1 and parts[0].shape == tensor.shape and parts[0].dtype == tensor.dtype:
        return parts[0]
    return None


def _without_function(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Read without the subclass's `__torch_function__`."""

    def wrapped(tensor: Any) -> Any:
        with torch._C.DisableTorchFunctionSubclass():
            return read(tensor)

    return wrapped


# How a subclass gives its values: the first protocol that it has.
_PROTOCOLS: tuple[tuple[Callable[[Any], bool], Callable[[Any], torch.Tensor | None]], ...] = (
    (lambda x: x.is_nested, lambda x: x.values()),
    (lambda x: hasattr(x, "get_mask") and hasattr(x, "get_data"), _masked),
    (lambda x: type(x).dequantize is not torch.Tensor.dequantize, lambda x: x.dequantize()),
    (_has_own_memory, _without_function(_own_memory)),
    (lambda x: hasattr(x, "__tensor_flatten__"), _inner),
    (lambda x: True, lambda x: None),
)
