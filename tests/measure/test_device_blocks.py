"""Triton's kernels of block formats, in the interpreter: what the host measures, without waiting for a device."""

import numpy as np
import pytest
import torch
from measure.on_device import interpreted_blocks, without_waiting
from measure.test_blocks import DATA, TINY, every_bfloat16
from measure.test_triton import Gpu, resources
from triton.runtime import driver

from tandv.measure import _block_launch
from tandv.measure.blocks import BLOCK_FORMATS, block_format, block_measure
from tandv.measure.device_blocks import measure_where_it_lives

pytestmark = pytest.mark.slow

BFLOAT16 = torch.from_numpy(every_bfloat16(256, 1024)[::8].astype(np.float32)).bfloat16()
CASES = {
    "bfloat16": (BFLOAT16, -1),
    "ties": (torch.from_numpy(DATA["ties"][:16]), -1),
    "short last block": (torch.from_numpy(DATA["short last block"][:20]), -1),
    "not finite": (torch.from_numpy(DATA["not finite"]), -1),
    "subnormals": (torch.from_numpy(TINY["subnormals"]), -1),
    "near the smallest": (torch.from_numpy(TINY["near the smallest"][:16]), -1),
    "strided": (torch.from_numpy(DATA["normal"]).T[:40], 0),
    "convolution": (torch.from_numpy(DATA["normal"][:35].reshape(16, 70, 2, 4)), 1),
    "8 bits": (torch.from_numpy(DATA["normal"][:8]).to(torch.float8_e4m3fn), -1),
    "scalar": (torch.tensor(3.0), -1),
}


def on_gpu(tensors, names, axes):
    """Measure on a GPU, where it is an error to wait for it."""
    for one, axis in zip(tensors, axes, strict=True):
        one = one.cuda()
        measure_where_it_lives(one, names, axis)  # compiles, and sends what is sent once
        with without_waiting("cuda"):
            found = measure_where_it_lives(one, names, axis)
        yield found.cpu().numpy()


@pytest.mark.parametrize("by", [interpreted_blocks, *([on_gpu] if torch.cuda.is_available() else [])])
def test_the_kernels_measure_what_the_host_does(by):
    found = by([one for one, _ in CASES.values()], BLOCK_FORMATS, [axis for _, axis in CASES.values()])
    for (name, (tensor, axis)), sums in zip(CASES.items(), found, strict=True):
        expected = block_measure(tensor.float().numpy(), BLOCK_FORMATS, axis)
        assert sums[:, :2] == pytest.approx(expected[:, :2], rel=2e-6), name
        assert np.array_equal(sums[:, 2:], expected[:, 2:]), name


@pytest.mark.parametrize("dtype, capability", [("float32", 80), ("bfloat16", 90)])
def test_kernels_compile_ahead_without_slow_memory_and_keep_subnormals(dtype, capability, monkeypatch, tmp_path):
    kernels = []

    def run(tensor, kernel, programs, *arguments, **options):
        kernels.append(kernel.warmup(*arguments, grid=(programs,), **options, num_warps=4))

    monkeypatch.setattr(_block_launch, "_run", run)
    monkeypatch.setattr(driver, "_active", Gpu(capability))
    formats = [block_format(name) for name in ("mxfp8_e4m3", "nvfp4", "e4m3@128x128")]
    _block_launch.measure(torch.zeros(4, 256, dtype=getattr(torch, dtype)), formats, -1)
    assert len(kernels) == 5  # the tops of 16 values and of tiles, and each format's errors
    for kernel in kernels:
        assert resources(kernel, tmp_path)[1] == 0
        assert ".ftz" not in kernel.asm["ptx"]


def test_a_device_without_kernels_is_measured_on_the_host():
    x = torch.randn(4, 64, dtype=torch.bfloat16, requires_grad=True)
    expected = block_measure(x.detach().float().numpy(), ["mxfp4"])
    assert measure_where_it_lives(x, ["mxfp4"]).tolist() == expected.tolist()
