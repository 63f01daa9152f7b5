import math

import numpy as np
import pytest

from tandv.checkpoints.tails import power_law, spikes

RANDOM = np.random.default_rng(0)


def quantiles(alpha: float, count: int) -> np.ndarray:
    """Return values as evenly as a density that falls like x^-alpha from 1 on has them."""
    return (1 - (np.arange(count) + 0.5) / count) ** (-1 / (alpha - 1))


@pytest.mark.parametrize("alpha", [2.0, 3.5, 6.0])
def test_the_exponent_of_a_power_law_is_found(alpha):
    assert power_law(quantiles(alpha, 2000)) == pytest.approx(alpha, rel=0.03)


def test_it_is_that_of_the_tail_and_of_no_scale():
    bulk = np.linspace(0.01, 0.9, 1500)
    values = np.concatenate([bulk, quantiles(3.0, 500)])
    assert power_law(values) == pytest.approx(3.0, rel=0.1)
    assert power_law(1e6 * values) == pytest.approx(power_law(values), rel=1e-9)


def test_the_fit_is_the_closest_of_all_starts():
    x = np.sort(RANDOM.pareto(1.7, 60)) + 1
    best, closest = math.nan, math.inf
    for start in range(len(x) - 10 + 1):  # Clauset, Shalizi & Newman 2009, equation 3.1 and section 3.3
        tail = x[start:]
        alpha = 1 + len(tail) / np.log(tail / tail[0]).sum()
        fitted = 1 - (tail / tail[0]) ** (1 - alpha)
        observed = np.arange(len(tail) + 1) / len(tail)
        distance = max(np.abs(fitted - observed[1:]).max(), np.abs(fitted - observed[:-1]).max())
        if distance < closest:
            best, closest = alpha, distance
    assert power_law(x) == pytest.approx(best, rel=1e-12)


def test_too_few_values_and_equal_ones_have_no_tail():
    assert math.isnan(power_law(np.arange(1.0, 20)))
    assert math.isnan(power_law(np.concatenate([np.zeros(50), np.arange(1.0, 20)])))
    assert math.isnan(power_law(np.ones(50)))


def eigenvalues(w: np.ndarray) -> np.ndarray:
    return np.linalg.svd(w, compute_uv=False)[::-1] ** 2


@pytest.mark.parametrize("shape", [(400, 400), (600, 150)])
def test_noise_has_no_spikes_and_what_is_planted_is_counted(shape):
    for spread in (1.0, 1e-3):
        noise = spread * RANDOM.standard_normal(shape)
        assert spikes(eigenvalues(noise), shape[0]) == 0
        left, right = (np.linalg.qr(RANDOM.standard_normal((n, 3)))[0] for n in shape)
        edge = spread * (math.sqrt(shape[0]) + math.sqrt(shape[1]))
        assert spikes(eigenvalues(noise + left @ np.diag([3, 2, 1.5]) * edge @ right.T), shape[0]) == 3


def test_few_matrices_of_noise_have_a_spike():
    found = [spikes(eigenvalues(RANDOM.standard_normal((60, 40))), 60) for _ in range(500)]
    assert 1 <= sum(found) <= 25  # 1 % of large matrices; the median of only 40 eigenvalues varies, which makes it 3 %


def test_without_noise_all_that_is_not_zero_stands_out():
    assert spikes(np.array([0, 0, 0, 0, 0, 2.0, 3.0]), 9) == 2
    assert spikes(np.zeros(3), 5) == 0
