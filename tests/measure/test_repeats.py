"""Expanded tensors: what lies in memory once is read once, and counted as often as it stands."""

import math

import numpy as np
import pytest
import torch
from measure.on_device import PRODUCERS, measured

from tandv import measure, statistics
from tandv.measure.repeats import once_each, times

MANY = 10**11  # of these elements no machine has a copy


def host(tensor):
    return measure.measure([tensor])[0]


def on_rows(producer):
    return lambda tensor: measured(producer, [([tensor], [0])])[0][0]


def of_each(make):
    """Return a parameter for each producer; Triton's kernels are slow to interpret."""
    return [pytest.param(make(one), id=one, marks=[pytest.mark.slow] if one == "triton" else []) for one in PRODUCERS]


@pytest.mark.parametrize("measure_one", [pytest.param(host, id="measure"), *of_each(on_rows)])
def test_an_expanded_tensor_is_measured_without_a_copy(measure_one):
    row = measure_one(torch.tensor([[3.0], [-4.0], [0.0], [math.inf]]).expand(4, MANY))
    assert {name: int(row[name]) for name in ("numel", "zeros", "infs", "nans", "calls")} == {
        "numel": 4 * MANY,
        "zeros": MANY,
        "infs": MANY,
        "nans": 0,
        "calls": 1,
    }
    found = {name: values[0].item() for name, values in statistics.summarise(np.array([row])).items()}
    assert (found["max_abs"], found["min_abs"]) == (4.0, 0.0)
    assert found["mean"] == pytest.approx(-1 / 3)
    assert found["std"] == pytest.approx(math.sqrt(25 / 3 - 1 / 9))
    assert found["rm4"] == pytest.approx(((81 + 256) / 3) ** 0.25)
    assert statistics.counts_of(row) == {-math.inf: MANY, 1: MANY, 2: MANY, math.inf: MANY}


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("producer", of_each(str))
def test_an_expanded_tensor_and_another_of_the_same_row_are_merged(producer, together):
    """A module that is called twice in a step, once with a large expanded output."""
    expanded, plain = torch.tensor(0.5).expand(3 << 20), torch.tensor([2.25, -8.0, math.nan, 0.0])
    calls = [([expanded, plain], [1, 1])] if together else [([plain], [1]), ([expanded], [1])]
    row = measured(producer, calls, calls)[1][1]  # of the second step, which begins with nothing
    n = (3 << 20) + 3  # finite values
    assert [int(row[name]) for name in ("numel", "nans", "zeros", "calls")] == [n + 1, 1, 1, 2]
    found = {name: values[0].item() for name, values in statistics.summarise(np.array([row])).items()}
    assert (found["max_abs"], found["min_abs"], found["mantissa_bits"]) == (8.0, 0.0, 3)  # 2.25 is 1.001 in binary
    total, squares, fourths = (2.25**p + (-8.0) ** p + (3 << 20) * 0.5**p for p in (1, 2, 4))
    assert found["mean"] == pytest.approx(total / n)
    assert found["mean_abs"] == pytest.approx((total + 16) / n)
    assert found["std"] == pytest.approx(math.sqrt(squares / n - (total / n) ** 2), rel=1e-6)
    assert found["rm4"] == pytest.approx((fourths / n) ** 0.25)
    assert statistics.counts_of(row) == {-math.inf: 1, -1: 3 << 20, 1: 1, 3: 1}


def test_an_expanded_array_and_float64():
    row = measure.measure([np.broadcast_to(np.array([2.0, 0.5])[:, None], (2, MANY))])[0]
    assert (row["numel"], row["max_abs"], row["calls"]) == (2 * MANY, 2.0, 1)
    assert statistics.summarise(np.array([row]))["mean"][0] == 1.25


def test_a_large_tensor_with_gaps_is_measured_part_by_part(monkeypatch):
    monkeypatch.setattr("tandv.measure.host._COPY", 4)
    grid = torch.arange(24.0).reshape(4, 6)[:, ::2]
    rows = measure.measure([grid, torch.ones(2)])
    assert rows["numel"].tolist() == [12, 2] and rows["calls"].tolist() == [1, 1]
    assert statistics.summarise(rows)["mean"].tolist() == [11.0, 1.0]
    assert statistics.summarise(rows)["std"][0] == pytest.approx(grid.std(correction=0).item())


def test_tensors_that_lie_in_memory_once_are_left_alone():
    grid = torch.ones(3, 1, 4)
    assert once_each(grid) is grid
    assert once_each(grid.expand(3, 7, 4)).shape == (3, 1, 4)
    assert once_each(torch.ones(()).expand(5)).shape == (1,)


def test_extremes_and_calls_do_not_grow():
    rows = times(measure.measure([torch.tensor([2.0, -1.0])]), 3)
    assert (rows["numel"][0], rows["sum"][0], rows["max_abs"][0], rows["min_abs"][0], rows["calls"][0]) == (
        6,
        3,
        2,
        1,
        1,
    )
