"""Measure in `DeviceRows` by any producer; Triton's kernels run on the CPU, in a process of their own.

Triton reads TRITON_INTERPRET when it is imported, and would interpret everybody's kernels from then on.
"""

import contextlib
import functools
import io
import multiprocessing
import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any
from unittest import mock

import numpy as np
import torch

from tandv import statistics

Calls = Sequence[tuple[Sequence[torch.Tensor], Sequence[int]]]  # of `DeviceRows.add`, in one step

PRODUCERS = ["host", "torch", "triton", *(["cuda", "cuda-torch"] if torch.cuda.is_available() else [])]


def measured(producer: str, *steps: Calls, size: int = 4) -> list[np.ndarray]:
    """Return the rows of each step; on CUDA it is an error if anything but the reading of them waits."""
    if producer == "triton":
        return interpreted(steps, size)
    if producer.startswith("cuda"):
        there = [[([t.cuda() for t in tensors], places) for tensors, places in step] for step in steps]
        return _measured("cuda", "torch" if producer == "cuda-torch" else "triton", there, size)
    return _measured("cpu", producer, steps, size)


def _measured(device: str, producer: str, steps: Sequence[Calls], size: int) -> list[np.ndarray]:
    from tandv.measure.device import DeviceRows

    rows, found = DeviceRows(device, size, producer=producer), []
    for calls in steps:
        with without_waiting(device):
            for tensors, places in calls:
                rows.add(tensors, places)
            sent = rows.send()
        found.append(sent.rows())
    assert rows.producer == producer  # and not what serves instead
    return found


@contextlib.contextmanager
def without_waiting(device: str) -> Iterator[None]:
    """Let CUDA raise where the host would wait for the device; on the CPU nothing does."""
    if device == "cpu":
        yield
        return
    with warnings.catch_warnings(action="ignore"):  # it says that this mode is new
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@functools.cache
def _interpreter() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_interpret)


def _interpret() -> None:
    os.environ["TRITON_INTERPRET"] = "1"
    np.seterr(all="ignore")  # NumPy would warn of what the kernels find out themselves, and mend


def interpreted(steps: Sequence[Calls], size: int, small: bool = False, alone: bool = False) -> list[np.ndarray]:
    """Measure by the kernels; with `small`, there are limits that tensors of some thousand elements exceed.

    These are shares of 1,024 elements, chunks of 2,048, 3 programs for a tensor, and memory for one record. With
    `alone` one program measures a whole tensor.
    """
    packed = io.BytesIO()
    torch.save([[(list(tensors), list(places)) for tensors, places in step] for step in steps], packed)
    return _interpreter().submit(_interpreted, packed.getvalue(), size, small, alone).result()


def _interpreted(steps: bytes, size: int, small: bool, alone: bool) -> list[np.ndarray]:
    import triton.language as tl

    from tandv.measure import _launch, _triton

    with contextlib.ExitStack() as limits:
        if small:
            limits.enter_context(mock.patch.multiple(_triton, SHARE=1024, _CHUNK=tl.constexpr(2048)))
            limits.enter_context(mock.patch.multiple(_launch, _RECORDS_AT_FIRST=1, _most_shares=lambda device: 3))
        if alone:
            limits.enter_context(mock.patch.object(_launch, "_most_shares", lambda device: 1))
        return _measured("cpu", "triton", torch.load(io.BytesIO(steps), weights_only=True), size)


def far_share(values: list[float]) -> np.ndarray:
    """Measure the share of a float8_e5m2 tensor that begins at element 2^31 and holds `values`."""
    return _interpreter().submit(_far_share, values).result()


def _far_share(values: list[float]) -> np.ndarray:
    import triton.language as tl

    from tandv.measure import _launch, _triton, _triton_fold, _triton_values, torch_operations

    far = torch.from_numpy(np.zeros(2**31 + len(values), np.uint8))  # memory that nobody touches is not taken
    far[2**31 :] = torch.tensor(values).to(torch.float8_e5m2).view(torch.uint8)
    kernels: Any = _triton  # whose parameters are not what Python's annotations say
    fold: Any = _triton_fold.fold
    rows = torch_operations.clear(torch.empty(1, torch_operations.WORDS, dtype=torch.int64))
    each = _triton.SHARE << 11  # elements, as of a large tensor: few records are made and folded
    shares = 2**31 // each + 1
    records = torch.zeros(shares, _triton_values.RECORD, dtype=torch.float64)
    tensors = torch.tensor([[far.data_ptr(), 0, len(far), each, 0, 0]])
    programs = torch.tensor([[0, shares - 1]], dtype=torch.int32)
    table = torch.from_numpy(_launch._values("float8_e5m2"))
    kernels.measure_many[(1,)](tensors, programs, rows, records, table, DTYPE=tl.uint8, EACH=8)
    regions = torch.tensor([[0, shares]])
    fold[(1,)](regions, records, rows, rows.view(torch.float64), BLOCK=256)
    return rows.numpy().view(statistics.ROW).reshape(-1)


def interpreted_blocks(tensors: Sequence[torch.Tensor], names: Sequence[str], axes: Sequence[int]) -> np.ndarray:
    """Measure tensors in block formats by Triton's kernels, [tensors, formats, 5]."""
    packed = io.BytesIO()
    torch.save(list(tensors), packed)
    return _interpreter().submit(_interpreted_blocks, packed.getvalue(), list(names), list(axes)).result()


def _interpreted_blocks(tensors: bytes, names: Sequence[str], axes: Sequence[int]) -> np.ndarray:
    from tandv.measure import _block_launch
    from tandv.measure.blocks import block_format

    formats = [block_format(name) for name in names]
    given = torch.load(io.BytesIO(tensors), weights_only=True)
    found = [_block_launch.measure(tensor, formats, axis) for tensor, axis in zip(given, axes, strict=True)]
    return torch.stack(found).numpy()
