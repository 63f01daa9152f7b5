"""Graphs within compiled graphs, and compiled backward passes: training is the same, and what is left out is said."""

import contextlib
import warnings

import pytest
import torch
from torch import nn
from torch._dynamo import compiled_autograd

from tandv.track.common import read_pickle
from tandv.track.torch import track

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def fresh():
    torch.compiler.reset()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"torch\.")
        yield
    torch.compiler.reset()


class Region(nn.Module):
    """A block that `nested_compile_region` compiles once for all that are alike."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 2)

    @torch.compiler.nested_compile_region
    def forward(self, x):
        return self.inner(x).sin()


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.other, self.head = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1)

    def forward(self, x):
        return self.head(torch.cond(x.sum() > 0, lambda y: self.one(y), lambda y: self.other(y).sin(), (x,)))


def regions():
    return nn.Sequential(Region(), Region(), nn.Linear(2, 1))


def trained(make, tracked):
    torch.manual_seed(0)
    model = make()
    called = torch.compile(model, backend="aot_eager", fullgraph=True)
    with track(called) if tracked else contextlib.nullcontext() as tracker:
        for sign in (1, -1):
            model.zero_grad()
            called(sign * torch.ones(3, 2)).square().sum().backward()
            with torch.no_grad():
                for p in model.parameters():
                    if p.grad is not None:
                        p -= 0.1 * p.grad
            if tracker is not None:
                tracker.step()
    return list(model.parameters()), tracker


@pytest.mark.parametrize(
    "make, inside, outside",
    [(Branching, ["one", "other"], ["head"]), (regions, ["0.inner", "1.inner"], ["0", "1", "2"])],
)
def test_modules_in_a_graph_within_the_graph_are_left_out_and_training_is_the_same(make, inside, outside):
    expected, _ = trained(make, tracked=False)
    torch.compiler.reset()
    with pytest.warns(UserWarning, match="outputs of modules inside of .* in a compiled graph are not measured"):
        found, tracker = trained(make, tracked=True)
    assert all(map(torch.equal, found, expected))
    assert tracker is not None
    m = read_pickle(tracker.out_path)["metadata"]
    for kind in ("Activation", "Gradient"):
        names = set(m.loc[m["tensor_type"] == kind, "name"])
        assert names >= set(outside) and not names & set(inside)
    assert set(m.loc[m["tensor_type"] == "Weight_Gradient", "name"]) >= {*inside, "head" if make is Branching else "2"}


def test_a_compiled_backward_pass_that_leaves_gradients_out_is_said(run, quantities):
    model = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    called = torch.compile(model, backend="aot_eager")

    def update(_):
        loss = called(torch.ones(1, 2)).sum()
        with compiled_autograd._enable(torch.compile(backend="eager")):
            loss.backward()

    with pytest.warns(UserWarning, match="no gradient with respect to an output inside of a compiled graph was seen"):
        log = run(model, update)
    kinds = {kind for kind, _ in quantities(log)}
    assert kinds == {"Activation", "Weight", "Weight_Gradient"}
