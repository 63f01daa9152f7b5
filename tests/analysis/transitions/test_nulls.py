import numpy as np
import pandas as pd
import pytest

from tandv.analysis.transitions import transitions
from tandv.analysis.transitions.nulls import false_alarms, null_curves

STEPS = np.arange(0, 5000, 5)


def red_noise(memory, seed=0):
    white, out = np.random.default_rng(seed).standard_normal(1000), np.zeros(1000)
    for k in range(1, 1000):
        out[k] = memory * out[k - 1] + white[k]
    return out


def neighbours(values):
    return np.corrcoef(values[:-1], values[1:])[0, 1]


def test_null_curves_have_the_steps_and_the_trend_but_not_the_transition():
    curve = pd.Series(10 * np.exp(-STEPS / 1000) + 3 * (STEPS > 2500) + 0.1 * red_noise(0), index=STEPS, name="loss")
    nulls = null_curves(curve, 4)
    assert nulls.index.tolist() == STEPS.tolist() and nulls.shape == (1000, 4)
    for name in nulls:
        assert transitions(nulls[name], nulls=0) == []
        assert nulls[name].iloc[:20].mean() - nulls[name].iloc[400:480].mean() == pytest.approx(8.4, abs=0.5)


def test_blocks_keep_what_neighbours_have_in_common():
    assert neighbours(null_curves(pd.Series(red_noise(0.8)), 1)[0]) == pytest.approx(0.8, abs=0.1)
    assert abs(neighbours(null_curves(pd.Series(red_noise(0.0)), 1)[0])) < 0.15


def test_noise_stays_where_it_is_loud():
    curve = pd.Series(red_noise(0) * np.where(STEPS < 2500, 0.1, 1.0))
    null = null_curves(curve, 1)[0]
    assert null[:450].std() == pytest.approx(0.1, rel=0.25)
    assert null[550:].std() == pytest.approx(1.0, rel=0.25)


def test_a_seed_gives_the_same_again():
    curve = pd.Series(red_noise(0.5))
    pd.testing.assert_frame_equal(null_curves(curve, 2), null_curves(curve, 2))
    assert not np.allclose(null_curves(curve, 1), null_curves(curve, 1, seed=1))


def test_false_alarms_are_those_in_a_thousand_steps():
    def first_and_last(curve, nulls):
        return [curve.index[0], curve.index[-1]]

    curve = pd.Series(red_noise(0), index=STEPS)
    assert false_alarms(curve, first_and_last, count=3) == pytest.approx(2 * 1000 / 4995)
    assert false_alarms(curve, transitions, count=3) == 0


def test_too_short_a_curve_says_so():
    with pytest.raises(ValueError, match="loss has 3 known values; null curves need at least 8"):
        null_curves(pd.Series([1.0, np.nan, 2.0, 3.0], name="loss"))
    assert np.isnan(false_alarms(pd.Series([1.0, 2.0]), transitions))
