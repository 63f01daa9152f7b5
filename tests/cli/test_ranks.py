"""`tandv log ranks`: where ranks differ most, and the ranks at both ends."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from tandv.cli import app
from tandv.log.example import example_log
from tandv.log.files import write_parquet
from tandv.log.ranks import RANK


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A log of two tensors at two steps on three ranks: rank 2 is odd at step 1, in one of them."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    one = example_log(layers=1, steps=2, tensor_types=["Weight", "Gradient"])
    one = one[one["metadata"]["name"] == "embed"]
    df = pd.concat([one] * 3, ignore_index=True)
    df[RANK] = np.repeat([0, 1, 2], len(one))
    odd = (df[RANK] == 2) & (df["metadata"]["step"] == 1) & (df["metadata"]["tensor_type"] == "Gradient")
    df[("scalar_stats", "rm2")] = np.where(odd, 8.0, 2.0)
    df[("scalar_stats", "nans")] = 0
    df[("scalar_stats", "std")] = np.where(df[RANK] == 0, np.nan, 1.0 + df[RANK])
    write_parquet(df, "log.parquet")


def call(*arguments):
    return CliRunner().invoke(app, ["log", "ranks", "log.parquet", *arguments])


def test_the_odd_rank_is_named(run):
    told = call()
    assert told.exit_code == 0, told.output
    head, *rows = told.stdout.splitlines()
    assert head.split() == ["STEP", "TYPE", "LAYER", "SMALLEST", "RANK", "LARGEST", "RANK"]
    assert [row.split() for row in rows] == [["1", "Gradient", "embed", "2", "0", "8", "2"]]
    assert "1 of 4 rows differ in rm2" in told.stderr and "rank 2 has the largest in 1 of these" in told.stderr


def test_json_has_as_many_as_are_asked_for_and_a_part_can_be_chosen(run):
    found = json.loads(call("--json", "--statistic", "std", "--most", "3").stdout)
    assert [(one["smallest"], one["rank_of_smallest"], one["largest"]) for one in found] == [(2.0, 1, 3.0)] * 3
    found = json.loads(call("--json", "--statistic", "std", "--tensor-type", "Weight", "--steps", "1").stdout)
    assert [(one["tensor_type"], one["step"]) for one in found] == [("Weight", 1)]


def test_what_cannot_be_answered_is_said(run):
    told = call("--statistic", "nans")
    assert told.stdout == "The ranks have the same nans in all of 4 rows.\n" and told.exit_code == 0
    told = call("--statistic", "rm3")
    assert told.exit_code == 2 and "no statistic 'rm3'" in told.stderr
    write_parquet(example_log(layers=1, steps=1), "log.parquet")
    told = call()
    assert told.exit_code == 2 and "nothing of single ranks" in told.stderr
