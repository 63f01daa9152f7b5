"""`track(formats=[...])`: block formats of operands in the log, as measured by hand; the run is not touched."""

import numpy as np
import pytest
import torch
from torch import nn

import tandv
from tandv.measure.blocks import PARTS, block_measure, column
from tandv.track.torch import track

FORMATS = ["mxfp8_e4m3", "nvfp4", "e4m3@128x128"]


def trained(path, formats=None, steps=2, calls=1):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    seen = {}
    with track(model, optimizer=optimizer, path=path, inputs=True, formats=formats) as tracker:
        for _ in range(steps):
            seen["0", "Weight"] = model[0].weight.detach().clone()
            for _ in range(calls):
                x = torch.randn(3, 1, 8, 8)
                y = model[1](model[0](x)).flatten(1).detach()
                loss = model(x).square().sum()
                loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            tracker.step()
    return loss.item(), y, seen


def test_the_columns_are_those_of_the_tensors(tmp_path):
    _, y, seen = trained(tmp_path / "run", FORMATS, steps=1)
    log = tandv.read(tmp_path / "run")
    rows = log.set_index([("metadata", "name"), ("metadata", "tensor_type")])["scalar_stats"]
    by_hand = {
        ("3", "Input"): block_measure(y.numpy(), FORMATS),
        ("0", "Weight"): block_measure(seen["0", "Weight"].numpy(), FORMATS, axis=1),
    }
    for key, found in by_hand.items():
        for name, sums in zip(FORMATS, found, strict=True):
            for part, value in zip(PARTS, sums, strict=True):
                assert rows.loc[key, column(part, name)] == pytest.approx(value, rel=1e-6)
    assert rows.loc[("3", "Gradient"), "squares:nvfp4"] > 0
    assert np.isnan(rows.loc[("3.bias", "Weight"), "squares:nvfp4"])  # no operand of a product


def test_the_run_is_the_same(tmp_path):
    assert trained(tmp_path / "a", FORMATS)[0] == trained(tmp_path / "b")[0]


def test_what_is_wrong_is_refused_at_once(tmp_path):
    with pytest.raises(ValueError, match="did you mean 'mxfp4'") as error:
        track(nn.Linear(2, 2), path=tmp_path / "run", formats=["mxfp5", "mxfp4"], every=0)
    assert "every=0" in str(error.value)
    with pytest.raises(ValueError, match="must be a list of block formats"):
        track(nn.Linear(2, 2), path=tmp_path / "run", formats="mxfp4")
