"""The data of a page: what stands out in a curve, and what JSON cannot hold."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from tandv.analysis.transitions import Evidence, Transition
from tandv.page.content import content, summary

STEP = Transition("loss", 2, 3, 4, 2.0, 1.0, Evidence(effect=8.0, p=0.01))


def test_statistics_worked_out_by_hand():
    curve = pd.Series([3.0, math.nan, -1.0, math.inf, 4.0], index=[0, 5, 10, 15, 20])
    found = summary(curve)
    assert found.pop("std") == pytest.approx(math.sqrt(14 / 3))
    counts = {"known": 3, "missing": 1, "infinite": 1}
    places = {"smallest": -1.0, "smallest_at": 10, "largest": 4.0, "largest_at": 20}
    assert found == counts | places | {"first": 3.0, "last": 4.0, "mean": 2.0}


def test_a_curve_without_a_value_has_no_statistics():
    assert summary(pd.Series([math.nan, math.nan])) == {"known": 0, "missing": 2, "infinite": 0}


def test_a_constant_has_no_spread_whatever_its_rounding():
    found = summary(pd.Series([0.1] * 7))
    assert (found["mean"], found["std"]) == (0.1, 0.0)


def test_values_too_large_for_a_mean_do_no_harm():
    assert summary(pd.Series([1.7e308, -1e308, 1.7e308]))["mean"] == "inf"


def test_everything_is_json():
    curves = {"step": [0, 1, 2], "loss": [1.0, np.nan, np.inf], "other": [-np.inf, 2.0, 3.0]}
    found = content(curves, transitions=[STEP])
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["runs"][0]["values"] == {"loss": [1.0, None, "inf"], "other": ["-inf", 2.0, 3.0]}
    evidence = {"effect": 8.0, "p": 0.01, "kind": "", "uncertain": True}
    places = {"start": 2, "step": 3, "end": 4, "before": 2.0, "after": 1.0}
    assert found["transitions"] == [{"run": "", "metric": "loss", **places, **evidence}]


def test_transitions_of_several_runs_stand_with_their_run():
    found = content({"a": {"loss": [1.0]}, "b": {"loss": [2.0]}}, transitions={"b": [STEP]})
    assert [(one["run"], one["metric"]) for one in found["transitions"]] == [("b", "loss")]


def test_extremes_are_at_the_steps_that_there_are_fractions_too():
    found = summary(pd.Series([3.0, 1.0, 2.0], index=[0.5, 1.25, 2.0]))
    assert (found["smallest_at"], found["largest_at"]) == (1.25, 0.5)
