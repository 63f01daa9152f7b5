"""Moments around planted transitions, and rates beside the rates that chance gives."""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from tandv.analysis.moments import (
    CriticalMoment,
    MissingCheckpoint,
    compare_moments,
    get_experiment_summary,
    identify_moments,
    nearest_checkpoint,
)
from tandv.curves import as_curves, beside_each_other, run_curves
from tandv.curves.of_run import line


class Jump(NamedTuple):
    quantity: str
    start: int
    step: int
    end: int
    before: float
    after: float


def steps_of(moments: list[CriticalMoment]) -> list[tuple[int, str]]:
    return [(moment.step, moment.moment_type) for moment in moments]


LOSS = {"step": list(range(0, 101, 10)), "loss": [10, 10, 10, 8, 8, 8, 8, 2, 2, 2, 0.0]}


def test_each_transition_gives_three_moments_in_time_order():
    transitions = [Jump("loss", 60, 65, 70, 8, 2), Jump("loss", 20, 25, 30, 10, 8)]
    moments = identify_moments(LOSS, transitions=transitions, experiment_name="mlp")
    expected = [(20, "before_jump"), (20, "during_jump"), (30, "after_jump"), (60, "before_jump")]
    assert steps_of(moments)[:4] == expected
    assert len(moments) == 6
    assert moments[0].experiment_name == "mlp"
    assert moments[5].jump_info == {
        "quantity": "loss",
        "start": 60,
        "step": 65,
        "end": 70,
        "before": 8,
        "after": 2,
        "strength": 0.6,
        "also": [],
    }


def test_the_strongest_are_kept():
    transitions = [Jump("loss", 20, 25, 30, 10, 8), Jump("loss", 60, 65, 70, 8, 2), Jump("loss", 90, 95, 100, 2, 0)]
    assert {m.jump_info["start"] for m in identify_moments(LOSS, 1, transitions=transitions) if m.jump_info} == {60}
    assert len(identify_moments(LOSS, 2, transitions=transitions)) == 6
    assert len(identify_moments(LOSS, 9, transitions=transitions)) == 9  # none are made up
    assert identify_moments(LOSS, transitions=[]) == []


def test_what_changes_at_the_same_time_is_one_moment():
    curves = LOSS | {"accuracy": [0] * 7 + [0.9] * 4, "norm": [1.0] * 6 + [2, 2, 2, 2, 3]}
    transitions = [
        Jump("loss", 60, 65, 70, 8, 2),
        Jump("accuracy", 60, 65, 70, 0, 0.9),
        Jump("norm", 50, 55, 60, 1, 2),
    ]
    moments = identify_moments(curves, transitions=transitions)
    assert len(moments) == 3
    assert moments[0].jump_info is not None
    assert (moments[0].jump_info["quantity"], moments[0].jump_info["also"]) == ("accuracy", ["loss", "norm"])


def test_a_transition_at_one_point_is_seen_from_its_neighbours():
    spike = [Jump("loss", 70, 70, 70, 8, 2)]
    assert [m.step for m in identify_moments(LOSS, transitions=spike)] == [60, 70, 80]


def test_moments_are_steps_with_a_known_value():
    curves = pd.DataFrame(LOSS).set_index("step")
    curves.loc[[60, 70], "loss"] = np.nan
    moments = identify_moments(curves, transitions=[Jump("loss", 60, 65, 70, 8, 2)])
    assert [m.step for m in moments] == [50, 50, 80]


def test_transitions_of_other_curves_are_refused():
    with pytest.raises(ValueError, match=r"transitions of \['acc'\] are not of these curves, 'loss'"):
        identify_moments(LOSS, transitions=[Jump("acc", 0, 5, 10, 0, 1)])


def test_moments_are_found_without_being_told():
    steps = np.arange(0, 2000, 10)
    noise = np.random.default_rng(0).normal(size=len(steps)) * 0.01
    curves = {"step": steps, "acc": 0.1 + 0.8 / (1 + np.exp(-(steps - 1200) / 10)) + noise}
    before, during, after = identify_moments(curves)
    assert 1000 <= before.step < 1200 < after.step <= 1400
    assert abs(during.step - 1200) <= 30
    assert during.jump_info is not None
    assert during.jump_info["evidence"]["p"] <= 0.05


def test_a_summary_says_what_is_there_and_what_is_not():
    curves = LOSS | {"accuracy": [math.nan] * 9 + [0.5, 0.6]}
    transitions = [Jump("loss", 60, 65, 70, 8, 2), Jump("loss", 20, 25, 30, 10, 8)]
    assert get_experiment_summary(curves, transitions=transitions, checkpoints=[100, 0]) == {
        "steps": 11,
        "first_step": 0,
        "last_step": 100,
        "quantities": ["loss", "accuracy"],
        "num_jumps": 2,
        "mean_magnitude": pytest.approx(0.4),  # 6 and 2 of 10
        "checkpoints": [0, 100],
        "not_finite": [],
        "missing": [
            "accuracy has no value at 9 of 11 steps, first at step 0",
            "accuracy has 2 known values, too few to look for transitions",
        ],
    }
    assert get_experiment_summary({"loss": [1.0] * 20})["missing"] == ["no checkpoints"]
    diverged = {"step": range(0, 40, 2), "loss": [1.0] * 17 + [float("inf"), float("nan"), float("nan")]}
    found = get_experiment_summary(diverged)
    assert found["missing"][0] == "loss has no value from step 36 on, at 2 of 20 steps"
    assert found["not_finite"] == ["loss is infinite at 1 of 20 steps, first at step 34"]


def test_a_summary_calls_nan_what_was_given_as_nan(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    values = [{"loss": 1.0 if step < 25 else math.nan, **({"val": 0.5} if step % 4 == 0 else {})} for step in range(40)]
    (tmp_path / "curves.jsonl").write_text("".join(line(step, given) for step, given in enumerate(values)))
    curves = run_curves(tmp_path)
    found = get_experiment_summary(curves)
    assert (found["not_finite"], found["missing"]) == (
        ["loss is NaN from step 25 on, at 15 of 40 steps"], ["no checkpoints"],
    )  # fmt: skip
    more = beside_each_other(as_curves({"grade": [1.0] * 20 + [math.nan] * 20}), curves)
    found = get_experiment_summary(more)
    assert found["not_finite"] == ["loss is NaN from step 25 on, at 15 of 40 steps"]
    assert found["missing"][0] == "grade has no value from step 20 on, at 20 of 40 steps"


def test_the_nearest_checkpoint_lies_on_the_right_side():
    checkpoints = [1000, 1198, 1203, 1400]
    assert nearest_checkpoint(1200, checkpoints) == 1198
    assert nearest_checkpoint(CriticalMoment("", 1200, "before_jump"), checkpoints) == 1198
    assert nearest_checkpoint(CriticalMoment("", 1202, "before_jump"), checkpoints) == 1198
    assert nearest_checkpoint(CriticalMoment("", 1199, "after_jump"), checkpoints) == 1203
    assert nearest_checkpoint(CriticalMoment("", 1202, "during_jump"), checkpoints) == 1203
    assert nearest_checkpoint(CriticalMoment("", 1203, "after_jump"), checkpoints) == 1203


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        (1200, "no checkpoint within 10 steps of 1,200; the nearest are 1,000 and 1,400; allow more with within="),
        (CriticalMoment("", 1395, "before_jump"), "within 10 steps before 1,395; the nearest are 1,000 and 1,400"),
        (CriticalMoment("", 1005, "after_jump"), "within 10 steps after 1,005; the nearest are 1,000 and 1,400"),
        (2000, "the nearest is 1,400"),
    ],
)
def test_a_missing_checkpoint_is_said_with_the_nearest(moment, words):
    with pytest.raises(MissingCheckpoint, match=words):
        nearest_checkpoint(moment, [1400, 1000])
    assert nearest_checkpoint(moment, [1400, 1000], within=1000) in (1000, 1400)


def test_no_checkpoints_at_all():
    with pytest.raises(MissingCheckpoint, match="within 10 steps of 1,200: there is none at all"):
        nearest_checkpoint(1200, [])


def test_two_moments_are_compared_by_their_curves():
    curves = LOSS | {"fc1": [0.0] * 5 + [4.0] * 6, "fc2": [2.0] * 10 + [math.nan]}
    table = compare_moments(curves, CriticalMoment("", 0, "before_jump"), 70)
    assert table.loc["loss"].tolist() == [10, 2, -8, -0.8]
    assert table.loc["fc1", "change"] == 4
    assert math.isnan(table.loc["fc1", "relative_change"])
    assert math.isnan(compare_moments(curves, 0, 100).loc["fc2", "after"])
    with pytest.raises(ValueError, match=r"no row for step 12 \(nearest: 10\), 1,000 \(nearest: 100\)"):
        compare_moments(curves, 12, 1000)


def test_steps_that_are_fractions_of_epochs_stay_so():
    accuracy = pd.DataFrame({"acc": [0.1] * 20 + [0.2, 0.5, 0.8] + [0.9] * 20}, index=np.arange(43) / 4)
    moments = identify_moments(accuracy)
    assert [moment.step for moment in moments] == [5.0, 5.25, 5.5]
    assert compare_moments(accuracy, moments[0], moments[2]).loc["acc", "change"].item() == pytest.approx(0.6)
