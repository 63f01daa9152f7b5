import math

import numpy as np
import pytest

from tandv.checkpoints.moments import join, moments_of, unit_of


@pytest.mark.parametrize("size", [1e-310, 1e-200, 1e200, 1.5e308])
def test_extreme_values_are_divided_by_a_power_of_two_near_them(size):
    values = np.array([size, -size / 4])
    unit = unit_of(values)
    assert math.frexp(unit)[0] == 0.5
    assert 1 <= size / unit < 2
    assert ((values / unit) * unit == values).all()


@pytest.mark.parametrize("values", [np.zeros(3), np.array([1e-50, 1e50]), np.array([np.inf, 1.0]), np.ones(2, "f4")])
def test_all_others_are_left_as_they_are(values):
    assert unit_of(values) == 1


def test_tensors_of_different_units_join():
    large, small = np.array([2.0**700, 2.0**699]), np.array([3.0, 5.0])
    joined = join(moments_of(small), moments_of(large / 2.0**700, 2.0**700))
    assert (joined.size, joined.low, joined.high, joined.unit) == (4, 3, 2.0**700, 2.0**700)
    assert joined.mean == 1.5 / 4  # in the unit: what is small beside it vanishes
    assert joined.squares == pytest.approx(1.25, rel=1e-15)
    assert join(moments_of(small), moments_of(small)).power2 == 4
