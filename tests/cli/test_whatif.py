"""`tandv whatif`: the plan in words, as JSON and as a picture."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

from tandv.analysis.whatif import whatif_plan
from tandv.cli import app
from tandv.cli.whatif import as_text
from tandv.log.files import write_parquet
from tests.analysis.whatif.test_planning import NORMAL, made


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Return what asks about a log of a few tensors, with some options."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    course = [NORMAL, NORMAL * 1e-5]
    write_parquet(made(a_Weight=[np.full(8, 0.5)] * 2, a_Gradient=course, a_Input=[NORMAL] * 2), "log.parquet")
    return lambda *options: CliRunner().invoke(app, ["whatif", "log.parquet", *options])


def test_the_plan_and_how_the_narrower_formats_fail(call):
    told = call("--formats", "e4m3", "--scale", "none")
    assert told.exit_code == 0, told.output
    lines = told.stdout.splitlines()
    assert lines[:4] == [
        "Asked for: SQNR of 20 dB or more, underflow of 1% or less, at every logged step from 0 to 10, scale none.",
        "  Gradient: 1 as it is",
        "  Input: 1 e4m3",
        "  Weight: 1 e4m3",
    ]
    assert lines[6].split()[:4] == ["a", "Gradient", "as", "it"]
    assert "not e4m3: underflow 100.00% at step 10; first at step 10, 50% of the steps" in lines[7]


def test_a_terminal_is_told_why_the_first_time_takes_long(call, monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr("tandv.cli.output.errors", lambda: Console(file=shown, force_terminal=True, width=120))
    told = call("--formats", "e4m3", "--json")
    assert json.loads(told.stdout)["formats"] == ["e4m3"] and not told.stderr
    assert "the first time on a machine, what does so is compiled" in shown.getvalue()


def test_json_and_a_picture_are_written(call, tmp_path):
    told = call("--want", "sqnr=20", "--json", "--out", "plan.json", "--picture", "plan.png")
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout) == json.loads((tmp_path / "plan.json").read_text())
    assert json.loads(told.stdout)["layers"]["a"]["Weight"] == "e2m1"
    assert (tmp_path / "plan.png").read_bytes()[1:4] == b"PNG"


def test_what_cannot_be_answered_ends_with_2(call):
    told = call("--want", "noise=2", "--scale", "none")
    assert told.exit_code == 2 and "there is no 'noise'" in told.stderr
    told = call("--formats", "zzz")
    assert told.exit_code == 2 and "in short e4m3, e5m2, e3m4" in " ".join(told.stderr.split())
    assert call("--layer", "nothing").exit_code == 2


def test_phases_and_ranks_are_chosen(call):
    log = made(a_Weight=[NORMAL], b_Weight=[NORMAL], c_Weight=[NORMAL])
    log[("metadata", "rank")] = [0, 1, 1]
    log[("metadata", "phase")] = pd.Categorical(["train", "train", "eval"])
    write_parquet(log, "log.parquet")

    def planned(*options):
        told = call("--json", *options)
        assert told.exit_code == 0, told.output
        return list(json.loads(told.stdout)["layers"])

    assert planned("--rank", "0") == ["a"]
    assert planned("--rank", "0", "--rank", "1", "--phase", "/tr/") == ["b", "a"]
    assert planned("--phase", "eval") == ["c"]
    told = call("--rank", "7")
    assert told.exit_code == 2 and "7" in told.stderr


def test_nan_and_infinity_are_said_beside_the_numbers_that_leave_them_out():
    nan, infinite = np.where(np.arange(4096) < 9, [[np.nan], [np.inf]], NORMAL)
    plan = whatif_plan(made(a_Weight=[NORMAL, nan, infinite, nan], a_Gradient=[NORMAL]), "sqnr=20", ["e4m3"])
    said = "some NaN at 50% of the steps and some infinite at 25% of the steps, which SQNR leaves out"
    assert as_text(plan).count(said) == 1
