"""trackio, in a folder of its own: what was logged is read back, in a process whose environment says where that is."""

import json
import os
import subprocess
import sys

import pytest

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
        [sys.executable, "-c", CODE], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
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
