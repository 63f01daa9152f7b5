import sys

import pandas as pd
import pytest

from tandv.track.common import read_pickle, writer


@pytest.fixture(autouse=True)
def in_its_own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if "torch" in sys.modules:  # JAX's tests run without it, too
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(autouse=True)
def however_slow_the_disk_is(monkeypatch):
    """Where training waits for a flush, it waits until the flush is on disk: on a machine that is slow or busy, too."""
    monkeypatch.setattr(writer, "_SPARE", 3600)


@pytest.fixture
def run():
    """Track `steps` calls of a function on a model and return the log."""

    from tandv.track.torch import track

    def run(model, update, steps=1, **arguments) -> pd.DataFrame:
        with track(model, **arguments) as tracker:
            for _ in range(steps):
                update(tracker)
                tracker.step()
        return read_pickle(tracker.out_path)

    return run


@pytest.fixture
def row():
    """Return the one row of a log that is asked for, as a dict of its scalars."""

    def row(log: pd.DataFrame, name: str, tensor_type: str, step: int = 0) -> dict[str, float]:
        m = log["metadata"]
        found = log[(m["name"] == name) & (m["tensor_type"] == tensor_type) & (m["step"] == step)]
        assert len(found) == 1, f"{len(found)} rows of {tensor_type} {name} at {step}"
        return found["scalar_stats"].iloc[0].to_dict()

    return row


@pytest.fixture
def quantities():
    """Return the (tensor type, name) pairs of a step in the order of the log."""

    def quantities(log: pd.DataFrame, step: int = 0) -> list[tuple[str, str]]:
        m = log["metadata"][log["metadata"]["step"] == step]
        return list(zip(m["tensor_type"].astype(str), m["name"].astype(str), strict=True))

    return quantities
