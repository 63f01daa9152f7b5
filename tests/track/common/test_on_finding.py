"""What is done about findings of each severity."""

import pickle

import pytest

from tandv.analysis.findings import Finding
from tandv.track import FindingStop
from tandv.track.common.on_finding import actions_for, on_finding_problems, saves, stops

FOUND = Finding("overflow", "error", "Activation", "up", 7, {"infs": 1}, "It is infinite.", "It grew.", "Use bfloat16.")


@pytest.mark.parametrize(
    "given, actions",
    [
        ("warn", {"error": ["warn"], "warning": ["warn"]}),
        ("save", {"error": ["save"], "warning": ["save"]}),
        ("stop", {"error": ["stop"], "warning": ["warn"]}),
        (["save", "stop"], {"error": ["save", "stop"], "warning": ["save", "warn"]}),
        (print, {"error": [print], "warning": [print]}),
        ({"error": "stop", "note": ["warn", print]}, {"error": ["stop"], "note": ["warn", print]}),
    ],
)
def test_what_is_done_by_severity(given, actions):
    assert on_finding_problems(given) == []
    assert actions_for(given) == actions


@pytest.mark.parametrize(
    "given, words",
    [
        ("halt", "on_finding='halt' is not one of what it may be: 'warn', 'save', 'stop', a function"),
        (3, "on_finding=3 is not one"),
        (["warn", "quit"], "on_finding='quit' is not one"),
        ([], r"on_finding=\[\] is not one"),
        ({"fatal": "stop"}, r"on_finding={'fatal': ...}: severities are 'error', 'warning', 'note'"),
        ({"error": "halt"}, "on_finding='halt' is not one"),
    ],
)
def test_what_is_wrong_with_it(given, words):
    (problem,) = on_finding_problems(given)
    with pytest.raises(ValueError, match=words):
        raise ValueError(problem)


def test_what_may_save_and_stop():
    assert (saves("save"), saves(["stop", "save"]), saves({"warning": "save"}), saves(print)) == (
        True,
        True,
        True,
        False,
    )
    assert (stops("stop"), stops({"error": ["warn", "stop"]}), stops(None)) == (True, True, False)


def test_the_exception_says_the_finding_and_can_be_pickled():
    error = pickle.loads(pickle.dumps(FindingStop(FOUND)))
    assert str(error) == (
        "error, overflow at step 7, Activation of 'up': It is infinite. It grew. To do: Use bfloat16."
    )
    assert error.finding == FOUND
