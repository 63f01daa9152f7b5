"""Launch the kernels of block formats on one tensor."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import torch

from tandv.measure import _triton_blocks
from tandv.measure._launch import guarded, reading
from tandv.measure.blocks import PARTS, BlockFormat, around, described

_VALUES = 4096  # of a program
_SUMS = len(PARTS)
_NV = 1  # as `described` numbers kinds


def measure(tensor: torch.Tensor, formats: Sequence[BlockFormat], axis: int) -> torch.Tensor:
    """Return what casts do, [formats, 5], on the tensor's device, without waiting for it."""
    outer, length, inner = around(tensor.shape or (1,), axis)
    if not tensor.numel():
        return torch.zeros(len(formats), _SUMS, dtype=torch.float64, device=tensor.device)
    values = tensor.contiguous()
    raw = values.view(torch.uint16) if values.dtype == torch.bfloat16 else values
    raw = values.view(torch.uint8) if values.element_size() == 1 else raw
    types = _reading(tensor.dtype, tensor.device)
    grids = {one.columns: _Grid.of(outer, length, inner, one.columns) for one in formats}
    # A launch and an operation take longer than a small tensor: all formats have one table of records and one sum.
    most = max(grid.programs for grid in grids.values())
    records = torch.zeros(most, len(formats), _SUMS, dtype=torch.float64, device=tensor.device)
    known: dict[int, torch.Tensor] = {}  # the largest value of each block, by the values of a block
    for number, (kind, rows, size, m, normal, emax, largest, floor) in enumerate(described(formats).tolist()):
        size, rows = int(size), int(rows)
        grid = grids[size]
        place = length, inner, grid.segments, grid.blocks, types["table"]
        shape = {"DTYPE": types["DTYPE"], "SIZE": size, "TOGETHER": grid.together}
        tops = largest_of_all = records  # which are not read
        if (rows > 1 or kind == _NV) and size not in known:
            known[size] = torch.empty(grid.blocks, dtype=torch.int32, device=tensor.device)
            _run(tensor, _triton_blocks.find_tops, grid.programs, raw, known[size], *place, **shape)
        if kind == _NV:
            largest_of_all = known[size].amax()
        if rows > 1:
            tops = _of_tiles(known[size].view(outer, grid.segments, inner), rows)
        element = {"KIND": int(kind), "M": int(m), "NORMAL": int(normal), "EMAX": int(emax), "LARGEST": largest}
        _run(
            tensor, _triton_blocks.add_errors, grid.programs, raw, tops, largest_of_all, records[:, number],
            records.stride(0), *place, **shape, **element, TILES=rows > 1, FLOOR=floor,
        )  # fmt: skip
    return records.sum(0)


class _Grid(NamedTuple):
    """How blocks of a size lie in a tensor, and which programs measure them."""

    segments: int  # blocks along the axis
    blocks: int
    together: int  # blocks of a program
    programs: int

    @classmethod
    def of(cls, outer: int, length: int, inner: int, size: int) -> Self:
        segments, together = -(-length // size), _VALUES // size
        blocks = outer * segments * inner
        return cls(segments, blocks, together, -(-blocks // together))


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
