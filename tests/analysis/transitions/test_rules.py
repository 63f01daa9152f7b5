import numpy as np
import pandas as pd
import pytest

from tandv.analysis.transitions import change_points, jumps, relative_jumps, threshold_crossings


def steps(found):
    return [t.step for t in found]


def test_relative_jumps_are_more_than_a_fifth_of_the_value_before():
    curve = pd.Series([1.0, 1.19, 1.2, 1.6, -1.6, 0.0, 1.0], index=[0, 10, 20, 30, 40, 50, 60], name="loss")
    assert steps(relative_jumps(curve)) == [30, 40, 50, 60]
    assert steps(relative_jumps(curve, threshold=0.1)) == [10, 30, 40, 50, 60]


def test_rounding_is_no_relative_jump():
    assert relative_jumps(pd.Series([1e-30, 2e-30, 1.0, 1.0])[:2]) != []
    assert relative_jumps(pd.Series([1.0, 1.0 + 1e-9]), threshold=1e-10) == []


def test_threshold_crossings_are_the_first_ones():
    curve = pd.Series([0.0, 0.3, 0.6, 0.2, 0.9, 1.0], name="acc")
    assert steps(threshold_crossings(curve)) == [2]
    assert steps(threshold_crossings(curve, thresholds=(0.25, 0.95, 2.0))) == [1, 5]
    falling = threshold_crossings(1 - curve, thresholds=(0.5,))
    assert [(t.start, t.end, t.before, t.after) for t in falling] == [(1, 2, 0.7, 0.4)]


def test_jumps_are_outliers_of_the_pace():
    # Six paces of 1, six of -1, one of 20: their median is 1, the median distance from it 2, so z = 19 / (1.4826 * 2).
    values = np.cumsum([0, 1, -1, 1, -1, 1, -1, 20, 1, -1, 1, -1, 1, -1])
    [one] = jumps(pd.Series(values, name="norm"))
    assert one.step == 7
    assert one.evidence.z == pytest.approx(19 / (1.4826 * 2), rel=1e-6)


def test_a_jump_is_a_pace_and_not_a_gap():
    uneven = np.array([0, 1, 2, 3, 4, 104, 105, 106, 107])
    assert jumps(pd.Series(uneven * 0.5, index=uneven)) == []


def test_rounding_is_no_jump():
    assert jumps(pd.Series(1 + 1e-9 * np.array([0, 0, 0, 0, 1, 1, 1, 1.0]))) == []


def test_change_points_cut_a_smooth_decay_as_well():
    smooth = change_points(pd.Series(np.exp(-np.arange(300) / 60), name="loss"))
    assert len(smooth) >= 2


def test_false_alarms_are_counted_on_null_curves():
    rng = np.random.default_rng(0)
    curve = pd.Series(0.2 + 0.1 * rng.standard_normal(200) + 2 * (np.arange(200) > 100), name="loss")
    [rate] = {t.evidence.false_alarms for t in relative_jumps(curve, nulls=5)}
    assert rate > 100  # most pairs of neighbours differ by a fifth in noise like this
    assert {t.evidence.false_alarms for t in jumps(curve, nulls=5)} == {0.0}
