"""`track(formats=[...])`: block formats of operands in the log, as measured by hand; the run is not touched."""

import numpy as np
import pytest
import torch
from pandas.testing import assert_frame_equal
from torch import nn

import tandv
from tandv.measure.blocks import PARTS, block_measure, column
from tandv.track.torch import track

FORMATS = ["mxfp8_e4m3", "nvfp4", "e4m3@128x128"]


def trained(path, formats=None, steps=2, calls=1, backend=None, **given):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    run = torch.compile(model, backend=backend) if backend else model
    seen = {}
    with track(run, optimizer=optimizer, path=path, inputs=True, formats=formats, **given) as tracker:
        for _ in range(steps):
            seen["0", "Weight"] = model[0].weight.detach().clone()
            for _ in range(calls):
                x = torch.randn(3, 1, 8, 8)
                y = model[1](model[0](x)).flatten(1).detach()
                loss = run(x).square().sum()
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


def columns(path):
    log = tandv.read(path).set_index([("metadata", name) for name in ("name", "tensor_type", "step")]).sort_index()
    return log["scalar_stats"][[column(part, name) for name in FORMATS for part in PARTS]]


@pytest.mark.slow
def test_compiled_graphs_have_the_columns_of_eager_mode(tmp_path):
    torch.compiler.reset()
    loss = trained(tmp_path / "eager", FORMATS)[0]
    assert trained(tmp_path / "compiled", FORMATS, backend="aot_eager")[0] == loss
    assert_frame_equal(columns(tmp_path / "compiled"), columns(tmp_path / "eager"))
    torch.compiler.reset()


def test_blocks_lie_along_the_axis_that_is_chosen(tmp_path):
    _, _, seen = trained(tmp_path / "run", ["mxfp4"], steps=1, formats_axis={"Weight": 0, "Input": 3})
    log = tandv.read(tmp_path / "run").set_index([("metadata", "name"), ("metadata", "tensor_type")])["scalar_stats"]
    expected = block_measure(seen["0", "Weight"].numpy(), ["mxfp4"], axis=0)[0]
    assert log.loc[("0", "Weight"), "error:mxfp4"] == pytest.approx(expected[0], rel=1e-6)
    assert np.isnan(log.loc[("3", "Input"), "error:mxfp4"])  # has only two axes
    assert log.loc[("0", "Input"), "squares:mxfp4"] > 0


def test_calls_add_up_also_where_rows_are_merged_within_the_step(tmp_path, monkeypatch):
    monkeypatch.setattr("tandv.track.torch._blocks.BlockMeasurements.at_most", 3)
    x, layer = torch.randn(4, 32), nn.Linear(32, 8)
    with track(layer, path=tmp_path / "run", inputs=True, formats=["mxfp4"], track_gradients=False) as tracker:
        for _ in range(5):
            layer(x)
        tracker.step()
    log = tandv.read(tmp_path / "run").set_index([("metadata", "tensor_type")])["scalar_stats"]
    expected = 5 * block_measure(x.numpy(), ["mxfp4"])[0]
    assert log.loc["Input", [column(part, "mxfp4") for part in PARTS]].tolist() == pytest.approx(expected, rel=1e-6)


def test_elementwise_modules_have_the_axis_of_what_they_are_given(tmp_path):
    model = nn.Sequential(nn.Conv2d(2, 40, 1), nn.ReLU(), nn.MaxPool2d(2))
    x = torch.randn(1, 2, 4, 8)
    with track(model, path=tmp_path / "run", formats=["mxfp4"]) as tracker:
        model(x).sum().backward()
        tracker.step()
    log = tandv.read(tmp_path / "run").set_index([("metadata", "name"), ("metadata", "tensor_type")])["scalar_stats"]
    expected = block_measure(model[:2](x).detach().numpy(), ["mxfp4"], axis=1)[0]
    assert log.loc[("1", "Activation"), "error:mxfp4"] == pytest.approx(expected[0], rel=1e-6)


def test_the_run_is_the_same(tmp_path):
    assert trained(tmp_path / "a", FORMATS)[0] == trained(tmp_path / "b")[0]


def test_what_is_wrong_is_refused_at_once(tmp_path):
    with pytest.raises(ValueError, match="did you mean 'mxfp4'") as error:
        track(nn.Linear(2, 2), path=tmp_path / "run", formats=["mxfp5", "mxfp4"], every=0)
    assert "every=0" in str(error.value)
    with pytest.raises(ValueError, match="must be a list of block formats"):
        track(nn.Linear(2, 2), path=tmp_path / "run", formats="mxfp4")
    with pytest.raises(ValueError, match="did you mean 'Weight'") as error:
        track(nn.Linear(2, 2), path=tmp_path / "run", formats=["mxfp4"], formats_axis={"Weights": 0, "Input": "last"})
    assert "'last' must be the number of an axis" in str(error.value)
    with pytest.raises(ValueError, match="formats_axis= needs formats="):
        track(nn.Linear(2, 2), path=tmp_path / "run", formats_axis=0)
