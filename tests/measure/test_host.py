"""Measuring one tensor in a hook takes a shorter way than measuring many; the rows are the same."""

import pytest

from tandv import measure, statistics
from tandv.measure import host

torch = pytest.importorskip("torch")

VALUES = torch.tensor([1.5, -3.0, 0.0, -0.0, torch.inf, torch.nan, 1e-40, 2.0**-20] * 600)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("size", [0, 3, 4800])
def test_one_tensor_is_measured_as_many_are(dtype, size):
    tensor, row = VALUES[:size].to(dtype), statistics.empty_rows(1)
    assert measure.add_one(tensor, row.ctypes.data) and measure.add_one(tensor, row.ctypes.data)
    assert row["calls"] == 2
    assert row.tobytes() == _as_many([tensor, tensor]).tobytes()


@pytest.mark.parametrize(
    "tensor",
    [torch.ones(4, 4)[:, ::2], torch.ones(2, 3).T, torch.ones(2, dtype=torch.float64), VALUES.numpy()],
    ids=["with gaps", "transposed", "float64", "NumPy"],
)
def test_other_tensors_are_left_to_the_way_of_many(tensor):
    row = statistics.empty_rows(1)
    assert not measure.add_one(tensor, row.ctypes.data)
    assert row.tobytes() == statistics.empty_rows(1).tobytes()


def test_a_large_tensor_is_left_to_several_threads(monkeypatch):
    monkeypatch.setattr(host, "_PIECE", 2)
    row = statistics.empty_rows(1)
    assert not measure.add_one(torch.ones(4), row.ctypes.data, threads=2)
    assert measure.add_one(torch.ones(4), row.ctypes.data, threads=1)


def test_without_numba_one_tensor_is_left_to_the_way_of_many(monkeypatch):
    monkeypatch.setattr(host, "_compiled", lambda: None)
    assert not measure.add_one(torch.ones(4), statistics.empty_rows(1).ctypes.data)


def _as_many(tensors):
    rows = statistics.empty_rows(1)
    measure.add(tensors, [0] * len(tensors), rows)
    return rows
