"""Tensors that live on a device: measured there by the step's own stream, read when the step is long over.

The device is the CPU with the operations that serve any device, and a real one where there is one.
"""

from functools import partial

import numpy as np
import pytest
import torch
from measure.on_device import without_waiting
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from tandv.measure.device import DeviceRows
from tandv.track.common import read_pickle
from tandv.track.common.measurements import Quantity, StepMeasurements
from tandv.track.torch import _measurements as on_devices
from tandv.track.torch import _tracker, track

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


class Model(nn.Module):
    """Has a layer that is called twice, one that is returned by two modules, and a float64 one."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        self.twice = nn.Linear(4, 4, dtype=torch.bfloat16)
        self.wide = nn.Linear(4, 2, dtype=torch.float64)

    def forward(self, x):
        x = self.inner(x).bfloat16()
        return self.wide(self.twice(self.twice(x)).double())


def train(device, steps=3, after=lambda tracker, step: None, **arguments):
    """Track training on a device and return (tracker, log)."""
    torch.manual_seed(0)
    model = Model().to(device)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    batch = torch.randn(8, 4, device=device)
    with track(model, optimizer=optimizer, track_updates=True, **arguments) as tracker:
        for step in range(steps):
            optimizer.zero_grad()
            model(batch).square().mean().backward()
            optimizer.step()
            tracker.step()
            after(tracker, step)
    return tracker, read_pickle(tracker.out_path)


@pytest.fixture(params=DEVICES)
def device(request, monkeypatch):
    """A device on which all but float64 is measured in `DeviceRows`."""
    if request.param == "cpu":
        as_device = partial(
            on_devices.TorchMeasurements,
            on_device=lambda tensor: tensor.dtype != torch.float64,
            device_rows=partial(DeviceRows, producer="torch"),
        )
        monkeypatch.setattr(_tracker, "TorchMeasurements", as_device)
    return request.param


@pytest.fixture
def on_host():
    return train("cpu")[1]


def assert_alike(log, other):
    """Compare logs: the same rows, equal counts, statistics to float32 rounding."""
    for part in ("metadata", "exponent_counts"):
        assert log[part].astype(str).equals(other[part].astype(str))
    for name in log["scalar_stats"]:
        ours, theirs = log["scalar_stats"][name].to_numpy(float), other["scalar_stats"][name].to_numpy(float)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7, err_msg=name)


def test_a_log_is_the_same_wherever_tensors_live(device, on_host):
    made = []
    _, log = train(device, after=lambda tracker, step: made.append(tracker.measurements))
    assert made[0]._devices  # it was not the host that measured
    if device == "cpu":  # whose arithmetic is the same
        assert_alike(log, on_host)


def test_rows_that_are_merged_on_the_way_count_the_same(device, on_host, monkeypatch):
    monkeypatch.setattr(StepMeasurements, "at_most", 3)
    _, log = train(device)
    if device == "cpu":
        assert_alike(log, on_host)
    assert set(log["scalar_stats"]["calls"]) == {1, 2}


def test_rows_grow_to_the_largest_step(device, on_host, monkeypatch):
    monkeypatch.setattr(on_devices, "_AT_FIRST", 1)
    _, log = train(device)
    assert len(log) == len(on_host)


def test_a_step_that_breaks_off_is_kept(device):
    model = nn.Linear(2, 2).to(device)
    with pytest.raises(KeyboardInterrupt), track(model) as tracker:
        model(torch.ones(3, 2, device=device))
        raise KeyboardInterrupt
    assert read_pickle(tracker.out_path)["metadata"]["tensor_type"].astype(str).tolist() == [
        "Activation",
        "Weight",
        "Weight",
    ]


@pytest.mark.parametrize("there", [True, False])
def test_what_was_measured_can_be_forgotten(there):
    measurements = on_devices.TorchMeasurements(on_device=lambda tensor: there)
    quantity = Quantity((0,), "a", "Linear", "Weight")
    measurements.add([torch.ones(3)], [quantity])
    assert measurements
    measurements.clear()
    assert not measurements
    measurements.add([torch.zeros(2)], [quantity])
    assert measurements.take(0).scalars["numel"].tolist() == [2]


def test_a_step_is_read_when_its_rows_are_made_and_not_before(device, monkeypatch):
    read = []
    original = on_devices.SentRows.rows
    monkeypatch.setattr(on_devices.SentRows, "rows", lambda sent: read.append(1) or original(sent))
    measurements = on_devices.TorchMeasurements(on_device=lambda tensor: True)
    laters = []
    for step in range(3):
        measurements.add([torch.full((2,), float(step))], [Quantity((0,), "a", "Linear", "Weight")])
        laters.append(measurements.take_later(step))
    assert not read
    assert [later.make().scalars["max_abs"].tolist() for later in reversed(laters)] == [[2.0], [1.0], [0.0]]
    assert len(read) == 3


class Waits(TorchDispatchMode):
    """Notes every operation that makes the host wait for a device, or that has a shape which depends on values."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        tags = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
        if tags.intersection(func.tags):
            self.found.append(func.name())
        return func(*args, **kwargs or {})


def test_nothing_waits_for_the_device_inside_a_step(device):
    """On the CPU, operations that need a value on the host are none; on CUDA, torch itself forbids to wait."""
    with Waits() as waits:
        torch.ones(1, device=device).item()
    assert waits.found == ["aten::_local_scalar_dense"]
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 1)).to(device)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    batch, scaler = torch.randn(8, 4, device=device), torch.amp.GradScaler(device)
    asked = {"track_updates": True, "insight": {"raster": True}, "async_offload": True, "offload_inc": 2}
    with track(model, optimizer=optimizer, **asked) as tracker:
        for _ in range(4):
            with Waits() as waits, without_waiting(device):
                optimizer.zero_grad()
                scaler.scale(model(batch).square().mean()).backward()
                optimizer.step()  # the scaler's own step waits for the device
                tracker.step()
            assert waits.found == []
        assert getattr(tracker.measurements, "_devices", None)
    assert set(read_pickle(tracker.out_path)["scalar_stats"]["loss_scale"]) == {65536.0}
