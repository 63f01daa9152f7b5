"""Measure tensors in block formats where they live: on a GPU by Triton's kernels, without waiting for it."""

import functools
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import torch

from tandv.measure.blocks import PARTS, block_format, block_measure

_failed: list[str] = []  # why kernels cannot be had here, once that is known


def measure_where_it_lives(tensor: torch.Tensor, names: Sequence[str], axis: int = -1) -> torch.Tensor:
    """Return what casts of a tensor to block formats do, [formats, 5], as `block_measure`, in float64.

    Of a tensor on a GPU the result is there, and nothing waits for it; where there is no kernel for its device, the
    tensor is copied to the host, which is said once.

    >>> measure_where_it_lives(torch.tensor([[1.0, 0.05, 0.0, 3.0]]), ["mxfp4"]).round(decimals=4).tolist()
    [[0.0025, 10.0025, 1.0, 0.0, 0.0]]

    Args:
        tensor: of a float type of at most 32 bits, of any shape.
        names: names of block formats.
        axis: the axis along which values share a scale.

    Raises what `block_measure` raises.
    """
    tensor = tensor.detach()
    if _has_kernels(tensor.device.type, tensor.device.index) and not _failed:
        from tandv.measure._block_launch import measure

        try:
            return measure(tensor, [block_format(name) for name in names], axis)
        except Exception as error:
            _failed.append(f"measuring blocks by Triton failed ({type(error).__name__}: {error})")
    if not tensor.is_cpu:
        _say_copied(_failed[0] if _failed else f"there is no kernel for blocks on {tensor.device.type}")
    host = tensor.cpu()
    found = block_measure((host if host.dtype == torch.float32 else host.float()).numpy(), names, axis)
    return torch.from_numpy(found)


def no_blocks(names: Sequence[str], device: torch.device) -> torch.Tensor:
    """Return the sums of nothing, [formats, 5].

    >>> no_blocks(["mxfp4"], torch.device("cpu")).shape
    torch.Size([1, 5])

    Args:
        names: names of block formats.
        device: where they are.
    """
    return torch.zeros(len(names), len(PARTS), dtype=torch.float64, device=device)


@functools.cache
def _has_kernels(kind: str, number: Any) -> bool:
    return kind == "cuda" and bool(find_spec("triton")) and torch.cuda.get_device_capability(number) >= (7, 0)


@functools.cache
def _say_copied(why: str) -> None:
    warnings.warn(f"{why}; for block formats tensors are copied to the host, which waits for the device", stacklevel=5)
