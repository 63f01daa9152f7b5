"""Spikes of a loss."""

import numpy as np
import pytest

from tandv.analysis.findings.spikes import loss_spikes


@pytest.mark.parametrize(("height", "found"), [(1.29, [40]), (1.28, [])])
def test_a_calm_loss_spikes_by_a_quarter_of_its_logarithm(height, found):
    loss = np.ones(60)
    loss[40] = height  # log 1.29 = 0.255, log 1.28 = 0.247
    assert loss_spikes(loss) == found


def test_a_noisy_loss_must_leave_its_noise():
    loss = np.where(np.arange(60) % 2, 1.0, np.exp(0.1))  # differences of 0.1: a spread of 0.148
    for height, found in ((np.exp(0.88), []), (np.exp(0.9), [40])):
        loss[40] = height  # 13 of the 25 values before are 1: six spreads above are 0.89
        assert loss_spikes(loss) == found


def test_a_spike_is_told_once_and_a_falling_loss_has_none():
    loss = np.ones(100)
    loss[40:44] = 3.0
    loss[80] = 3.0
    assert loss_spikes(loss) == [40, 80]
    assert loss_spikes(np.geomspace(9.0, 0.1, 100)) == []


def test_infinity_is_a_spike_and_steps_without_a_loss_are_none():
    loss = np.ones(60)
    loss[::2] = np.nan
    assert loss_spikes(loss) == []
    loss[57] = np.inf
    assert loss_spikes(loss) == [57]
    assert loss_spikes(np.full(5, np.nan)) == []
