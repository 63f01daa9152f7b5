import numpy as np
import pytest

from tandv.analysis.transitions.significance import log_tail, log_tails, looks, surety


def test_the_tail_of_student_and_of_the_normal():
    assert np.exp(log_tail(1.644854, 1e9)) == pytest.approx(0.05, rel=1e-4)
    assert np.exp(log_tail(2.015048, 5)) == pytest.approx(0.05, rel=1e-4)
    assert log_tail(-3.0, 5) == pytest.approx(np.log(0.5))
    assert log_tail(40.0, np.inf) == pytest.approx(-804.6, abs=0.1)  # beyond what a float holds
    assert log_tails(np.array([2.0, 2.0]), np.array([5.0, np.inf])) == pytest.approx([log_tail(2, 5), log_tail(2, 1e9)])


def test_surety_is_the_normal_z_that_is_as_unlikely():
    assert surety(2.015048, 5) == pytest.approx(1.644854, abs=1e-4)
    assert surety(7.0, np.inf) == 7.0


def test_a_curve_has_fewer_places_for_wide_windows():
    assert np.exp(looks(1000, np.array([1, 10, 1000]))) == pytest.approx([2000, 200, 2])
