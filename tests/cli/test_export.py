"""`tandv log export`: a run, or a part of it, as one file."""

import pandas as pd
import pytest
from stored import counted_only, stored
from typer.testing import CliRunner

from tandv.cli import app
from tandv.log.logframe import example_log, layers, select, steps, tensor_types
from tandv.log.reading import read

LOG = counted_only(example_log(layers=4, steps=12))


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return stored(LOG, tmp_path / "run")


def call(*arguments):
    return CliRunner().invoke(app, ["log", "export", *map(str, arguments)])


@pytest.mark.parametrize("suffix", ["pkl", "parquet", "csv"])
def test_the_ending_chooses_the_format(suffix, run):
    told = call(run, f"log.{suffix}")
    assert told.exit_code == 0, told.output
    assert told.stdout == f"log.{suffix}\n"
    assert "240 rows" in told.stderr
    assert read(f"log.{suffix}").shape == LOG.shape
    if suffix == "pkl":
        pd.testing.assert_frame_equal(read("log.pkl"), LOG)
        assert pd.read_pickle("log.pkl").shape == LOG.shape  # without tandv


def test_a_part_of_it(run):
    told = call(
        run, "log.pkl", "--layer", "/attention/", "--layer", "head", "--tensor-type", "Weight", "--steps", "2:9:3"
    )
    assert told.exit_code == 0, told.output
    df = read("log.pkl")
    assert layers(df) == layers(select(LOG, ["layers.0.attention.wq", "layers.0.attention.wo", "head"]))
    assert (tensor_types(df), steps(df)) == (["Weight"], [2, 5, 8])
    assert call(run, "narrow.parquet", "--statistic", "rm2", "--statistic", "exponent_counts").exit_code == 0
    assert read("narrow.parquet")["scalar_stats"].columns.tolist() == ["rm2"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "log.txt"], "must end in one of .pkl, .parquet, .csv"),
        (["run", "nowhere/log.pkl"], "there is no folder"),
        (["rnu", "log.pkl"], "there is nothing of this name"),
        ([".", "log.pkl"], "these are runs: run"),
        (["run", "log.pkl", "--layer", "haed"], "did you mean 'head'"),
        (["run", "log.pkl", "--layer", "/(/"], "is no regular expression"),
        (["run", "log.pkl", "--steps", "a:b"], "is neither a step"),
        (["run", "log.pkl", "--statistic", "sdt"], "did you mean 'std'"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(arguments, words, run):
    told = call(*arguments)
    assert told.exit_code == 2
    assert words in " ".join(told.stderr.split())
    assert not any(run.parent.glob("log.*"))
