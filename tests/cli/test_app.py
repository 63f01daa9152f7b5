import errno
import io
import json
import os
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

import tandv
from tandv.cli import app
from tandv.cli.output import answer
from tandv.log.example import example_log
from tandv.log.files import read_pickle, write_pickle
from tandv.log.run import read_run

run = CliRunner().invoke


def test_version_and_help():
    assert run(app, ["--version"]).output == f"tandv {tandv.__version__}\n"
    listed = run(app, ["--help"])
    assert listed.exit_code == 0 and "demo" in listed.output


HEAVY = "{'torch', 'jax', 'numpy', 'pandas', 'matplotlib', 'scipy', 'starlette', 'pyarrow'}"
SAYS_WHAT_IS_HEAVY = f"import atexit, sys\natexit.register(lambda: print(sorted({HEAVY} & set(sys.modules))))\n"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["checkpoints", "--help"], ["load-dir", "--help"]])
def test_help_imports_nothing_heavy(arguments):
    code = f"{SAYS_WHAT_IS_HEAVY}from tandv.cli import app\napp({arguments}, prog_name='tandv')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "Usage: tandv" in done.stdout + done.stderr


def test_completion_knows_commands_and_metrics_and_imports_nothing_heavy():
    def completed(words):
        code = f"{SAYS_WHAT_IS_HEAVY}from tandv.cli import app\napp(prog_name='tandv')"
        asked = {"_TANDV_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
        command = [sys.executable, "-c", code]
        return subprocess.run(command, capture_output=True, text=True, env=os.environ | asked).stdout.split("\n")[:-1]

    assert completed("tandv plot") == ["plot-metrics", "[]"]
    assert completed("tandv checkpoints runs --metrics sp") == ["spectral", "sparsity", "[]"]


@pytest.mark.slow
def test_the_demo_leaves_a_log_says_what_it_found_and_is_repeatable(tmp_path):
    told = run(app, ["demo", "--steps", "3", "--out", str(tmp_path / "run")])
    assert told.exit_code == 0
    words = " ".join(told.output.split())
    assert "The loss fell from 5.5" in words
    assert "There was no NaN and no infinity." in words
    df = read_pickle(tmp_path / "run" / "log.pkl")
    assert f"The log has {len(df):,} rows: 6 tensor types" in words
    assert read_run(tmp_path / "run").equals(df)
    assert sorted(set(df["metadata"]["step"])) == [0, 1, 2]
    assert {"layers.0.attention.wq", "layers.3.feed_forward.w2.bias"} <= set(df["metadata"]["name"])
    run(app, ["demo", "--steps", "3", "--out", str(tmp_path / "again")])
    assert read_pickle(tmp_path / "again" / "log.pkl").equals(df)


def test_without_torch_the_demo_says_what_to_install(monkeypatch):
    for module in [name for name in sys.modules if name.startswith(("tandv.demo", "tandv.track.torch"))]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delattr(tandv, "demo", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    told = run(app, ["demo"])
    assert told.exit_code == 1
    assert 'pip install "tandv[torch]"' in told.output


@pytest.mark.parametrize("steps", ["0", "many"])
def test_bad_options_are_usage_errors(steps):
    assert run(app, ["demo", "--steps", steps]).exit_code == 2


def test_metrics_are_listed_with_where_a_published_definition_is_another():
    rows = {row.split()[0]: row for row in CliRunner().invoke(app, ["metrics"]).output.splitlines()}
    assert rows["condition"].endswith("median of matrices (published:condition is another definition)")
    assert rows["published:condition"].endswith("mean of matrices, whatever their rank")


@pytest.mark.parametrize("charset", ["ascii", "latin-1"])
def test_letters_that_the_terminal_lacks_are_escaped_and_json_stays_json(charset, tmp_path):
    log = example_log(layers=2, steps=3)
    log[("metadata", "name")] = log[("metadata", "name")].astype(str).replace({"embed": "层 · 🎉"})
    log.loc[log[("metadata", "name")] == "层 · 🎉", ("scalar_stats", "nans")] = 1
    write_pickle(log, tmp_path / "log.pkl")
    told = CliRunner(charset=charset).invoke(app, ["check", str(tmp_path / "log.pkl")])
    assert told.exit_code == 1 and r"\u5c42" in told.output  # 1: there is an error in the run
    told = CliRunner(charset=charset).invoke(app, ["check", str(tmp_path / "log.pkl"), "--json"])
    assert json.loads(told.output)["findings"][0]["layer"] == "层 · 🎉"


class Full(io.StringIO):
    """Standard output on a full disk."""

    def flush(self):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(("stream", "why"), [(Full(), "No space left on device"), (None, "standard output is closed")])
def test_results_that_cannot_be_written_are_said_and_no_finding_is_told_by_the_code(stream, why, monkeypatch, capfd):
    monkeypatch.setattr("sys.stdout", stream)
    with pytest.raises(typer.Exit) as ended:
        answer("results")
    assert ended.value.exit_code == 2 and why in " ".join(capfd.readouterr().err.split())
