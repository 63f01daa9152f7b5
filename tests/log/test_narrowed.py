"""Numbers as float32 where that holds them."""

import numpy as np
import pytest

from tandv.log.narrowed import narrowed


@pytest.mark.parametrize("value", [1e300, -1e39, 1e-45, -1e-300])
def test_what_float32_cannot_hold_stays_float64(value):
    values = np.array([0.0, value, np.nan, np.inf])
    np.testing.assert_array_equal(narrowed(values), values)
    assert narrowed(values).dtype == np.float64


@pytest.mark.parametrize("value", [0.0, 3.4e38, -(2.0**-126), np.nan, -np.inf])
def test_what_float32_holds_takes_half_the_memory(value):
    found = narrowed(np.array([1.0, value]))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.array([1.0, value], np.float32))


def test_other_numbers_become_float32():
    assert narrowed(np.array([1, 2], np.int64)).dtype == np.float32
