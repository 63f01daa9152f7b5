"""The options that say which files are measured, and what would be measured of them."""

import json
import re
import shutil

import pytest
from typer.testing import CliRunner

from in_file import held
from tandv.cli import app
from tandv.cli.state import Loaded, last

STEPS = ["500", "1k", "2k"]


@pytest.fixture
def mixed(run):
    """Return a folder in which a model is at steps 500, 1000 and 2000, and an average at two of them."""
    for old, new in zip((0, 5, 10), STEPS, strict=True):
        (run / f"step_{old}.safetensors").rename(run / f"model-{new}.safetensors")
        if new != "1k":
            shutil.copy(run / f"model-{new}.safetensors", run / f"ema-{new}.safetensors")
    return run


def tandv(*arguments, text=None, code=0):
    """Run a command; return what it wrote and what it said, each on one line."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], input=text)
    assert done.exit_code == code, (done.output, done.exception)
    return done.stdout, " ".join(done.stderr.split())


def test_a_dry_run_is_a_table_and_nothing_is_measured(mixed):
    (mixed / "model-3k.safetensors").write_bytes(b"junk")
    written, said = tandv("checkpoints", mixed, "--dry-run")
    lines = written.splitlines()
    assert lines[:2] == [str(mixed), "Steps are the number in the names."]
    assert [re.split("  +", line.strip()) for line in lines[2:4]] == [
        ["step", "file", "key", "parameters", "tensors", "what"],
        ["500", "model-500.safetensors", "(top)", "15", "2", "2 linear matrices"],
    ]
    assert [line.split()[:2] for line in lines[4:7]] == [
        ["1,000", "model-1k.safetensors"],
        ["2,000", "model-2k.safetensors"],
        ["3,000", "model-3k.safetensors"],
    ]
    assert "cannot be measured: it is damaged" in lines[6]
    assert lines[4].split("  ")[-1] == "the same"
    assert lines[7:10] == [
        "Groups:",
        "  measured  model-*  4 files, steps 500 to 3,000",
        "  left out  ema-*  2 files, steps 500 to 2,000",
    ]
    assert lines[10].startswith("Note: ema-500.safetensors, ema-2k.safetensors: averages of the model")
    assert lines[11].startswith("4 checkpoints, steps 500 to 3,000: 15 parameters in 2 tensors of each")
    assert said == "" and not (mixed / ".tandv-checkpoints.jsonl").exists()


def test_an_empty_list_of_metrics_does_not_mean_all(mixed):
    _, said = tandv("checkpoints", mixed, "--metrics", " , ", "--json", code=2)
    assert said.endswith("--metrics is empty; give names such as spectral,entropy, or leave it out for all")


def test_a_dry_run_of_what_cannot_be_measured_fails(tmp_path):
    (tmp_path / "step_1.pt").write_bytes(b"junk")
    written, said = tandv("checkpoints", tmp_path, "--dry-run", code=1)
    assert "cannot be measured" in written and said.endswith("nothing can be measured; each file says above why")


def test_a_dry_run_for_machines(mixed):
    [found] = json.loads(tandv("checkpoints", mixed, "--dry-run", "--json", "--group", "ema-*")[0])
    assert [(one["step"], one["file"]) for one in found["files"]] == [
        (500, "ema-500.safetensors"),
        (2000, "ema-2k.safetensors"),
    ]
    assert found["groups"][0] == {"name": "model-*", "files": 3, "first": 500, "last": 2000, "measured": False}


def test_the_line_on_what_was_measured_is_said_and_on_the_page(mixed, tmp_path):
    out = tmp_path / "a.html"
    words = "3 checkpoints, steps 500 to 2,000: 15 parameters in 2 tensors of each (2 linear matrices)"
    for command in (("checkpoints", mixed, "--metrics", "spectral"), ("view", mixed)):
        _, said = tandv(*command, "--out", out)
        assert "ema-*; measured is model-*" in said
        notes = held(out.read_text())[0][0]["meta"]["notes"]
        assert notes[-1] == words
    assert words in tandv("checkpoints", mixed, "--metrics", "spectral", "--out", out)[1]
    found = json.loads(tandv("checkpoints", mixed, "--metrics", "spectral", "--json")[0])
    assert found["measured"] == [words]


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        (("--group", "ema-*"), [500, 2000]),
        (("--include", "model-*", "--exclude", "*-500*"), [1000, 2000]),
        (("--exclude", "ema*", "--exclude", "*-2k*"), [500, 1000]),
        (("--step-pattern", r"model-(\d+k?)"), [500, 1000, 2000]),
    ],
)
def test_options_say_which_files_and_steps(mixed, options, steps):
    found = json.loads(tandv("checkpoints", mixed, "--json", "--metrics", "L2", *options)[0])
    assert (found["runs"][0]["steps"], list(found["runs"][0]["values"])) == (steps, ["weight_norm"])
    told = json.loads(tandv("load-dir", "--dir", mixed, "--json", *options)[0])
    assert told["steps"] == {str(mixed): steps}
    _, said = tandv("plot-metrics", "--json", text="L2\ndone\n")
    assert f"{len(steps)} checkpoints, steps {steps[0]:,} to {steps[-1]:,}, in" in said


def test_options_of_plot_metrics_replace_those_of_load_dir(mixed):
    tandv("load-dir", "--dir", mixed, "--group", "ema-*")
    assert last() == Loaded((str(mixed),), group="ema-*")
    _, said = tandv("plot-metrics", "--group", "model-*", "--json", text="rank\ndone\n")
    assert said.startswith("3 checkpoints, steps 500 to 2,000")


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--step-pattern", "(("), 2, "step_pattern='((' is no regular expression"),
        (("--group", "emu"), 2, "no group 'emu'"),
        (("--include", "none*"), 1, "leave none of 5 checkpoints"),
    ],
)
def test_wrong_options_are_said(mixed, options, code, said):
    for more in ((), ("--dry-run",)):
        assert said in tandv("checkpoints", mixed, "--json", *options, *more, code=code)[1]


def test_groups_that_cannot_be_told_apart_end_the_command(run):
    for step in (0, 5, 10):
        shutil.copy(run / f"step_{step}.safetensors", run / f"other_step_{step}.safetensors")
    for more in ((), ("--dry-run",)):
        assert "one curve would mix" in tandv("checkpoints", run, "--json", *more, code=1)[1]


@pytest.mark.parametrize("dry", [False, True])
def test_a_key_that_no_file_has_is_a_mistake_in_the_command(run, dry):
    arguments = ["checkpoints", run, "--key", "Z", "--no-browser", *(["--dry-run"] if dry else ["--json"])]
    written, said = tandv(*arguments, code=2)
    assert "it has no tensors under 'Z'; there are " in written + said
