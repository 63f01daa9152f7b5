"""Two runs: aligned by names and steps, and where they part."""

import numpy as np
import pytest
from hand_made import ALL, ask, error_of, line_of, log_of

from tandv.log import logframe
from tandv.log.shown import ABSENT, NAN
from tandv.page.answers import answers_of

HEAT = {"kind": "heat", "tt": "Activation", "metric": "rm2", **ALL}


def values_of(*layers, steps=range(3), factor=1.0):
    return {
        ("Activation", layer, step): {"rm2": factor * ord(layer[0]) * 2.0**step} for layer in layers for step in steps
    }


def test_layers_and_steps_are_aligned_whatever_their_order():
    one = log_of(values_of("a", "b", "mine", steps=[0, 1, 2, 9]))
    rows = values_of("theirs", "b", "a", steps=[2, 0, 1], factor=0.25)
    head, (ratio, flags, _) = ask(answers_of(one, log_of(rows)), against=1, **HEAT)
    np.testing.assert_array_equal(ratio[:2], [[2, 2, 2, np.nan]] * 2)
    assert np.isnan(ratio[2]).all()
    assert flags.tolist() == [[0, 0, 0, ABSENT]] * 2 + [[ABSENT] * 4]
    assert head["parted"] == 0
    assert head["base"] == (
        "log2 of rm2 over that of run 1; they part at step 0 by more than rounding (0.1%); only here: mine; "
        "only in run 1: theirs; 3 of 4 steps are in both"
    )


def test_runs_without_a_common_layer_are_not_said_to_agree():
    head, (ratio, _, _) = ask(answers_of(log_of(values_of("a", "b")), log_of(values_of("c"))), against=1, **HEAT)
    assert head["base"] == "log2 of rm2 over that of run 1; no layer is in both: a, b here, c in run 1"
    assert head["parted"] is None and np.isnan(ratio).all()


def test_a_run_does_not_part_from_itself():
    log = logframe.example_log()  # whose last gradient is NaN in both
    head, (ratio, _, _) = ask(answers_of(log, log), against=1, **HEAT | {"tt": "Gradient"})
    assert head["parted"] is None and "none of this type differs by more than rounding (0.1%)" in head["base"]
    assert np.nanmax(np.abs(ratio)) == 0


@pytest.mark.parametrize(("factor", "parted"), [(1.0005, None), (1.002, 2), (np.nan, 2), (np.inf, 2)])
def test_they_part_where_a_tensor_differs_by_more_than_rounding(factor, parted):
    rows = values_of("a", "b")
    other = {place: dict(row) for place, row in rows.items()}
    other["Activation", "b", 2]["rm2"] *= factor
    other["Activation", "b", 2]["nans"] = int(np.isnan(factor))
    head, _ = ask(answers_of(log_of(rows), log_of(other)), against=1, **HEAT)
    assert head["parted"] == parted


def test_the_step_where_they_part_is_that_of_all_steps_whatever_is_shown():
    one, other = line_of({0: 1.0, 1: 1.0, 2: 1.0}), line_of({0: 1.0, 1: 2.0, 2: 2.0})
    head, (ratio, _, _) = ask(answers_of(one, other), against=1, **HEAT | {"from": 2})
    assert head["parted"] == 1 and ratio.tolist() == [[-1]]


def test_the_largest_value_of_a_coarse_format_may_differ_by_two_units_in_the_last_place():
    def largest(value):
        return log_of({("Activation", "fc", 0): {"rm2": 1.0, "max_abs": value}}, dtype="bfloat16")

    answers = answers_of(largest(1.0), largest(1.0 + 2**-7), largest(1.0 + 2**-5))
    asked = HEAT | {"metric": "max_abs"}
    assert ask(answers, against=1, **asked)[0]["parted"] is None
    assert ask(answers, against=2, **asked)[0]["parted"] == 0


def test_a_mean_near_zero_is_compared_on_the_scale_of_the_values():
    def mean(value):
        return log_of({("Activation", "fc", 0): {"rm2": 1.0, "mean": value}})

    answers = answers_of(mean(1e-5), mean(2e-5), mean(0.01))
    assert ask(answers, against=1, **HEAT | {"metric": "mean"})[0]["parted"] is None
    assert ask(answers, against=2, **HEAT | {"metric": "mean"})[0]["parted"] == 0


def test_nan_of_the_other_run_is_flagged():
    one = log_of({("Activation", "fc", 0): {"rm2": 1.0}})
    other = log_of({("Activation", "fc", 0): {"rm2": 2.0, "nans": 3}})
    _, (ratio, flags, _) = ask(answers_of(one, other), against=1, **HEAT)
    assert ratio.tolist() == [[-1]] and flags.tolist() == [[NAN]]


def test_runs_without_a_step_in_common_are_said_to_be_so():
    head, (ratio, flags, _) = ask(answers_of(line_of({0: 1.0}), line_of({5: 1.0})), against=1, **HEAT)
    assert head["base"] == "log2 of rm2 over that of run 1; no step is in both" and head["parted"] is None
    assert np.isnan(ratio).all() and flags.tolist() == [[ABSENT]]


def test_what_cannot_be_compared_is_said():
    answers = answers_of(line_of({0: 1.0}), line_of({0: 1.0}, tt="Weight"), {"loss": [1.0]})
    assert error_of(answers, against=1, **HEAT) == "run 1 cannot be compared with: it has no Activation"
    assert error_of(answers, against=2, **HEAT) == "run 2 has curves only: no tensor of it was logged"
    assert error_of(answers, against=3, **HEAT) == "against 3: there are 3 runs, numbered from 0"
