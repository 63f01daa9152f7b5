"""Architectures as people train them: the run stays as it is to the last bit, and every tensor has its rows."""

import copy
import logging
from functools import partial

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_leaves
from track.torch.written_out import WRITTEN_OUT
from track.torch.zoo import ZOO

from tandv.track.common import read_pickle
from tandv.track.torch import track

# Said by the libraries themselves while they build, run or compile their models.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning"),
]
logging.getLogger("transformers").setLevel(logging.ERROR)

ARCHITECTURES = ZOO | WRITTEN_OUT


def floats_in(output):
    return [x for x in tree_leaves(output) if isinstance(x, torch.Tensor) and x.is_floating_point()]


def optimizer_of(model):
    return torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.01, momentum=0.9)


def train(model, optimizer, batch, step_ended=lambda: None, steps=3):
    """Return all that training shows: outputs, gradients and parameters of every step, and the random state."""
    seen = []
    torch.manual_seed(1)
    for _ in range(steps):
        optimizer.zero_grad()
        outputs = floats_in(model(**batch))
        torch.stack([x.float().square().mean() for x in outputs if x.requires_grad]).sum().backward()
        seen += [x.detach().clone() for x in outputs]
        seen += [p.grad.clone() for p in model.parameters() if p.grad is not None]
        optimizer.step()
        step_ended()
        seen += [p.detach().clone() for p in model.parameters()]
    return [*seen, torch.random.get_rng_state()]


def same(ours, theirs):
    return len(ours) == len(theirs) and all(map(torch.equal, ours, theirs))


def expected_rows(model, batch):
    """Return (type, name) of all that a step must show, found without tandv: by a hook on each module."""
    seen, hooks = set(), []

    def note(name, module, inputs, output):
        if floats_in(output):
            seen.add(("Activation", name))

    for name, module in model.named_modules():
        hooks.append(module.register_forward_hook(partial(note, name or type(model).__name__)))
    outputs = floats_in(model(**batch))
    torch.stack([x.float().square().mean() for x in outputs if x.requires_grad]).sum().backward()
    for hook in hooks:
        hook.remove()
    for path, parameter in model.named_parameters():
        name = path.removesuffix(".weight")
        seen.add(("Weight", name))
        if parameter.grad is not None:
            seen |= {("Weight_Gradient", name), ("Optimiser_State.momentum_buffer", name)}
    return seen


def hooks_and_names(model):
    return [
        (name, sorted(vars(module)), [len(hooks) for key, hooks in vars(module).items() if key.endswith("_hooks")])
        for name, module in model.named_modules()
    ], list(model.state_dict())


def made(name):
    torch.manual_seed(0)
    model, batch = ARCHITECTURES[name]()
    return model.train(), batch


def rows_of(tracker):
    """Return {step: {(tensor type, name without its leaf)}} of a finished log."""
    m = read_pickle(tracker.out_path)["metadata"]
    names = m["name"].astype(str).str.partition("[")[0]
    rows = zip(m["step"], m["tensor_type"].astype(str), names, strict=True)
    steps = {}
    for step, kind, name in rows:
        steps.setdefault(step, set()).add((kind, name))
    return steps


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architecture(name, tmp_path):
    model, batch = made(name)
    expected = expected_rows(copy.deepcopy(model), batch)
    twin = copy.deepcopy(model)
    alone = train(twin, optimizer_of(twin), batch)

    optimizer = optimizer_of(model)
    with track(model, optimizer=optimizer, path=tmp_path / "run", async_offload=False) as tracker:
        tracked = train(model, optimizer, batch, tracker.step)
    assert same(tracked, alone)
    assert hooks_and_names(model) == hooks_and_names(twin)
    assert not nn.modules.module._global_forward_hooks

    rows = rows_of(tracker)
    assert sorted(rows) == [0, 1, 2]
    assert [sorted(expected - shown) for shown in rows.values()] == [[], [], []]


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_a_compiled_architecture(name, tmp_path):
    """Compiled for autograd, tracked and alone are the same, and no row of eager mode is missing."""

    def compiled():
        torch.compiler.reset()
        model, batch = made(name)
        return model, batch, torch.compile(model, backend="aot_eager")

    model, batch, run = compiled()
    alone = train(run, optimizer_of(model), batch)
    expected = expected_rows(made(name)[0], batch)

    model, batch, run = compiled()
    optimizer = optimizer_of(model)
    with track(run, optimizer=optimizer, path=tmp_path / "run", async_offload=False) as tracker:
        tracked = train(run, optimizer, batch, tracker.step)
    torch.compiler.reset()
    assert same(tracked, alone)
    assert [sorted(expected - shown) for shown in rows_of(tracker).values()] == [[], [], []]


def test_how_many_there_are():
    assert len(ZOO) >= 55
    assert len(WRITTEN_OUT) >= 40
