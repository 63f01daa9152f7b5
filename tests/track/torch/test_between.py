"""Steps that are not recorded are checked: one number for each group, and the next step is recorded."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

import tandv
from tandv.log.files import read_pickle
from tandv.track.torch import track

BAD = 17


class NotANumber(torch.autograd.Function):
    """The identity, with a gradient of NaN."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * float("nan")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.mid, self.down = nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 1)
        self.broken = None

    def forward(self, x):
        x = self.mid(torch.relu(self.up(x)))
        if self.broken == "backward":
            x = NotANumber.apply(x)
        return self.down(x * (float("inf") if self.broken == "forward" else 1.0))


def train(broken=None, steps=30, by_hand=False, given=True, step_over=(), model=None, **arguments):
    """Train; return the tracker, the losses and the weights. `broken` is what is wrong in step BAD."""
    torch.manual_seed(0)
    net = Net()
    model = net if model is None else model(net)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    losses = []
    arguments = {"every": 10, "optimizer": None if by_hand else optimizer} | arguments
    with track(model, **arguments) as tracker:
        for step in range(steps):
            net.broken = broken if step == BAD else None
            x = torch.randn(16, 4)
            loss = (model(x) - x[:, :1]).square().mean()
            loss.backward()
            if by_hand:
                with torch.no_grad():
                    for p in net.parameters():
                        p -= 0.01 * p.grad
            elif step not in step_over:
                optimizer.step()
            losses.append(loss.item())
            tracker.step(**({"loss": loss} if given else {}))
            optimizer.zero_grad()
    return tracker, losses, [p.detach().clone() for p in net.parameters()]


def seen(tracker):
    return json.loads((Path(tracker.path) / "run.json").read_text())["between_steps"]


def steps(tracker):
    return sorted(set(read_pickle(tracker.out_path)["metadata", "step"]))


def test_gradients_are_seen_to_go_bad_at_their_step_and_the_next_one_is_recorded():
    tracker, *_ = train("backward")
    assert steps(tracker) == [0, 10, BAD + 1, 20]
    first = seen(tracker)["not_finite"][0]
    assert first["step"] == BAD
    assert first["gradients"] == {"state": "nan", "names": ["up", "up.bias", "mid", "mid.bias"], "of": 6}
    assert first["loss"] == first["output"] == {"state": "finite"}
    [found] = tandv.findings(tracker.path)
    assert (found.kind, found.layer, found.tensor_type, found.step) == ("not_finite", "mid", "Weight_Gradient", BAD)


@pytest.mark.parametrize("given", [True, False])
def test_a_forward_pass_that_goes_bad_is_told_with_what_is_not_known(given):
    tracker, *_ = train("forward", given=given)
    [found] = tandv.findings(tracker.path)
    assert (found.kind, found.layer, found.tensor_type, found.step) == ("not_finite", "*", "Activation", BAD)
    assert "Which tensor was first is not known" in found.what


@pytest.mark.parametrize("broken", ["loss", "input"])
def test_of_several_micro_batches_the_one_that_was_not_checked_may_be_at_fault(broken):
    torch.manual_seed(0)
    net = Net()
    net.register_forward_hook(lambda module, inputs, output: output * 1.0)  # its own hooks are no further passes
    optimizer = torch.optim.Adam(net.parameters())
    with track(net, optimizer=optimizer, every=10) as tracker:
        for step in range(30):
            for micro in range(4):
                bad = step == BAD and micro == 1
                x = torch.full((16, 4), float("nan") if bad and broken == "input" else 1.0)
                loss = net(x).square().mean() * (float("nan") if bad and broken == "loss" else 1.0)
                loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            tracker.step(loss=loss)
    assert seen(tracker)["not_finite"][0]["passes"] == 4
    [found] = tandv.findings(tracker.path)
    assert (found.layer, found.step, found.numbers["passes"]) == ("*", BAD, 4)
    assert found.what.endswith(
        "Which tensor was first is not known: one of 4 forward passes was checked, and another may have spoilt all "
        "gradients."
    )


def test_one_pass_through_a_model_with_hooks_of_its_own_is_one():
    net = nn.Sequential(nn.Linear(1, 1))
    net.register_forward_hook(lambda module, inputs, output: output * float("nan"))
    with track(net, every=10) as tracker:
        for _ in range(3):
            net(torch.ones(1, 1)).sum().backward()
            tracker.step()
            net.zero_grad()
    assert [set(one) for one in seen(tracker)["not_finite"]] == [{"step", "output", "gradients"}]


def test_a_finite_run_records_no_further_step():
    tracker, *_ = train()
    assert steps(tracker) == [0, 10, 20]
    assert seen(tracker) == {"checked": 27, "groups": ["output", "gradients", "loss"], "not_finite": []}
    assert tandv.findings(tracker.path) == []


def test_where_every_step_is_recorded_nothing_is_checked():
    tracker, *_ = train(every=1)
    assert "between_steps" not in json.loads((Path(tracker.path) / "run.json").read_text())


def test_a_loop_without_an_optimiser_is_checked_at_the_end_of_its_steps():
    tracker, *_ = train("backward", by_hand=True, given=False)
    assert seen(tracker)["not_finite"][0]["step"] == BAD
    assert seen(tracker)["checked"] == 26


def test_a_step_that_the_loop_skips_is_no_fault():
    tracker, *_ = train("backward", step_over={BAD})
    assert seen(tracker)["not_finite"] == []
    assert steps(tracker) == [0, 10, 20]


@pytest.mark.parametrize("fused", [False, True])
def test_a_step_that_a_scaler_skips_is_no_fault(fused):
    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.Adam(model.parameters(), fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127, growth_interval=100)
    scales = []
    with track(model, optimizer=optimizer, every=10) as tracker:
        for _ in range(12):
            optimizer.zero_grad()
            loss = model(torch.ones(8, 4)).square().mean()
            scaler.scale(loss * 16).backward()
            scaler.step(optimizer)
            scaler.update()
            scales.append(scaler.get_scale())
            tracker.step(loss=loss)
    assert scales[1] < 2.0**126  # a step that is not recorded was skipped
    assert seen(tracker)["not_finite"] == []


def test_training_is_bit_for_bit_the_same():
    _, losses, weights = train("backward")
    _, bare_losses, bare = train("backward", every=10**6)
    _, again_losses, again = train("backward", every=1)
    assert str(losses) == str(bare_losses) == str(again_losses)
    for one, other, third in zip(weights, bare, again, strict=True):
        assert torch.equal(one.nan_to_num(7.0), other.nan_to_num(7.0))
        assert torch.equal(one.nan_to_num(7.0), third.nan_to_num(7.0))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_gradients_of_any_format_are_finite_up_to_their_largest_value(dtype):
    p = nn.Parameter(torch.zeros(4, dtype=dtype))
    model = nn.Module()
    model.weight = p
    largest = 6e4 if dtype == torch.float16 else 1e18
    with track(model, every=10, optimizer=torch.optim.SGD([p], lr=0.0)) as tracker:
        optimizer = torch.optim.SGD([p], lr=0.0)
        for step in range(4):
            p.grad = torch.full((4,), largest, dtype=dtype)
            if step == 3:
                p.grad[1] = float("inf")
            optimizer.step()
            tracker.step()
    assert [one["step"] for one in seen(tracker)["not_finite"]] == [3]


def test_a_finding_stops_a_run_of_which_few_steps_are_recorded():
    found = []
    train("backward", on_finding=found.append, async_offload=False)
    assert [(one.layer, one.step) for one in found] == [("mid", BAD)]


def test_the_last_step_of_a_run_that_ends_by_an_error_is_read():
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ZeroDivisionError), track(model, optimizer=optimizer, every=10, path="ended") as tracker:
        for step in range(5):
            model(torch.full((1, 2), float("inf") if step == 3 else 1.0)).sum().backward()
            optimizer.step()
            if step == 3:
                raise ZeroDivisionError
            tracker.step()
    assert [one["step"] for one in seen(tracker)["not_finite"]] == [3]
    assert [(one.severity, one.step) for one in tandv.findings("ended")] == [("error", 3)]


@pytest.mark.slow
def test_a_compiled_model_is_checked_and_not_compiled_again():
    torch._dynamo.reset()
    tracker, *_ = train("backward", model=lambda net: torch.compile(net, backend="aot_eager"))
    assert seen(tracker)["not_finite"][0]["gradients"]["names"] == ["up", "up.bias", "mid", "mid.bias"]
    assert seen(tracker)["groups"] == ["output", "gradients", "loss"]
