"""Units of outputs and of the gradients with respect to them, along the axis that the kind of module has them on."""

import numpy as np
import pytest
import torch
from torch import nn

from tandv.track.common import read_pickle
from tandv.track.torch import _track, track

UNITS = ["units", "zero_units", "dead_units", "largest_unit", "largest_unit_ratio"]


def tracked(model, batch, steps=1, loss=lambda y: y.sum(), **more):
    with track(model, units=True, **more) as tracker:
        for _ in range(steps):
            loss(model(batch)).backward()
            model.zero_grad()
            tracker.step()
    return read_pickle(tracker.out_path)


def of(log, kind="Activation", step=0):
    """Return the columns of units by the name of the tensor, of those that have some."""
    m = log["metadata"]
    rows = log[(m["tensor_type"] == kind) & (m["step"] == step)]
    table = rows["scalar_stats"][UNITS].set_axis(rows["metadata"]["name"].astype(str), axis=0)
    return table[table["units"].notna()]


def test_units_lie_along_the_axis_of_the_kind_of_module():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm, self.act = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU()
            self.pool, self.flat, self.fc = nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 5)

        def forward(self, x):
            return self.fc(self.flat(self.pool(self.act(self.norm(self.conv(x))))))

    found = of(tracked(Net(), torch.randn(2, 1, 8, 8)))["units"]
    assert found.to_dict() == {"conv": 4, "norm": 4, "act": 4, "pool": 4, "flat": 36, "fc": 5}


def test_of_a_sequence_the_units_are_the_last_axis_and_activation_functions_follow():
    model = nn.Sequential(nn.Embedding(7, 6), nn.LayerNorm(6), nn.Linear(6, 9), nn.GELU(), nn.Dropout(0.5))
    found = of(tracked(model, torch.arange(6).view(2, 3)))["units"]
    assert found.to_dict() == {"0": 6, "1": 6, "2": 9, "3": 9, "4": 9}


def dying():
    """Return a network two of whose three hidden units give nothing, for any sample."""
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    with torch.no_grad():
        model[0].bias.copy_(torch.tensor([-100.0, 100.0, -100.0]))
    return model


def test_dead_units_are_zero_for_every_sample_of_the_last_twenty_steps():
    log = tracked(dying(), torch.ones(4, 2), steps=21)
    assert of(log, step=18)["dead_units"].isna().all()
    for step in (19, 20):
        assert of(log, step=step).loc["1", ["units", "zero_units", "dead_units"]].tolist() == [3, 2, 2]
    assert of(log, "Gradient", 20).loc["0", ["units", "dead_units"]].tolist() == [3, 2]  # seen without a row of ReLU


def test_micro_batches_of_a_step_count_together():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU())
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(2))
    with track(model, units=True) as tracker:
        for x in ([[1.0, -1.0]], [[-1.0, -1.0]]):
            model(torch.tensor(x)).sum().backward()
        tracker.step()
    found = of(read_pickle(tracker.out_path))
    assert found.loc["1", "zero_units"] == 1  # the first was not zero in the first batch


def test_one_channel_that_carries_more_is_named():
    model = nn.Linear(2, 9, bias=False)
    with torch.no_grad():
        model.weight.fill_(1.0)
        model.weight[4] *= 60
    found = of(tracked(model, torch.ones(3, 2)))
    assert found.loc["Linear", ["largest_unit", "largest_unit_ratio"]].tolist() == [4, 60]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inductor's own imports
def test_compiled_models_have_the_same_units():
    torch.manual_seed(0)
    model, x = dying(), torch.randn(8, 2)
    plain = of(tracked(model, x))
    compiled = of(tracked(torch.compile(model), x))
    assert np.allclose(plain.loc[["0", "1"]], compiled.loc[["0", "1"]], equal_nan=True)


def test_training_is_the_same_to_the_last_bit():
    def trained(units):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 2))
        optimizer = torch.optim.Adam(model.parameters())
        with track(model, optimizer=optimizer, units=units) as tracker:
            for _ in range(3):
                model(torch.randn(5, 3)).square().sum().backward()
                optimizer.step()
                optimizer.zero_grad()
                tracker.step()
        return torch.cat([p.flatten() for p in model.parameters()])

    assert torch.equal(trained(True), trained(False))


def test_without_it_the_log_has_no_such_column():
    model = nn.Linear(2, 1)
    with track(model) as tracker:
        model(torch.ones(1, 2)).sum().backward()
        tracker.step()
    assert not set(UNITS) & set(read_pickle(tracker.out_path)["scalar_stats"])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_every_format_has_units(dtype):
    model = nn.Linear(2, 3, bias=False, dtype=dtype)
    found = of(tracked(model, torch.zeros(4, 2, dtype=dtype)))
    assert found["zero_units"].tolist() == [3]


def test_several_ranks_are_refused_because_each_counts_its_own_batch(monkeypatch):
    monkeypatch.setattr(_track, "find_ranks", lambda _: object())
    monkeypatch.setattr(_track, "problems", lambda *_: [])
    with pytest.raises(ValueError, match="units=True counts those of one process; leave it out where several ranks"):
        track(nn.Linear(2, 1), units=True)
