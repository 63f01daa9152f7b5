"""What went wrong first, in the order in which it came to be."""

import numpy as np
import pytest
from hand_made import ALL, ask, log_of, patient
from stored import stored

import tandv
from tandv.log import logframe
from tandv.log.store import layers
from tandv.page.answers import answers_of
from tandv.page.answers.firsts import MOST


def found(answers, format=None):
    head, arrays = ask(answers, kind="firsts", format=format)
    assert head["ready"] is True and arrays == []
    return head


def log_with(*bad):
    """Return a log of two layers in a model over three steps, with bad values at some (type, layer, step)."""
    tensors = [(tt, layer) for tt in ("Activation", "Gradient", "Weight") for layer in ("Net", "a", "a.inner", "b")]
    rows = {(tt, layer, step): {"rm2": 1.0, 0: 8} for step in range(3) for tt, layer in tensors}
    for tt, layer, step, values in bad:
        rows[tt, layer, step] = {"rm2": 1.0, 0: 8} | values
    return log_of(rows)


@pytest.fixture
def settled(monkeypatch):
    """Let answers wait for what is found out in the background."""
    patient(monkeypatch)


def test_nothing_is_wrong_with_a_good_run(settled):
    assert found(answers_of(log_with())) == {"found": [], "total": 0, "left": "", "badges": {}, "ready": True}


def test_the_first_step_of_each_is_told_with_how_many_values(settled):
    head = found(answers_of(log_with(("Gradient", "a", 1, {"nans": 3}), ("Gradient", "a", 2, {"nans": 5}))))
    assert head["found"] == [
        {"kind": "nan", "tt": "Gradient", "layer": "a", "step": 1, "count": 3, "of": 8},
    ]
    assert head["badges"] == {"Gradient": {"a": ["nan"]}}


def test_order_is_step_then_execution_with_infinity_before_nan(settled):
    bad = [
        ("Activation", "Net", 1, {"nans": 1}),
        ("Activation", "a", 1, {"nans": 1}),
        ("Activation", "a.inner", 1, {"nans": 1}),
        ("Activation", "b", 1, {"infs": 1}),
        ("Gradient", "Net", 1, {"nans": 1}),
        ("Gradient", "b", 1, {"nans": 1}),
        ("Gradient", "a", 1, {"nans": 1}),
        ("Weight", "b", 1, {"nans": 1}),
        ("Weight", "a", 0, {"nans": 1}),
    ]
    head = found(answers_of(log_with(*bad)))
    assert [(one["step"], one["tt"], one["layer"], one["kind"]) for one in head["found"]] == [
        (0, "Weight", "a", "nan"),
        (1, "Weight", "b", "nan"),  # weights are as they are before the step
        (1, "Activation", "b", "inf"),  # NaN comes of infinity
        (1, "Activation", "a.inner", "nan"),  # inside of a
        (1, "Activation", "a", "nan"),
        (1, "Activation", "Net", "nan"),
        (1, "Gradient", "Net", "nan"),  # backwards
        (1, "Gradient", "b", "nan"),
        (1, "Gradient", "a", "nan"),
    ]


def test_what_overflows_a_format_that_the_tensor_does_not_have_comes_at_its_step_behind_other_kinds(settled):
    bad = [("Activation", "a", step, {"rm2": 500.0}) for step in (1, 2)] + [("Activation", "b", 2, {"rm2": 500.0})]
    bad += [("Gradient", "b", 2, {"nans": 1})]
    head = found(answers_of(log_with(*bad)), "e4m3")
    assert [(one["kind"], one["layer"], one["step"]) for one in head["found"]] == [
        ("overflow", "a", 1),
        ("nan", "b", 2),
        ("overflow", "b", 2),
    ]
    assert found(answers_of(log_with(*bad)), None)["total"] == 1


def test_what_overflows_its_own_format_comes_where_it_happened(settled):
    df = log_of(
        {
            ("Activation", "a", 0): {"rm2": 500.0, 8: 8},
            ("Activation", "a", 1): {"rm2": 1.0, "nans": 1, 0: 7},
        },
        dtype="float8_e4m3fn",
    )
    assert [one["kind"] for one in found(answers_of(df), "e4m3")["found"]] == ["overflow", "nan"]


def test_the_example_log(settled):
    head = found(answers_of(logframe.example_log()), "e4m3")
    assert [(one["kind"], one["tt"], one["layer"], one["step"]) for one in head["found"]] == [
        ("inf", "Activation", "head", 45),
        ("overflow", "Activation", "head", 45),
        ("nan", "Gradient", "head", 49),
    ]
    assert head["badges"] == {"Activation": {"head": ["inf", "overflow"]}, "Gradient": {"head": ["nan"]}}


def test_all_zero_to_the_end_is_dead(settled):
    rows = {("Activation", layer, step): {"rm2": 1.0, 0: 8} for step in range(20) for layer in ("a", "b")}
    dead = {"rm2": 0.0, "zeros": 8, -np.inf: 8}
    rows |= {("Activation", "a", step): dead for step in range(12, 20)}
    rows |= {("Activation", "b", step): dead for step in range(5, 19)}  # and is alive again at the end
    assert found(answers_of(log_of(rows)))["found"] == [
        {"kind": "dead", "tt": "Activation", "layer": "a", "step": 12, "count": 8, "of": 8}
    ]


@pytest.mark.parametrize("opened", [lambda df, _: df, lambda df, folder: stored(df, folder / "run")])
def test_a_parameter_that_begins_as_zero_is_not_dead_nor_is_what_is_zero_for_a_moment(settled, tmp_path, opened):
    dead = {"rm2": 0.0, "zeros": 8, -np.inf: 8}
    rows = {("Weight", "bias", step): dead for step in range(20)}
    rows |= {("Activation", "a", step): dead if step > 15 else {"rm2": 1.0, 0: 8} for step in range(20)}
    rows |= {("Activation", "never", step): dead for step in range(20)}
    assert [(one["layer"], one["step"]) for one in found(answers_of(opened(log_of(rows), tmp_path)))["found"]] == [
        ("never", 0)
    ]


def test_of_very_many_only_the_first_are_sent_but_all_have_their_badge(settled):
    rows = {("Weight", f"l{i}", 0): {"rm2": 1.0, "nans": 1, 0: 7} for i in range(MOST + 10)}
    head = found(answers_of(log_of(rows)))
    assert len(head["found"]) == MOST and head["total"] == MOST + 10 and len(head["badges"]["Weight"]) == MOST + 10


def test_however_many_there_are_of_one_kind_others_are_sent_too(settled):
    rows = {("Weight", f"l{i}", i // 3): {"rm2": 1.0, "nans": 1, 0: 7} for i in range(2 * MOST)}
    rows["Gradient", "last", 900] = {"rm2": 1.0, "infs": 1, 0: 7}
    head = found(answers_of(log_of(rows)))
    assert len(head["found"]) == MOST and head["total"] == 2 * MOST + 1
    assert (head["found"][-1]["kind"], head["found"][-1]["step"]) == ("inf", 900)
    assert len({one["step"] for one in head["found"][:-1]}) == -(-2 * MOST // 3)  # every step has a line
    assert [one["step"] for one in head["found"]] == sorted(one["step"] for one in head["found"])
    assert head["left"] == f"{MOST + 1} of {2 * MOST + 1} are not listed: {MOST + 1} nan of Weight"


def test_a_log_without_the_largest_value_says_so(settled):
    df = log_with().drop(columns=[("scalar_stats", "max_abs")])
    assert found(answers_of(df), "e4m3")["total"] == 0
    head, _ = ask(answers_of(df), kind="meta")
    assert head["notes"] == ["what overflows a format is not marked: the log has no max_abs"]
    _, (_, flags, _) = ask(answers_of(df), kind="heat", tt="Weight", metric="rm2", format="e4m3", **ALL)
    assert not flags.any()


@pytest.mark.parametrize("read", [lambda run: run, tandv.read])
def test_the_order_of_a_run_is_the_one_that_it_keeps(settled, tmp_path, read):
    rows = {("Activation", layer, step): {"rm2": 1.0, "nans": 1, 0: 7} for step in range(2) for layer in ("a", "b")}
    run = stored(log_of(rows), tmp_path / "run")
    layers.write(run, [("Activation", "a"), ("Activation", "b")], {0: [("Activation", "b"), ("Activation", "a")]})
    assert [one["layer"] for one in found(answers_of(read(run)))["found"]] == ["b", "a"]
