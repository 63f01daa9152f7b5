"""The tensors inside whatever a module returns."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch._C._functorch import is_functorch_wrapped_tensor  # pyright: ignore[reportMissingImports]

_DEEP_ENOUGH = 8


def tensors_in(output: Any, name: str, depth: int = 0) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield (name, tensor) for a tensor, or for each one in nested tuples, dicts and dataclasses.

    >>> [name for name, _ in tensors_in((torch.zeros(1), {"h": torch.zeros(1), "n": 3}), "lstm")]
    ['lstm[0]', 'lstm[1][h]']
    """
    if isinstance(output, torch.Tensor):
        yield name, output
        return
    if depth == _DEEP_ENOUGH:
        return
    for key, value in _items(output):
        yield from tensors_in(value, f"{name}[{key}]", depth + 1)


def _items(output: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(output, Mapping):
        yield from output.items()
    elif isinstance(output, list | tuple):
        yield from enumerate(output)
    elif dataclasses.is_dataclass(output) and not isinstance(output, type):
        for field in dataclasses.fields(output):
            yield field.name, getattr(output, field.name, None)


def measurable(tensor: torch.Tensor) -> torch.Tensor | None:
    """Return the plain values of a tensor where it lives, apart from autograd; None if there are none.

    Of a sparse tensor the stored values count. Integers, booleans, complex and quantised numbers, tensors
    without memory and those inside a `torch.func` transform are not measured.
    """
    if not tensor.is_floating_point() or tensor.is_meta or is_functorch_wrapped_tensor(tensor):
        return None
    tensor = tensor.detach()
    if tensor.layout in (torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc):
        tensor = tensor.values()
    elif tensor.layout == torch.sparse_coo:
        tensor = tensor.coalesce().values()
    elif tensor.is_nested:
        tensor = tensor.values()
    if tensor.is_neg():
        tensor = tensor.resolve_neg()
    return tensor


def why_not(tensor: torch.Tensor) -> str:
    """Say in a few words why `measurable` gave nothing."""
    if type(tensor).__name__ == "DTensor" and any(placement.is_partial() for placement in tensor.placements):  # type: ignore[attr-defined]
        return "terms of a sum over ranks that the step does not show"
    if tensor.is_meta:
        return "tensors without memory (meta)"
    if tensor.is_floating_point():
        return "tensors inside torch.func or vmap"
    return f"tensors of {str(tensor.dtype).removeprefix('torch.')}"
