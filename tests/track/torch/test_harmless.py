"""Tracking never changes training."""

import contextlib
import copy
import io
import pickle

import pytest
import torch
from torch import nn
from torch.nn.modules.module import _global_forward_hooks
from torch.optim.optimizer import _global_optimizer_pre_hooks

from tandv.track.common import read_pickle
from tandv.track.torch import track


def mlp():
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(inplace=True), nn.Dropout(0.2), nn.Linear(16, 3)), (4, 6)


def cnn():
    body = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Dropout2d(0.3), nn.Flatten()
    return nn.Sequential(*body, nn.LazyLinear(3)), (4, 1, 6, 6)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(6, 8, num_layers=2, dropout=0.1, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


def lstm():
    return Recurrent(), (4, 5, 6)


def transformer():
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
    return nn.Sequential(nn.TransformerEncoder(layer, 2), nn.Flatten(), nn.LazyLinear(3)), (4, 5, 8)


def train(make, tracked: bool, steps: int = 50):
    torch.manual_seed(1)
    model, shape = make()
    model(torch.zeros(shape))  # lets lazy layers know their shapes
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    tracker = track(model, optimizer=optimizer, track_updates=True, offload_inc=7)
    with tracker if tracked else contextlib.nullcontext() as t:
        for step in range(steps):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(torch.randn(shape)), torch.randint(3, (shape[0],)))
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            if step % 10 == 0:  # fused inference paths must be taken as before
                model.eval()
                with torch.no_grad():
                    losses.append(model(torch.ones(shape)))
                model.train()
            losses.append(loss.detach())
            if t is not None:
                t.step()
    return model, losses, torch.get_rng_state()


@pytest.mark.parametrize("make", [mlp, cnn, lstm, transformer])
def test_losses_parameters_and_random_state_are_bit_identical(make):
    (bare, bare_losses, bare_random), (tracked, losses, random) = train(make, False), train(make, True)
    assert all(torch.equal(a, b) for a, b in zip(bare_losses, losses, strict=True))
    assert torch.equal(bare_random, random)
    for (name, a), (_, b) in zip(bare.state_dict().items(), tracked.state_dict().items(), strict=True):
        assert torch.equal(a, b), name


def test_nothing_is_put_on_the_model_not_even_while_tracking():
    model, shape = mlp()
    before = {id(m): {k: len(v) if isinstance(v, dict) else v for k, v in vars(m).items()} for m in model.modules()}
    keys = list(model.state_dict())
    with track(model) as tracker:
        model(torch.ones(shape)).sum().backward()
        tracker.step()
        for m in model.modules():
            assert {k: len(v) if isinstance(v, dict) else v for k, v in vars(m).items()} == before[id(m)]
    assert list(model.state_dict()) == keys
    assert not _global_optimizer_pre_hooks
    assert not _global_forward_hooks


def test_a_leaf_output_keeps_no_hook():
    class Leaf(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Parameter(torch.ones(2))

        def forward(self):
            return self.table

    model = Leaf()
    with track(model) as tracker:
        model().sum().backward()
        tracker.step()
    assert not model.table._backward_hooks


def test_a_copy_and_a_pickle_of_a_tracked_model_work_and_are_not_tracked(row):
    model = nn.Linear(1, 1)
    with track(model) as tracker:
        copied = copy.deepcopy(model)
        loaded = pickle.loads(pickle.dumps(model))
        torch.save(model, io.BytesIO())
        model(torch.zeros(1, 1))
        copied(torch.zeros(1, 1)), loaded(torch.zeros(1, 1))
        tracker.step()
    assert row(read_pickle(tracker.out_path), "Linear", "Activation")["calls"] == 1


def test_trackers_that_end_in_any_order_leave_torch_as_it_was():
    original = torch.amp.GradScaler.scale
    models = [nn.Linear(1, 1), nn.Linear(1, 1)]
    trackers = [track(model) for model in models]
    for tracker in trackers:
        tracker.__enter__()
    trackers[0].__exit__(None, None, None)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    scaler.scale(models[1](torch.ones(1, 1)).sum()).backward()
    trackers[1].step()
    trackers[1].__exit__(None, None, None)
    assert torch.amp.GradScaler.scale is original
    seen = read_pickle(trackers[1].out_path)["scalar_stats"]["loss_scale"]
    assert set(seen) == {8.0}


def test_a_failure_inside_the_tracker_is_said_once_and_training_goes_on(monkeypatch):
    model, shape = mlp()

    def broken(*_):
        raise ZeroDivisionError("planted")

    with pytest.warns(UserWarning) as said, track(model) as tracker:
        for step in range(4):
            if step == 2:
                monkeypatch.setattr("tandv.measure.add", broken)
            model(torch.ones(shape)).sum().backward()
            tracker.step()
    (warning,) = said
    assert "tracking stopped at step 2, in the forward pass of '0': ZeroDivisionError: planted" in str(warning.message)
    assert sorted(set(read_pickle(tracker.out_path)["metadata"]["step"])) == [0, 1]


def test_a_failure_does_not_raise_where_warnings_are_errors(monkeypatch, capsys):
    model = nn.Linear(1, 1)
    monkeypatch.setattr("tandv.measure.add", None)
    with track(model) as tracker:  # pytest turns warnings into errors here
        model(torch.ones(1, 1))
        tracker.step()
    assert "tracking stopped at step 0, in the forward pass of 'Linear'" in capsys.readouterr().err
