"""What a module's own forward hooks make of its output is what is recorded."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn

from tandv.track.common import read_pickle
from tandv.track.torch import track

ones = torch.ones(2, 3)


def model_of_threes():
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 1, bias=False))
    for layer in model:
        nn.init.ones_(layer.weight)
    return model


def halve(_, arguments, output):
    return output / 2


def clamp(_, arguments, output):
    return output.clamp(max=1.0)


def test_a_hook_that_replaces_the_output_is_seen(run, row):
    model = model_of_threes()
    model[0].register_forward_hook(clamp)
    log = run(model, lambda _: model(ones).sum().backward())
    assert row(log, "0", "Activation")["mean"] == 1.0  # not 3
    assert row(log, "1", "Activation")["mean"] == 3.0
    assert row(log, "0", "Gradient")["mean"] == 1.0  # with respect to what the next layer receives
    assert [len(layer._forward_hooks) for layer in model] == [1, 0]


@pytest.mark.parametrize("compiled", [False, True])
def test_hooks_that_come_and_go_inside_the_block(row, compiled):
    torch.compiler.reset()
    model = model_of_threes()
    called = torch.compile(model, backend="eager", fullgraph=True) if compiled else model

    def step(tracker):
        called(ones).sum().backward()
        tracker.step()
        torch.compiler.reset()  # a compiled model hears of other hooks only when it is compiled again

    with track(model) as tracker:
        step(tracker)
        first = model[0].register_forward_hook(clamp)
        step(tracker)
        model[0].register_forward_hook(halve)
        step(tracker)
        first.remove()
        step(tracker)
    log = read_pickle(tracker.out_path)
    assert [row(log, "0", "Activation", step)["mean"] for step in range(4)] == [3.0, 1.0, 0.5, 1.5]
    assert [row(log, "0", "Activation", step)["calls"] for step in range(4)] == [1, 1, 1, 1]
    assert list(model[0]._forward_hooks.values()) == [halve]
    assert nn.Module.register_forward_hook.__module__ == "torch.nn.modules.module"


def test_a_new_layer_with_a_hook_of_its_own(row):
    model = model_of_threes()
    with track(model) as tracker:
        for step in range(3):
            if step == 1:
                model[0] = nn.Linear(3, 3, bias=False)
                nn.init.constant_(model[0].weight, 2.0)
                model[0].register_forward_hook(clamp)
            model(ones).sum().backward()
            tracker.step()
    log = read_pickle(tracker.out_path)
    assert row(log, "0", "Activation", 2)["mean"] == 1.0
    seen = log[(log["metadata"]["name"] == "0") & (log["metadata"]["tensor_type"] == "Activation")]
    assert 6.0 not in set(seen["scalar_stats"]["mean"])  # never what the own hook has replaced


def test_two_trackers_and_a_hook(row):
    model = model_of_threes()
    model[0].register_forward_hook(clamp)
    with track(model) as one, track(model) as other:
        model[1].register_forward_hook(halve)
        model(ones)
        one.step()
        other.step()
    for tracker in (one, other):
        log = read_pickle(tracker.out_path)
        assert row(log, "0", "Activation")["mean"] == 1.0
        assert row(log, "1", "Activation")["mean"] == 1.5
        assert row(log, "0", "Activation")["calls"] == row(log, "1", "Activation")["calls"] == 1


def test_copies_and_pickles_of_a_module_with_a_hook_are_not_tracked(row):
    model = model_of_threes()
    model[0].register_forward_hook(clamp)
    with track(model) as tracker:
        pickled = pickle.dumps(model)
        assert b"tandv" not in pickled
        torch.save(model, io.BytesIO())
        for other in (copy.deepcopy(model), pickle.loads(pickled)):
            assert other(ones).tolist() == model(ones).tolist()
        tracker.step()
    assert row(read_pickle(tracker.out_path), "0", "Activation")["calls"] == 2  # the calls of the model itself
