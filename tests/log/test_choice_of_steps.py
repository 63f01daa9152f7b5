import re

import numpy as np
import pandas as pd
import pytest
from stored import stored

from tandv import viz
from tandv.cli.export import steps_of
from tandv.log.choice_of_steps import steps_meant
from tandv.log.files import write_parquet
from tandv.log.grid import grid
from tandv.log.logframe import example_log, select, steps
from tandv.log.run import read_run
from tandv.messages import UnknownName
from tandv.viz.of_arrays.history import chosen_steps

LOG = example_log(layers=3, steps=10)


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """One log as a table, in a run's folder, and in one file, which is read whole."""
    folder = tmp_path_factory.mktemp("logs")
    write_parquet(LOG, folder / "log.parquet")
    return [LOG, str(stored(LOG, folder / "run", steps=3)), str(folder / "log.parquet")]


@pytest.mark.parametrize(
    "choice, expected",
    [
        (3, [3]),
        (3.0, [3]),
        (np.float32(3), [3]),
        (np.array(3), [3]),
        ([7, 2.0, 2], [2, 7]),
        (np.array([2, 7]), [2, 7]),
        (pd.Series([2, 7], index=[5, 6]), [2, 7]),
        ({7, 2}, [2, 7]),
        (range(2, 8, 5), [2, 7]),
        (slice(2.5, 4.9), [3, 4]),
        (slice(2.5, 9, 3), [3, 6]),
        (slice(None, None, 4), [0, 4, 8]),
        (slice(3.0, 5.0), [3, 4]),
        (slice(-5, 2), [0, 1]),
        (slice(-5, 10, 4), [3, 7]),
        (slice(-np.inf, np.inf, 9), [0, 9]),
        (slice(8, 10**30), [8, 9]),
        (slice(-(10**30), 2), [0, 1]),
    ],
)
def test_a_choice_means_the_same_steps_however_the_log_is_read(choice, expected, logs):
    for log in logs:
        assert steps(select(log, "head", "Gradient", choice)) == expected
        assert grid(log, "Gradient", "rm2", step=choice).steps.tolist() == expected
    assert steps(read_run(logs[1], steps=choice)) == expected


@pytest.mark.parametrize(
    "choice, words",
    [
        (2.5, "no step 2.5 in this log; the nearest are 2 and 3 (it has 10 steps, 0 to 9)"),
        ([2.5], "no step 2.5 in this log"),
        ([1, 12], "no step 12 in this log; the nearest are 8 and 9"),
        (10**30, "no step 1000000000000000000000000000000 in this log"),
        ([], "no row has"),
        (slice(4, 2), "no row has"),
        (slice(4.1, 4.9), "no row has"),
    ],
)
def test_steps_that_are_not_there(choice, words, logs):
    for log in logs:
        for read in (lambda log=log: select(log, step=choice), lambda log=log: grid(log, "Weight", "rm2", step=choice)):
            with pytest.raises(UnknownName, match=re.escape(words)):
                read()
    with pytest.raises(UnknownName, match=re.escape(words)):
        read_run(logs[1], steps=choice)


@pytest.mark.parametrize(
    "choice, error, words",
    [
        ("12", TypeError, "'12' is no step, which is a number; give a whole number, a list of them, or a slice"),
        (["1"], TypeError, "'1' is no step"),
        (b"12", TypeError, "is no step"),
        (True, TypeError, "True is no step"),
        ([True, False], TypeError, "True is no step"),
        (np.array([True, False]), TypeError, "True.* is no step"),
        (slice("1", None), TypeError, "'1' is no step"),
        (slice(False, True), TypeError, "False is no step"),
        (float("nan"), ValueError, "nan is no step"),
        (slice(0, float("nan")), ValueError, "a slice of steps cannot begin or end at nan"),
        (slice(0, 10, 0), ValueError, "every 0 steps is not possible; give a whole number from 1 on"),
        (slice(10, 0, -1), ValueError, "steps ascend: every -1 steps"),
        (slice(0, 10, 1.5), ValueError, "every 1.5 steps"),
        (iter([1, 2]), TypeError, "is no step"),
    ],
)
def test_what_is_no_choice_of_steps_is_refused_in_a_sentence(choice, error, words, logs):
    for log in logs:
        for read in (lambda log=log: select(log, step=choice), lambda log=log: grid(log, "Weight", "rm2", step=choice)):
            with pytest.raises(error, match=words):
                read()
    with pytest.raises(error, match=words):
        read_run(logs[1], steps=choice)


def test_the_stride_of_a_part_counts_from_the_first_step_of_the_log(logs):
    late = LOG[(LOG["metadata", "name"] != "head") | (LOG["metadata", "step"] > 0)].reset_index(drop=True)
    assert steps(select(late, "head", step=slice(None, None, 3))) == [3, 6, 9]


def test_negative_steps_beyond_the_span_of_integers():
    far = np.array([5, 6])
    assert steps_meant(slice(-(2**63) + 1, None, 3)).among(far, 5).tolist() == [True, False]  # 1 - 2**63 = 2 mod 3


def test_names_that_are_none_are_refused_in_a_sentence(logs):
    for wrong in (3, [3], b"head"):
        with pytest.raises(TypeError, match="is no layer: give a name, a compiled pattern"):
            read_run(logs[1], layers=wrong)
        for log in logs:
            with pytest.raises(TypeError, match="is no layer: give a name"):
                select(log, wrong)


def test_pictures_take_the_same_steps(logs):
    for log in logs:
        with pytest.raises(TypeError, match="'3' is no step"):
            viz.exp_hist(log, "head", "Gradient", "3")
        with pytest.raises(TypeError, match="'3' is no step"):
            viz.overview(log, step="3")
        with pytest.raises(UnknownName, match="at step 2.7 in this log; the nearest are 2 and 3"):
            viz.overview(log, step=2.7)
    arrays = {step: {"fc": np.zeros(2)} for step in (0, 5, 10)}
    assert chosen_steps(arrays, "fc", [10.0, 0]) == [10, 0]
    assert chosen_steps(arrays, "fc", slice(1, None)) == [5, 10]
    with pytest.raises(UnknownName, match="no array of 'fc' at step 7; the nearest are 5 and 10"):
        chosen_steps(arrays, "fc", 7)
    with pytest.raises(TypeError, match="'5' is no step"):
        chosen_steps(arrays, "fc", "5")


def test_a_stride_of_the_command_line(logs):
    with pytest.raises(ValueError, match="every 0 steps is not possible"):
        read_run(logs[1], steps=steps_of("0:10:0"))
