"""Three checkpoints, and a place for what the shell keeps."""

import numpy as np
import pytest
from safetensors.numpy import save_file


@pytest.fixture(autouse=True)
def state(tmp_path_factory, monkeypatch):
    """Give the shell a folder of its own for its state; return it."""
    folder = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    return folder / "tandv"


def save_run(folder, scale=1.0):
    """Save checkpoints whose largest singular value is scale, 6 · scale, 11 · scale."""
    folder.mkdir(parents=True, exist_ok=True)
    for step in (0, 5, 10):
        weight = scale * (step + 1) * np.eye(3)
        save_file({"fc1.weight": weight, "fc2.weight": np.eye(2, 3)}, folder / f"step_{step}.safetensors")
    return folder


@pytest.fixture
def run(tmp_path):
    """Return a folder of three checkpoints."""
    return save_run(tmp_path / "run")
