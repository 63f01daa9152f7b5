"""Architectures as people train them: the run stays as it is to the last bit, and every tensor has its rows."""

import copy
import logging
from functools import partial
from typing import NamedTuple

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_leaves
from track.architectures import TABLE
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


class Compared(NamedTuple):
    """A run with tracking beside one without."""

    identical: bool  # outputs, gradients, parameters and random state of every step
    clean: bool  # nothing is left on the model
    missing: list[tuple[str, str]]  # rows of any step
    rows: int  # of a step


def compare(name, folder) -> Compared:
    """Train an architecture with and without tracking."""
    model, batch = made(name)
    expected = expected_rows(copy.deepcopy(model), batch)
    twin = copy.deepcopy(model)
    alone = train(twin, optimizer_of(twin), batch)
    optimizer = optimizer_of(model)
    with track(model, optimizer=optimizer, path=folder, async_offload=False) as tracker:
        tracked = train(model, optimizer, batch, tracker.step)
    clean = hooks_and_names(model) == hooks_and_names(twin) and not nn.modules.module._global_forward_hooks
    return compared(alone, tracked, clean, expected, tracker)


def compare_compiled(name, folder) -> Compared:
    """Do the same with the model compiled as far as autograd."""

    def compiled():
        torch.compiler.reset()
        model, batch = made(name)
        return model, batch, torch.compile(model, backend="aot_eager")

    model, batch, run = compiled()
    alone = train(run, optimizer_of(model), batch)
    expected = expected_rows(made(name)[0], batch)
    model, batch, run = compiled()
    optimizer = optimizer_of(model)
    with track(run, optimizer=optimizer, path=folder, async_offload=False) as tracker:
        tracked = train(run, optimizer, batch, tracker.step)
    torch.compiler.reset()
    return compared(alone, tracked, not nn.modules.module._global_forward_hooks, expected, tracker)


def compared(alone, tracked, clean, expected, tracker) -> Compared:
    steps = rows_of(tracker)
    assert sorted(steps) == [0, 1, 2]
    missing = sorted(set().union(*(expected - shown for shown in steps.values())))
    return Compared(same(tracked, alone), clean, missing, len(steps[1]))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architecture(name, tmp_path):
    found = compare(name, tmp_path / "run")
    assert found == (True, True, [], found.rows)
    assert found.rows == TABLE["PyTorch", name]


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_a_compiled_architecture(name, tmp_path):
    found = compare_compiled(name, tmp_path / "run")
    assert found == (True, True, [], found.rows)
    assert found.rows == TABLE["PyTorch, compiled", name]


def test_the_table_has_them_all():
    assert {name for group, name in TABLE if group == "PyTorch"} == set(ARCHITECTURES)
    assert {name for group, name in TABLE if group == "PyTorch, compiled"} == set(WRITTEN_OUT)
    assert (len(ZOO), len(WRITTEN_OUT)) >= (55, 40)
