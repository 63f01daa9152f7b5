import numpy as np
import pandas as pd
import pytest

from tandv.curves import as_curves, read_curves, unit_of

LOSS = [3.0, 2.0, 1.0, 0.5, 0.25]


@pytest.mark.parametrize(
    "name, unit",
    [
        ("step", "step"), ("steps", "step"), ("Step", "step"), ("_step", "step"), ("global_step", "step"),
        ("trainer/global_step", "step"), ("iteration", "iteration"), ("Iter", "iteration"), ("epoch", "epoch"),
        ("Epochs", "epoch"), ("tokens", "token"), ("tokens seen", "token"), ("samples_seen", "sample"),
    ],
)  # fmt: skip
def test_steps_are_recognised_by_the_names_that_they_have(name, unit):
    curves = as_curves({name: [0, 100, 200, 300, 400], "loss": LOSS})
    assert curves.index.tolist() == [0, 100, 200, 300, 400] and list(curves.columns) == ["loss"]
    assert (curves.index.name, unit_of(curves)) == ("step", unit)


def test_the_finest_count_is_the_step_and_the_others_stay_curves():
    table = pd.DataFrame({"epoch": [0, 0, 1], "_step": [10, 20, 30], "loss": LOSS[:3]})
    curves = as_curves(table)
    assert curves.index.tolist() == [10, 20, 30] and list(curves.columns) == ["epoch", "loss"]


def test_an_index_that_somebody_set_is_the_step():
    table = pd.DataFrame({"epoch": [0, 1], "loss": [2.0, 1.0]}, index=pd.Index([5, 9], name="iteration"))
    assert as_curves(table).index.tolist() == [5, 9] and unit_of(as_curves(table)) == "iteration"


def test_an_epoch_of_several_rows_is_not_the_step_and_that_is_said():
    with pytest.warns(UserWarning, match="rows are counted as steps.* epoch does not tell the rows apart"):
        curves = as_curves({"epoch": [0, 0, 1], "loss": LOSS[:3]})
    assert curves.index.tolist() == [0, 1, 2] and list(curves.columns) == ["epoch", "loss"]


def test_a_count_of_an_unknown_name_is_said():
    with pytest.warns(UserWarning, match="rows are counted as steps.* episodes may be meant: name the column"):
        curves = as_curves({"episodes": [10, 20, 30, 40, 50], "loss": LOSS})
    assert curves.index.tolist() == [0, 1, 2, 3, 4]


def test_epochs_alone_are_a_curve():
    assert list(as_curves({"epoch": [0.0, 1.0]})) == ["epoch"]


def test_fractions_of_epochs_keep_their_value(tmp_path):
    curves = as_curves({"epoch": [0.2, 0.4, 1.0], "loss": LOSS[:3]})
    assert curves.index.tolist() == [0.2, 0.4, 1.0] and curves.index.dtype == np.float64
    curves.to_csv(tmp_path / "curves.csv")
    assert read_curves(tmp_path / "curves.csv").index.tolist() == [0.2, 0.4, 1.0]


def test_whole_numbers_are_integers_however_they_are_kept():
    assert as_curves({"epoch": [0.0, 100.0], "loss": [2.0, 1.0]}).index.dtype == np.int64
