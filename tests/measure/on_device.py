"""Measure in `DeviceRows` by any producer; Triton's kernels run on the CPU, in a process of their own.

Triton reads TRITON_INTERPRET when it is imported, and would interpret everybody's kernels from then on.
"""

import functools
import io
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import torch

Calls = Sequence[tuple[Sequence[torch.Tensor], Sequence[int]]]  # of `DeviceRows.add`, in one step

PRODUCERS = ["host", "torch", "triton", *(["cuda", "cuda-torch"] if torch.cuda.is_available() else [])]


def measured(producer: str, *steps: Calls, size: int = 4, **small: int) -> list[np.ndarray]:
    """Return the rows of each step. `small` are limits of the kernels, by name, for small tensors to exceed."""
    if producer == "triton":
        return _interpreter().submit(_interpreted, _packed(steps), size, small).result()
    if producer.startswith("cuda"):
        steps = [[([t.cuda() for t in tensors], places) for tensors, places in step] for step in steps]
        return _measured("cuda", "torch" if producer == "cuda-torch" else "triton", steps, size)
    return _measured("cpu", producer, steps, size)


def _measured(device: str, producer: str, steps: Sequence[Calls], size: int) -> list[np.ndarray]:
    from tandv.measure._device import DeviceRows

    rows, found = DeviceRows(device, size, producer=producer), []
    for calls in steps:
        for tensors, places in calls:
            rows.add(tensors, places)
        rows.start_copy()
        found.append(rows.rows())
    assert rows.producer == producer  # and not what serves instead
    return found


@functools.cache
def _interpreter() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_interpret)


def _interpret() -> None:
    os.environ["TRITON_INTERPRET"] = "1"
    np.seterr(all="ignore")  # NumPy would warn of what the kernels find out themselves, and mend


def _interpreted(steps: bytes, size: int, small: dict[str, int]) -> list[np.ndarray]:
    import triton.language as tl

    from tandv.measure import _launch, _triton

    usual = _triton.CHUNK, _launch._MOST_SHARES
    _triton.CHUNK, _launch._MOST_SHARES = small.get("chunk", usual[0]), small.get("shares", usual[1])
    _triton._CHUNK = tl.constexpr(_triton.CHUNK)
    try:
        return _measured("cpu", "triton", torch.load(io.BytesIO(steps), weights_only=True), size)
    finally:
        (_triton.CHUNK, _launch._MOST_SHARES), _triton._CHUNK = usual, tl.constexpr(usual[0])


def _packed(steps: Sequence[Calls]) -> bytes:
    packed = io.BytesIO()
    torch.save([[(list(tensors), list(places)) for tensors, places in step] for step in steps], packed)
    return packed.getvalue()
