import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import triton
from measure.on_device import far_share, interpreted
from triton.backends.compiler import GPUTarget
from triton.runtime import driver

from reference import reference, reference_bits, reference_counts
from tandv import statistics
from tandv.measure import _launch, _triton, torch_operations
from tandv.measure.device import DeviceRows

pytestmark = pytest.mark.slow

TOOLS = Path(triton.__file__).parent / "backends/nvidia/bin"
random = np.random.default_rng(0)


def assert_right(row: np.void, values: np.ndarray, calls: int = 1):
    got = {name: found[0].item() for name, found in statistics.summarise(np.array([row])).items()}
    expected = reference(values)
    for name, value in expected.items():
        slack = 2e-6 * expected["mean_abs"] if name == "mean" else 0
        assert got[name] == pytest.approx(value, rel=2e-6, abs=slack), name
    assert got["calls"] == calls
    assert got["mantissa_bits"] == reference_bits(values)
    assert statistics.counts_of(row) == reference_counts(values)


def test_a_tensor_is_cut_into_shares_and_shares_into_chunks():
    sizes = [1, 1000, 1024, 1025, 9_999]  # the last in shares of 4,096, each of which has two chunks
    values = [random.normal(5, 1, size).astype("float32") for size in sizes]
    tensors = [torch.from_numpy(array) for array in values]
    each, together = interpreted(
        [[([tensor], [i]) for i, tensor in enumerate(tensors)], [(tensors, range(5))]], 5, small=True
    )
    for rows in (each, together):
        for row, array in zip(rows, values, strict=True):
            assert_right(row, array)


def test_chunks_that_the_look_ahead_did_not_expect_are_measured_again():
    pieces = [np.zeros(2048), np.full(2048, 1e-41), random.normal(0, 1e20, 2048), np.full(2048, 1e-30), np.zeros(5)]
    pieces += [np.full(2048, np.nan), random.normal(1e-20, 1e-24, 2048), np.full(2048, -1e38)]
    values = np.concatenate(pieces).astype("float32")
    (rows,) = interpreted([[([torch.from_numpy(values)], [0])]], 1, small=True)
    assert_right(rows[0], values)


def test_counts_of_a_few_exponents_are_packed_and_none_overflows():
    """As many alike as lanes ever add up, then, beyond what is looked at first, all 30 that are held, and a zero."""
    spread = 2.0 ** np.arange(-26, 4)
    values = np.concatenate([np.ones(_triton.CHUNK), np.repeat(spread, 7), [0.0]]).astype("float32")
    (rows,) = interpreted([[([torch.from_numpy(values)], [0])]], 1, alone=True)
    assert_right(rows[0], values)
    assert statistics.counts_of(rows[0])[0] == _triton.CHUNK + 7


def test_a_row_whose_tensors_become_larger_keeps_what_it_has():
    values = [random.normal(0, size, size).astype("float32") for size in (3, 2000, 6000, 10)]
    tensors = [torch.from_numpy(array) for array in values]
    steps = [[([tensor, tensor], [0, 2]) for tensor in tensors], [([tensors[1]], [2])]]
    first, second = interpreted(steps, 3, small=True)
    for place in (0, 2):
        assert_right(first[place], np.concatenate(values), calls=4)
    assert_right(second[2], values[1])
    assert second["numel"].tolist() == [0, 0, 2000]


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_tensors_that_begin_anywhere(dtype):
    values = torch.from_numpy(random.normal(0, 1, 6000)).to(getattr(torch, dtype))
    parts = [values[start:stop] for start, stop in ((1, 2), (1, 3), (3, 6000), (5, 1200), (2, 2), (7, 1031))]
    (rows,) = interpreted([[(parts, range(6))]], 6, small=True)
    for row, part in zip(rows, parts, strict=True):
        if part.numel():
            assert_right(row, part.double().numpy())
    assert (rows["numel"][4], rows["calls"][4]) == (0, 1)


def test_elements_beyond_2_to_the_31():
    (row,) = far_share([1.0, -2.0, 0.0, 4.0])
    assert statistics.counts_of(row) == {-np.inf: 1, 0: 1, 1: 1, 2: 1}
    assert float(row["max_abs"]) == 4


class Gpu:
    """Stands for the driver of a GPU that is not there: kernels are compiled for it."""

    def __init__(self, capability: int):
        self._capability = capability

    def get_current_target(self):
        return GPUTarget("cuda", self._capability, 32)

    def get_current_device(self):
        return self._capability

    def get_current_stream(self, device):
        return 0


@pytest.fixture(params=[80, 90], ids="sm_{}".format)
def compiled(request, monkeypatch):
    """Return what is compiled, as (name, kernel), when tensors are measured; nothing is launched."""
    usual, kernels = driver._active, []

    def run(self, kernel, grid, *arguments, **options):
        done = kernel.warmup(*arguments, grid=grid, **options, num_warps=_launch._WARPS)
        kernels.append((kernel.fn.__name__, done))

    monkeypatch.setattr(_launch.Launches, "_run", run)
    gpu: Any = Gpu(request.param)
    driver.set_active(gpu)
    yield kernels
    driver._active = usual


def resources(kernel, tmp_path) -> tuple[int, int]:
    """Return a kernel's registers and its bytes of slow memory for each thread."""
    binary = tmp_path / "kernel.cubin"
    binary.write_bytes(kernel.asm["cubin"])
    shown = subprocess.run([TOOLS / "cuobjdump", "-res-usage", binary], capture_output=True, text=True, check=True)
    found = re.search(r"REG:(\d+).*STACK:(\d+).*LOCAL:(\d+)", shown.stdout + shown.stderr)
    assert found, shown
    registers, stack, local = map(int, found.groups())
    return registers, stack + local


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "float8_e4m3fn"])
def test_kernels_compile_ahead_without_spilling_registers(dtype, compiled, tmp_path):
    rows = DeviceRows("cpu", 2, producer="triton")
    tensor = torch.zeros(4096, dtype=getattr(torch, dtype))
    rows.add([tensor], [0])
    rows.add([tensor, tensor], [0, 1])
    rows.send()
    assert [name for name, _ in compiled] == ["measure_one", "measure_many", "fold"]
    for name, kernel in compiled:
        registers, slow = resources(kernel, tmp_path)
        assert slow <= 16, name  # of what is kept from chunk to chunk; loops over tiles use none
        assert registers <= 168
        assert ".ftz" not in kernel.asm["ptx"]  # which would take subnormals for zeros
    wide = "ld.global.v2.b32" if dtype.startswith("float8") else "ld.global.v4.b32"
    assert [wide in kernel.asm["ptx"] for _, kernel in compiled] == [True, True, False]


def test_tensors_of_any_size_and_place_need_no_other_kernel(compiled):
    rows = DeviceRows("cpu", 40, producer="triton")
    tensor = torch.zeros(70_001)
    for start, stop, place in ((0, 70_001, 1), (0, 1, 0), (1, 17, 16), (16, 1040, 3), (5, 5, 5)):
        rows.add([tensor[start:stop]], [place])
    assert len({id(kernel) for _, kernel in compiled}) == 1


def test_there_is_one_launch_for_each_type_and_its_table_is_sent_once(compiled, monkeypatch):
    sent, send = [], torch_operations.send
    monkeypatch.setattr(torch_operations, "send", lambda *given: sent.append(given) or send(*given))
    rows = DeviceRows("cpu", 6, producer="triton")
    weights = [torch.zeros(10, dtype=dtype) for dtype in (torch.float32, torch.bfloat16) for _ in range(3)]
    for _ in range(3):
        rows.add(weights, range(6))
    assert [name for name, _ in compiled] == ["measure_many"] * 6
    assert len(sent) == 6  # for each type: tensors, programs, and the values that patterns of 8 bits have
