import numpy as np
import pytest
from scipy.signal import lfilter

from tandv.analysis.transitions.noise import measure, noise_of
from tandv.analysis.transitions.pace import windows

N = 1000
NONE = np.zeros(N, bool)


def growth(values):
    bank = windows(np.arange(float(len(values))), values)
    return bank.widths, noise_of(measure(values, NONE[: len(values)], bank, 0.0), bank)


def average_growth(make):
    all_of = [growth(make(np.random.default_rng(seed)))[1].growth for seed in range(20)]
    return np.exp(np.mean(np.log(all_of), axis=0))


def test_white_noise_does_not_grow():
    # the slope of each curve is cut off below that of white noise, so that the mean over curves is a little larger
    assert average_growth(lambda rng: rng.standard_normal(N)) == pytest.approx(1, abs=0.3)


def test_a_random_walk_grows_in_proportion_to_the_width():
    widths, _ = growth(np.random.default_rng(0).standard_normal(N))
    # sd of the difference of means of a walk: sqrt(2 h / 3 + 1 / 3 h); of white noise of its second differences,
    # whose standard deviation is sqrt(1 / 3): sqrt(2 / 3 h)
    right = np.sqrt(2 * widths / 3 + 1 / (3 * widths)) / np.sqrt(2 / (3 * widths))
    assert average_growth(lambda rng: np.cumsum(rng.standard_normal(N))) == pytest.approx(right, rel=0.25)


def test_autocorrelated_noise_stops_growing():
    def red(rng):
        return np.asarray(lfilter([1.0], [1, -0.8], rng.standard_normal(N + 200)))[200:]

    found = average_growth(red)
    assert found[3] > 2 and found[-1] / found[-4] < 1.5


def test_few_windows_give_few_degrees_of_freedom_and_heavy_tails_fewer():
    rng = np.random.default_rng(0)
    _, noise = growth(rng.standard_normal(N))
    assert noise.freedom[0] > 50 > 10 > noise.freedom[-1]
    _, heavy = growth(rng.standard_t(3, N))
    assert heavy.freedom[0] < 20
