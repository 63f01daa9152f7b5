import numpy as np
import pytest
from scipy.signal import lfilter

from tandv.analysis.transitions.memory import log_p_of_few


def red(seed, n, memory):
    shocks = np.random.default_rng(seed).standard_normal(n + 200)
    return np.asarray(lfilter([np.sqrt(1 - memory**2)], [1, -memory], shocks))[200:]


def test_a_jump_of_ten_standard_deviations_is_no_memory():
    jump = 10 * (np.arange(25) > 12)
    assert all(log_p_of_few(jump + red(seed, 25, 0.0), 9, 16) < np.log(0.004) for seed in range(10))
    assert all(log_p_of_few(red(seed, 25, 0.0), 9, 16) > np.log(0.05) for seed in range(10))


def test_noise_that_remembers_rarely_looks_like_a_change():
    p = [min(log_p_of_few(red(seed, 30, 0.8), at, at + 6) for at in (4, 10, 16, 20)) for seed in range(60)]
    assert sum(one < np.log(0.05) for one in p) <= 3


def test_scale_and_level_make_no_difference_and_exact_curves_are_certain():
    curve = red(3, 40, 0.3) + 5.0 * (np.arange(40) > 20)
    assert log_p_of_few(1000 * curve + 7, 18, 23) == pytest.approx(log_p_of_few(curve, 18, 23), rel=1e-6)
    assert log_p_of_few(np.repeat([1.0, 3.0], 20), 19, 20) < -100


def test_too_few_values_for_the_fit_tell_nothing():
    assert log_p_of_few(np.array([1.0, 1.1, 3.0, 3.1]), 1, 2) == 0.0
