"""Real architectures: the run stays as it is to the last bit, and every module and parameter has its rows."""

import copy
import logging
from functools import partial

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_leaves
from track.torch.zoo import ZOO

from tandv.track.common import read_pickle
from tandv.track.torch import track

# Said by the libraries themselves while they build or run their models.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning"),
]
logging.getLogger("transformers").setLevel(logging.ERROR)


def floats_in(output):
    return [x for x in tree_leaves(output) if isinstance(x, torch.Tensor) and x.is_floating_point()]


def optimizer_of(model):
    return torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)


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


@pytest.mark.parametrize("name", ZOO)
def test_a_real_architecture(name, tmp_path):
    torch.manual_seed(0)
    model, batch = ZOO[name]()
    model.train()
    expected = expected_rows(copy.deepcopy(model), batch)
    twin = copy.deepcopy(model)
    alone = train(twin, optimizer_of(twin), batch)

    optimizer = optimizer_of(model)
    with track(model, optimizer=optimizer, path=tmp_path / "run", async_offload=False) as tracker:
        tracked = train(model, optimizer, batch, tracker.step)
    assert len(tracked) == len(alone)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(tracked, alone, strict=True))
    assert hooks_and_names(model) == hooks_and_names(twin)
    assert not nn.modules.module._global_forward_hooks

    m = read_pickle(tracker.out_path)["metadata"]
    shown = list(zip(m["step"], m["tensor_type"].astype(str), m["name"].astype(str), strict=True))
    for step in range(3):
        rows = {(kind, row.partition("[")[0]) for at, kind, row in shown if at == step}
        assert sorted(expected - rows) == []


def test_there_are_at_least_forty():
    assert len(ZOO) >= 40
