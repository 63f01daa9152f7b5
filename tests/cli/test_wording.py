"""The shell speaks to people in a shell: what goes wrong is one sentence, and has no Python in it."""

import contextlib
import json
import re
from types import SimpleNamespace

import pytest
import torch
from typer.testing import CliRunner

from tandv.cli import app
from tandv.cli.dossier import folder_of
from tandv.glossary import OF_METRICS
from tandv.log.example import example_log
from tandv.log.files import write_pickle
from tandv.log.reading import read
from tandv.track.torch import track

run = CliRunner().invoke
PYTHON = re.compile(r"tandv\.[a-z]|tracker|\w\(|=\.\.\.|Traceback|\bdf\b|log=")

MISTAKES = [
    ["check", "nowhere"],
    ["check", "empty"],
    ["check", "text.txt"],
    ["check", "curves.csv"],
    ["check", "damaged"],
    ["explain", "nowhere"],
    ["view", "nowhere", "--out", "x.html"],
    ["view", "text.txt", "--out", "x.html"],
    ["view", "nowhere", "--json"],
    ["dossier", "nowhere"],
    ["dossier", "text.txt"],
    ["dossier", "empty"],
    ["log", "export", "nowhere", "x.csv"],
    ["log", "export", "nowhere", "x.xyz"],
    ["demo", "--out", "text.txt/run", "--steps", "1"],
    ["runs", "nowhere"],
    ["checkpoints", "nowhere"],
]


@pytest.mark.parametrize("arguments", MISTAKES, ids=" ".join)
def test_a_mistake_is_one_sentence_without_python(tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "run.json").write_text("{")
    (tmp_path / "text.txt").write_text("hello")
    (tmp_path / "curves.csv").write_text("step,loss\n0,2\n")
    told = run(app, arguments)
    assert told.exit_code in (1, 2) and isinstance(told.exception, SystemExit)
    assert told.stderr.startswith("tandv: ") and len(told.stderr.splitlines()) == 1
    assert not PYTHON.search(told.stderr), told.stderr


@pytest.mark.parametrize("arguments", [["-h"], ["check", "-h"], ["log", "export", "-h"]])
def test_h_is_help(arguments):
    told = run(app, arguments)
    assert told.exit_code == 0 and "Usage:" in told.stdout


def test_a_log_in_a_run_means_the_run(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "log.pkl").touch()
    assert folder_of(str(tmp_path / "log.pkl")) == str(tmp_path)
    assert folder_of(str(tmp_path)) == str(tmp_path) and folder_of("s3://bucket/run") == "s3://bucket/run"


def test_results_are_json_where_that_is_asked_for(tmp_path):
    write_pickle(example_log(layers=2, steps=3), tmp_path / "log.pkl")
    told = run(app, ["log", "export", str(tmp_path / "log.pkl"), str(tmp_path / "out.csv"), "--json"])
    found = json.loads(told.stdout)
    assert found["file"] == str(tmp_path / "out.csv") and found["bytes"] == (tmp_path / "out.csv").stat().st_size
    assert set(json.loads(run(app, ["metrics", "--json"]).stdout)) == set(OF_METRICS)


def test_ctrl_c_says_where_the_rows_are(tmp_path, monkeypatch):
    from tandv import demo

    class Training:
        parameters = 3

        def __init__(self, seed, context):
            self.model = torch.nn.Linear(2, 1)

        def track(self, out):
            return track(self.model, path=out)

        def step(self, tracker, tokens):
            if tracker.steps == 2:
                raise KeyboardInterrupt
            self.model(torch.ones(1, 2)).sum().backward()
            tracker.step()
            return 1.0

    module = SimpleNamespace(Training=Training, threads=contextlib.nullcontext)
    monkeypatch.setattr(demo, "importlib", SimpleNamespace(import_module=lambda _: module))
    told = run(app, ["demo", "--out", str(tmp_path / "run"), "--steps", "5"])
    assert told.exit_code == 130
    words = f"Stopped after 2 of 5 steps; the rows so far are in {tmp_path / 'run'}: tandv view {tmp_path / 'run'}"
    assert words in told.stderr
    assert read(tmp_path / "run")["metadata"]["step"].unique().tolist() == [0, 1]


def test_ctrl_c_in_any_other_command_is_one_word(monkeypatch):
    def stop(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("tandv.cli.check.examined", stop)
    told = run(app, ["check", "run"])
    assert told.exit_code == 130 and told.stderr.strip() == "Stopped."
