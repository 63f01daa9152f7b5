"""Layers × steps of a statistic, against NumPy on the example log and by hand on small ones."""

import numpy as np
import pytest
from hand_made import ALL, ask, line_of, log_of

from tandv.formats import number_format
from tandv.log import logframe
from tandv.log.grid import grid
from tandv.log.shown import ABSENT, INFINITE, NAN
from tandv.page.answers import answers_of
from tandv.page.answers.sources import OVERFLOWS


@pytest.fixture(scope="module")
def log():
    return logframe.example_log()


@pytest.fixture(scope="module")
def answers(log):
    return answers_of(log)


@pytest.mark.parametrize("tt", logframe.EXAMPLE_TYPES)
@pytest.mark.parametrize("metric", ["rm2", "mean", "nans"])
def test_with_a_column_for_each_step_it_is_the_log(answers, log, tt, metric):
    expected = grid(log, tt, metric)
    head, (values, flags, starts) = ask(answers, kind="heat", tt=tt, metric=metric, **ALL)
    assert (head["rows"], head["cols"], head["pooled"]) == (5, 50, 1)
    np.testing.assert_array_equal(values, expected.values.astype(np.float32))
    np.testing.assert_array_equal(flags, (expected.nans > 0) * NAN | (expected.infs > 0) * INFINITE)
    assert starts.tolist() == [*range(50), 49]


@pytest.mark.parametrize("width", [1, 7, 49])
def test_a_column_of_several_steps_has_the_largest(answers, log, width):
    expected = grid(log, "Activation", "mean").values.astype(np.float32)
    head, (values, _, starts) = ask(answers, kind="heat", tt="Activation", metric="mean", **ALL | {"w": width})
    begins = starts[:-1].astype(int)
    assert head["cols"] == width and head["pooled"] == np.diff(starts[:-1], append=50).max()
    for column, part in enumerate(np.split(expected, begins[1:], axis=1)):
        np.testing.assert_array_equal(values[:, column], part[np.arange(5), np.abs(part).argmax(1)])


def test_a_zoom_shows_both_ends(answers, log):
    _, (values, _, starts) = ask(answers, kind="heat", tt="Weight", metric="std", **ALL | {"from": 10, "to": 19})
    np.testing.assert_array_equal(values, grid(log, "Weight", "std").values[:, 10:20].astype(np.float32))
    assert starts[0] == 10 and starts[-1] == 19


def test_what_overflows_a_format_is_flagged_exactly(answers, log):
    limit = number_format("e4m3").overflows_above
    expected = grid(log, "Activation", "max_abs").values > limit
    _, (_, flags, _) = ask(answers, kind="heat", tt="Activation", metric="rm2", format="e4m3", **ALL)
    np.testing.assert_array_equal(flags & OVERFLOWS > 0, expected)
    assert expected.any() and not expected.all()


@pytest.mark.parametrize(("largest", "over"), [(464.0, False), (464.01, True)])
def test_the_largest_value_that_rounds_down_does_not_overflow(largest, over):
    answers = answers_of(log_of({("Activation", "fc", 0): {"rm2": 1, "max_abs": largest}}))
    _, (_, flags, _) = ask(answers, kind="heat", tt="Activation", metric="rm2", format="float8_e4m3fn", **ALL)
    assert flags.tolist() == [[OVERFLOWS if over else 0]]


def test_nan_infinity_and_what_was_not_logged_stay_apart():
    answers = answers_of(
        log_of(
            {
                ("Activation", "a", 0): {"rm2": 1, "nans": 1},
                ("Activation", "a", 1): {"rm2": 2, "infs": 2},
                ("Activation", "late", 1): {"rm2": np.nan, "nans": 8},
                ("Activation", "late", 3): {"rm2": 4},
            }
        )
    )
    _, (values, flags, _) = ask(answers, kind="heat", tt="Activation", metric="rm2", **ALL)
    np.testing.assert_array_equal(values, [[1, 2, np.nan], [np.nan, np.nan, 4]])
    assert flags.tolist() == [[NAN, INFINITE, ABSENT], [ABSENT, NAN, 0]]
    _, (values, flags, starts) = ask(answers, kind="heat", tt="Activation", metric="rm2", **ALL | {"w": 1})
    assert values.tolist() == [[2], [4]] and flags.tolist() == [[NAN | INFINITE], [NAN]] and starts.tolist() == [0, 3]


def test_an_infinite_statistic_is_flagged_and_sent():
    _, (values, flags, _) = ask(
        answers_of(line_of({0: 1.0, 5: np.inf})), kind="heat", tt="Activation", metric="rm2", **ALL
    )
    assert values.tolist() == [[1, np.inf]] and flags.tolist() == [[0, INFINITE]]


def test_a_log_of_one_step():
    head, (values, flags, starts) = ask(
        answers_of(line_of({7: 3.0})), kind="heat", tt="Activation", metric="rm2", **ALL
    )
    assert head["cols"] == 1 and values.tolist() == [[3]] and flags.tolist() == [[0]] and starts.tolist() == [7, 7]


def test_change_is_from_the_median_of_the_first_five_values():
    values = dict(enumerate([1.0, 100, 1, 1, 1, 4, 0.125]))
    head, (change, _, _) = ask(
        answers_of(line_of(values)), kind="heat", tt="Activation", metric="rm2", change=True, **ALL
    )
    assert head["base"] == "log2 of rm2 over the median of its first 5 values"
    np.testing.assert_allclose(change, [[0, np.log2(100), 0, 0, 0, 2, -3]], rtol=1e-6)


def test_a_zoomed_change_is_still_from_the_start():
    values = dict(enumerate([1.0] * 5 + [4.0]))
    _, (change, _, _) = ask(
        answers_of(line_of(values)), kind="heat", tt="Activation", metric="rm2", change=True, **ALL | {"from": 5}
    )
    assert change.tolist() == [[2]]


@pytest.mark.parametrize("value", [1e58, 1e-60])
def test_values_beyond_float32_are_sent_as_they_are(value):
    log = log_of({("Weight", "fc", 0): {"rm2": value, 0: 8}})
    _, (values, *_) = ask(answers_of(log), kind="heat", tt="Weight", metric="rm2", **ALL)
    assert values.tolist() == [[value]]
