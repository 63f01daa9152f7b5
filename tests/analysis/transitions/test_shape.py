import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter

from tandv.analysis.transitions import p_value, transitions

N = 400
X = np.arange(N) / N


def noise(seed, size=0.05):
    return size * np.random.default_rng(seed).standard_normal(N)


@pytest.mark.parametrize(
    "shape", [np.cos(np.pi * X), 3 * np.exp(-8 * X), (1 + 100 * X) ** -0.6], ids=["cosine", "decay", "power law"]
)
def test_noise_on_a_stretch_that_is_faster_than_the_rest_is_no_transition(shape):
    assert min(p_value(pd.Series(2 + shape + noise(seed))) for seed in range(4)) > 0.01


def test_an_oscillation_has_none_and_one_rise_in_it_is_kept():
    wave = np.sin(2 * np.pi * 4 * X)
    assert [transitions(pd.Series(wave + noise(seed, 0.1))) for seed in range(6)] == [[]] * 6
    [one] = transitions(pd.Series(0.1 * wave + (X >= 0.5) + noise(0)))
    assert abs(one.step - N / 2) <= 2


def test_a_rise_in_a_decay_is_no_oscillation():
    [one] = transitions(pd.Series(3 * np.exp(-4 * X) + (X >= 0.4) + noise(1)))
    assert one.step == 160 and one.after > one.before


def test_jumps_of_noise_that_remembers_do_not_last_and_steps_in_it_do():
    found = {"noise": 0, "step": 0}
    for seed in (8, 11, 15, 19, 36, 47):  # of which the largest jump is far beyond the others
        shocks = np.random.default_rng(seed).standard_t(3, N + 200) / np.sqrt(3)
        red = np.asarray(lfilter([0.6], [1, -0.8], shocks))[200:]
        found["noise"] += len(transitions(pd.Series(red)))
        found["step"] += len(transitions(pd.Series(red + 10 * (X >= 0.5))))
    assert found["noise"] == 0 and found["step"] >= 5
