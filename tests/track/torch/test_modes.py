"""The tracker's own operations run under none of the user's modes."""

import contextlib

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.overrides import BaseTorchFunctionMode, TorchFunctionMode, _get_current_function_mode_stack, _pop_mode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from tandv.track.common import read_pickle
from tandv.track.torch import track
from tandv.track.torch._modes import put_mode


class Operations(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen.append(str(func))
        return func(*args, **(kwargs or {}))


class Functions(TorchFunctionMode):
    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.seen.append(getattr(func, "__name__", str(func)))
        return func(*args, **(kwargs or {}))


class Block(nn.Module):
    """Has an output that is a view, one with a hook of its own, and one that is expanded."""

    def __init__(self):
        super().__init__()
        self.layer, self.flat, self.head = nn.Linear(3, 4), nn.Flatten(), nn.Linear(8, 1)
        self.flat.register_forward_hook(lambda module, arguments, output: output * 2)

    def forward(self, x):
        return self.head(self.flat(self.layer(x))).expand(2, 5)


def train(mode, tracked: bool):
    torch.manual_seed(0)
    model = Block()
    optimizer = torch.optim.Adam(model.parameters(), foreach=False)
    x = torch.ones(2, 2, 3)
    tracker = track(model, optimizer=optimizer, track_updates=True) if tracked else None
    with tracker if tracker is not None else contextlib.nullcontext():
        for _ in range(2):
            with mode:
                optimizer.zero_grad()
                model(x).square().sum().backward()
                optimizer.step()
                if tracker is not None:
                    tracker.step()
    return model, tracker


@pytest.mark.parametrize("mode", [Operations, Functions])
def test_a_mode_sees_the_operations_of_training_only(mode, row):
    bare, seen = mode(), mode()
    model, _ = train(bare, False)
    tracked, tracker = train(seen, True)
    assert seen.seen == bare.seen
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), tracked.parameters(), strict=True))
    log = read_pickle(tracker.out_path)
    for kind in ("Activation", "Gradient", "Weight", "Weight_Gradient", "Weight_Update", "Optimiser_State.exp_avg"):
        assert row(log, "head", kind, 1)["max_abs"] > 0


def test_operations_are_counted_as_without_a_tracker():
    bare, seen = FlopCounterMode(display=False), FlopCounterMode(display=False)
    train(bare, False)
    train(seen, True)
    assert seen.get_total_flops() == bare.get_total_flops() > 0


def test_another_default_device(row):
    before = torch.get_default_device()
    model, x = nn.Linear(3, 1), torch.ones(2, 3)
    nn.init.ones_(model.weight)
    torch.set_default_device("meta")  # where a tensor that the tracker makes would have no values
    try:
        with track(model, track_updates=True) as tracker:
            model(x).sum().backward()
            tracker.step()
    finally:
        torch.set_default_device(before if before.type != "cpu" else None)
    log = read_pickle(tracker.out_path)
    assert row(log, "Linear", "Weight")["mean"] == 1.0
    assert row(log, "Linear", "Weight_Gradient")["mean"] == 2.0


@pytest.fixture
def no_mode_is_left():
    yield
    left = [_pop_mode() for _ in _get_current_function_mode_stack()]
    assert not left


def test_a_mode_of_the_tracker_is_below_those_of_the_user_and_above_the_default_device(no_mode_is_left):
    mine, users = Functions(), Functions()
    torch.set_default_device("cpu")
    try:
        with users:
            put_mode(mine)
            assert _get_current_function_mode_stack()[1:] == [mine, users]
        assert _get_current_function_mode_stack()[1:] == [mine]
    finally:
        torch.set_default_device(None)
    assert _pop_mode() is mine
    with torch.device("cpu"):  # a mode as any other
        put_mode(mine)
    assert _pop_mode() is mine


class Attends(nn.Module):
    def __init__(self):
        super().__init__()
        self.q = nn.Linear(2, 2)

    def forward(self, x):
        q = self.q(x)
        return functional.scaled_dot_product_attention(q, q, q)


@pytest.mark.parametrize("mode", [lambda: torch.device("cpu"), BaseTorchFunctionMode])
def test_a_mode_that_is_left_when_the_step_has_ended_is_the_users(mode, row, no_mode_is_left):
    """A compiled function calls the model: attention is looked for between forward passes, too."""
    torch.compiler.reset()
    model = Attends()
    call = torch.compile(lambda x: model(x), backend="eager")
    with track(model, attention=True) as tracker:
        for _ in range(3):
            with mode() as users:
                call(torch.ones(1, 2, 3, 2)).sum().backward()
                tracker.step()
            assert users not in _get_current_function_mode_stack()
            assert len(_get_current_function_mode_stack()) == 1  # the tracker's
    log = read_pickle(tracker.out_path)
    assert [row(log, "Attends.head.1", "Attention", step)["calls"] for step in (1, 2)] == [1, 1]


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_training_by_torch_func_goes_on_and_is_said_once(row, compiled):
    """Outputs inside of a transform have no values of their own; weights have."""

    def trained(tracked):
        torch.compiler.reset()
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
        weights = dict(model.named_parameters())

        def loss(weights, x):
            return torch.func.functional_call(model, weights, (x,)).square().sum()

        gradients = torch.func.grad(loss)
        per_sample = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))
        if compiled:
            gradients = torch.compile(gradients, backend="aot_eager", fullgraph=True)
        with track(model) if tracked else contextlib.nullcontext() as tracker:
            for step in range(2):
                found = gradients(weights, torch.ones(2, 3))
                each = per_sample(weights, torch.ones(2, 1, 3))
                with torch.no_grad():
                    for name, weight in weights.items():
                        weight -= 0.1 * found[name] + each[name].sum(0)
                model(torch.full((1, 3), float(step)))
                if tracker is not None:
                    tracker.step()
        return weights, tracker

    bare, _ = trained(False)
    with pytest.warns(UserWarning) as said:
        weights, tracker = trained(True)
    (warning,) = {str(one.message) for one in said}
    assert "tensors inside torch.func or vmap are not measured" in warning
    assert all(torch.equal(weights[name], bare[name]) for name in bare)
    log = read_pickle(tracker.out_path)
    assert [row(log, "0", "Activation", step)["calls"] for step in range(2)] == [1, 1]
    assert row(log, "0", "Weight", 1)["numel"] == 12
