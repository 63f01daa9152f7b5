"""Inputs of modules, where `track(inputs=True)` asks for them."""

import pytest
import torch
from torch import nn

from tandv.track.common import read_pickle
from tandv.track.torch import track


def ones(size_in, size_out):
    """Return a linear layer whose weights are all 1, without a bias."""
    layer = nn.Linear(size_in, size_out, bias=False)
    nn.init.constant_(layer.weight, 1.0)
    return layer


def inputs_of(log, step=0):
    """Return (calls, mean) of the inputs of a step by name."""
    m = log["metadata"]
    found = log[(m["tensor_type"] == "Input") & (m["step"] == step)]["scalar_stats"]
    names = m["name"][found.index]
    return {name: (calls, mean) for name, calls, mean in zip(names, found["calls"], found["mean"], strict=True)}


def tracked(model, *given, steps=1, **by_name):
    with track(model, inputs=True, track_gradients=False) as tracker:
        for _ in range(steps):
            model(*given, **by_name)
            tracker.step()
    return read_pickle(tracker.out_path)


def test_each_module_has_its_input_beside_its_output(row):
    log = tracked(nn.Sequential(ones(2, 3), nn.Tanh(), ones(3, 1)), torch.tensor([[1.0, 2.0]]))
    tanh = float(torch.tanh(torch.tensor(3.0)))
    expected = {"Sequential": (1, 1.5), "0": (1, 1.5), "1": (1, 3.0), "2": (1, tanh)}
    assert inputs_of(log) == {name: (calls, pytest.approx(mean)) for name, (calls, mean) in expected.items()}
    assert row(log, "0", "Activation") == row(log, "1", "Input")  # measured once, counts for both
    assert log["metadata"]["tensor_type"].iloc[0] == "Input"  # they come first


def test_a_module_that_works_in_place_shows_what_it_was_given():
    log = tracked(nn.Sequential(nn.ReLU(inplace=True)), torch.tensor([-1.0, 4.0]))
    assert inputs_of(log) == {"Sequential": (1, 1.5), "0": (1, 1.5)}


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = ones(1, 1)

    def forward(self, x, pair, *, scale, mask=None):
        return self.inner(x) * scale + pair["a"] + pair["b"]


def test_several_arguments_are_called_by_place_or_name():
    pair = {"a": torch.full((1,), 2.0), "b": torch.full((1,), 3.0)}
    log = tracked(Two(), torch.ones(1, 1), pair, scale=torch.tensor(4.0), mask=torch.ones(1, dtype=torch.bool))
    assert inputs_of(log) == {
        "Two[0]": (1, 1.0),
        "Two[1][a]": (1, 2.0),
        "Two[1][b]": (1, 3.0),
        "Two[scale]": (1, 4.0),
        "inner": (1, 1.0),
    }


def test_what_hooks_of_a_module_replace_is_what_it_is_given():
    model = nn.Sequential(ones(1, 1))
    model[0].register_forward_pre_hook(lambda module, given: (given[0] + 5,))
    assert inputs_of(tracked(model, torch.ones(1, 1))) == {"Sequential": (1, 1.0), "0": (1, 6.0)}


class InPlace(nn.Module):
    def forward(self, *, x):
        return x.mul_(0)


def test_a_named_argument_that_was_changed_in_place_is_left_out_rather_than_wrong():
    assert inputs_of(tracked(nn.ModuleDict({"a": InPlace()})["a"], x=torch.ones(2))) == {}


def test_calls_and_micro_batches_merge():
    model = ones(1, 1)
    with track(model, inputs=True) as tracker:
        for value in (1.0, 3.0):
            model(torch.full((2, 1), value)).sum().backward()
        tracker.step()
    assert inputs_of(read_pickle(tracker.out_path)) == {"Linear": (2, 2.0)}


def test_recomputed_passes_are_counted_once():
    model = nn.Sequential(ones(1, 1), nn.Tanh())
    with track(model, inputs=True) as tracker:
        x = torch.ones(1, 1, requires_grad=True)
        torch.utils.checkpoint.checkpoint(model, x, use_reentrant=False).sum().backward()
        tracker.step()
    assert inputs_of(read_pickle(tracker.out_path)) == {"Sequential": (1, 1.0), "0": (1, 1.0), "1": (1, 1.0)}


def test_compiled_models_have_the_same_inputs():
    logs = []
    for compile in (lambda model: model, lambda model: torch.compile(model, backend="aot_eager", fullgraph=True)):
        torch._dynamo.reset()
        model = compile(nn.Sequential(ones(1, 2), nn.ReLU(inplace=True), ones(2, 1)))
        with track(model, inputs=True) as tracker:
            for step in range(2):
                model(torch.full((1, 1), step - 2.0)).sum().backward()
                tracker.step()
        logs.append(read_pickle(tracker.out_path))
    for step in range(2):
        assert inputs_of(logs[0], step) == inputs_of(logs[1], step)
    assert inputs_of(logs[1])["1"] == (1, -2.0)  # before the ReLU made zeros of it


def test_losses_and_parameters_are_bit_identical():
    hooks = torch.nn.modules.module
    before = [name for name in vars(hooks) if name.startswith("_global_") and getattr(hooks, name)]

    def train(**arguments):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.Linear(4, 1))
        optimizer = torch.optim.AdamW(model.parameters(), 0.1)
        out = []
        with track(model, optimizer=optimizer, **arguments) as tracker:
            for _ in range(3):
                loss = model(torch.randn(5, 3)).square().mean()
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                tracker.step()
                out.append(loss.detach())
        left = [name for name in vars(hooks) if name.startswith("_global_") and getattr(hooks, name)]
        assert left == before
        return torch.stack(out), [p.detach() for p in model.parameters()]

    losses, parameters = train()
    others, other_parameters = train(inputs=True)
    assert torch.equal(losses, others)
    assert all(map(torch.equal, parameters, other_parameters))


def test_phases_tell_inputs_apart():
    model = ones(1, 1)
    with track(model, inputs=True) as tracker:
        with tracker.phase("rollout"):
            model(torch.full((1, 1), 7.0))
        model(torch.ones(1, 1))
        tracker.step()
    log = read_pickle(tracker.out_path)
    rows = log[log["metadata"]["tensor_type"] == "Input"]
    assert dict(zip(rows["metadata"]["phase"], rows["scalar_stats"]["mean"], strict=True)) == {"rollout": 7.0, "": 1.0}


def test_without_asking_there_are_none(row):
    model = ones(1, 1)
    with track(model) as tracker:
        model(torch.ones(1, 1))
        tracker.step()
    assert "Input" not in set(read_pickle(tracker.out_path)["metadata"]["tensor_type"])


def test_inputs_is_true_or_false():
    with pytest.raises(ValueError, match="inputs='yes' must be True or False"):
        track(ones(1, 1), inputs="yes")
