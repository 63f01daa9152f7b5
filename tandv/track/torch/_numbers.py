"""A number that may be a PyTorch tensor on a device: copied when it is given, without waiting for the device."""

from typing import Any

import torch

from tandv.track.common.numbers import Reading, known
from tandv.track.torch._modes import own_operations

_STREAMS = ("cuda", "xpu")  # devices that copy to the host by themselves, and tell when they have


def reading(value: Any) -> Reading:
    """Return how a number is read; what is done to a tensor afterwards does not change it.

    >>> loss = torch.tensor(2.0, requires_grad=True)
    >>> read = reading(loss)
    >>> _ = loss.detach().mul_(3)
    >>> read(True)
    2.0

    Args:
        value: a tensor of one number, or what `known` takes.

    Raises TypeError or ValueError saying what is wrong.
    """
    if not isinstance(value, torch.Tensor):
        return known(value)
    with own_operations(), torch.no_grad():
        tensor = _plain(value.detach())
        if tensor.numel() != 1:
            raise ValueError(f"it is a tensor of shape {tuple(tensor.shape)}")
        if tensor.is_complex():
            raise TypeError(f"it is a tensor of {tensor.dtype}")
        if tensor.is_meta:
            raise ValueError("it is a tensor without memory (meta)")
        tensor = tensor.reshape(())
        if tensor.device.type == "cpu":
            return known(float(tensor))
        if tensor.device.type not in _STREAMS:
            copied = tensor.clone()
            return lambda wait: float(copied)  # such a device does not tell when it has arrived
        return _arriving(tensor)


def _plain(tensor: Any) -> torch.Tensor:
    """Return this rank's copy of a tensor that is on several ranks."""
    if type(tensor).__name__ != "DTensor":
        return tensor
    if not all(placement.is_replicate() for placement in tensor.placements):
        raise ValueError("it is a DTensor that each rank has a part of (give its full_tensor() on all ranks)")
    return tensor.to_local()


def _arriving(tensor: torch.Tensor) -> Reading:
    # Into page-locked memory: the copy is asynchronous, in the order of the user's stream.
    host = torch.empty((), dtype=tensor.dtype, device="cpu", pin_memory=True)
    host.copy_(tensor, non_blocking=True)
    api = getattr(torch, tensor.device.type)
    arrived = api.Event()
    arrived.record(api.current_stream(tensor.device))

    def read(wait: bool) -> float | None:
        if wait:
            arrived.synchronize()
        return float(host) if arrived.query() else None

    return read
