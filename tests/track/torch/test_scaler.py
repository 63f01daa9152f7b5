"""Each gradient without the scale of its own backward pass, whatever losses a step has."""

import math
import threading

import pytest
import torch
from torch import nn
from torch.optim import SGD
from torch.utils.checkpoint import checkpoint

from tandv.track.torch import _passes, track

ones = torch.ones(1, 2)


@pytest.fixture
def model():
    model = nn.Sequential(nn.Linear(2, 1, bias=False), nn.Linear(1, 1, bias=False))
    for p in model.parameters():
        nn.init.ones_(p)
    return model


@pytest.fixture
def scaler():
    return torch.amp.GradScaler("cpu", init_scale=1024.0)


def test_a_micro_batch_without_a_step(run, row, model, scaler):
    optimizer = SGD(model.parameters(), lr=0.0)

    def update(tracker):
        scaler.scale(model(ones).sum() / 2).backward()
        if tracker.steps % 2:
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()

    log = run(model, update, steps=4)
    for step, weight in enumerate((1.0, 2.0, 1.0, 2.0)):  # what was accumulated until then
        assert row(log, "1", "Weight_Gradient", step)["mean"] == weight
        assert row(log, "0", "Gradient", step)["mean"] == 0.5
        assert row(log, "1", "Weight_Gradient", step)["loss_scale"] == 1024.0
    assert [row(log, "1", "Weight", step)["skipped"] for step in range(4)] == [1.0, 0.0, 1.0, 0.0]


@pytest.mark.parametrize("first", ["scaled", "unscaled"])
def test_a_scaled_and_an_unscaled_loss_with_a_pass_each(run, row, model, scaler, first):
    other = SGD(model[0].parameters(), lr=0.0)
    optimizer = SGD(model[1].parameters(), lr=0.0)

    def unscaled():
        other.zero_grad()
        (model[0](ones).sum() * 3).backward()
        other.step()

    def scaled():
        optimizer.zero_grad()
        scaler.scale(model[1](torch.ones(1, 1)).sum() * 5).backward()
        scaler.step(optimizer)
        scaler.update()

    def update(_):
        for action in (scaled, unscaled) if first == "scaled" else (unscaled, scaled):
            action()

    log = run(model, update, steps=2)
    for step in (0, 1):
        assert row(log, "0", "Gradient", step)["mean"] == 3.0
        assert row(log, "0", "Weight_Gradient", step)["mean"] == 3.0
        assert row(log, "1", "Gradient", step)["mean"] == 5.0
        assert row(log, "1", "Weight_Gradient", step)["mean"] == 5.0


def summed(scaler, one, other):
    (scaler.scale(one) + other).backward()


def together(scaler, one, other):
    torch.autograd.backward([scaler.scale(one), other])


@pytest.mark.parametrize("mixed", [summed, together])
def test_losses_that_share_a_pass_have_no_known_scale(run, quantities, model, scaler, mixed):
    def update(_):
        mixed(scaler, model(ones).sum(), model[0](ones).sum())

    with pytest.warns(UserWarning, match="scaled and unscaled losses share a backward pass") as said:
        log = run(model, update, steps=2)
    assert len([one for one in said if "share" in str(one.message)]) == 1
    assert {kind for kind, _ in quantities(log)} == {"Activation", "Weight"}
    assert log["scalar_stats"]["loss_scale"].isna().all()


def test_what_an_optimiser_receives_of_a_shared_pass_is_known(run, row, model, scaler):
    optimizer = SGD(model.parameters(), lr=0.0)

    def update(_):
        optimizer.zero_grad()
        (scaler.scale(model(ones).sum()) + 1024 * model(ones).sum()).backward()
        scaler.step(optimizer)
        scaler.update()

    with pytest.warns(UserWarning, match="share a backward pass"):
        log = run(model, update)
    assert row(log, "0", "Weight_Gradient")["mean"] == 2.0


def halved(scaler, losses):
    (scaler.scale(losses[0]) / 2).backward()


def added(scaler, losses):
    sum(scaler.scale(losses)).backward()


def listed(scaler, losses):
    torch.autograd.backward(scaler.scale(losses))


@pytest.mark.parametrize("backward, factor", [(halved, 0.5), (added, 2.0), (listed, 2.0)])
def test_scaled_losses_are_known_behind_what_is_done_with_them(run, row, model, scaler, backward, factor):
    log = run(model, lambda _: backward(scaler, [model(ones).sum() for _ in range(2)]))
    assert row(log, "0", "Weight_Gradient")["mean"] == factor
    assert row(log, "0", "Gradient")["mean"] == factor / {0.5: 1, 2.0: 2}[factor]


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoints_that_run_a_pass_of_their_own_have_its_scale(run, row, model, scaler, reentrant):
    x = ones.clone().requires_grad_()

    def update(_):
        scaler.scale(checkpoint(model, x, use_reentrant=reentrant).sum()).backward()

    log = run(model, update)
    assert (row(log, "0", "Gradient")["mean"], row(log, "0", "Weight_Gradient")["mean"]) == (1.0, 1.0)


def test_a_gradient_penalty_has_the_scale_of_both_of_its_passes(run, row, model, scaler):
    def update(_):
        loss = model(ones).sum()
        (given,) = torch.autograd.grad(scaler.scale(loss), [model[0].weight], create_graph=True)
        scaler.scale(loss + (given / scaler.get_scale()).sum()).backward()

    log = run(model, update)
    # y = w1·(w0·x): the penalty is 2·w1, so its gradient reaches w1 and nothing before.
    assert (row(log, "1", "Weight_Gradient")["mean"], row(log, "0", "Weight_Gradient")["mean"]) == (4.0, 1.0)


def test_gradients_of_a_skipped_step_are_read_though_they_are_cleared(run, row, model, scaler):
    optimizer = SGD(model.parameters(), lr=0.0)

    def update(tracker):
        scaler.scale(model(ones).sum() * (math.inf if tracker.steps == 1 else 1.0)).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=tracker.steps != 2)

    log = run(model, update, steps=3)
    assert [row(log, "0", "Weight_Gradient", step)["infs"] for step in range(3)] == [0, 2, 0]
    assert [row(log, "0", "Weight_Gradient", step)["skipped"] for step in range(3)] == [0.0, 1.0, 0.0]


def test_a_failed_pass_leaves_no_scale_behind(run, row, model, scaler):
    def fail(_):
        raise RuntimeError("planted")

    def update(_):
        output = model(ones)
        broken = output.sum()
        broken.register_hook(fail)
        with pytest.raises(RuntimeError, match="planted"):
            scaler.scale(broken).backward()
        model(ones).sum().backward()

    assert row(run(model, update), "0", "Weight_Gradient")["mean"] == 1.0


def test_a_scaler_of_ones_own_is_heard(run, row, model):
    class Scaler(torch.amp.GradScaler):
        def scale(self, outputs):
            self._lazy_init_scale_growth_tracker(outputs.device)
            return outputs * self._scale

    scaler = Scaler("cpu", init_scale=1024.0)
    log = run(model, lambda _: scaler.scale(model(ones).sum()).backward())
    assert row(log, "0", "Weight_Gradient")["mean"] == 1.0


def test_torch_is_left_as_it_was(model, scaler):
    methods = [torch.amp.GradScaler.scale, torch.amp.GradScaler.step, torch.amp.GradScaler.unscale_]
    engine = torch.autograd._engine_run_backward
    with track(model) as tracker:
        model(ones).sum().backward()
        assert torch.autograd._engine_run_backward is engine  # nobody has scaled a loss
        scaler.scale(model(ones).sum()).backward()
        assert torch.autograd._engine_run_backward is not engine
        tracker.step()
    assert [torch.amp.GradScaler.scale, torch.amp.GradScaler.step, torch.amp.GradScaler.unscale_] == methods
    assert torch.autograd._engine_run_backward is engine


def test_a_gradient_keeps_the_format_in_which_it_was_computed_scaled(run, row, model, scaler):
    def update(_):
        with torch.autocast("cpu", torch.float16):
            loss = model(ones).sum()
        scaler.scale(loss / 2**30).backward()

    log = run(model, update)
    of = {tuple(one): dtype for *one, dtype in log["metadata"][["tensor_type", "name", "dtype"]].astype(str).to_numpy()}
    assert (of["Gradient", "1"], of["Activation", "1"], of["Weight_Gradient", "1"]) == ("float16", "float16", "float32")
    assert (
        row(log, "1", "Gradient")["mean"] == 2.0**-30
    )  # below the smallest number of float16, which it was not scaled


def test_passes_in_two_threads_keep_their_scales(run, row, model, scaler):
    """Another model's pass has begun before the scaled one, and ends within it."""
    begun, may_end, optimizer = threading.Event(), threading.Event(), SGD(model.parameters(), lr=0.0)
    other = nn.Linear(2, 1)

    def pause(_):
        begun.set()
        may_end.wait(60)

    def train_other():
        output = other(ones)
        output.register_hook(pause)
        output.sum().backward()

    def update(tracker):
        if not tracker.steps:  # passes are observed once a loss has been scaled
            scaler.scale(model(ones).sum())
            return
        thread = threading.Thread(target=train_other)
        thread.start()
        assert begun.wait(60)

        def let_it_end(_):
            may_end.set()
            thread.join()

        middle = model[0](ones)
        output = model[1](middle)
        output.register_hook(let_it_end)
        scaler.scale(output.sum() / 2).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()

    log = run(model, update, steps=2)
    assert row(log, "1", "Gradient", 1)["mean"] == 0.5
    assert row(log, "0", "Gradient", 1)["mean"] == 0.5
    assert row(log, "1", "Weight_Gradient", 1)["mean"] == 1.0


def test_what_another_thread_has_read_of_a_running_pass_stays_as_it_was_when_the_pass_ends():
    read = []
    _passes.passes._told(lambda roots: read.extend(_passes._running.values()))([])
    assert read == [(_passes.UNSCALED,)] and not _passes._running
