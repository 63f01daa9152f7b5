"""Curves of a run, what their values are that are no numbers, and their transitions."""

import threading
import warnings

import numpy as np
import pandas as pd
import pytest
from hand_made import ask, line_of, patient

from tandv.analysis.transitions import Evidence, Transition
from tandv.curves.of_run import line, run_curves
from tandv.page.answers import Answers, CurvesOnly, Run, answers_of, curves_of_a_run
from tandv.page.answers.curves_of_a_run import FINITE, INFINITE, MINUS_INFINITE, NAN, NO_VALUE, RunCurves, shown, states
from tandv.page.answers.table import TableSource


@pytest.fixture
def settled(monkeypatch):
    patient(monkeypatch)


def written(folder, *numbers):
    folder.mkdir(exist_ok=True)
    (folder / "curves.jsonl").write_text("".join(line(step, values) for step, values in numbers))
    return folder


def test_nan_that_was_given_is_told_from_no_value(tmp_path):
    run = written(
        tmp_path / "run",
        (0, {"loss": 2.0, "val": 1.0}),
        (5, {"loss": float("nan")}),
        (9, {"loss": float("inf"), "val": float("-inf")}),
    )
    answers = Answers([Run(TableSource(line_of({0: 1.0}), "run"), RunCurves(run))])
    head, (steps, values, state) = ask(answers, kind="curves")
    assert head == {"names": ["loss", "val"], "shown": ["loss", "val"]}
    assert steps.tolist() == [0, 5, 9]
    np.testing.assert_array_equal(values, [[2, np.nan, np.inf], [1, np.nan, -np.inf]])
    assert state.tolist() == [[FINITE, NAN, INFINITE], [FINITE, NO_VALUE, MINUS_INFINITE]]


def test_nan_of_a_table_is_no_value():
    table = pd.DataFrame({"loss": [1.0, np.nan]}, index=[3, 1])
    _, (steps, values, state) = ask(answers_of(table), kind="curves")
    assert steps.tolist() == [1, 3] and state.tolist() == [[NO_VALUE, FINITE]] and values[0, 1] == 1


def test_a_run_without_curves_has_none():
    head, (steps, values, state) = ask(answers_of(line_of({0: 1.0})), kind="curves")
    assert head == {"names": [], "shown": []} and steps.size == values.size == state.size == 0
    assert states(pd.DataFrame(index=[0, 1])).shape == (0, 2)


def test_losses_are_shown_first_and_curves_of_single_tensors_are_not():
    table = pd.DataFrame({"lr": [0.1], "val_loss": [1.0], "rank:fc": [1.0], "loss": [2.0]})
    assert shown(table) == ["val_loss", "loss", "lr"]
    assert len(shown(pd.DataFrame({f"m{i}": [0.0] for i in range(40)}))) == 12


def test_of_curves_alone_all_are_shown(settled):
    head, _ = ask(answers_of({f"m{i}": [0.0] for i in range(40)}), kind="curves")
    assert len(head["shown"]) == 40
    assert ask(answers_of({"loss": [1.0]}), kind="meta")[0]["transitionsRule"] == "faster than before and after"


def test_curves_that_grow_are_read_again(tmp_path):
    run = written(tmp_path / "run", (0, {"loss": 2.0}))
    curves = RunCurves(run)
    assert curves.version == 1 and not curves.refresh()
    curves._again = 0.0
    assert not curves.refresh()
    written(run, (0, {"loss": 2.0}), (1, {"loss": 1.0}))
    curves._again = 0.0
    assert curves.refresh() and curves.version == 2 and len(curves.table) == 2


def test_damaged_curves_are_said_and_the_others_are_shown(tmp_path):
    run = written(tmp_path / "run", (0, {"loss": 2.0}))
    with (run / "curves.jsonl").open("a") as file:
        file.write("{damaged}\n")
    curves = RunCurves(run)
    assert curves.table["loss"].tolist() == [2]
    [note] = curves.notes
    assert "1 of 2 lines of" in note and "were left out" in note


def test_transitions_are_those_of_the_detector(settled):
    loss = np.where(np.arange(200) < 120, 2.0, 0.5)
    head, arrays = ask(answers_of({"loss": loss}), kind="transitions")
    [one] = head["found"]
    assert (one["curve"], one["step"], one["before"], one["after"]) == ("loss", 120, 2, 0.5)
    assert set(one) == {"curve", "start", "step", "end", "before", "after", "kind", "uncertain", "size", "chance"}
    assert head["ready"] is True and head["note"] is None and arrays == []


def test_transitions_that_were_found_before_are_shown_with_their_rule():
    known = [Transition("loss", 1, 2, 3, before=2.0, after=float("nan"), evidence=Evidence())]
    curves = CurvesOnly({"loss": [2.0, 1.0]}, "run", transitions=known, rule="by eye")
    head, _ = ask(Answers([Run(curves)]), kind="transitions")
    assert head["rule"] == "by eye"
    places = {"curve": "loss", "start": 1, "step": 2, "end": 3, "before": 2, "after": "nan"}
    assert head["found"] == [places | {"kind": "", "uncertain": False, "size": "–", "chance": "–"}]


def test_of_very_many_curves_transitions_are_found_in_some_which_is_said(settled, monkeypatch):
    monkeypatch.setattr("tandv.page.answers.curves.LOOKED_FOR", 1)
    step = np.where(np.arange(50) < 30, 2.0, 0.5)
    head, _ = ask(answers_of({"a": step, "loss": step, "b": step}), kind="transitions")
    assert {one["curve"] for one in head["found"]} == {"loss"}
    assert head["note"] == "transitions are looked for in 1 of 3 curves, losses first"


def test_where_transitions_cannot_be_found_a_sentence_says_why(settled, monkeypatch):
    def broken(*_, **__):
        raise ModuleNotFoundError("change points need ruptures")

    monkeypatch.setattr("tandv.analysis.transitions.find_transitions", broken)
    head, _ = ask(answers_of({"loss": np.ones(20)}), kind="transitions")
    assert head["found"] == [] and head["note"] == "transitions cannot be found: change points need ruptures"
    head, _ = ask(answers_of(line_of({0: 1.0})), kind="transitions")
    assert head["note"] == "there are no curves"


def test_the_curves_of_a_folder_are_a_run(tmp_path):
    run = written(tmp_path / "run", (0, {"loss": 2.0}))
    _, (_, values, _) = ask(answers_of(run), kind="curves")
    assert values.tolist() == [[2]] and run_curves(run) is not None


def test_warnings_of_other_threads_are_not_taken_while_curves_are_read(tmp_path, monkeypatch):
    run = written(tmp_path / "run", (0, {"loss": 2.0}))
    (run / "curves.jsonl").write_text(line(0, {"loss": 2.0}) + "no line\n")
    read = curves_of_a_run.run_curves

    def meanwhile(place):
        training = threading.Thread(target=warnings.warn, args=("of the user",))
        training.start()
        training.join()
        return read(place)

    monkeypatch.setattr(curves_of_a_run, "run_curves", meanwhile)
    with pytest.warns(UserWarning, match="of the user"):
        (note,) = RunCurves(run).notes
    assert note.startswith("1 of 2 lines of")
