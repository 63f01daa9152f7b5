"""What the rules found, as a page asks for it: ready when it is, of what it was looked for, and as plain text."""

import threading

import pytest
from hand_made import ask, error_of, log_of, patient

from tandv.analysis.findings import Examined, Finding
from tandv.page.answers import answers_of
from tandv.page.answers import findings as rules

OVERFLOW = Finding("overflow", "error", "Activation", "b", 1, {"infs": 3.0}, "What.", "Before.", "Do.", ["More."])


@pytest.fixture
def settled(monkeypatch):
    """Let answers wait for what is found out in the background."""
    patient(monkeypatch)


def log(layer="b", infs=3, **metadata):
    """Return a log of two layers over three steps, the second of which is infinite from step 1 on."""
    rows = {("Activation", name, step): {"rm2": 1.0, 0: 8} for step in range(3) for name in ("a", layer)}
    for step in (1, 2):
        rows["Activation", layer, step] = {"rm2": 1.0, 0: 8 - infs, "infs": infs}
    return log_of(rows, **metadata)


def test_the_rules_that_check_asks_are_asked_and_what_was_not_checked_is_said(settled):
    head, arrays = ask(answers_of(log()), kind="findings")
    assert arrays == []
    (one,) = head["found"]
    assert (one["kind"], one["severity"]) == ("not_finite", "error")
    assert (one["tt"], one["layer"], one["step"]) == ("Activation", "b", 1)
    assert "3 infinities among 8 values" in one["what"] and one["before"] and one["advice"]
    assert (head["total"], head["step"], head["ready"]) == (1, 2, True)
    assert any("the run has no loss" in sentence for sentence in head["notChecked"])


def test_nothing_is_found_in_a_log_without_a_fault(settled):
    head, _ = ask(answers_of(log(infs=0)), kind="findings")
    assert (head["found"], head["total"], head["ready"]) == ([], 0, True)


def test_hostile_names_are_text(settled):
    head, _ = ask(answers_of(log("<img src=x onerror=alert(1)>")), kind="findings")
    assert [one["layer"] for one in head["found"]] == ["<img src=x onerror=alert(1)>"]


def test_the_page_does_not_wait_and_they_are_looked_for_once_for_each_version(monkeypatch):
    go, asked = threading.Event(), []

    def slowly(log):
        asked.append(log)
        go.wait(600)
        return Examined([OVERFLOW], ["x"])

    monkeypatch.setattr(rules, "examined", slowly)
    answers = answers_of(log())
    head, _ = ask(answers, kind="findings")
    assert (head["found"], head["step"], head["ready"]) == ([], None, False)
    go.set()
    answers.runs[0].await_all()
    for _ in range(2):
        head, _ = ask(answers, kind="findings")
        place = {"kind": "overflow", "severity": "error", "tt": "Activation", "layer": "b", "step": 1}
        sentences = {"what": "What.", "before": "Before.", "advice": "Do.", "evidence": ["More."]}
        assert head["found"] == [place | sentences] and head["ready"] is True
    assert len(asked) == 1


def test_a_run_that_goes_on_keeps_the_last_ones_for_some_seconds(monkeypatch):
    asked = []
    monkeypatch.setattr(rules, "examined", lambda log: asked.append(log) or Examined([OVERFLOW], []))
    answers = answers_of(log())
    (run,) = answers.runs
    run.findings.patience, run.findings.rest = 600.0, 3600.0  # as a page, however slow this machine is
    ask(answers, kind="findings")
    run.version += 1
    run.status = "running"
    head, _ = ask(answers, kind="findings")
    assert (len(asked), head["total"], head["ready"]) == (1, 1, True)
    run.status = "finished"  # of which the last rows are not examined yet
    assert ask(answers, kind="findings")[0]["ready"] is False


def test_which_phase_and_ranks_are_looked_at_is_said(settled):
    answers = answers_of(log(phase=["eval"] * 3 + ["train"] * 3))
    head, _ = ask(answers, kind="findings")
    assert head["notChecked"][0] == "of the phases of this log only the phase 'eval' was looked at"
    other, _ = ask(answers, kind="findings", phase="train")
    assert other == head
    head, _ = ask(answers_of(log(rank=[0, 1] * 3)), kind="findings")
    assert head["notChecked"][0] == "the 2 ranks were looked at together, not one by one"


def test_a_log_that_is_too_large_is_not_examined_and_that_is_said(settled, monkeypatch):
    monkeypatch.setattr(rules, "MOST_ROWS", 5)
    head, _ = ask(answers_of(log()), kind="findings")
    assert (head["found"], head["step"], head["ready"]) == ([], None, True)
    assert "6 rows is too large" in head["notChecked"][0] and "`tandv check`" in head["notChecked"][0]


def test_no_more_are_sent_than_a_list_holds(settled, monkeypatch):
    monkeypatch.setattr(rules, "examined", lambda log: Examined([OVERFLOW] * (rules.MOST + 1), []))
    head, _ = ask(answers_of(log()), kind="findings")
    assert (len(head["found"]), head["total"]) == (rules.MOST, rules.MOST + 1)


def test_what_fails_is_a_sentence(settled, monkeypatch):
    def fails(log):
        raise OSError("the file is gone")

    monkeypatch.setattr(rules, "examined", fails)
    assert error_of(answers_of(log()), kind="findings") == "the file is gone"
    assert "has curves only" in error_of(answers_of({"loss": [2.0, 1.0]}), kind="findings")
