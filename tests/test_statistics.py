import math
import os
import signal

import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from reference import reference, reference_counts
from tandv import statistics
from tandv.measure import add, host, measure

FLOAT8 = sorted(name for name in dir(torch) if name.startswith("float8_"))
inf, nan = math.inf, math.nan


@pytest.fixture(params=["numba", "numpy"])
def producer(request, monkeypatch):
    if request.param == "numpy":
        monkeypatch.setattr(host, "_compiled", lambda: None)
    return request.param


def summary(tensor) -> dict[str, float]:
    return {name: values[0].item() for name, values in statistics.summarise(measure([tensor])).items()}


def counts(tensor) -> dict[float, int]:
    return statistics.counts_of(measure([tensor])[0])


def assert_right(tensor, values=None, relative=1e-12):
    """Compare a tensor's measurement with the oracle's, which reads `values` (the same numbers in NumPy)."""
    values = np.asarray(tensor if values is None else values)
    expected, got = reference(values), summary(tensor)
    size = max(expected["mean_abs"], 0) if expected["mean_abs"] == expected["mean_abs"] else 0
    for name, value in expected.items():
        slack = relative * size if name in ("mean", "std") else 0
        assert got[name] == pytest.approx(value, rel=relative, abs=slack, nan_ok=True), name
    assert counts(tensor) == reference_counts(values)


def test_every_statistic_of_a_tensor_worked_out_by_hand(producer):
    got = summary(np.array([[3.0, -4.0], [0.0, nan], [inf, 5.0]], "float32"))
    assert got == {
        "mean": 1.0,
        "std": pytest.approx(math.sqrt(50 / 4 - 1)),
        "mean_abs": 3.0,
        "max_abs": 5.0,
        "min_abs": 0.0,
        "rm2": pytest.approx(math.sqrt(50 / 4)),
        "rm4": pytest.approx(((81 + 256 + 625) / 4) ** 0.25),
        "rm8": pytest.approx(((3**8 + 4**8 + 5**8) / 4) ** 0.125),
        "numel": 6,
        "zeros": 1,
        "nans": 1,
        "infs": 1,
        "calls": 1,
        "mantissa_bits": 2,  # of 5, which is 1.01 in binary
    }


def test_each_value_is_counted_in_its_power_of_two(producer):
    tensor = np.array([1.0, 1.9, -4.0, 0.0, 0.5, -inf, nan], "float32")
    assert counts(tensor) == {-inf: 1, -1: 1, 0: 2, 2: 1, inf: 1}


@pytest.mark.parametrize("name", ["float16", "bfloat16", *FLOAT8])
def test_every_bit_pattern_of_a_small_type(name, producer):
    dtype = np.dtype(getattr(ml_dtypes, name, name))
    patterns = np.arange(2 ** (8 * dtype.itemsize), dtype=f"uint{8 * dtype.itemsize}")
    values = patterns.view(dtype)
    with np.errstate(invalid="ignore"):
        tensor = torch.from_numpy(patterns).view(getattr(torch, name))
        assert_right(tensor, values.astype("float64"))
        assert measure([tensor])[0] == measure([values])[0]
        if dtype.itemsize == 2:  # large tensors are counted by pattern, another way through the producer
            assert_right(tensor.repeat(10), np.tile(values.astype("float64"), 10))


@pytest.mark.parametrize("name", ["float32", "float64"])
@pytest.mark.parametrize("seed", range(4))
def test_random_bit_patterns_of_a_large_type(name, seed, producer):
    size = np.dtype(name).itemsize
    patterns = np.random.default_rng(seed).integers(0, 256, (20_000, size), dtype=np.uint8)
    values = patterns.reshape(-1).view(name)
    with np.errstate(invalid="ignore"):
        assert_right(values)
        for start in range(0, 20_000, 2_500):  # each alone, so that no largest value hides the others
            assert_right(values[start : start + 3])


@pytest.mark.parametrize(
    "values",
    [
        np.full(5000, 1e30, "float32"),
        np.full(5000, 3.4e38, "float32"),
        np.full(5000, 1e-45, "float32"),
        np.linspace(1e-45, 1e-40, 5000, dtype="float32"),
        np.full(3, 1e-5, "float16"),
        np.random.default_rng(0).normal(0, 0.02, 5000).astype("float16"),
        np.random.default_rng(0).normal(1e6, 1, 100_000).astype("float32"),
        np.concatenate([[1e30], np.random.default_rng(0).normal(1, 1e-3, 9000)]).astype("float32"),
        np.concatenate([np.full(2048, 1e-44), np.zeros(2048), np.full(2048, 3e38)]).astype("float32"),
        np.array([1e308, -1e308, 5e-324]),
        np.full(3000, 5e-324),
        np.full(9, 1e200),
    ],
    ids=lambda x: f"{x.dtype}-{x.flat[0]:.0e}",
)
def test_nothing_overflows_underflows_or_cancels(values, producer):
    assert_right(values, relative=2e-9)


def test_zeros_give_zero_and_nothing_finite_gives_nan(producer):
    assert summary(np.zeros(5000, "float32"))["rm8"] == 0
    zeros = summary(np.zeros((2, 2), ml_dtypes.bfloat16))
    assert (zeros["std"], zeros["min_abs"], zeros["zeros"]) == (0, 0, 4)
    nothing = summary(np.array([nan, inf], "float16"))
    assert math.isnan(nothing["mean"]) and math.isnan(nothing["max_abs"])
    assert (nothing["numel"], nothing["nans"], nothing["infs"]) == (2, 1, 1)
    assert (summary(np.empty((0, 3), "float32"))["numel"], summary(np.float32(-2.0))["mean"]) == (0, -2)


def test_torch_tensors_of_any_layout_are_measured_whole(producer):
    grid = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
    for view in (grid.transpose(0, 2), grid[:, ::2, 1:], grid[:, :1].expand(2, 5, 4), grid[0, 0, 0]):
        assert_right(view, view.numpy())


def test_a_large_strided_tensor_is_one_call_and_needs_no_whole_copy(producer, monkeypatch):
    monkeypatch.setattr(host, "_COPY", 8)
    view = torch.arange(60, dtype=torch.float32).reshape(2, 5, 6)[:, :, 1:4]
    assert_right(view, view.numpy())
    assert summary(view)["calls"] == 1


def test_a_tensor_that_is_not_float_is_refused_by_name():
    with pytest.raises(TypeError, match=r"int32 cannot be measured; allowed are float32, bfloat16"):
        measure([np.arange(3, dtype="int32")])


finite_or_not = arrays.arrays(
    "float32", st.integers(0, 40), elements=st.floats(width=32, allow_nan=True, allow_infinity=True)
)


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(finite_or_not, st.lists(st.integers(0, 40), max_size=4))
def test_merging_any_split_equals_the_whole(values, cuts):
    parts = np.split(values, sorted(min(cut, values.size) for cut in cuts))
    merged = statistics.merge(measure(parts), np.zeros(len(parts), int))
    into_one = statistics.empty_rows(1)
    add(parts, [0] * len(parts), into_one)
    for rows in (merged, into_one):
        assert rows["calls"][0] == len(parts)
        got = {name: value[0].item() for name, value in statistics.summarise(rows).items()}
        expected = reference(values)
        size = expected["mean_abs"] if values.size else 0
        for name, value in expected.items():
            slack = 1e-11 * size if name in ("mean", "std") else 0
            assert got[name] == pytest.approx(value, rel=1e-11, abs=slack, nan_ok=True), name
        assert statistics.counts_of(rows[0]) == reference_counts(values)


def test_groups_merge_in_the_order_of_their_numbers():
    rows = measure([np.array([1.0]), np.array([2.0]), np.array([3.0, 5.0])])
    merged = statistics.merge(rows, np.array([7, 2, 7]))
    assert statistics.summarise(merged)["mean"].tolist() == [2.0, 3.0]
    assert merged["calls"].tolist() == [1, 2]


def test_rows_of_float64_and_float32_merge_after_widening():
    narrow, wide = measure([np.array([2.0**-149, 8.0], "float32")]), measure([np.array([1e-300])])
    merged = statistics.merge(np.concatenate([statistics.widen(narrow), wide]), np.zeros(2, int))
    assert statistics.counts_of(merged[0]) == {-997: 1, -149: 1, 3: 1}


def test_a_narrow_range_collects_the_rest_at_its_ends():
    rows = measure([np.array([2.0**-20, 2.0**-16, 1.0, 2.0**16, 2.0**17, inf, 0.0, nan], "float32")])
    table = statistics.exponent_counts(rows, -16, 16)
    assert table.shape == (1, 35)
    assert table[0, [0, 1, 17, 33, 34]].tolist() == [2, 1, 1, 1, 2]
    assert table.sum() + rows["nans"][0] == 8
    assert statistics.exponent_range(rows) == (-20, 17)


def test_wide_ranges_of_a_narrow_row_and_narrow_ranges_of_a_wide_row():
    narrow, wide = measure([np.array([1.0], "float32")]), measure([np.array([1e-300, 1.0])])
    assert statistics.exponent_counts(narrow, -200, 200)[0, 201] == 1
    assert statistics.exponent_counts(wide, -2, 2)[0].tolist() == [1, 0, 0, 1, 0, 0, 0]


def test_several_threads_measure_pieces_of_large_tensors(monkeypatch):
    monkeypatch.setattr(host, "_PIECE", 1000)
    tensors = [
        torch.randn(n).to(dtype) for n, dtype in ((5001, torch.float32), (3, torch.bfloat16), (0, torch.float32))
    ]
    rows, alone = statistics.empty_rows(4), statistics.empty_rows(4)
    for _ in range(2):
        add(tensors, [0, 3, 1], rows, threads=3)
        add(tensors, [0, 3, 1], alone)
    assert rows["calls"].tolist() == [2, 2, 0, 2]
    assert (rows["counts"] == alone["counts"]).all()
    one, other = statistics.summarise(rows), statistics.summarise(alone)
    for name, values in one.items():
        assert values == pytest.approx(other[name], rel=1e-12, nan_ok=True), name


@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_forked_process_measures_with_threads_of_its_own(monkeypatch):
    monkeypatch.setattr(host, "_PIECE", 1000)
    rows = statistics.empty_rows(1)
    add([torch.ones(5000)], [0], rows, threads=2)
    child = os.fork()
    if child == 0:
        signal.alarm(30)  # a child that waits for threads it does not have would wait for ever
        add([torch.ones(5000)], [0], rows, threads=2)
        os._exit(0 if rows["numel"][0] == 10_000 else 1)
    assert os.waitpid(child, 0)[1] == 0
