"""Measure tensors on the host.

Torch CPU tensors, NumPy arrays and JAX arrays on the CPU are read in place, without a copy. The compiled producer
(numba) measures every type of at most 32 bits; NumPy measures the others, and all of them where numba is not installed.
"""

import ctypes
import functools
import math
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import numpy as np

from tandv import statistics
from tandv.formats import EIGHT_BITS
from tandv.formats import dtype as dtype_of
from tandv.measure import _numpy
from tandv.measure.repeats import once_each, times

# Elements of one byte are looked up by the compiled producer in a table of their 256 values.
KINDS = {"float32": 0, "bfloat16": 1, "float16": 2} | {name: 3 + i for i, name in enumerate(EIGHT_BITS)}
_HALVES = ("bfloat16", "float16")
_WIDE = ("float64",)
_BYTES = np.array([4, 2, 2, *[1] * len(EIGHT_BITS)])  # of an element, by kind
_PIECE = 1 << 19  # elements that one thread measures at a time
_COPY = 1 << 20  # elements of a strided tensor that are copied at a time

MEASURED = (*KINDS, *_WIDE)  # the dtypes, by name, that can be measured
_MEASURED = frozenset(MEASURED)


def measure(tensors: Sequence[Any]) -> np.ndarray:
    """Return one row for each tensor.

    >>> rows = measure([np.array([2.0, -2.0, 0.0]), np.ones(3, "float16")])
    >>> statistics.summarise(rows)["mean_abs"].round(3).tolist()
    [1.333, 1.0]

    Args:
        tensors: torch tensors, NumPy or JAX arrays in the memory of the host, of any shape.

    Raises TypeError for a tensor that is not of a float type.
    """
    wide = any(dtype_name(tensor) in _WIDE for tensor in tensors)
    rows = statistics.empty_rows(len(tensors), statistics.WIDE_ROW if wide else statistics.ROW)
    add(tensors, range(len(tensors)), rows)
    return rows


def add(tensors: Sequence[Any], places: Sequence[int], rows: np.ndarray, threads: int = 1) -> None:
    """Merge the measurement of each tensor into the row of `rows` at its place.

    >>> rows = statistics.empty_rows(1)
    >>> add([np.float32([1.0, 2.0]), np.float32([0.0])], [0, 0], rows)
    >>> rows["numel"].tolist(), rows["zeros"].tolist()
    ([3], [1])

    Args:
        tensors: as for `measure`.
        places: of each tensor, the number of its row; with several threads no two are the same.
        rows: of the dtype `statistics.ROW`, or `WIDE_ROW` where a tensor is of float64.
        threads: cores to measure on.

    Raises TypeError for a tensor that is not of a float type.
    """
    compiled = None if rows.dtype == statistics.WIDE_ROW else _compiled()
    jobs, alive = [], []
    for tensor, place in zip(tensors, places, strict=True):
        name = dtype_name(tensor)
        if name not in _MEASURED:
            raise TypeError(f"a tensor of {name} cannot be measured; allowed are {', '.join(MEASURED)}")
        if hasattr(tensor, "data_ptr") and tensor.is_contiguous():  # the common case
            part = tensor, tensor.data_ptr(), tensor.numel()
        elif _size(tensor) <= _COPY or _is_one_part(tensor):
            part = next(_dense_parts(tensor))
            alive.append(part)  # a copy must stay alive until it has been read
        else:
            _add_in_parts(tensor, place, rows)
            continue
        _, address, size = part
        if compiled is None:
            _numpy.add(_array(address, size, name), rows[place : place + 1])
        else:
            jobs.append((address, size, KINDS[name], place))
    if not jobs:
        return
    table = np.array(jobs, np.int64)
    if threads > 1 and table[:, 1].sum() >= 2 * _PIECE:
        _add_in_threads(table, rows, threads)
    else:
        _add_compiled(table, rows)


def add_one(tensor: Any, row: int, threads: int = 1) -> bool:
    """Measure a tensor as `add` does, in less time; return False where `add` must do it.

    >>> import torch
    >>> rows = statistics.empty_rows(1)
    >>> add_one(torch.ones(3, 2).T, rows.ctypes.data), add_one(torch.ones(2), rows.ctypes.data)
    (False, True)
    >>> rows["numel"].tolist()
    [2]

    Args:
        tensor: as for `measure`; it is measured here if it is one of torch and contiguous.
        row: address of its row, of the dtype `statistics.ROW`.
        threads: cores to measure on.
    """
    compiled = _compiled()
    if compiled is None or not hasattr(tensor, "data_ptr") or not tensor.is_contiguous():
        return False
    name, size = dtype_name(tensor), tensor.numel()
    if size >= 2 * _PIECE and threads > 1 if name == "float32" else name not in _HALVES or size >= compiled.BY_PATTERN:
        return False
    compiled.add_one(tensor.data_ptr(), size, KINDS[name], row)
    return True


def _is_one_part(tensor: Any) -> bool:
    if hasattr(tensor, "data_ptr"):
        return fills_its_memory(tensor)
    return 0 not in getattr(tensor, "strides", ())


def _size(tensor: Any) -> int:
    return math.prod(tensor.shape)


def _add_in_parts(tensor: Any, place: int, rows: np.ndarray) -> None:
    """Measure a large tensor with gaps or overlaps (a stride of 0) in memory, without a copy of all of it."""
    measured = statistics.empty_rows(1, rows.dtype)
    once = once_each(tensor)
    for part, *_ in _dense_parts(once):
        add([part], [0], measured)
    measured = times(measured, _size(tensor) // max(1, _size(once)))
    measured["calls"] = 1
    rows[place] = statistics.merge(np.concatenate([rows[place : place + 1], measured]), np.zeros(2, np.int64))[0]


def _add_compiled(jobs: np.ndarray, rows: np.ndarray) -> None:
    compiled = _compiled()
    assert compiled is not None
    width = rows.dtype.itemsize // 8
    ints = rows.view(np.int64).reshape(-1, width)
    compiled.add_many(jobs, tables(), ints, ints.view(np.float64), *_scratch())


def _add_in_threads(jobs: np.ndarray, rows: np.ndarray, threads: int) -> None:
    """Cut large tensors into pieces, measure all on several cores, and merge the pieces of a tensor."""
    pieces = np.maximum(1, -(-jobs[:, 1] // _PIECE))
    owner = np.repeat(np.arange(len(jobs)), pieces)
    offset = (np.arange(len(owner)) - np.repeat(np.cumsum(pieces) - pieces, pieces)) * _PIECE
    cut = jobs[owner]
    cut[:, 0] += offset * _BYTES[cut[:, 2]]
    cut[:, 1] = np.minimum(cut[:, 1] - offset, _PIECE)
    cut[:, 3] = np.arange(len(cut))
    measured = statistics.empty_rows(len(cut))
    shares = [np.ascontiguousarray(cut[first::threads]) for first in range(threads)]
    waiting = [pool(threads).submit(_add_compiled, share, measured) for share in shares[1:]]
    _add_compiled(shares[0], measured)
    for done in waiting:
        done.result()
    measured["calls"] = offset == 0
    places, group = np.unique(jobs[:, 3], return_inverse=True)
    together = np.concatenate([rows[places], measured])
    rows[places] = statistics.merge(together, np.concatenate([np.arange(len(places)), group[owner]]))


@functools.cache
def pool(threads: int) -> ThreadPoolExecutor:
    """Return the threads that measure besides the calling one; they are kept for the next call."""
    return ThreadPoolExecutor(threads - 1, thread_name_prefix="tandv-measure")


if hasattr(os, "register_at_fork"):  # a forked process has the pool, but none of its threads
    os.register_at_fork(after_in_child=pool.cache_clear)


def dtype_name(tensor: Any) -> str:
    """Return the name of a tensor's dtype, the same in torch, JAX and NumPy.

    >>> dtype_name(np.zeros(2, np.float32))
    'float32'

    Args:
        tensor: has a `dtype`.
    """
    return _name(tensor.dtype)


@functools.cache
def _name(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


def _dense_parts(tensor: Any) -> Iterator[tuple[Any, int, int]]:
    """Yield (owner, address, elements) of contiguous pieces that together hold the tensor's values."""
    if hasattr(tensor, "data_ptr"):
        yield from _torch_parts(tensor)
    else:
        array = np.ascontiguousarray(tensor)
        yield array, array.ctypes.data, array.size


def _torch_parts(tensor: Any) -> Iterator[tuple[Any, int, int]]:
    if fills_its_memory(tensor):
        yield tensor, tensor.data_ptr(), tensor.numel()
    elif tensor.numel() <= _COPY:
        copy = tensor.contiguous()
        yield copy, copy.data_ptr(), copy.numel()
    else:
        at_a_time = max(1, tensor.shape[0] * _COPY // tensor.numel())
        pieces = tensor.split(at_a_time) if tensor.shape[0] > 1 else (tensor[0],)
        for piece in pieces:
            yield from _torch_parts(piece)


def fills_its_memory(tensor: Any) -> bool:
    """Tell whether the elements occupy contiguous memory in some order, as those of a transposed matrix do.

    >>> import torch
    >>> fills_its_memory(torch.ones(2, 3).T), fills_its_memory(torch.ones(4, 4)[:, ::2])
    (True, False)

    Args:
        tensor: a strided tensor of torch.
    """
    expected = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size != 1:
            if stride != expected:
                return False
            expected *= size
    return True


def _array(address: int, size: int, name: str) -> np.ndarray:
    dtype = dtype_of(name)
    if not size:
        return np.empty(0, dtype)
    memory = (ctypes.c_char * (size * dtype.itemsize)).from_address(address)
    return np.frombuffer(memoryview(memory), dtype)


@functools.cache
def _compiled() -> ModuleType | None:
    """Return the compiled producer, or None where numba is not installed (then NumPy measures)."""
    try:
        from tandv.measure import _numba
    except ImportError:
        return None
    return _numba


@functools.cache
def tables() -> np.ndarray:
    patterns = np.arange(256, dtype=np.uint8)
    return np.stack([patterns.view(dtype_of(name)).astype(np.float32).view(np.uint32) for name in EIGHT_BITS])


_thread = threading.local()


def _scratch() -> tuple[np.ndarray, np.ndarray]:
    if not hasattr(_thread, "scratch"):
        _thread.scratch = np.zeros((2, 65_536), np.uint32), np.zeros((2, 65_536), np.float64)
    return _thread.scratch
