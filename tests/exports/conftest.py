import importlib
import json
import struct
from typing import Any

import pytest
import torch
from torch import nn

from tandv.track.torch import track


@pytest.fixture(autouse=True)
def in_its_own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)


@pytest.fixture
def wandb(tmp_path, monkeypatch):
    """W&B without a network, which writes below the test's folder."""
    patience = {"_SERVICE_WAIT": "600", "INIT_TIMEOUT": "600"}  # its process may start slowly
    for name, value in {"MODE": "offline", "SILENT": "true", "DIR": tmp_path, "PROJECT": "tests", **patience}.items():
        monkeypatch.setenv(f"WANDB_{name}", str(value))
    import wandb

    wandb.teardown()  # it reads its environment once: whoever used it before had another, as the next test has
    yield wandb
    wandb.teardown()


@pytest.fixture
def train():
    """Track `steps` steps of a small model; `after(step)` is called at the end of each. Return the tracker."""

    def train(steps=6, after=lambda step: None, **arguments):
        model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        with track(model, optimizer=optimizer, **{"async_offload": False, **arguments}) as tracker:
            for step in range(steps):
                optimizer.zero_grad()
                model(torch.randn(4, 2)).square().mean().backward()
                optimizer.step()
                tracker.step()
                after(step)
        return tracker

    return train


@pytest.fixture
def rows(wandb, tmp_path):
    """Read the rows of the only W&B run back from its file: a dict for each, and its step in `_step`."""

    def rows():
        wandb.teardown()  # its process may still be writing when a run has been finished
        return [
            {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            for record in records(next(tmp_path.glob("wandb/offline-run-*/run-*.wandb")).read_bytes())
            if record.HasField("history")
        ]

    return rows


@pytest.fixture
def other_records(wandb, tmp_path):
    """Read one kind of record of the only W&B run back from its file."""

    def other_records(kind):
        wandb.teardown()
        data = next(tmp_path.glob("wandb/offline-run-*/run-*.wandb")).read_bytes()
        return [getattr(record, kind) for record in records(data) if record.HasField(kind)]

    return other_records


def records(data):
    """Yield the records of a W&B file: LevelDB's log format, with a head of 7 bytes."""
    wandb_internal_pb2: Any = importlib.import_module("wandb.proto.wandb_internal_pb2")

    assert data[:4] == b":W&B"
    place, found = 7, b""
    while place + 7 <= len(data):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        _, size, kind = struct.unpack("<IHB", data[place : place + 7])
        found += data[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # whole, or the last piece
            record = wandb_internal_pb2.Record()
            record.ParseFromString(found)
            yield record
            found = b""
