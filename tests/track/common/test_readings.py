import numpy as np
import pytest

from tandv.track.common.measurements import Quantity, StepMeasurements
from tandv.track.common.readings import FINAL, LAST, LEFT_OVER, chosen
from tandv.track.common.stash import Stashed


@pytest.mark.parametrize(
    "read, counts",
    [
        ({FINAL: True, 1: False, LAST: False}, FINAL),
        ({1: False, 3: True, 2: False}, 3),
        ({1: False, LAST: False}, LAST),
        ({1: False, LAST: True}, 1),
        ({LAST: True}, None),
        ({LEFT_OVER: True}, LEFT_OVER),
        ({LEFT_OVER: False}, None),
        ({LEFT_OVER: True, 1: False}, 1),
    ],
)
def test_the_reading_that_counts(read, counts):
    assert chosen(read) == counts


def of(name, reading):
    return Quantity((name,), name, "Linear", "Weight_Gradient", reading=reading)


def largest(array):
    return {"max_abs": np.abs(array).max()}


@pytest.mark.parametrize("make", [StepMeasurements, lambda: Stashed(largest)], ids=["measured", "stashed"])
def test_a_step_has_one_row_of_each_tensor_whatever_was_read_of_it(make):
    measurements = make()
    readings = [
        ("cleared", 1, 3.0), ("cleared", LAST, 0.0),
        ("clipped", 1, 3.0), ("clipped", LAST, 1.0),
        ("received", 1, 3.0), ("received", 2, 6.0), ("received", FINAL, 2.0),
        ("stale", LEFT_OVER, 5.0), ("zeroed", LEFT_OVER, 0.0),
    ]  # fmt: skip
    for name, reading, value in readings:
        measurements.add([np.full(2, value, np.float32)], [of(name, reading)])
    block = measurements.take(0)
    found = dict(zip([quantity.name for quantity in block.quantities], block.scalars["max_abs"].tolist(), strict=True))
    assert found == {"cleared": 3.0, "clipped": 1.0, "received": 2.0, "zeroed": 0.0}
    assert block.scalars["calls"].tolist() == [1, 1, 1, 1]


def test_readings_of_very_many_rows_are_told_apart_when_they_are_merged_on_the_way():
    measurements = StepMeasurements()
    measurements.at_most = 4
    for n in range(10):
        measurements.add([np.full(2, float(n), np.float32)], [of("arrived", n + 1)])
    measurements.add([np.full(2, 0.5, np.float32)], [of("arrived", FINAL)])
    block = measurements.take(0)
    assert (block.scalars["max_abs"].tolist(), block.scalars["calls"].tolist()) == ([0.5], [1])
