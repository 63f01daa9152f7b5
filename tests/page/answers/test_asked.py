"""Whatever a browser sends is answered by a sentence: what is wrong and what is allowed."""

import json

import numpy as np
import pytest
from hand_made import ALL, error_of, line_of

from tandv.page.answers import answers_of
from tandv.page.answers.asked import MOST_COLUMNS, MOST_QUESTIONS, QUESTIONS, checked
from tandv.page.envelope import unpack

HEAT = {"kind": "heat", "tt": "Activation", "metric": "rm2", **ALL}


@pytest.fixture(scope="module")
def answers():
    return answers_of(line_of({0: 1.0, 1: 2.0}), {"loss": [1.0]})


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"w": 0}, "w must be a number of columns from 1 to 4,096, not 0"),
        ({"w": -1}, "not -1"),
        ({"w": 4097}, "not 4097"),
        ({"w": 10**400}, "not a number beyond all steps"),
        ({"w": float("nan")}, "not nan"),
        ({"w": float("inf")}, "not inf"),
        ({"w": "100"}, "not '100'"),
        ({"w": True}, "not True"),
        ({"w": [1] * 100}, "not a list of 100"),
        ({"w": None}, "w is missing"),
        ({"tt": 3}, "tt must be text, not 3"),
        ({"tt": "x" * 2000}, "tt has 2,000 characters, allowed are 1,000"),
        ({"tt": {"a": 1}}, "tt must be text, not a object of 1"),
        ({"metric": None}, "metric is missing"),
        ({"from": "0"}, "from must be a step"),
        ({"from": float("nan")}, "from must be a step"),
        ({"from": float("-inf")}, "from must be a step"),
        ({"to": 2**60}, "to must be a step, a number of at most 9007199254740992 in size"),
        ({"from": 5, "to": 3}, "from 5 lies after to 3"),
        ({"format": "fp7"}, "format is unknown: no number format 'fp7'"),
        ({"format": 8}, "format must be text, not 8"),
        ({"change": "yes"}, "change must be true or false, not 'yes'"),
        ({"against": -1}, "against must be the number of a run"),
        ({"against": 0.5}, "against must be the number of a run"),
        ({"against": float("inf")}, "against must be the number of a run"),
        ({"against": 99}, "against 99: there are 2 runs"),
        ({"rank": "x"}, "rank must be the number of a rank, from 0 on, not 'x'"),
        ({"rank": -1}, "rank must be the number of a rank"),
        ({"phase": 3}, "phase must be text"),
    ],
)
def test_a_wrong_field_is_answered_by_a_sentence(answers, changed, words):
    assert words in error_of(answers, **HEAT | changed)


def test_all_that_is_wrong_is_said_at_once(answers):
    words = error_of(answers, kind="lines", tt=1, metrics=[], w=-3)
    assert words.startswith("lines: tt must be text, not 1; layer is missing; metrics must be a list of 1 to 32 names")
    assert words.endswith("w must be a number of columns from 1 to 4,096, not -3")


@pytest.mark.parametrize("metrics", [["rm2"] * 33, "rm2", [3], {"rm2": 1}, [["rm2"]]])
def test_metrics_are_a_short_list_of_names(answers, metrics):
    assert "metrics" in error_of(answers, kind="lines", tt="Activation", layer="fc", **ALL, metrics=metrics) or (
        metrics == [3]
    )


@pytest.mark.parametrize("kind", ["heap", "__class__", "", None, 7, ["heat"], {"heat": 1}, "x" * 10**6])
def test_an_unknown_kind_is_answered_by_those_that_there_are(answers, kind):
    words = error_of(answers, kind=kind)
    assert words.startswith("there is no question of the kind") and words.endswith(", ".join(QUESTIONS))
    assert len(words) < 300


@pytest.mark.parametrize("question", [3, None, "heat", [], [{"kind": "meta"}], True, 1.5])
def test_a_question_is_an_object(answers, question):
    [(head, _)] = unpack(answers.answer(0, [question]))
    assert head["error"].startswith("a question is an object with a kind")


@pytest.mark.parametrize("run", [2, -1, "0", None, 0.0, True, 10**30, [0]])
def test_a_run_is_one_of_those_that_there_are(answers, run):
    assert error_of(answers, run=run, kind="meta").endswith("there are 2, numbered from 0")


@pytest.mark.parametrize("questions", [None, {"kind": "meta"}, "meta", 5])
def test_questions_are_a_list(answers, questions):
    [(head, _)] = unpack(answers.answer(0, questions))
    assert head["error"].startswith("questions are a list, not a ")


def test_too_many_questions_are_not_answered(answers):
    found = unpack(answers.answer(0, [{"kind": "meta"}] * 5000))
    assert len(found) == MOST_QUESTIONS
    assert {head["error"] for head, _ in found} == {"5,000 questions in one request, allowed are 64"}
    assert unpack(answers.answer(0, [])) == []


def test_one_bad_question_leaves_the_others_answered(answers):
    found = unpack(answers.answer(0, [HEAT, {"kind": "?"}, HEAT | {"tt": "?"}, HEAT]))
    assert ["error" in head for head, _ in found] == [False, True, True, False]


def test_a_fault_of_ours_is_answered_by_a_sentence_and_logged(answers, monkeypatch, caplog):
    def broken(run, runs, asked):
        raise ZeroDivisionError("planted")

    monkeypatch.setitem(__import__("tandv.page.answers.answers", fromlist=["KINDS"]).KINDS, "heat", broken)
    assert error_of(answers, **HEAT) == "no answer: ZeroDivisionError: planted"
    assert "no answer to {'kind': 'heat'" in caplog.text


def test_numbers_of_an_address_may_be_floats():
    kind, fields = checked(
        json.loads('{"kind": "heat", "tt": "a", "metric": "b", "from": 1.5, "w": 700.4, "rank": "1"}')
    )
    assert kind == "heat" and fields["from"] == 1.5 and fields["w"] == 700 and fields["rank"] == 1
    assert fields["to"] is None and fields["change"] is False and fields["against"] is None


def test_fields_of_other_questions_are_ignored():
    assert checked({"kind": "meta", "w": -5, "__proto__": 1}) == ("meta", {"phase": None, "rank": None})


def test_the_widest_answer_is_bounded(answers):
    [(head, arrays)] = unpack(answers.answer(0, [HEAT | {"w": MOST_COLUMNS}]))
    assert head["cols"] == 2 and arrays[0].size == 2


HOSTILE = [
    None, True, False, 0, -1, 1, 3, 0.5, 1e308, -1e308, 10**40, -(10**40), float("nan"), float("inf"), "", "0", "rm2",
    "Activation", "fc", "e4m3", "__class__", "../../etc/passwd", "\x00", "\ud800", "a" * 5000, [], [[]], ["rm2"] * 40,
    {}, {"kind": "meta"}, [None, 1, "rm2"],
]  # fmt: skip


def test_whatever_stands_in_a_question_it_is_answered(answers):
    random = np.random.default_rng(0)
    fields = sorted({name for of_kind in QUESTIONS.values() for name in of_kind} | {"kind", "phase", "rank", "x"})
    good = {"kind": "lines", "tt": "Activation", "layer": "fc", "metric": "rm2", "metrics": ["rm2"], "step": 1, **ALL}
    answered = 0
    for _ in range(400):
        question = good | {"kind": str(random.choice(list(QUESTIONS)))}
        for name in random.choice(fields, random.integers(0, 3), replace=False):
            question[str(name)] = HOSTILE[random.integers(len(HOSTILE))]
        data = answers.answer(int(random.integers(2)), [question])
        [(head, arrays)] = unpack(data)
        assert len(data) < 20_000
        assert "error" in head or all(array.size < 100 for array in arrays)
        assert not head.get("error", "").startswith("no answer")
        answered += "error" not in head
    assert 50 < answered < 350
