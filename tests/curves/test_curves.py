import numpy as np
import pandas as pd
import pytest

from tandv.curves import TrainingStats, as_curves, read_curves, write_curves
from tandv.log.logframe import example_log


def test_training_stats_become_a_table_by_step():
    table = as_curves(TrainingStats([0, 10], [2, 1], [3.0, None]))
    assert table.columns.tolist() == ["train_loss", "val_loss"]
    assert (table.index.name, table.index.tolist(), table.index.dtype) == ("step", [0, 10], np.int64)
    assert table["train_loss"].tolist() == [2.0, 1.0]
    assert table["val_loss"].isna().tolist() == [False, True]
    assert as_curves(TrainingStats([0], [2.0])).columns.tolist() == ["train_loss"]


def test_training_stats_of_different_lengths_are_all_named():
    with pytest.raises(ValueError, match="train_loss has 1 values for 2 steps.*; val_loss has 3 values"):
        TrainingStats([0, 1], [2.0], [1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    "data",
    [
        {"step": [3, 7], "loss": [1, 2]},
        {"steps": [3, 7], "loss": np.array([1, 2], np.float32)},
        pd.DataFrame({"loss": [1, 2]}, index=[3, 7]),
        pd.DataFrame({"step": [3.0, 7.0], "loss": [1, 2]}),
        pd.Series([1, 2], index=[3, 7], name="loss"),
    ],
)
def test_every_form_becomes_the_same_table(data):
    expected = pd.DataFrame({"loss": [1.0, 2.0]}, index=pd.Index([3, 7], name="step"))
    pd.testing.assert_frame_equal(as_curves(data), expected, check_column_type=False)


def test_without_steps_the_rows_are_counted():
    assert as_curves({"loss": [5.0, 4.0]}).index.tolist() == [0, 1]


@pytest.mark.parametrize(
    "data, words",
    [
        ({"step": [0, 1], "loss": [1.0]}, "curves differ in length: step has 2, loss has 1 values"),
        ({"step": [0, 0], "loss": [1.0, 2.0]}, "a step occurs more than once"),
        ({"step": [0.5, 0.5], "loss": [1.0, 2.0]}, "a step occurs more than once"),
        ({"step": [0, float("nan")], "loss": [1.0, 2.0]}, "steps are not all finite, allowed are numbers"),
        ({"step": [0]}, "there is no column besides the step"),
        ({"loss": ["low"]}, "column 'loss' holds something that is not a number"),
    ],
)
def test_what_is_no_curve_says_why(data, words):
    with pytest.raises(ValueError, match=words):
        as_curves(data)


def test_another_kind_of_thing_is_refused():
    with pytest.raises(TypeError, match="not a list"):
        as_curves([1.0, 2.0])


def test_the_caller_keeps_its_table():
    mine = pd.DataFrame({"step": [1], "loss": [2]})
    as_curves(mine)
    assert mine.columns.tolist() == ["step", "loss"]


def test_a_log_is_told_how_its_curves_are_taken_out():
    with pytest.raises(ValueError, match=r"columns have two levels.*logframe\.curves\(df, layer"):
        as_curves(example_log(layers=2, steps=2))


@pytest.mark.parametrize("ending", [".csv", ".json"])
def test_written_curves_are_read_exactly(tmp_path, ending):
    table = as_curves({"step": [3, 7, 9, 10], "loss": [0.1 + 0.2, np.nan, np.inf, -np.inf], "a,b": [1, 2, 3, 1e-300]})
    pd.testing.assert_frame_equal(read_curves(write_curves(table, tmp_path / f"run{ending}")), table, check_exact=True)


def test_json_has_no_numbers_that_json_does_not_know(tmp_path):
    path = write_curves({"loss": [1.5, None, float("inf")]}, tmp_path / "run.json")
    assert path.read_text() == '{"step": [0, 1, 2], "loss": [1.5, null, "inf"]}'


def test_a_csv_file_with_its_rows_numbered_is_read(tmp_path):
    (tmp_path / "run.csv").write_text(",step,loss\n0,5,1.0\n1,6,0.5\n")
    assert read_curves(tmp_path / "run.csv")["loss"].to_dict() == {5: 1.0, 6: 0.5}


@pytest.mark.parametrize(
    "name, text, words",
    [
        ("run.csv", "step,loss\n0,low\n", "(?s)cannot read .*run.csv: .*'loss' holds something that is not a number"),
        ("run.json", "[1, 2]", "cannot read .*run.json: curves are a .*, not a list"),
        ("run.json", "{", "cannot read .*run.json"),
        ("run.txt", "", "run.txt is neither .csv nor .json"),
    ],
)
def test_what_is_no_file_of_curves_says_why(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=words):
        read_curves(tmp_path / name)


def test_several_runs_and_single_numbers_are_told_apart_from_curves():
    with pytest.raises(TypeError, match="these are several runs, 'seed 0', 'seed 1', and this takes the curves of one"):
        as_curves({"seed 0": {"loss": [1.0]}, "seed 1": {"loss": [2.0]}})
    with pytest.raises(
        TypeError, match=r"value for each step, but 'loss' is 2.0; give sequences, such as \[2.0, 1.5\]"
    ):
        as_curves({"loss": 2.0})
