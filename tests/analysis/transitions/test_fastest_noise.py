import numpy as np
import pytest

from tandv.analysis.transitions.fastest_noise import local_sigma

N = 1000
NONE = np.zeros(N, bool)


def test_the_local_noise_follows_the_curve_and_is_even_where_windows_differ_by_chance():
    rng = np.random.default_rng(0)
    louder = np.where(np.arange(N) < 500, 1.0, 5.0) * rng.standard_normal(N)
    sigma = local_sigma(louder, NONE)
    assert sigma[:400].mean() == pytest.approx(1, rel=0.15) and sigma[600:].mean() == pytest.approx(5, rel=0.15)
    even = local_sigma(rng.standard_normal(N), NONE)
    assert np.log(even).std() < 0.1


def test_points_that_are_gone_do_not_count():
    values = np.random.default_rng(0).standard_normal(N)
    gone = (np.arange(N) >= 300) & (np.arange(N) < 330)
    values[gone] = 100 * (-1.0) ** np.arange(30)
    assert local_sigma(values, gone).mean() == pytest.approx(1, rel=0.1)
