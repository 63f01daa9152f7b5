"""Curves of one run or of several, and which of them are wanted."""

import pandas as pd
import pytest

from tandv.curves import TrainingStats
from tandv.curves.runs import as_runs, metrics_of

TABLE = pd.DataFrame({"spectral": [1.0, 2.0], "spectral:fc1": [1.0, 3.0]}, index=[10, 0])


@pytest.mark.parametrize("one", [TABLE, {"loss": [2.0, 1.0]}, TABLE["spectral"], TrainingStats([0], [1.0])])
def test_what_is_one_run_has_no_name(one):
    assert list(as_runs(one)) == [""]


def test_several_runs_keep_their_names_and_their_steps_in_order():
    runs = as_runs({"seed 0": TABLE, "seed 1": {"step": [5], "loss": [1.0]}})
    assert list(runs) == ["seed 0", "seed 1"]
    assert runs["seed 0"]["spectral"].to_dict() == {0: 2.0, 10: 1.0}
    assert runs["seed 0"].index.tolist() == [0, 10]
    assert runs["seed 1"].index.tolist() == [5]


def test_an_error_names_the_run():
    with pytest.raises(ValueError, match="run 'b': these are not curves"):
        as_runs({"a": TABLE, "b": {"loss": ["high"]}})


def test_by_default_the_curves_of_single_tensors_are_left_out():
    runs = as_runs(TABLE)
    assert metrics_of(runs) == ["spectral"]
    assert metrics_of(runs, ["spectral:fc1", "spectral", "spectral:fc1"]) == ["spectral:fc1", "spectral"]
    assert metrics_of(as_runs(TABLE[["spectral:fc1"]])) == ["spectral:fc1"]


def test_what_no_run_has_is_answered_by_the_nearest():
    with pytest.raises(LookupError, match="no curve 'spectrl'; did you mean 'spectral'"):
        metrics_of(as_runs(TABLE), "spectrl")
    with pytest.raises(LookupError, match="no curve was asked for; there are 'spectral', 'spectral:fc1'"):
        metrics_of(as_runs(TABLE), [])
