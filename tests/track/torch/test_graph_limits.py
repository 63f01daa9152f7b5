"""Tracking keeps within torch's limits of graphs what training alone keeps within them."""

import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from tandv.track.common import read_pickle
from tandv.track.torch import track
from tandv.track.torch._graph_limits import GraphLimits

pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 2)

    def forward(self, x):
        return torch.tanh(self.inner(x))


@pytest.fixture
def limits():
    """The limit of graphs of a function is two, and of all for its modules three."""
    from torch._dynamo import config

    torch.compiler.reset()
    with config.patch(recompile_limit=2, accumulated_recompile_limit=3):
        yield config
    torch.compiler.reset()


def train(model, steps, rows=lambda step: 4, tracker=None):
    losses = []
    for step in range(steps):
        loss = model(torch.linspace(0, 1, 2 * rows(step)).reshape(-1, 2)).square().sum()
        model.zero_grad()
        loss.backward()
        losses.append(loss.item())
        if tracker is not None:
            tracker.step()
    return losses


@pytest.mark.slow
@pytest.mark.parametrize("every", [1, 2])
def test_blocks_that_are_compiled_one_by_one_stay_compiled(tmp_path, limits, every):
    model = nn.Sequential(*(Block() for _ in range(4)))
    for block in model:
        block.compile(backend="eager", fullgraph=True)  # raises an error where torch would leave it uncompiled
    losses = train(model, 4)
    with track(model, every=every, path=tmp_path / "run") as tracker:
        assert train(model, 4, tracker=tracker) == losses
    assert train(model, 1) == losses[:1]  # and when the tracker has gone
    log = read_pickle(tracker.out_path)["metadata"]
    seen = log[(log["name"] == "3.inner") & (log["tensor_type"] == "Activation")]["step"]
    assert seen.tolist() == list(range(0, 4, every))


@pytest.mark.slow
def test_each_shape_has_a_graph_that_records_and_one_that_does_not(tmp_path, limits):
    model = Block()
    model.compile(backend="eager", fullgraph=True, dynamic=False)
    with track(model, every=lambda step: step < 2, path=tmp_path / "run") as tracker:
        train(model, 4, rows=lambda step: 2 + step % 2, tracker=tracker)
    train(model, 2, rows=lambda step: 2 + step % 2)


@pytest.fixture
def config(monkeypatch):
    """What stands for Dynamo's settings, without its import."""
    stand_in = SimpleNamespace(recompile_limit=8, accumulated_recompile_limit=256)
    monkeypatch.setitem(sys.modules, "torch._dynamo.config", stand_in)
    return stand_in


def test_limits_rise_with_trackers_and_modules_and_are_put_back(config):
    limits = GraphLimits()
    limits.hold("first", 4)
    assert (config.recompile_limit, config.accumulated_recompile_limit) == (24, 3 * 4 * 256)
    limits.hold("second", 1)
    assert (config.recompile_limit, config.accumulated_recompile_limit) == (72, 9 * 5 * 256)
    limits.let_go("first", graphs=False)
    limits.let_go("second", graphs=False)
    assert (config.recompile_limit, config.accumulated_recompile_limit) == (8, 256)


def test_limits_stay_while_graphs_that_record_may_be_there_and_do_not_grow_from_run_to_run(config):
    limits = GraphLimits()
    for _ in range(3):
        limits.forgotten()
        limits.hold("a run", 2)
        assert config.recompile_limit == 24
        limits.let_go("a run", graphs=True)
        assert config.recompile_limit == 24


def test_a_limit_that_somebody_chooses_meanwhile_stays(config):
    limits = GraphLimits()
    limits.hold("a run", 2)
    config.recompile_limit = 5
    limits.let_go("a run", graphs=False)
    assert (config.recompile_limit, config.accumulated_recompile_limit) == (5, 256)


def test_a_tracked_run_without_graphs_leaves_the_limits_as_they_were(config, tmp_path):
    model = Block()
    with track(model, path=tmp_path / "run") as tracker:
        train(model, 1, tracker=tracker)
        assert config.recompile_limit == 24
    assert (config.recompile_limit, config.accumulated_recompile_limit) == (8, 256)
