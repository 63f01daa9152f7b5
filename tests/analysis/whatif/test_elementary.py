"""Logarithms and powers of two, against those of NumPy."""

import numpy as np
import pytest
from numba import njit

from tandv.analysis.whatif._elementary import COMPILED, exp2, log2


@njit
def _all(x, logs, powers):
    for i in range(len(x)):
        logs[i], powers[i] = log2(2.0 ** x[i]), exp2(x[i])


def test_logarithms_and_powers_of_two_have_ten_digits():
    x = np.concatenate([np.linspace(-1000, 1000, 4001), np.linspace(-2, 2, 401)])
    logs, powers = np.empty(len(x)), np.empty(len(x))
    _all(x, logs, powers)
    np.testing.assert_allclose(logs, x, rtol=0, atol=1e-9)
    np.testing.assert_allclose(powers, np.exp2(x), rtol=1e-10)


def test_whole_powers_are_exact_and_what_is_very_small_is_as_good_as_none():
    assert [exp2(float(n)) for n in (-3, 0, 10)] == [0.125, 1, 1024]
    assert log2(0.25) == -2
    assert exp2(-1e9) == pytest.approx(0, abs=1e-300)


def test_a_caller_whose_sums_may_be_reordered_gets_the_same_powers():
    own = njit(**COMPILED)(exp2.py_func)  # compiled with the first that calls it

    @njit(fastmath={"reassoc", "contract", "nsz"})
    def caller(x):
        return own(x)

    assert caller(0.5) == pytest.approx(2**0.5, rel=1e-10)
