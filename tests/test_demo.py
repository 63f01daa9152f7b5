import json
from math import inf
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from tandv import demo
from tandv.analysis.findings import findings
from tandv.cli import app
from tandv.cli.demo import is_terminal_of_a_person
from tandv.curves import read_curves
from tandv.demo import ending, jax_breaking, jax_gpt
from tandv.demo.torch_gpt import GPT
from tandv.log import logframe


def log(counts: dict[float, int], zeros: int = 0, infs: int = 0) -> pd.DataFrame:
    """Return one gradient whose values lie in the powers of two that are given."""
    counts = {-inf: zeros, **counts, inf: infs}
    columns: dict[tuple[str, object], object] = {
        ("metadata", "name"): "a",
        ("metadata", "type"): "Linear",
        ("metadata", "tensor_type"): "Gradient",
        ("metadata", "step"): 0,
        ("metadata", "dtype"): "float32",
        ("scalar_stats", "rm2"): 0.5,
        ("scalar_stats", "numel"): sum(counts.values()),
        ("scalar_stats", "nans"): 0,
        ("scalar_stats", "infs"): infs,
    } | {("exponent_counts", n): count for n, count in counts.items()}
    return logframe.validate(pd.DataFrame([list(columns.values())], columns=pd.MultiIndex.from_tuples(columns)))


def with_less_to_compute(monkeypatch):
    """Leave out a layer after those that are broken, and half of a batch: XLA does not optimise what tests compile."""
    monkeypatch.setattr(jax_gpt, "LAYERS", 3)
    monkeypatch.setattr(demo, "_BATCH", 8)


def told(df, losses, folder) -> str:
    (folder / "parts").mkdir(exist_ok=True)
    return " ".join(demo.report(df, losses, folder))


def test_what_underflows_is_what_float8_rounds_to_zero(tmp_path):
    # 2^-9 is the smallest subnormal: above half of it a value is kept, below it is lost; zeros were zeros before
    for exponent, share in ((-9, "0%"), (-10, "0%"), (-11, "25%")):
        assert f"Gradient of a: {share}" in told(log({exponent: 25, 0: 50}, zeros=25), [2, 1], tmp_path)
    cast = torch.tensor([1.01 * 2.0**-10, 1.99 * 2.0**-11]).to(torch.float8_e4m3fn).float()
    assert cast.tolist() == [2.0**-9, 0.0]


@pytest.mark.parametrize(
    ("losses", "words"),
    [
        ([5.0, 2.0], "The loss fell from 5.00 to 2.00."),
        ([2.0, 5.0], "The loss did not fall: it went from 2.00 to 5.00."),
        ([5.0], "The loss was 5.00 in the only step."),
        ([5.0, float("nan")], "The loss did not fall: it went from 5.00 to nan."),
    ],
)
def test_the_loss_is_said_to_fall_only_if_it_did(losses, words, tmp_path):
    assert words in told(log({0: 1}), losses, tmp_path)


def test_what_a_row_takes_on_disk_is_that_of_the_whole_folder(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "0.parquet").write_bytes(b"x" * 43)
    assert "1 steps; 43 bytes a row on disk." in told(log({0: 1}), [1.0], tmp_path)
    (tmp_path / "log.pkl").write_bytes(b"x" * 48)
    words = "91 bytes a row on disk: 43 in parts, the rest for the same in one file, log.pkl."
    assert words in told(log({0: 1}), [1.0], tmp_path)


def test_infinities_are_told(tmp_path):
    assert "3 values were NaN or infinite." in told(log({0: 5}, infs=3), [2, 1], tmp_path)


def test_gradients_none_of_which_is_finite_are_told(tmp_path):
    df = log({0: 1})
    df[("scalar_stats", "rm2")] = np.nan
    assert "In the last step no gradient was finite." in told(df, [2, 1], tmp_path)


@pytest.mark.slow
def test_the_curve_lies_beside_the_log_and_the_model_learns(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = demo.run(steps=30, out=tmp_path / "a run")
    assert "\n  tandv view 'a run'\n" in capsys.readouterr().out
    curve = read_curves(path.parent)["loss"]
    assert curve.index.tolist() == list(range(30))
    assert curve[0] == pytest.approx(np.log(256), abs=0.1)  # knows nothing yet
    assert curve[29] < 3.8
    assert findings(path) == []  # the training is healthy


@pytest.mark.slow
def test_a_log_that_stays_in_its_folder_is_reported_as_well(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tandv.track.common.finished_log._IN_MEMORY", 10)
    with pytest.warns(UserWarning, match="`tandv log export` makes one file of it"):
        assert demo.run(steps=3, out=tmp_path / "run") == tmp_path / "run"
    assert "The log has 954 rows" in capsys.readouterr().out


def test_a_token_sees_none_that_follow():
    torch.manual_seed(0)
    model, tokens = GPT(layers=2, width=16, heads=2, context=8), torch.randint(256, (1, 8))
    changed = tokens.clone()
    changed[0, 5] = (changed[0, 5] + 1) % 256
    differs = (model(tokens) != model(changed)).any(dim=-1)[0]
    assert differs.tolist() == [False] * 5 + [True] * 3


@pytest.mark.slow
def test_its_page_opens_when_that_is_asked_for(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr("tandv.page.view.serve_page", lambda runs, first, **options: shown.append((runs, options)))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    told = CliRunner().invoke(app, ["demo", "--steps", "2", "--out", str(tmp_path / "run"), "--view"])
    assert told.exit_code == 0, told.output
    (((one,), options),) = shown
    assert (one.run.name, one.run.log().steps.tolist(), options["browser"]) == ("run", [0, 1], True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("framework", "kind", "severity", "found", "layer"),
    [
        ("torch", "dead", "warning", "dead", "layers.2.feed_forward.gelu"),
        ("torch", "lr", "warning", "updates_too_large", "*"),
        ("torch", "nan", "error", "not_finite", "layers.1.attention_norm"),
        ("jax", "lr", "warning", "updates_too_large", "*"),
    ],
)
def test_a_broken_training_ends_with_its_finding(framework, kind, severity, found, layer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if framework == "jax":
        with_less_to_compute(monkeypatch)
    asked = ["--break", kind, "--steps", "20", "--framework", framework, "--out", "run"]
    said = CliRunner().invoke(app, ["demo", *asked])
    assert said.exit_code == 0, said.output
    assert "tandv view run" in said.output
    _, _, findings = said.output.partition(f"Findings: 1 {severity}.")
    line = findings.strip().splitlines()[0]
    assert line == f"{severity} · {found} · {line.split(' · ')[2]} · {layer} · step 10"  # the fault begins at half


@pytest.mark.slow
def test_it_ends_with_a_finding_the_lines_for_a_loop_a_picture_and_the_address_of_a_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(app, ["demo", "--steps", "20", "--out", "a run"])
    assert said.exit_code == 0, said.output
    healthy, _, broken = said.stdout.partition("The same training again, broken on purpose:")
    assert "There was no NaN and no infinity." in healthy and "overflow" not in healthy
    assert "computed in float16, grow from step 15" in " ".join(broken.split())
    assert "error · overflow · Activation · layers.2.feed_forward.w1 · step " in broken
    assert "with track(model, optimizer=optimizer) as tracker:" in broken and "tracker.step(loss=loss)" in broken
    picture, address = broken.splitlines()[-2:]
    assert picture == "Picture: a run-overflow/overview.png"
    assert (tmp_path / "a run-overflow" / "overview.png").read_bytes().startswith(b"\x89PNG")
    assert address == f"Page: {(tmp_path / 'a run-overflow' / 'page.html').as_uri()}"
    assert (
        "layers.2.feed_forward.w1" not in address and (tmp_path / "a run-overflow" / "page.html").stat().st_size > 1e5
    )
    assert findings(tmp_path / "a run") == []


@pytest.mark.slow
def test_its_answer_in_json_names_all_that_it_made(tmp_path, monkeypatch):
    monkeypatch.setattr("tandv.cli.demo.find_spec", lambda name: None)  # nothing that could serve a page
    monkeypatch.setattr("tandv.demo.ending.picture", _nothing_draws)
    shown = []
    monkeypatch.setattr("webbrowser.open", shown.append)
    said = CliRunner().invoke(app, ["demo", "--steps", "2", "--out", str(tmp_path / "run"), "--json", "--view"])
    assert said.exit_code == 0, said.output
    run, page = str(tmp_path / "run"), (tmp_path / "run" / "page.html").as_uri()
    assert json.loads(said.stdout) == {
        "log": f"{run}/log.pkl", "run": run, "shown": run, "finding": None, "picture": None, "page": page,
    }  # fmt: skip
    assert shown == [page]  # the file is opened where no page can be served
    assert "No picture: tandv.viz needs matplotlib" in said.stderr


def _nothing_draws(run, at=None):
    raise ModuleNotFoundError("tandv.viz needs matplotlib")


@pytest.mark.parametrize(
    ("ends", "environment", "serves"),
    [
        ((True, True), {}, True),
        ((False, True), {}, False),
        ((True, False), {}, False),
        ((True, True), {"CI": "1"}, False),
    ],
)
def test_a_page_is_served_only_to_a_person(ends, environment, serves, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for name, is_terminal in zip(("stdin", "stdout"), ends, strict=True):
        monkeypatch.setattr(f"sys.{name}", SimpleNamespace(isatty=lambda is_terminal=is_terminal: is_terminal))
    assert is_terminal_of_a_person() is serves


def test_the_lines_for_a_loop_are_of_what_is_installed(monkeypatch):
    assert "tandv.track.jax" not in ending.loops(["torch"]) and "tandv.track.torch" not in ending.loops(["jax"])
    assert "tandv.track.torch" in ending.loops()


@pytest.mark.parametrize(
    ("started", "on_path", "called"),
    [
        (".venv/bin/tandv", None, ".venv/bin/tandv"),
        (".venv/bin/tandv", "/usr/bin/tandv", "tandv"),
        ("pytest", None, "tandv"),
    ],
)
def test_a_command_is_told_as_it_can_be_typed(started, on_path, called, monkeypatch):
    monkeypatch.setattr("sys.argv", [started])
    monkeypatch.setattr("shutil.which", lambda name: on_path)
    assert ending.command() == called


@pytest.mark.slow
def test_the_jax_training_is_broken_as_well(tmp_path, monkeypatch):
    with_less_to_compute(monkeypatch)
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(app, ["demo", "--steps", "20", "--framework", "jax", "--out", "run"])
    assert said.exit_code == 0, said.output
    healthy, _, broken = said.stdout.partition("The same training again, broken on purpose:")
    assert "There was no NaN and no infinity." in healthy
    assert "computed in float16, grow from step 15" in " ".join(broken.split())
    assert "error · overflow · Activation · layers.2.feed_forward.w1 · step " in broken
    assert findings(tmp_path / "run") == []


@pytest.mark.parametrize("kind", ["nan", "dead"])
def test_faults_in_jax_begin_at_half_of_the_steps(kind):
    training = jax_gpt.Training(0, 4)
    broken = {
        "nan": training.model.layers[1].attention_norm.scale,
        "dead": training.model.layers[2].feed_forward.w1.bias,
    }[kind]
    before_step, usual = jax_breaking.fault(training, kind, 20), np.array(broken[...])
    before_step(9)
    assert np.array_equal(broken[...], usual)
    before_step(10)
    changed = np.array(broken[...])
    if kind == "nan":
        assert np.isnan(changed[0]) and np.array_equal(changed[1:], usual[1:])
    else:
        assert set(changed) == {-50.0}


def test_a_fault_that_cannot_be_seen_is_refused():
    said = CliRunner().invoke(app, ["demo", "--break", "nan", "--steps", "5", "--framework", "jax"])
    assert said.exit_code == 2
    words = " ".join(said.stderr.replace("│", " ").split())
    assert "20 steps or more to be seen, not 5" in words
