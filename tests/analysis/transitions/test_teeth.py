import numpy as np
import pytest

from tandv.analysis.transitions.teeth import season

N = 600
STEPS = np.arange(N)
NOISE = 0.02 * np.random.default_rng(0).standard_normal(N)
SIGMA = np.full(N, 0.02)


@pytest.mark.parametrize("cycles", [6, 10, 20])
def test_jumps_with_a_period_are_a_season(cycles):
    period = N // cycles
    period_found, part = season(np.exp(-STEPS / 100) + 0.3 * (STEPS % period) / period + NOISE, SIGMA)
    assert period_found == period
    assert np.ptp(part) == pytest.approx(0.3, abs=0.06) and part.mean() == pytest.approx(0, abs=0.02)


def test_fewer_than_five_are_not():
    restarts = np.exp(-(STEPS % 120) / 30)  # four, after the start
    assert season(restarts + NOISE, SIGMA)[0] == 0


def test_what_stays_is_a_staircase():
    assert season(-0.3 * (STEPS // 60) + NOISE, SIGMA)[0] == 0


def test_noise_has_none():
    period, part = season(NOISE, SIGMA)
    assert period == 0 and not part.any()


@pytest.mark.parametrize("period", [50, 97])
def test_small_teeth_are_seen_between_means(period):
    small = 0.08 * (STEPS % period) / period  # four standard deviations: between single points, 2.8
    assert season(np.exp(-STEPS / 100) - small + NOISE, SIGMA)[0] == pytest.approx(period, abs=1)


def test_a_random_walk_has_no_season():
    walks = np.cumsum(np.random.default_rng(1).standard_normal((40, N)), axis=1)
    assert not any(season(walk, np.ones(N))[0] for walk in walks)
