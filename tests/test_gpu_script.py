"""The script that measures on a GPU, line by line on the CPU: what a machine with one is lent for is not the time to
find mistakes in it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu.sh"

pytestmark = pytest.mark.slow


def test_every_part_of_the_script_runs_on_the_cpu(tmp_path):
    report = tmp_path / "gpu.md"
    environment = os.environ | {"PYTHON": sys.executable, "TMPDIR": str(tmp_path)}
    ran = subprocess.run(["bash", SCRIPT, "--dry", report], capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stderr + report.read_text()
    text = report.read_text()
    titles = [line for line in text.splitlines() if line.startswith("#")]
    assert titles == [
        "# Cost of measuring on a GPU",
        "## Device tests",
        "## Kernels",
        "## tiny",
        "## Waits of the host in tracked steps",
    ]
    assert "1 passed" in text
    assert "Measured by triton." in text  # by its interpreter, not by what serves instead
    assert "| everything at every 10th step |" in text and "| bare again |" in text
    assert "| tiny, eager | never |" in text
    assert "Stopped" not in text and "Failed" not in text
    assert not list(tmp_path.glob("tmp.*"))  # its own files


def test_without_a_gpu_it_says_so_and_writes_nothing(tmp_path):
    environment = os.environ | {"PYTHON": sys.executable, "TMPDIR": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""}
    before = sorted(SCRIPT.parent.glob("results/*"))
    ran = subprocess.run(["bash", SCRIPT], capture_output=True, text=True, env=environment)
    assert ran.returncode == 1 and "There is no GPU here" in ran.stderr
    assert sorted(SCRIPT.parent.glob("results/*")) == before
