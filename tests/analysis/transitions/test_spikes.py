import numpy as np
import pytest

from tandv.analysis.transitions.spikes import Spike, bridged, recovers, soon, spikes

N = 400
STEPS = np.arange(N)
NOISE = 0.1 * np.random.default_rng(0).standard_normal(N)
SIGMA = np.full(N, 0.1)


def falling_back(at, half_life):
    return np.where(at <= STEPS, 2.0 ** (-np.maximum(STEPS - at, 0) / half_life), 0.0)


def test_a_sudden_excursion_that_recovers_is_one_spike():
    [one] = spikes(NOISE + 5 * falling_back(200, 2), SIGMA)
    assert (one.first, one.peak) == (200, 200) and one.height == pytest.approx(5, abs=0.4)
    assert 206 <= one.last <= 214  # 5 / 2 ** 5 is 1.5 standard deviations: after 10 points
    [dip] = spikes(NOISE - 5 * falling_back(200, 2), SIGMA)
    assert dip.height == pytest.approx(-5, abs=0.4)


def test_spikes_that_follow_each_other_are_told_apart():
    found = spikes(NOISE + 5 * falling_back(200, 3) + 4 * falling_back(212, 3), SIGMA)
    assert [s.first for s in found] == [200, 212]


@pytest.mark.parametrize(
    "curve",
    [5.0 * (STEPS >= 200), 5.0 * ((STEPS >= 200) & (STEPS < 240)), 5 * np.exp(-STEPS / 20), np.sin(STEPS / 60)],
    ids=["step", "plateau", "decay", "oscillation"],
)
def test_what_stays_or_is_slow_is_none(curve):
    assert spikes(curve + NOISE, SIGMA) == []


def test_a_bridge_is_a_chord():
    line = np.arange(20.0)
    bent = line.copy()
    bent[8:12] += 30
    out, gone = bridged(bent, [Spike(8, 8, 11, 30.0, 30.0)])
    assert out == pytest.approx(line) and gone.nonzero()[0].tolist() == [8, 9, 10, 11]
    whole, gone = bridged(bent, [Spike(1, 8, 18, 30.0, 30.0)])  # most of the curve: its noise
    assert whole.tolist() == bent.tolist() and not gone.any()


def test_recovering_is_soon():
    assert soon(100) == 10 and soon(2000) == 50
    assert recovers(falling_back(200, 5), 199, 200, 1)  # 0.4 of it after 7 points
    assert not recovers(falling_back(200, 20), 199, 200, 1)
    assert not recovers(1.0 * (STEPS >= 200), 199, 200, 1)


def test_a_single_late_recovery_is_a_spike_and_equal_distances_are_restarts():
    [one] = spikes(NOISE + 5 * falling_back(200, 12), SIGMA)
    assert (one.first, one.peak) == (200, 200) and 240 <= one.last <= 290  # 5 / 2 ** 5 after 60 points
    restarts = sum(5 * falling_back(at, 20) for at in (133, 266))
    assert spikes(NOISE + restarts, SIGMA) == []
    falling = -0.1 * STEPS + 3.0 * (STEPS >= 200)  # the trend takes the step back within 30 points
    assert spikes(NOISE + falling, SIGMA) == []


def test_the_way_back_of_a_spike_is_none():
    dip = NOISE - 5.0 * np.isin(STEPS, [200, 201, 202])
    assert [s.first for s in spikes(dip, SIGMA)] == [200]
    assert spikes(dip, SIGMA)[0].last <= 204


def test_a_spike_on_the_way_back_of_another_is_found():
    found = spikes(NOISE + 5 * falling_back(200, 4) + 4 * falling_back(205, 1.5), SIGMA)
    assert [s.first for s in found] == [200, 205]


def test_a_chord_ends_at_the_level_between_two_spikes():
    curve = np.where((STEPS >= 100) & (STEPS < 110) | (STEPS >= 112) & (STEPS < 120), 5.0, 0.0)
    clean, gone = bridged(curve, [Spike(100, 100, 109, 5.0, 50.0), Spike(112, 112, 119, 5.0, 50.0)])
    assert clean.tolist() == [0.0] * N and gone.sum() == 18
