"""`tandv check`: what is wrong in a run, in words, as JSON and as a page, and its exit code."""

import json

import numpy as np
import pandas as pd
import pytest
from analysis.findings.made import from_step, log
from typer.testing import CliRunner

from tandv.cli import app
from tandv.curves import write_curves
from tandv.log.files import write_parquet

NAN = {("Activation", "fc"): {"nans": from_step(5, 9, 0, 2)}}
DEAD = {("Activation", "act<b>"): {"type": "ReLU", "zeros": 100}}
NOTE = {("Activation", "fc"): {"infs": 3}, ("Gradient", "fc"): {}}
HEALTHY = {("Activation", "fc"): {}}


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Return what checks a log of some tensors, with some options."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)

    def checked(tensors, *options):
        write_parquet(log(9, tensors), "log.parquet")
        return CliRunner().invoke(app, ["check", "log.parquet", *options])

    return checked


def test_the_finding_its_three_sentences_and_what_was_not_checked(call):
    told = call(NAN)
    assert told.exit_code == 1, told.output
    lines = told.stdout.splitlines()
    assert lines[0] == "Findings: 1 error."
    assert lines[2] == "error · not_finite · Activation · fc · step 5"
    assert lines[3] == "  The output of 'fc' (Linear, float32) has 2 NaN among 100 values first at step 5."
    assert lines[4].startswith("  Its largest magnitude was 2^1.6")
    assert lines[5].startswith("  To do: Check what goes into 'fc'")
    assert "Not checked:" in lines
    assert any("track_updates=True" in line for line in lines)


@pytest.mark.parametrize(
    ("tensors", "options", "code"),
    [
        (HEALTHY, (), 0),
        (NAN, ("--fail-on", "error"), 1),
        (DEAD, (), 3),
        (DEAD, ("--fail-on", "error"), 0),
        (NOTE, (), 0),
        (NOTE, ("--fail-on", "note"), 4),
    ],
)
def test_the_exit_code_is_that_of_the_gravest_that_counts(call, tensors, options, code):
    assert call(tensors, *options).exit_code == code


def test_json(call):
    told = call(DEAD, "--json")
    found = json.loads(told.stdout)
    assert found["counts"] == {"error": 0, "warning": 1, "note": 0}
    assert (found["findings"][0]["kind"], found["findings"][0]["layer"]) == ("dead", "act<b>")
    assert found["not_checked"]


def test_a_page_in_which_names_are_text(call, tmp_path):
    told = call(DEAD, "--html", "found.html")
    assert told.exit_code == 3
    page = (tmp_path / "found.html").read_text()
    assert "act&lt;b&gt;" in page
    assert "act<b>" not in page
    assert "<script" not in page
    assert "Written: found.html" in told.stderr


def test_healthy(call):
    assert call(HEALTHY).stdout.startswith("Nothing was found.\n")


def test_what_cannot_be_read_or_written_ends_with_two(call):
    told = CliRunner().invoke(app, ["check", "nothing"])
    assert (told.exit_code, "nothing of this name" in told.stderr) == (2, True)
    told = call(HEALTHY, "--html", "nowhere/found.html")
    assert (told.exit_code, "there is no folder" in told.stderr) == (2, True)
    assert call(HEALTHY, "--fail-on", "anything").exit_code == 2


def explained(*options):
    return CliRunner().invoke(app, ["explain", "log.parquet", *options])


def test_explain_ranks_what_left_its_course_and_says_how_often_that_is_chance(call):
    size = 2.0 ** np.where(np.arange(90) < 72, 0.0, 2.0 * (np.arange(90) - 71))
    write_parquet(log(90, {("Activation", "fc"): {"rm2": size, "max_abs": size}}), "log.parquet")
    told = explained("--step", "80")
    assert told.exit_code == 0, told.output
    lines = told.stdout.splitlines()
    assert lines[0] == "Before step 80:"
    assert lines[1].startswith("  1. The output of 'fc' left its course at step 72, 8 steps before: ")
    assert lines[2].startswith("Ranked is what exceeds ")
    found = json.loads(explained("--step", "80", "--json").stdout)
    assert (found["departures"][0]["layer"], found["departures"][0]["lead"]) == ("fc", 8)
    assert explained().stdout == "The run has no loss in which a spike could be found; give a step.\n"
    told = explained("--step", "99")
    assert (told.exit_code, "step 99 is not recorded" in told.stderr) == (2, True)


@pytest.mark.parametrize("command", ["check", "explain"])
@pytest.mark.parametrize("ending", ["csv", "json", "parquet"])
def test_curves_are_named_as_what_they_are_with_what_to_do(tmp_path, monkeypatch, command, ending):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    curves = {"loss": [2.0, 1.5], "lr": [0.1, 0.1]}
    path = str(tmp_path / f"curves.{ending}")
    if ending == "parquet":
        pd.DataFrame(curves).to_parquet(path)
    else:
        write_curves(curves, path)
    told = CliRunner().invoke(app, [command, path])
    assert told.exit_code == 2
    assert f"{path} holds curves (loss, lr)" in told.stderr and f"`tandv view {path}` shows the curves" in told.stderr
    assert "is missing" not in told.stderr and len(told.stderr.splitlines()) == 1


def test_a_text_of_another_kind_keeps_its_own_words(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "notes.json").write_text('{"why": "none"}')
    told = CliRunner().invoke(app, ["check", str(tmp_path / "notes.json")])
    assert told.exit_code == 2 and "it is JSON; what can be read is the folder of a run" in told.stderr
