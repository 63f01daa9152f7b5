"""The commands as a script calls them: what they write, what they say, and their exit codes."""

import json
import math
import re
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file
from typer.testing import CliRunner

from in_file import held
from tandv import page
from tandv.checkpoints import METRICS, evaluate
from tandv.cli import app
from tandv.cli.logfile import log_path
from tandv.cli.state import Loaded, last
from tandv.curves import read_curves
from tandv.curves.of_run import line

from .conftest import save_run

SPECTRAL = {0: 1.0, 5: 6.0, 10: 11.0}


def tandv(*arguments, text=None, code=0):
    """Run a command; return what it wrote and what it said, each on one line."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], input=text)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.stdout, " ".join(done.stderr.split())


def transitions_in(path):
    return held(path.read_text())[0][0]["transitions"]


def test_one_command_makes_a_page_of_all_metrics(run, tmp_path):
    out = tmp_path / "page.html"
    written, said = tandv("checkpoints", run, "--metrics", "all", "--out", out)
    assert (written, said.endswith(f"Written: {out}")) == ("", True)
    [(head, (steps, values, _))] = held(out.read_text())
    assert head["curves"]["names"] == list(METRICS)
    assert dict(zip(steps, values[list(METRICS).index("spectral")], strict=True)) == SPECTRAL
    assert head["meta"]["title"].endswith("/run")
    assert head["transitions"]["rule"] == "faster than before and after"


def test_json_is_for_machines(run):
    written, said = tandv("checkpoints", run, "--json", "--metrics", "spectral,log_width", "--metrics", "l2")
    found = json.loads(written)
    assert list(found["runs"][0]["values"]) == ["spectral", "log_width", "weight_norm"]
    assert found["runs"][0]["steps"] == list(SPECTRAL)
    assert found["summary"][0]["largest_at"] == 10
    assert (found["transitions"], found["warnings"], said) == ([], [], "")


@pytest.mark.parametrize("ending", ["csv", "json", "png", "svg", "pdf", "htm"])
def test_the_ending_says_what_is_written(run, tmp_path, ending):
    out = tmp_path / f"a.{ending}"
    tandv("checkpoints", run, "--metrics", "spectral", "--out", out)
    begins = {"csv": b"step,spectral\n0,1.0", "json": b'{"runs"', "png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    assert out.read_bytes().startswith(begins.get(ending, b"<!doctype html>"))


def test_several_runs_are_compared(run, tmp_path):
    save_run(tmp_path / "other", 2.0)
    tandv("checkpoints", run, tmp_path / "other", "--metrics", "spectral", "--out", tmp_path / "a.html")
    runs = held((tmp_path / "a.html").read_text())
    assert [head["meta"]["name"] for head, _ in runs] == ["run", "other"]
    assert [values.tolist() for _, (_, values, _) in runs] == [[[1, 6, 11]], [[2, 12, 22]]]
    tandv("checkpoints", run, tmp_path / "other", "--metrics", "spectral", "--out", tmp_path / "a.csv")
    table = read_curves(tmp_path / "a.csv")
    assert table["spectral (other)"].to_dict() == {0: 2.0, 5: 12.0, 10: 22.0}
    tandv("checkpoints", run, tmp_path / "other", "--metrics", "spectral", "--out", tmp_path / "a.png")


def test_a_transition_is_said_and_marked(tmp_path):
    for step in range(20):
        save_file({"w.weight": np.eye(3) * (1.0 if step < 10 else 5.0)}, tmp_path / f"step_{step}.safetensors")
    _, said = tandv("checkpoints", tmp_path, "--metrics", "spectral", "--out", tmp_path / "a.html")
    assert "1 transition: spectral rises from 1 to 5 at step" in said
    assert ", step, over 1,000 times the noise, p < 0.0001" in said
    assert [one["curve"] for one in transitions_in(tmp_path / "a.html")["found"]] == ["spectral"]
    tandv("checkpoints", tmp_path, "--metrics", "spectral", "--detector", "none", "--out", tmp_path / "b.html")
    assert transitions_in(tmp_path / "b.html")["found"] == []
    rule = ("--detector", "relative_jumps")
    tandv("checkpoints", tmp_path, "--metrics", "spectral", *rule, "--out", tmp_path / "c.html")
    data = transitions_in(tmp_path / "c.html")
    assert ([one["step"] for one in data["found"]], data["rule"]) == (
        [10],
        "neighbours that differ by more than 20 %",
    )


def test_tensors_have_curves_of_their_own_if_wanted(run):
    found = json.loads(tandv("checkpoints", run, "--json", "--metrics", "spectral", "--per-tensor")[0])
    assert list(found["runs"][0]["values"]) == ["spectral", "spectral:fc1", "spectral:fc2"]


def test_own_metrics(run, tmp_path):
    (tmp_path / "mine.py").write_text("def a_of_model(model): return model.fc1.weight.sum()")
    (tmp_path / "net.py").write_text(
        "from torch import nn\nclass Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.fc1, self.fc2 = nn.Linear(3, 3, bias=False), nn.Linear(3, 2, bias=False)\n"
    )
    own = ("--metrics", tmp_path / "mine.py", "--model", tmp_path / "net.py", "--class-name", "Net")
    found = json.loads(tandv("checkpoints", run, "--json", *own)[0])
    assert found["runs"][0]["values"] == {"a_of_model": [3.0, 18.0, 33.0]}


def test_load_dir_then_plot_metrics(run, tmp_path):
    written, said = tandv("load-dir", "--dir", run)
    assert (written, said) == ("", f"3 checkpoints, steps 0 to 10, in {run} Now: tandv plot-metrics")
    assert last() == Loaded((str(run),))
    for name in ("plot-metrics", "plot-metric"):
        out = tmp_path / f"{name}.csv"
        _, said = tandv(name, "--out", out, text="spectrl\nmetrics\nspectral\ndone\n")
        assert said.startswith(f"3 checkpoints, steps 0 to 10, in {run} Give names of metrics")
        assert "no metric 'spectrl'; did you mean 'spectral'?" in said
        assert read_curves(out)["spectral"].to_dict() == SPECTRAL


def test_load_dir_tells_machines_what_it_found(run):
    written, _ = tandv("load-dir", "--dir", run, "--json")
    assert json.loads(written) == {
        "folders": [str(run)],
        "model": None,
        "class_name": None,
        "steps": {str(run): list(SPECTRAL)},
    }


def test_leaving_the_prompt_measures_nothing(run):
    tandv("load-dir", "--dir", run)
    assert tandv("plot-metrics", text="spectral\nexit\n")[1].endswith("Nothing was measured.")


def test_the_page_is_shown_until_it_is_ended(run, monkeypatch):
    shown = []
    monkeypatch.setattr(page, "show", lambda curves, **choices: shown.append((curves, choices)))
    tandv("checkpoints", run, "--metrics", "spectral", "--no-browser", "--port", 8123, "--axis", "log")
    [(curves, choices)] = shown
    assert curves["/".join(run.parts[-2:])]["spectral"].to_dict() == SPECTRAL
    assert (choices["browser"], choices["port"], choices["axis"]) == (False, 8123, "log")


def test_a_page_that_nobody_asks_for_ends_by_itself(run):
    written, said = tandv("checkpoints", run, "--metrics", "l2", "--no-browser", "--idle", "0.01")
    assert "The page is ready; open it in a browser: http://127.0.0.1:" in said
    assert "Ctrl-C ends it, and 0.6 seconds without a page that asks." in said
    assert (written, said.endswith("No page has asked for 0.6 seconds: it has ended.")) == ("", True)


def test_a_broken_checkpoint_is_a_warning_and_on_the_page(run, tmp_path):
    (run / "step_7.safetensors").write_bytes(b"\x00")
    _, said = tandv("checkpoints", run, "--metrics", "spectral", "--out", tmp_path / "a.html")
    assert "Warning: step_7.safetensors:" in said
    [(head, (_, values, state))] = held((tmp_path / "a.html").read_text())
    assert values[0, [0, 1, 3]].tolist() == [1.0, 6.0, 11.0] and state.tolist() == [[0, 0, 8, 0]]
    assert head["meta"]["notes"][0].startswith("step_7.safetensors:")
    assert "WARNING step_7.safetensors" in log_path().read_text()


def test_what_is_left_out_is_said_once(run, tmp_path):
    (run / "last.safetensors").write_bytes((run / "step_0.safetensors").read_bytes())
    _, said = tandv("checkpoints", run, "--metrics", "spectral", "--out", tmp_path / "a.html")
    assert said.count("last.safetensors: no step number in the name") == 1
    assert len(held((tmp_path / "a.html").read_text())[0][0]["meta"]["notes"]) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["checkpoints", "{tmp}/nowhere"], 2, "nowhere does not exist; give the folder that your checkpoints are in"),
        (["checkpoints", "{tmp}"], 1, "no checkpoints in"),
        (["checkpoints", "{broken}", "--json"], 1, "nothing could be measured; the warnings above say why"),
        (["checkpoints", "{run}", "--metrics", "spectrl"], 2, "no metric 'spectrl'; did you mean 'spectral'?"),
        (["checkpoints", "{run}", "--metrics", "no.py"], 2, "there is no file no.py"),
        (["checkpoints", "{run}", "--device", "abacus", "--json"], 2, "cannot measure on 'abacus'"),
        (["checkpoints", "{run}", "--model", "no.py"], 2, "there is no file no.py; give the Python file that"),
        (["checkpoints", "{run}", "--out", "a.docx"], 2, "--out a.docx must end in one of .html, .htm, .json"),
        (["checkpoints", "{run}", "--out", "no/a.html"], 2, "there is no folder"),
        (["checkpoints", "{run}", "--metrics", "spectral", "--out", "{run}/d.csv"], 1, "cannot be written"),
        (["checkpoints", "{run}", "--detector", "eyes"], 2, "eyes"),
        (["checkpoints"], 2, "Missing argument"),
        (["load-dir"], 2, "Missing option"),
        (["load-dir", "--dir", "{tmp}/nowhere"], 2, "does not exist"),
        (["load-dir", "--dir", "{tmp}"], 1, "no checkpoints in"),
        (["plot-metrics"], 2, "no checkpoints are loaded; first run: tandv load-dir --dir FOLDER"),
    ],
)
def test_exit_codes_and_what_to_do(run, tmp_path, arguments, code, said):
    (run / "d.csv").mkdir()
    broken = tmp_path / "several" / "broken"
    broken.mkdir(parents=True)
    (broken / "step_1.pt").write_bytes(b"")
    empty = tmp_path / "empty"
    empty.mkdir()
    places = {"run": run, "broken": broken, "tmp": empty}
    written, told = tandv(*(text.format(**places) for text in arguments), code=code)
    assert (written, said in told) == ("", True), told


@pytest.mark.parametrize(("missing", "out"), [("starlette", None), ("uvicorn", None), ("matplotlib", "a.png")])
def test_what_is_not_installed_is_said_before_anything_is_measured(run, tmp_path, monkeypatch, missing, out):
    monkeypatch.setattr("tandv.cli.results.find_spec", lambda name: None if name == missing else 1)
    monkeypatch.setattr("tandv.cli.measuring.evaluate", None)
    extra = "viz" if out else "page"
    _, said = tandv("checkpoints", run, *(["--out", tmp_path / out] if out else []), code=1)
    assert f'pip install "tandv[{extra}]"' in said


def test_without_ray_a_cluster_is_one_sentence(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert 'pip install "tandv[cluster]"' in tandv("checkpoints", run, "--cluster", "--json", code=1)[1]


def test_a_cluster_measures_the_same(run, monkeypatch):
    items = []

    def engine(function, jobs):
        items.extend(jobs)
        return map(function, jobs)

    monkeypatch.setattr("tandv.cli.measuring.on_ray", lambda: engine)
    found = json.loads(tandv("checkpoints", run, "--cluster", "--no-cache", "--json", "--metrics", "spectral")[0])
    assert found["runs"][0]["values"]["spectral"] == list(SPECTRAL.values())
    assert len(items) == 3


def test_ctrl_c_while_measuring_keeps_what_was_measured(run, monkeypatch):
    def stopped(paths, metrics, *, progress, **choices):
        evaluate(paths[:1], metrics)
        raise KeyboardInterrupt

    monkeypatch.setattr("tandv.cli.measuring.evaluate", stopped)
    _, said = tandv("checkpoints", run, "--json", "--metrics", "spectral", code=130)
    assert said == "Stopped. What was measured is kept; the next time goes on from there."
    monkeypatch.undo()


def test_what_libraries_warn_of_is_in_the_log_only(run, monkeypatch):
    def warned(paths, metrics, **choices):
        warnings.warn("a library's matter", RuntimeWarning, stacklevel=1)
        return pd.DataFrame({"a": [1.0, math.nan]})

    monkeypatch.setattr("tandv.cli.measuring.evaluate", warned)
    assert tandv("checkpoints", run, "--json", "--detector", "none")[1] == ""
    assert "RuntimeWarning: a library's matter" in log_path().read_text()


def test_the_log_tells_the_story(run, tmp_path):
    tandv("checkpoints", run, "--metrics", "spectral", "--out", tmp_path / "a.html")
    story = [line.partition("INFO ")[2] for line in log_path().read_text().splitlines()]
    assert story[1] == f"{run}: 3 checkpoints, steps 0 to 10"
    assert story[2:5] == [f"measured step_{s}.safetensors, {n} of 3" for n, s in enumerate((0, 5, 10), 1)]
    assert re.fullmatch(r"3 checkpoints, 1 curves in \d+\.\d\d s", story[5])
    assert story[-2] == f"wrote {tmp_path / 'a.html'}"


def test_the_losses_of_the_run_stand_beside_the_metrics_of_its_checkpoints(run):
    numbers = {0: {"loss": 2.0, "lr": 0.1}, 1: {"loss": 1.9}, 5: {"loss": 1.5}}
    (run / "curves.jsonl").write_text("".join(line(step, given) for step, given in numbers.items()))
    found = json.loads(tandv("checkpoints", run, "--json", "--metrics", "spectral")[0])
    assert found["runs"][0]["steps"] == [0, 5, 10]
    assert found["runs"][0]["values"] == {"spectral": [1.0, 6.0, 11.0], "loss": [2.0, 1.5, None]}
