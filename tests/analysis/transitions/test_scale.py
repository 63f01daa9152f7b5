import numpy as np
import pytest

from tandv.analysis.transitions.scale import scaled

N = 600
X = np.arange(N) / N


def noise(seed=0):
    return np.random.default_rng(seed).standard_normal(N)


def test_noise_in_proportion_to_the_value_asks_for_logarithms():
    on = scaled(3 * np.exp(-6 * X) * (1 + 0.05 * noise()))
    assert on.scale == "log" and on.values[0] == pytest.approx(np.log(3), abs=0.2)


def test_even_noise_stays_as_it_is_whatever_it_is_called():
    assert scaled(5 + np.exp(-6 * X) + 0.05 * noise()).scale == "linear"
    assert scaled(np.exp(-6 * X)).scale == "linear"  # no noise at all


def test_shares_of_samples_are_recognised_by_their_values():
    right = np.random.default_rng(0).binomial(200, 1 - 0.9 * np.exp(-8 * X)) / 200
    on = scaled(right)
    assert on.scale == "share" and on.values.max() == pytest.approx(np.pi / 2)
    assert scaled(100 * right).scale == "share"
    # the arcsine of a share of m has the standard deviation 1 / (2 sqrt(m)) wherever it is
    assert on.values[20:80].std() < 0.2 and on.floor[0] == pytest.approx(0.4 / np.sqrt(200))
    in_between = np.clip(1 - 0.9 * np.exp(-8 * X) + 0.001 * noise(), 0, 1)
    assert scaled(in_between).scale != "share"


def test_a_scale_that_is_asked_for_is_taken_or_refused():
    assert scaled(np.array([1.0, np.e]), "log").values.tolist() == [0, 1]
    assert scaled(np.array([0.0, 1.0]), "share").values == pytest.approx([0, np.pi / 2])
    with pytest.raises(ValueError, match=r"values='log' is for positive values; loss has -1; choose values='linear'"):
        scaled(np.array([-1.0, 2.0]), "log", "loss")
    with pytest.raises(ValueError, match=r"from 0 to 1, or to 100 %; loss has -1 to 2; choose"):
        scaled(np.array([-1.0, 2.0]), "share", "loss")
