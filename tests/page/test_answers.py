"""Every question is answered as NumPy says, and whatever else is asked, by a sentence."""

import numpy as np
import pytest

from tandv.log import logframe
from tandv.log.grid import grid
from tandv.page.answers import answers_of
from tandv.page.envelope import unpack

ALL = {"from": None, "to": None, "w": 1000}


@pytest.fixture(scope="module")
def log():
    return logframe.example_log()


@pytest.fixture(scope="module")
def answers(log):
    return answers_of(log, logframe.example_log(seed=1), {"loss": [2.0, float("nan"), 1.0]})


def ask(answers, run=0, **question):
    [(head, arrays)] = unpack(answers.answer(run, [question]))
    return head, arrays


def test_heat_is_the_grid_of_the_log(answers, log):
    expected = grid(log, "Gradient", "rm2")
    head, (values, flags, starts) = ask(answers, kind="heat", tt="Gradient", metric="rm2", **ALL)
    assert (head["rows"], head["cols"], head["pooled"]) == (5, 50, 1)
    np.testing.assert_array_equal(values, expected.values.astype(np.float32))
    np.testing.assert_array_equal(flags, (expected.nans > 0) * 1 + (expected.infs > 0) * 2)
    assert starts.tolist() == [*range(50), 49]


def test_an_unknown_kind_is_answered_by_a_sentence(answers):
    head, arrays = ask(answers, kind="heap")
    assert head["error"].startswith("there is no question of the kind 'heap'") and arrays == []
