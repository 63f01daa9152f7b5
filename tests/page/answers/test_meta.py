"""What a run has, and where its page opens."""

import numpy as np
import pytest
from hand_made import ask, line_of, log_of, patient

from tandv.curves import as_curves
from tandv.log import logframe
from tandv.page.answers import CurvesOnly, Run, answers_of
from tandv.page.answers.answers import Answers
from tandv.page.answers.curves_of_a_run import RunCurves
from tandv.page.answers.table import TableSource


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    patient(monkeypatch)


ROUNDED = "Steps beyond 9,007,199,254,740,992 are shown to the nearest number of float64."


def test_a_log_says_what_it_has():
    log = logframe.example_log()
    head, (steps,) = ask(answers_of(log), kind="meta")
    assert steps.tolist() == list(range(50))
    assert head["holds"] == "log" and head["runs"] == [head["name"]] == [head["title"]]
    assert head["types"] == {tt: logframe.layers(log) for tt in logframe.EXAMPLE_TYPES}
    assert head["metrics"] == logframe.scalar_metrics(log)
    assert (head["low"], head["high"]) == (-24, 15)
    assert head["phases"] == [] and head["phase"] is None and head["ranks"] == [] and head["rank"] is None
    assert head["meanings"]["std"] == "standard deviation of the values"
    assert all(head["meanings"][name] for name in head["metrics"])
    assert head["transitionsRule"] == "faster than before and after"


def test_formats_are_the_common_ones_and_those_of_the_tensors():
    head, _ = ask(answers_of(line_of({0: 1.0})), kind="meta")
    assert list(head["formats"]) == ["e4m3", "e5m2", "fp16", "bf16", "fp32"]
    assert head["formats"]["e4m3"] == {
        "name": "float8_e4m3fn",
        "bits": 8,
        "max": 448.0,
        "smallest_normal": 2.0**-6,
        "smallest_subnormal": 2.0**-9,
        "overflows_above": 464.0,
        "vanishes_at": 2.0**-10,
    }


def test_a_float64_log_has_limits_that_json_can_hold():
    head, _ = ask(answers_of(log_of({("Weight", "fc", 0): {"rm2": 1.0, 0: 8}}, dtype="float64")), kind="meta")
    assert head["formats"]["fp64"]["max"] == np.finfo(float).max


def test_it_opens_at_the_first_infinity():
    head, _ = ask(answers_of(logframe.example_log()), kind="meta")
    assert head["start"] == {"tt": "Activation", "layer": "head", "step": 45, "metric": "rm2", "format": "fp16"}


@pytest.mark.parametrize(("dtype", "short"), [("float16", "fp16"), ("float8_e5m2", "e5m2"), ("float32", "e4m3")])
def test_a_run_that_overflows_in_a_narrow_format_opens_with_its_limits(dtype, short):
    rows = {("Activation", layer, step): {"rm2": 1.0} for step in range(3) for layer in "ab"}
    rows["Activation", "b", 2] = {"rm2": 1.0, "infs": 3}
    head, _ = ask(answers_of(log_of(rows, dtype=dtype)), kind="meta")
    assert (head["start"]["layer"], head["start"]["step"], head["start"]["format"]) == ("b", 2, short)
    rows["Activation", "b", 2] = {"rm2": 1.0}
    head, _ = ask(answers_of(log_of(rows, dtype=dtype)), kind="meta")
    assert head["start"]["format"] == "e4m3"


def test_a_good_run_opens_at_its_end_at_the_layer_that_changed_most():
    rows = {("Activation", layer, step): {"rm2": 1.0} for step in range(8) for layer in "abc"}
    rows["Activation", "b", 7] = {"rm2": 0.125}
    rows["Activation", "c", 7] = {"rm2": 4.0}
    head, _ = ask(answers_of(log_of(rows)), kind="meta")
    assert head["start"] == {"tt": "Activation", "layer": "b", "step": 7, "metric": "rm2", "format": "e4m3"}


def test_without_activations_it_opens_at_the_first_type_and_statistic_that_there_are():
    df = line_of({0: 1.0}, tt="Weight_Gradient").drop(columns=[("scalar_stats", "rm2"), ("scalar_stats", "max_abs")])
    head, _ = ask(answers_of(df), kind="meta")
    assert (head["start"]["tt"], head["start"]["layer"], head["start"]["metric"]) == ("Weight_Gradient", "fc", "mean")


def test_curves_alone_say_so():
    curves = CurvesOnly(
        {"entropy": [1.0, 2.0], "loss": [1.0, 2.0]}, "run", title="Checkpoints", notes=["one is damaged"]
    )
    head, (steps,) = ask(Answers([Run(curves)]), kind="meta")
    assert head["holds"] == "curves" and head["types"] == {} and head["metrics"] == [] and head["formats"] == {}
    assert head["title"] == "Checkpoints" and head["notes"] == ["one is damaged"] and steps.tolist() == [0, 1]
    assert head["meanings"] == {"entropy": "how evenly all weights spread over 100 bins, in nats", "loss": ""}


@pytest.mark.parametrize(("last", "notes"), [(2**53 - 1, []), (2**53 + 1, [ROUNDED])])
def test_steps_that_a_browser_rounds_are_said_to_be(last, notes):
    curves = CurvesOnly({"step": [0, last], "loss": [2.0, 1.0]}, "run")
    assert ask(Answers([Run(curves)]), kind="meta")[0]["notes"] == notes
    log = logframe.example_log(layers=2, steps=2)
    log[("metadata", "step")] = log[("metadata", "step")] + (last - 1)
    assert ask(answers_of(log), kind="meta")[0]["notes"] == notes


def test_hostile_names_are_only_text():
    names = ["<img src=x onerror=alert(1)>", "</script>", "=cmd|' /C calc'!A0", "a\u202eb", "__proto__", '"\\']
    df = log_of({("Activation", name, 0): {"rm2": 1.0} for name in names})
    head, _ = ask(answers_of(df), kind="meta")
    assert head["types"] == {"Activation": names}


def test_a_phase_and_a_rank_are_said_and_can_be_asked_for():
    rows = {("Weight", "fc", step): {"rm2": float(step), 0: 8} for step in range(4)}
    df = log_of(rows, phase=["", "", "eval", "eval"])
    answers = Answers([Run(TableSource(df, "run"))])
    head, (steps,) = ask(answers, kind="meta")
    assert (head["phases"], head["phase"], steps.tolist()) == (["", "eval"], "", [0, 1])
    head, (steps,) = ask(answers, kind="meta", phase="eval")
    assert (head["phase"], steps.tolist()) == ("eval", [2, 3])
    head, _ = ask(answers, kind="at", tt="Weight", layer="fc", step=99, metric="rm2", phase="eval")
    assert head["stats"]["rm2"] == 3
    df = log_of(rows, rank=[0, 1, 0, 1])
    answers = Answers([Run(TableSource(df, "run"))])
    assert ask(answers, kind="meta")[0]["ranks"] == [0, 1]
    head, (steps,) = ask(answers, kind="meta", rank="1")
    assert (head["rank"], steps.tolist()) == (1, [1, 3])


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [("phase", ["", "eval"], "curves are of all phases together"), ("rank", [0, 1], "curves are those of rank 0")],
)
def test_curves_that_do_not_tell_phases_or_ranks_apart_are_said_to(column, values, words):
    df = logframe.example_log(layers=1, steps=2)
    df["metadata", column] = [values[at % 2] for at in range(len(df))]
    run = Run(TableSource(df, "run"), RunCurves(None))
    assert not any(words in note for note in run.notes)  # there are no curves
    run.curves.table = as_curves({"loss": [2.0, 1.0]})
    assert sum(words in note for note in run.notes) == 1


def test_two_logs_with_a_tensor_in_common_begin_compared():
    two = answers_of(line_of({0: 1.0}), line_of({0: 2.0}))
    assert [ask(two, run=run, kind="meta")[0]["start"]["other"] for run in (0, 1)] == [1, 0]
    apart = answers_of(line_of({0: 1.0}), log_of({("Weight", "elsewhere", 0): {"rm2": 1.0}}))
    three = answers_of(*[line_of({0: 1.0})] * 3)
    mixed = answers_of(line_of({0: 1.0}), {"loss": [2.0]})
    for answers in (apart, three, mixed, answers_of(line_of({0: 1.0}))):
        assert "other" not in ask(answers, kind="meta")[0]["start"]
