import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter
from scipy.special import ndtr, ndtri

from tandv.analysis.transitions import Evidence, Transition, find_transitions
from tandv.analysis.transitions.sharpness import sharpness

STEPS = np.arange(0, 4000, 10)


def logistic(slope, noise=0.0, seed=0):
    error = noise * np.random.default_rng(seed).standard_normal(len(STEPS))
    return pd.Series(2 - 1.5 / (1 + np.exp(-slope * (STEPS - 1800))) + error, index=STEPS, name="loss")


def test_width_and_slope_of_a_logistic_curve_are_its_own():
    curve = logistic(0.02)
    [found] = find_transitions(curve, nulls=0)
    sharp = sharpness(curve, found)
    assert sharp.quantity == "loss"
    assert sharp.slope == pytest.approx(0.02, rel=1e-6)
    assert sharp.width == pytest.approx(2 * np.log(9) / 0.02, rel=1e-6)  # 219.7 steps
    assert sharp.middle == pytest.approx(1800, abs=1e-3)
    assert sharp.low <= sharp.slope <= sharp.high and sharp.high - sharp.low < 1e-6
    assert sharp.unexplained < 1e-9


def test_the_interval_holds_the_true_slope_about_as_often_as_it_says():
    held = widths = 0
    for seed in range(60):
        curve = logistic(0.02, 0.1, seed)
        sharp = sharpness(curve, Transition("loss", 1690, 1800, 1910, 2.0, 0.5, Evidence()), confidence=0.9)
        held += sharp.low <= 0.02 <= sharp.high
        widths += sharp.high - sharp.low
    assert 48 <= held <= 60  # 54 expected; five standard deviations are 11.6, those below are checked
    assert widths / 60 < 0.01


def test_more_confidence_is_a_wider_interval():
    curve = logistic(0.02, 0.05)
    [found] = find_transitions(curve, nulls=0)
    narrow, wide = sharpness(curve, found, confidence=0.5), sharpness(curve, found, confidence=0.99)
    assert wide.low < narrow.low < narrow.slope < narrow.high < wide.high


def test_a_jump_between_two_records_has_no_largest_slope():
    curve = pd.Series(np.where(STEPS < 2000, 0.0, 1.0), index=STEPS, name="acc")
    [found] = find_transitions(curve, nulls=0)
    sharp = sharpness(curve, found)
    assert sharp.high == np.inf and sharp.width < 10
    assert 1990 <= sharp.middle <= 2000


def test_too_few_values_give_nan():
    found = Transition("loss", 10, 20, 30, 0.0, 1.0, Evidence())
    sharp = sharpness(pd.Series([0.0, 0.5, 1.0], index=[10, 20, 30]), found)
    assert np.isnan(sharp[1:]).all()


FOUND = Transition("loss", 1690, 1800, 1910, 2.0, 0.5, Evidence())


def test_flanks_that_rise_or_fall_by_themselves_do_not_change_the_slope():
    trend = np.where(STEPS < 1800, -1e-3, 4e-4) * (STEPS - 1800)
    share = 1 / (1 + np.exp(-0.02 * (STEPS - 1800)))
    curve = pd.Series(2 - 1.5 * share + trend, index=STEPS, name="loss")
    blended = pd.Series(2 - 1.5 * share + (STEPS - 1800) * (-1e-3 * (1 - share) + 4e-4 * share), index=STEPS)
    sharp = sharpness(blended, FOUND)
    assert sharp.slope == pytest.approx(0.02, rel=1e-6) and sharp.high - sharp.low < 1e-6
    sharp = sharpness(curve, FOUND)  # whose flanks turn at once, which no logistic curve does
    assert sharp.low < 0.02 < sharp.high and 1.0005 < sharp.high / sharp.low < 1.5


def test_an_interval_of_a_smooth_shape_that_is_not_logistic_is_narrow_and_not_nothing():
    width = 220.0  # from a tenth to nine tenths, of a normal distribution's
    curve = pd.Series(ndtr((STEPS - 1800) / width * 2 * ndtri(0.9)), index=STEPS, name="accuracy")
    sharp = sharpness(curve, FOUND)
    assert sharp.width == pytest.approx(width, rel=0.05)
    assert sharp.low < 2 * np.log(9) / width < sharp.high < 1.5 * sharp.low


def test_noise_with_memory_widens_the_interval():
    white = np.random.default_rng(0).standard_normal(len(STEPS) + 100)
    red = np.asarray(lfilter([np.sqrt(1 - 0.8**2)], [1, -0.8], white))[100:]
    without, noisy = (sharpness(logistic(0.02) + 0.1 * x, FOUND) for x in (white[100:], red))
    assert noisy.high / noisy.low > 1.3 * without.high / without.low
