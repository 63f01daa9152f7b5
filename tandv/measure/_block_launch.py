"""Launch the kernels of block formats on one tensor."""

import functools
from collections.abc import Sequence
from typing import Any

import torch

from tandv.measure import _triton_blocks
from tandv.measure._launch import guarded, reading
from tandv.measure.blocks import BlockFormat, around, described

_VALUES = 4096  # of a program


def measure(tensor: torch.Tensor, formats: Sequence[BlockFormat], axis: int) -> torch.Tensor:
    """Return what casts do, [formats, 5], on the tensor's device, without waiting for it."""
    outer, length, inner = around(tensor.shape or (1,), axis)
    out = torch.zeros(len(formats), 5, dtype=torch.float64, device=tensor.device)
    if not tensor.numel():
        return out
    values = tensor.contiguous()
    raw = values.view(torch.uint16) if values.dtype == torch.bfloat16 else values
    raw = values.view(torch.uint8) if values.element_size() == 1 else raw
    types = _reading(tensor.dtype, tensor.device)
    known: dict[int, tuple[Any, ...]] = {}  # by the values of a block
    for numbers, sums in zip(described(formats).tolist(), out, strict=True):
        kind, rows, size, m, normal, emax, largest, floor = numbers
        size, rows = int(size), int(rows)
        segments = -(-length // size)
        blocks, together = outer * segments * inner, _VALUES // size
        programs = -(-blocks // together)
        place = length, inner, segments, blocks, types["table"]
        shape = {"DTYPE": types["DTYPE"], "SIZE": size, "TOGETHER": together}
        if size not in known:
            tops = torch.empty(blocks, dtype=torch.int32, device=tensor.device)
            records = torch.empty(programs, 2, dtype=torch.float64, device=tensor.device)
            _run(tensor, _triton_blocks.find_tops, programs, raw, tops, records, *place, **shape)
            known[size] = tops, tops.amax().reshape(1), records.sum(0)
        tops, largest_of_all, (squares, bad) = known[size]
        if rows > 1:
            tops = _of_tiles(tops.view(outer, segments, inner), rows)
        records = torch.empty(programs, 3, dtype=torch.float64, device=tensor.device)
        element = {"KIND": int(kind), "M": int(m), "NORMAL": int(normal), "EMAX": int(emax), "LARGEST": largest}
        _run(
            tensor, _triton_blocks.add_errors, programs, raw, tops, largest_of_all, records, *place, **shape, **element,
            FLOOR=floor,
        )  # fmt: skip
        error, zeros, over = records.sum(0)
        sums.copy_(torch.stack([error, squares, zeros, over, bad]))
    return out


_reading = functools.cache(reading)  # the table of a type is sent once


def _of_tiles(tops: torch.Tensor, rows: int) -> torch.Tensor:
    """Return for each block the largest of the `rows` rows that share a scale; tops are [outer, blocks, inner]."""
    outer, segments, inner = tops.shape
    by_row = tops.permute(0, 2, 1).reshape(outer * inner, segments)
    filled = torch.nn.functional.pad(by_row, (0, 0, 0, -len(by_row) % rows))
    shared = filled.view(-1, rows, segments).amax(1).repeat_interleave(rows, 0, output_size=len(filled))[: len(by_row)]
    return shared.view(outer, inner, segments).permute(0, 2, 1).contiguous()


def _run(tensor: torch.Tensor, kernel: Any, programs: int, *arguments: Any, **options: Any) -> None:
    with guarded(tensor.device):
        kernel[(programs,)](*arguments, **options, num_warps=4)
