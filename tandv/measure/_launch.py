"""Launch the kernels: which programs measure which tensors, and where their partial records lie."""

import contextlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import triton.language as tl

from tandv.formats import dtype as dtype_of
from tandv.measure import _triton, _triton_fold, _triton_values, fills_its_memory, torch_operations

# As which type elements are read, how many a thread reads at a time, and as many registers of a thread as let three
# programs run on each multiprocessor.
_WIDE = {"float32": (tl.float32, 4, 168), "bfloat16": (tl.uint16, 8, 168), "float16": (tl.float16, 8, 168)}
_EIGHT_BITS = (tl.uint8, 8, 168)
_RECORDS_AT_FIRST = 4096
_TABLES = 64  # launches whose tables are kept; one that comes again as it was sends nothing to the device
_WARPS = _triton_values.LANES // (64 if torch.version.hip else 32)


class _Region(NamedTuple):
    first: int
    size: int


class _Job(NamedTuple):
    """A tensor to measure, as the kernels read it from their table."""

    address: int  # a multiple of 16
    head: int  # elements before it
    size: int  # elements after it
    each: int  # elements of a share
    place: int
    first: int  # of its records

    @property
    def shares(self) -> int:
        return max(1, -(-self.size // max(1, self.each)))


class Launches:
    """Measure tensors by Triton's kernels; owns the partial records of every row between two `finish`.

    Nothing here waits for the device or reads from it.
    """

    def __init__(self, device: torch.device):
        self._device = device
        self._most_shares = _most_shares(device)
        self._records = torch.zeros(_RECORDS_AT_FIRST, _triton_values.RECORD, dtype=torch.float64, device=device)
        self._used = 0  # records
        self._regions: dict[int, _Region] = {}
        self._region_table: torch.Tensor | None = None
        self._tables: OrderedDict[Any, tuple[torch.Tensor, torch.Tensor]] = OrderedDict()
        self._by_type: dict[torch.dtype, dict[str, Any]] = {}

    def add(self, tensors: Sequence[torch.Tensor], places: Sequence[int], rows: torch.Tensor) -> None:
        """Measure each tensor into the row at its place; no place may stand twice. One launch for each dtype."""
        groups: dict[torch.dtype, list[_Job]] = {}
        copies = []  # referenced until their launch
        for tensor, place in zip(tensors, places, strict=True):
            if not (tensor.is_contiguous() or fills_its_memory(tensor)):
                tensor = tensor.detach().contiguous()
                copies.append(tensor)
            groups.setdefault(tensor.dtype, []).append(self._job(tensor, place, rows))
        for dtype, jobs in groups.items():
            if len(jobs) == 1:
                options = self._options(dtype)
                self._run(_triton.measure_one, (jobs[0].shares,), *jobs[0], rows, self._records, **options)
            else:
                self._launch_many(jobs, dtype, rows)

    def finish(self, rows: torch.Tensor) -> None:
        """Merge the partial records into the rows, and empty them for the next step."""
        if not self._regions:
            return
        if self._region_table is None:
            table = np.zeros((max(self._regions) + 1, 2), np.int64)
            for place, region in self._regions.items():
                table[place] = region.first, region.size
            self._region_table = self._send(table)
        grid = (len(self._region_table),)
        self._run(_triton_fold.fold, grid, self._region_table, self._records, rows, rows.view(torch.float64), BLOCK=128)

    def _launch_many(self, jobs: list[_Job], dtype: torch.dtype, rows: torch.Tensor) -> None:
        key = tuple(jobs)
        if key not in self._tables:
            shares = np.array([job.shares for job in jobs])
            owners = np.repeat(np.arange(len(jobs)), shares)
            share = np.arange(len(owners)) - np.repeat(np.cumsum(shares) - shares, shares)
            programs = np.stack([owners, share], 1).astype(np.int32)
            self._tables[key] = self._send(np.array(jobs, np.int64)), self._send(programs)
            if len(self._tables) > _TABLES:
                self._tables.popitem(last=False)
        self._tables.move_to_end(key)
        table, programs = self._tables[key]
        self._run(_triton.measure_many, (len(programs),), table, programs, rows, self._records, **self._options(dtype))

    def _run(self, kernel: Any, grid: tuple[int], *arguments: Any, **options: Any) -> None:
        with guarded(self._device):
            kernel[grid](*arguments, **options, num_warps=_WARPS)

    def _options(self, dtype: torch.dtype) -> dict[str, Any]:
        """Return the arguments that depend on the type alone."""
        if dtype not in self._by_type:
            _, each, registers = kind_of(dtype)
            options = reading(dtype, self._device) | {"EACH": each}
            self._by_type[dtype] = options if torch.version.hip else options | {"maxnreg": registers}
        return self._by_type[dtype]

    def _job(self, tensor: torch.Tensor, place: int, rows: torch.Tensor) -> _Job:
        """Cut a tensor into shares, and see that its row has a record for each."""
        address = tensor.data_ptr() or rows.data_ptr()  # nothing is read of an empty tensor
        item = tensor.element_size()
        head = min(tensor.numel(), -address % 16 // item)
        size = tensor.numel() - head
        pieces = -(-size // _triton.SHARE)
        each = -(-pieces // self._most_shares) * _triton.SHARE
        region = self._regions.get(place)
        job = _Job(address + head * item, head, size, each, place, region.first if region else 0)
        if region is None or region.size < job.shares:
            self._regions[place] = region = self._new_region(region, job.shares)
            self._region_table = None
            job = job._replace(first=region.first)
        return job

    def _new_region(self, old: _Region | None, wanted: int) -> _Region:
        count = max(wanted, min(self._most_shares, 2 * old.size)) if old else wanted
        first, self._used = self._used, self._used + count
        if self._used > len(self._records):
            larger = self._records.new_zeros(max(self._used, 2 * len(self._records)), _triton_values.RECORD)
            larger[: len(self._records)].copy_(self._records)
            self._records = larger
        if old:  # what it holds of this step's earlier calls moves along
            self._records[first : first + old.size].copy_(self._records[old.first : old.first + old.size])
        return _Region(first, count)

    def _send(self, array: np.ndarray) -> torch.Tensor:
        return torch_operations.send(torch.from_numpy(array), self._device)


def kind_of(dtype: torch.dtype) -> tuple[Any, int, int]:
    """Return as which type elements are read, how many a thread reads at a time, and its registers."""
    return _WIDE.get(str(dtype).removeprefix("torch."), _EIGHT_BITS)


def reading(dtype: torch.dtype, device: torch.device) -> dict[str, Any]:
    """Return what kernels need to read elements of a type: `DTYPE`, and the `table` of patterns of 8 bits."""
    values = torch.from_numpy(_values(str(dtype).removeprefix("torch.")))
    return {"table": torch_operations.send(values, device), "DTYPE": kind_of(dtype)[0]}


def guarded(device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Return the context in which kernels are launched on a device."""
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()


def _most_shares(device: torch.device) -> int:
    """Return how many programs may measure one tensor: about twice as many as run on the GPU at the same time."""
    if device.type != "cuda":
        return 1024
    return 8 * torch.cuda.get_device_properties(device).multi_processor_count


def _values(dtype: str) -> np.ndarray:
    """Return the float32 value of every pattern of a type of 8 bits; the other types have no use for it."""
    if dtype in _WIDE:
        return np.zeros(1, np.float32)
    with np.errstate(invalid="ignore"):
        return np.arange(256, dtype=np.uint8).view(dtype_of(dtype)).astype(np.float32)
