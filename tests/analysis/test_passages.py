"""The first step at which a curve is at its threshold, read off curves drawn by hand."""

import numpy as np
import pandas as pd
import pytest

from tandv.analysis.passages import emergence, first_passage


def test_the_window_forgives_a_dip_but_not_a_spike():
    steps = np.arange(0, 200, 10)
    dip = pd.Series(np.where(steps >= 50, 1.0, 0.0), steps, name="acc")
    dip[70] = 0.2
    assert first_passage(dip, 0.9, window=100).step == 50
    assert first_passage(dip, 0.9, stays=5).step == 80
    spike = pd.Series(np.where(steps >= 120, 1.0, 0.0), steps, name="acc")
    spike[30] = 1.0
    assert first_passage(spike, 0.9).step == 30
    assert first_passage(spike, 0.9, window=50).step == 120


def test_a_run_stopped_on_success_has_passed():
    stopped = pd.Series([0.1, 0.5, 0.96], [0, 10, 20], name="acc")
    assert first_passage(stopped, 0.95, window=100).step == 20


def test_steps_need_not_be_in_order_and_the_threshold_itself_counts():
    assert first_passage(pd.Series({30: 1.0, 10: 0.1, 20: 0.9}, name="acc"), 0.9).step == 20


def test_each_capability_emerges_at_its_own_threshold():
    curves = {
        "step": [0, 100, 200, 300],
        "addition": [0.1, 0.6, 0.4, 0.9],
        "carrying": [0.0, 0.0, 0.2, 0.3],
        "copying": [0.9, 0.9, 0.9, 0.9],
    }
    assert [found.step for found in emergence(curves, 0.5)] == [100, None, 0]
    by_name = emergence(curves, {"copying": 0.95, "carrying": 0.2})
    assert [(found.quantity, found.step) for found in by_name] == [("copying", None), ("carrying", 200)]
    assert by_name[0].words == "copying did not reach 0.95 by step 300 (highest: 0.9 at 0)"


def test_a_capability_has_to_stay():
    curves = {"step": [0, 100, 200, 300, 400], "addition": [0.1, 0.6, 0.4, 0.9, 0.9]}
    assert [emergence(curves, 0.5, stays=n)[0].step for n in (1, 2, 3)] == [100, 300, None]
    words = emergence(curves, 0.5, stays=3)[0].words
    assert words == "addition reached 0.5 at step 100 but did not stay there for 3 points by step 400"
    with pytest.raises(ValueError, match="there is no curve 'sums'; stays is 0; .* the curves are 'addition'"):
        emergence(curves, {"sums": 0.5}, stays=0)


def test_emergence_says_where_a_curve_looks_like_percent():
    with pytest.warns(UserWarning, match=r"addition \(up to 90\): this looks like percent"):
        emergence({"addition": [0.0, 60.0, 90.0]}, 0.5)
    assert emergence({"train_loss": [2.0, 0.4]}, 0.5)[0].step == 0  # a loss is no percentage, and nothing is said


def test_steps_that_are_fractions_stay_so():
    found = first_passage(pd.Series([0.1, 0.9, 1.0], index=[0.25, 0.5, 0.75], name="acc"), 0.8)
    assert (found.step, found.after) == (0.5, 0.25) and "at step 0.5, after 0.25" in found.words
