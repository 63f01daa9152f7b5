"""Tensors as the comparison of insight takes them: plain memory, in portions, on the host."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from tandv.measure.device import Arriving
from tandv.measure.insight.host import KINDS, Memory

_AT_ONCE = 1 << 26  # parameters that are compared at a time on a device: bounds the memory


def dense(gradient: Any, scale: Any) -> torch.Tensor:
    """Return a gradient as plain memory, without the scale of the loss; a scale of None is none."""
    gradient = gradient.detach()
    if gradient.layout != torch.strided:
        gradient = gradient.to_dense()
    if scale is not None:
        gradient = gradient.float() / scale.to(gradient.device)
    return gradient.resolve_neg().contiguous()


def memory(tensor: torch.Tensor) -> Memory:
    """Return where the values of a tensor on the host lie."""
    kind = KINDS.index(str(tensor.dtype).removeprefix("torch."))
    return Memory(kind, tensor.data_ptr(), tensor.numel(), tensor)


def memory_if(tensor: torch.Tensor | None) -> Memory | None:
    return None if tensor is None else memory(tensor)


def in_portions(parameters: Sequence[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Return parameters in lists of at most so many values as are compared at a time."""
    out: list[list[nn.Parameter]] = []
    room = 0
    for p in parameters:
        if not out or p.numel() > room:
            out.append([])
            room = _AT_ONCE
        out[-1].append(p)
        room -= p.numel()
    return out


def event_after(device: torch.device) -> Any:
    """Return an event after all operations queued on a device so far; None for the CPU."""
    if device.type == "cpu":
        return None
    event = torch.Event(device)
    event.record()
    return event


def to_host(values: Any) -> Any:
    """Return the values of a tensor as an array; the copy of a device is waited for, which no other thread notices."""
    return Arriving(values).numpy() if isinstance(values, torch.Tensor) else values
