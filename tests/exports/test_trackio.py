"""trackio, in a folder of its own: what was logged is read back, in a process whose environment says where that is."""

import json
import os
import subprocess
import sys

import pytest

from tandv.exports.trackio import trackio_problems

CODE = """
import json, warnings
warnings.simplefilter("ignore")
import trackio
from tandv import viz
from tandv.exports import to_trackio
from tandv.log.logframe import example_log

log = example_log(layers=2, steps=3)
run = trackio.init(project="project", name="run", embed=False, auto_log_cpu=False, auto_log_gpu=False)
to_trackio(log, run)
to_trackio({"step": [7], "accuracy": [0.5]}, run)
to_trackio([], run)
to_trackio({"weights": viz.scalar_global_heatmap(log, tt="Weight", scalar_metric="rm2", figsize=(4, 2))}, run)
trackio.finish()
from trackio.sqlite_storage import SQLiteStorage
print(json.dumps(SQLiteStorage.get_logs("project", "run")))
"""


@pytest.mark.slow
def test_a_log_curves_texts_and_pictures_are_in_the_run(tmp_path):
    environment = os.environ | {"TRACKIO_DIR": str(tmp_path / "trackio"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=1800
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout.splitlines()[-1])
    of_steps = {row["step"]: row for row in rows if "tandv/Weight/rm2/median" in row}
    assert sorted(of_steps) == [0, 1, 2]
    assert of_steps[0]["tandv/Weight/exponents"]["_type"] == "trackio.histogram"
    assert [(row["step"], row["tandv/accuracy"]) for row in rows if "tandv/accuracy" in row] == [(7, 0.5)]
    said = [row["tandv/transitions"]["_value"] for row in rows if "tandv/transitions" in row]
    assert said == ["No transition was found."]
    assert [row["tandv/weights"]["_type"] for row in rows if "tandv/weights" in row] == ["trackio.image"]


LIVE = """
import json, warnings
warnings.simplefilter("ignore")
import torch, trackio
from tandv.exports.summaries import of_log
from tandv.log.run import read_run
from tandv.track.torch import track

run = trackio.init(project="project", name="live", embed=False, auto_log_cpu=False, auto_log_gpu=False)
model = torch.nn.Linear(3, 2)
with track(model, trackio=run, every=2) as tracker:
    for step in range(5):
        loss = model(torch.ones(4, 3)).square().mean()
        loss.backward()
        run.log({"loss": loss.item()}, step=step)
        tracker.step()
trackio.finish()
from trackio.sqlite_storage import SQLiteStorage
wanted = {step: summary.numbers["Weight/rm2/median"] for step, summary in of_log(read_run(tracker.path))}
print(json.dumps([SQLiteStorage.get_logs("project", "live"), wanted]))
"""


@pytest.mark.slow
def test_each_recorded_step_is_logged_beside_the_users_own(tmp_path):
    environment = os.environ | {"TRACKIO_DIR": str(tmp_path / "trackio"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LIVE], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=1800
    )
    assert done.returncode == 0, done.stderr
    rows, wanted = json.loads(done.stdout.splitlines()[-1])
    name = "tandv/Weight/rm2/median"
    assert {str(row["step"]): row[name] for row in rows if name in row} == wanted and sorted(wanted) == ["0", "2", "4"]
    assert sorted(row["step"] for row in rows if "loss" in row) == [0, 1, 2, 3, 4]
    assert [row["step"] for row in rows if "tandv/findings" in row]


def test_what_is_no_run_of_trackio_is_said():
    assert trackio_problems(True) == ["trackio=bool must be a run of trackio, what trackio.init(...) returns"]
