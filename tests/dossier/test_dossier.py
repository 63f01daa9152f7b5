"""Dossiers: what they join, what they say is missing, and that names from a run stay names."""

import errno
import json
import math
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file
from stored import counted_only, stored
from typer.testing import CliRunner

from tandv.analysis.transitions import Evidence, Transition
from tandv.checkpoints import find
from tandv.cli import app
from tandv.curves import write_curves
from tandv.curves.of_run import line
from tandv.dossier import examine, gather, write_dossier
from tandv.dossier.changes import changes_between, usual_changes
from tandv.dossier.not_finite import first_not_finite
from tandv.dossier.rendering import as_markdown
from tandv.dossier.report import sections
from tandv.log import logframe
from tandv.place import place_of

pytestmark = pytest.mark.slow

STEPS = np.arange(0, 1000, 10)
JUMP = 1 / (1 + np.exp(-(STEPS - 600) / 15))
NOISE = np.random.default_rng(0).normal(size=(2, len(STEPS))) * 0.005
CURVES = pd.DataFrame(
    {
        "train_loss": 2 - 1.5 * JUMP + NOISE[0],
        "test_acc": 0.1 + 0.8 * JUMP + NOISE[1],
        "train_acc": np.minimum(STEPS / 100, 1),
    },
    index=pd.Index(STEPS, name="step"),
)


def log() -> pd.DataFrame:
    """Return a log of two layers, of which the first grows at step 600, the other steadily."""
    rng = np.random.default_rng(1)
    sizes = np.concatenate([1 + JUMP + 0.003 * rng.normal(size=len(STEPS)), 1 + STEPS / 1000])
    metadata = {
        "name": ["fc1"] * len(STEPS) + ["fc2"] * len(STEPS),
        "type": ["Linear"] * (2 * len(STEPS)),
        "tensor_type": ["Weight"] * (2 * len(STEPS)),
        "step": np.tile(STEPS, 2),
        "dtype": ["float32"] * (2 * len(STEPS)),
    }
    scalars = {"rm2": sizes, "numel": np.full(2 * len(STEPS), 4)}
    return logframe.frame(metadata, scalars, np.zeros((2 * len(STEPS), 2), np.int64), [])


@pytest.fixture
def checkpoints(tmp_path):
    """Save checkpoints each 100 steps: fc1 doubles from 500 to 700, fc2 grows by a tenth at each."""
    folder = tmp_path / "ckpt"
    folder.mkdir()
    for i, step in enumerate(range(0, 1000, 100)):
        first = {True: 1.0, False: 1.5 if step == 600 else 2.0}[step <= 500]
        tensors = {"fc1.weight": np.full((2, 2), first), "fc2.weight": np.full((2, 3), 1.1**i)}
        save_file(tensors, folder / f"step_{step:04d}.safetensors", {"tandv": json.dumps({"why": f"why {step}"})})
    return folder


def test_curves_alone_are_enough_and_what_is_missing_is_said(tmp_path):
    written = write_dossier(CURVES, tmp_path / "d", name="mlp")
    assert sorted(path.name for path in (tmp_path / "d").iterdir()) == [
        *("analysis_results.json", "comparison_report.html", "comparison_report.md", "generalisation.png"),
        *("moment_1_step_600.png", "training_dynamics.png"),
    ]
    found = json.loads(written.results.read_text())
    (moment,) = found["moments"]
    assert {moment["quantity"], *moment["also"]} == {"train_loss", "test_acc"}
    assert 500 <= moment["before"] < 600 < moment["after"] <= 700
    assert all(one["evidence"]["p"] < 0.01 for one in found["transitions"])
    reached = found["generalisation"]
    assert (reached["memorisation"]["step"], reached["generalisation"]["step"]) == (100, None)  # 0.9 is the highest
    assert reached["is_grokking"] is False
    said = " ".join(found["missing"])
    assert "no log: give log=" in said and "no checkpoints: give checkpoints=" in said
    assert "which layers move together is not known" in said
    assert moment["missing"] == []  # that there are no checkpoints is said once
    text = written.report.read_text()
    count = len(found["transitions"])
    title, first, held, *_ = text.split("\n\n")
    assert title == "# mlp: what changed, and when"
    assert first.startswith("The network learned its training data by step 100 (train_acc reached 0.95) and did not ")
    assert "While" not in first  # there is nothing inside that could explain it
    assert held.startswith("The run has 100 recorded steps from 0 to 990, 3 curves that are not of single layers, ")
    assert f" {count} transition{'s' * (count > 1)} in them, and no checkpoints." in held
    assert "![The run, with its transitions](training_dynamics.png)" in text


def test_checkpoints_and_log_say_which_layers_moved(tmp_path, checkpoints):
    written = write_dossier(CURVES, tmp_path / "d", checkpoints=checkpoints, log=log(), within=100)
    (moment,) = written.findings["moments"]
    assert moment["coordination"]["moved"] == ("fc1",)
    assert moment["coordination"]["share"] == 0.5
    assert moment["coordination"]["base_rate"] < 0.02
    sides = {side: one["step"] for side, one in moment["checkpoints"].items()}
    assert sides == {"before": 500, "after": 700}
    assert moment["checkpoints"]["before"]["why"] == "why 500"
    rows = {row["layer"]: row for row in moment["weights"]}
    assert rows["fc1"]["relative"] == pytest.approx(1.0)  # from 1 to 2
    assert rows["fc2"]["relative"] == pytest.approx(0.21)  # 1.1² - 1
    assert rows["fc1"]["usual"] == pytest.approx(0.0)
    assert rows["fc2"]["times_usual"] == pytest.approx(1.0)
    assert math.isnan(rows["fc1"]["times_usual"])
    assert "50 % of the layers (by their weight_norm) move with it: fc1." in written.report.read_text()
    assert "moment_1_weights.png" in {path.name for path in written.pictures}
    assert moment["missing"] == []


def test_checkpoints_that_are_too_far_are_named(checkpoints):
    material = gather(CURVES, checkpoints=checkpoints)
    (moment,) = examine(material, within=5)["moments"]
    assert "weights" not in moment
    assert re.match(r"no checkpoint within 5 steps before \d+; the nearest are 500 and 600", moment["missing"][0])


def test_the_usual_change_is_the_median_over_other_pairs(checkpoints):
    found = find(checkpoints)
    usual, pairs = usual_changes(found, 500, 700)
    # half to twice as far apart and not touching 500 to 700
    assert usual is not None and pairs[0] == "0 to 200" and "500 to 700" not in pairs and "400 to 600" not in pairs
    assert usual["fc2"] == pytest.approx(0.21)
    assert usual_changes(found[5:8], 500, 700) == (None, [])


def test_layers_that_cannot_be_compared_are_named(tmp_path):
    save_file({"a": np.ones(2), "b": np.ones(3), "c": np.zeros(2)}, tmp_path / "step_0.safetensors")
    save_file({"a": np.ones(2), "b": np.ones(4), "d": np.ones(1)}, tmp_path / "step_10.safetensors")
    table, problems = changes_between(*find(tmp_path))
    assert table.index.tolist() == ["a"]
    assert problems == ["b has shape (3,) before and (4,) after", "c is at step 0 only", "d is at step 10 only"]


def test_transitions_that_chance_gives_are_shown_but_not_looked_at():
    unsure = [Transition("test_acc", 580, 600, 620, 0.1, 0.9, Evidence(p=0.4))]
    found = examine(gather(CURVES), transitions=unsure)
    assert len(found["transitions"]) == 1 and found["moments"] == []


def test_names_of_a_run_stay_names(tmp_path):
    name = "<script>alert(1)</script>|_x_"
    written = write_dossier({"step": STEPS, name: CURVES["test_acc"].to_numpy()}, tmp_path / "d", name=name)
    page, text = written.page.read_text(), written.report.read_text()
    assert "<script" not in page and "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in text and r"\|\_x\_" in text
    assert not re.search(r'(src|href)="(?!data:image/png;base64,)', page)  # nothing comes from elsewhere


def test_a_folder_is_opened_as_it_is(tmp_path, checkpoints):
    write_curves(CURVES, tmp_path / "curves.csv")
    found = gather(tmp_path)
    pd.testing.assert_frame_equal(found.curves, CURVES)
    assert [one.step for one in found.checkpoints] == list(range(0, 1000, 100))
    assert found.missing == [f"no log: {tmp_path} is not the folder of a tracker; give log=, or track the run"]


def test_a_log_alone_gives_norms(tmp_path):
    found = gather(log=log())
    assert found.curves.columns.tolist() == ["weight_norm"]
    assert found.curves.loc[0, "weight_norm"] == pytest.approx(math.sqrt(8), rel=0.01)


def test_without_curves_it_says_where_they_are_looked_for(tmp_path):
    with pytest.raises(ValueError, match="no curves in .*no curves.csv or curves.json; give them to tracker"):
        gather(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no such folder; `tandv runs` lists"):
        gather(tmp_path / "nowhere")


def test_curves_need_no_framework_and_no_learning_library(tmp_path):
    code = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "jax", "sklearn", "ruptures", "starlette", "IPython", "ipywidgets"):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
from tandv.dossier import write_dossier
write_dossier({{"acc": [0.1] * 30 + [0.2, 0.5, 0.8] + [0.9] * 30}}, {str(tmp_path / "d")!r})
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (tmp_path / "d" / "comparison_report.html").exists()


def test_the_command_writes_it(tmp_path, checkpoints, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    write_curves(CURVES, tmp_path / "curves.csv")
    done = CliRunner().invoke(app, ["dossier", str(tmp_path), "--within", "100"])
    assert (done.exit_code, done.stdout.strip()) == (0, str(tmp_path / "dossier" / "comparison_report.html"))
    said = " ".join(done.stderr.split())
    assert "missing: no log" in said and re.search(r"step 60\d: \w+, \w+", said)
    assert CliRunner().invoke(app, ["dossier", str(tmp_path / "nowhere")]).exit_code == 2


def test_what_the_loop_gave_to_its_tracker_is_examined(tmp_path):
    numbers = [{"loss": float(value)} | ({"val_acc": 0.5} if i % 20 == 0 else {}) for i, value in enumerate(JUMP)]
    (tmp_path / "curves.jsonl").write_text("".join(line(int(STEPS[i]), given) for i, given in enumerate(numbers)))
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "layers.json").write_text("[]")
    found = gather(tmp_path)
    assert found.curves["loss"].tolist() == JUMP.tolist()
    assert not [sentence for sentence in found.missing if "no curves" in sentence]
    said = examine(found)["missing"]
    assert "val_acc has 5 known values, too few to look for transitions" in said
    assert not [sentence for sentence in said if "has no value" in sentence]
    write_curves({"step": [0, 5], "grade": [1.0, 2.0]}, tmp_path / "metrics.csv")
    both = gather(tmp_path).curves
    assert both["grade"].dropna().to_dict() == {0: 1.0, 5: 2.0}
    assert both["loss"].dropna().tolist() == JUMP.tolist()


def test_nan_is_said_and_where_it_was_first(tmp_path):
    df = logframe.example_log(layers=3, steps=40, tensor_types=["Gradient"])  # NaN in "head" at the last step
    losses = [1.0 if step < 25 else math.nan for step in range(40)]
    stored(counted_only(df), tmp_path / "run")
    (tmp_path / "run" / "curves.jsonl").write_text("".join(line(i, {"loss": loss}) for i, loss in enumerate(losses)))
    written = write_dossier(tmp_path / "run", tmp_path / "dossier")
    assert written.findings["not_finite"] == [
        "loss is NaN from step 25 on, at 15 of 40 steps",
        "Gradient has NaN first at step 39, in head",
    ]
    assert not [sentence for sentence in written.findings["missing"] if "no value" in sentence]
    _, first, *_ = written.report.read_text().split("\n\n")
    assert first.startswith("Since step 39, in head, an error (not finite): The gradient of the output of 'head' ")
    assert [one["kind"] for one in json.loads(written.results.read_text())["wrong"]["findings"]] == ["not_finite"]
    assert "NaN and infinity" in (tmp_path / "dossier" / "comparison_report.html").read_text()
    assert first_not_finite(logframe.example_log(steps=20, tensor_types=["Weight"])) == []


def test_a_run_at_an_address_is_examined_by_its_log_and_its_loop(tmp_path):
    log = counted_only(logframe.example_log(layers=2, steps=30))
    run, address = stored(log, tmp_path / "run"), f"memory://{tmp_path.name}/demo"
    (run / "curves.jsonl").write_text("".join(line(step, {"loss": 1.0 / (1 + step)}) for step in range(30)))
    for path in run.rglob("*"):
        if path.is_file():
            place_of(address).below(*path.relative_to(run).parts).put(path.read_bytes())
    found = gather(address)
    assert (found.name, found.folder) == ("demo", None)
    assert {"loss", "weight_norm"} <= set(found.curves.columns)
    assert found.missing == ["no checkpoints: give checkpoints=, or save some by track(save=SaveRule(...))"]
    assert write_dossier(address, tmp_path / "dossier").page.is_file()


def test_kinds_of_transition_are_named_and_their_numbers_worded():
    steps = np.arange(400)
    noise = 0.02 * np.random.default_rng(3).standard_normal(400)
    curves = {"train_loss": 1 - 0.5 * (steps > 201) + noise, "lr": np.where(steps <= 200, 0.1, 0.01)}
    found = examine(gather(curves))
    assert found["learning_rate"] == "lr"
    [one] = found["transitions"]
    assert one["evidence"]["kind"] == "schedule" and one["evidence"]["p"] < 1e-4
    text = as_markdown(sections(found, []))
    row = next(line for line in text.splitlines() if line.startswith("| train_loss | explained"))
    cells = [cell.strip() for cell in row.split("|")]
    assert (cells[2], cells[9]) == ("explained by the learning rate", "&lt; 0.0001")
    assert "false alarms" not in text and "lr is taken as the learning rate." in text
    with pytest.raises(LookupError, match="no curve 'rate'; there are"):
        examine(gather(curves), lr="rate")


def test_a_spike_that_recovers_and_what_chance_explains_are_not_examined():
    curves = {"train_loss": np.r_[np.full(50, 1.0), 0.5 + np.zeros(50)]}
    likely = Transition("train_loss", 49, 50, 50, 1.0, 0.5, Evidence(p=0.2))
    spike = likely._replace(evidence=Evidence(p=1e-9, kind="spike"))
    assert examine(gather(curves), transitions=[likely, spike])["moments"] == []
    assert len(examine(gather(curves), transitions=[likely._replace(evidence=Evidence())])["moments"]) == 1


def test_a_full_disk_is_said_with_the_place(monkeypatch, tmp_path):
    def full(*places, **settings):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tandv.dossier.write_dossier", full)
    done = CliRunner().invoke(app, ["dossier", str(tmp_path), "--out", "there"])
    assert done.exit_code == 2
    assert "the dossier cannot be written to there ([Errno 28] No space left on device)" in done.output
