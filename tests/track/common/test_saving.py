"""Checkpoints that are saved by a rule: which steps, whose weights, within which limits, and never to harm."""

import contextlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file
from torch import nn

from tandv.checkpoints import LeftOut, find, weights
from tandv.track import SaveRule, crossing_of, jumps_of
from tandv.track import jax as tracking_jax
from tandv.track import torch as tracking

pytestmark = pytest.mark.slow


def model_of(width: int = 4) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(width, width), nn.BatchNorm1d(width), nn.Linear(width, width, bias=False))


def train(save, steps=40, losses=None, model=None, **more):
    """Train and return the tracker, and the weights that the forward pass of each step has used."""
    model = model or model_of()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    used = []
    with tracking.track(model, optimizer=optimizer, save=save, path="run", **more) as tracker:
        for step in range(steps):
            used.append({name: value.clone() for name, value in model.state_dict().items()})
            loss = model(torch.randn(8, 4)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            tracker.step(loss=losses[step] if losses is not None else loss)
        used.append({name: value.clone() for name, value in model.state_dict().items()})
    return tracker, used


def saved(tracker) -> list[int]:
    folder = tracker.path / "checkpoints"
    return [one.step for one in find(folder)] if folder.exists() else []


def why(tracker, step) -> str:
    with safe_open(tracker.path / "checkpoints" / f"step_{step:06d}.safetensors", "np") as file:
        return json.loads(file.metadata()["tandv"])["why"]


FLAT_THEN_HIGH = [1.0 + 0.01 * (step % 3) for step in range(70)] + [5.0] * 10


def test_every_so_many_steps_with_the_weights_that_the_step_uses():
    tracker, used = train(SaveRule(every=10), steps=35)
    assert saved(tracker) == [0, 10, 20, 30]
    for step in saved(tracker):
        file = load_file(tracker.path / "checkpoints" / f"step_{step:06d}.safetensors")
        assert sorted(file) == sorted(used[step])
        assert all(np.array_equal(file[name], value.numpy()) for name, value in used[step].items())
    assert why(tracker, 20) == "every"
    with pytest.warns(LeftOut):
        names = [name for name, _ in weights(tracker.path / "checkpoints" / "step_000010.safetensors")]
    assert names == ["0", "0.bias", "1", "1.bias", "2"]  # as the log has them, in model order
    assert json.loads((tracker.path / "run.json").read_text())["checkpoints"][1] == {"step": 10, "why": "every"}


def test_an_event_saves_what_came_out_of_it_and_the_exact_weights_of_the_steps_before():
    tracker, used = train(SaveRule(on=jumps_of("loss"), before=3, after=5), 80, FLAT_THEN_HIGH)
    # the loss jumps at step 70; means of two values are compared, and 5.0 alone is enough
    assert saved(tracker) == [68, 69, 70, 71, 76]
    for step in saved(tracker):
        file = load_file(tracker.path / "checkpoints" / f"step_{step:06d}.safetensors")
        assert all(np.array_equal(file[name], value.numpy()) for name, value in used[step].items())
    assert (
        why(tracker, 68) == why(tracker, 71) == "loss went from 1.015 to 3 by step 70"
    )  # means of 67, 68 and of 69, 70


def test_copies_lie_apart():
    tracker, _ = train(SaveRule(on=crossing_of("loss", 2.0), before=3, apart=10), 80, FLAT_THEN_HIGH)
    assert saved(tracker) == [50, 60, 70, 71]


def test_a_loss_that_is_no_longer_finite_is_an_event():
    tracker, _ = train(SaveRule(on=jumps_of("loss"), before=1), 10, [1.0] * 6 + [float("nan")] * 4)
    assert saved(tracker) == [6, 7]


def test_too_many_regular_ones_are_thinned_evenly():
    tracker, _ = train(SaveRule(every=1, at_most=5), steps=33)
    assert saved(tracker) == [0, 8, 16, 24, 32]


def test_events_and_regular_ones_have_half_of_the_files_each():
    losses = [float(step // 5 % 2) for step in range(60)]  # crosses 0.5 at 5, 10, 15, ...
    rule = SaveRule(every=5, on=crossing_of("loss", 0.5), at_most=6)
    with pytest.warns(UserWarning, match="no more checkpoints of events are saved from step 21 on"):
        tracker, _ = train(rule, 60, losses)
    assert saved(tracker) == [0, 6, 11, 16, 40]  # after 5, 10 and 15; 0, 20, 40 of every=20, then 0 and 40 of every=40


def test_the_limit_of_bytes_holds():
    one = 4 * (16 + 4 + 4 + 4 + 4 + 4 + 16) + 8
    tracker, _ = train(SaveRule(every=1, at_most=100, at_most_bytes=3 * one), steps=20)
    assert saved(tracker) == [0, 8, 16]


def test_memory_bounds_the_copies(capsys):
    one = 4 * (16 + 4 + 4 + 4 + 4 + 4 + 16) + 8
    rule = SaveRule(on=crossing_of("loss", 2.0), before=5, memory=2 * one)
    with pytest.warns(UserWarning, match=r"memory=432 holds 2 copies of 216 B, not before=5; so many are kept"):
        tracker, _ = train(rule, 75, FLAT_THEN_HIGH)
    assert saved(tracker) == [69, 70, 71]


def test_tied_weights_are_saved_once_and_load():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(5, 4)
            self.head = nn.Linear(4, 5, bias=False)
            self.head.weight = self.embed.weight

    model = Tied()
    with tracking.track(model, save=SaveRule(every=1), path="run") as tracker:
        pass
    file = load_file(tracker.path / "checkpoints" / "step_000000.safetensors")
    assert list(file) == ["embed.weight"]
    other = Tied()
    other.load_state_dict({name: torch.from_numpy(value) for name, value in file.items()}, strict=False)
    assert torch.equal(other.head.weight, model.embed.weight)


@pytest.mark.parametrize("compiled", [False, True])
def test_names_are_the_models_own_and_bfloat16_stays(compiled):
    model = nn.Sequential(nn.Linear(4, 4)).bfloat16()
    whole = torch.compile(model, backend="eager") if compiled else model
    with tracking.track(whole, save=SaveRule(every=1), path="run") as tracker:  # type: ignore[arg-type]
        pass
    from safetensors.torch import load_file as load_torch

    file = load_torch(tracker.path / "checkpoints" / "step_000000.safetensors")
    assert all(torch.equal(file[name], value) for name, value in model.state_dict().items())
    assert file["0.weight"].dtype == torch.bfloat16


@pytest.mark.parametrize("save", [None, SaveRule(every=3, on=jumps_of("loss"), before=4)])
def test_training_is_bit_identical(save):
    def result(tracked):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1))
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
        tracker = tracking.track(model, save=save, path="run") if tracked else contextlib.nullcontext()
        losses = []
        with tracker as t:
            for _ in range(30):
                optimizer.zero_grad()
                loss = model(torch.randn(8, 4)).square().mean()
                loss.backward()
                optimizer.step()
                losses.append(loss.detach())
                if t is not None:
                    t.step(loss=loss)
        return [*losses, *model.state_dict().values(), torch.get_rng_state()]

    assert all(torch.equal(a, b) for a, b in zip(result(False), result(True), strict=True))


KILLED = """
import os, signal, safetensors.torch, torch
from tandv.track import SaveRule
from tandv.track.torch import track
real, written = safetensors.torch.save_file, []
def save_file(arrays, path, about):
    real(arrays, path, about)
    written.append(path)
    if len(written) == 4:  # in the middle of a write: half a file stands aside
        os.truncate(path, os.path.getsize(path) // 2)
        os.kill(os.getpid(), signal.SIGKILL)
safetensors.torch.save_file = save_file
model = torch.nn.Linear(15, 15)
with track(model, path="run", save=SaveRule(every=1, at_most=40), include="bias") as tracker:
    while True:
        tracker.step()
"""


def test_kill_9_leaves_no_broken_file(tmp_path):
    assert subprocess.run([sys.executable, "-c", KILLED], cwd=tmp_path).returncode == -signal.SIGKILL
    folder = tmp_path / "run" / "checkpoints"
    assert sorted(path.name for path in folder.iterdir())[0] == ".step_000003.safetensors"
    found = find(folder)
    assert [one.step for one in found] == [0, 1, 2]
    for one in found:
        assert sum(array.nbytes for _, array in weights(one.path)) == 4 * (15 * 15 + 15)


def test_a_failing_save_is_said_once_and_the_next_is_tried(monkeypatch):
    import safetensors.torch

    real, calls = safetensors.torch.save_file, []

    def full(*arguments):
        calls.append(1)
        if len(calls) in (2, 3):
            raise OSError(28, "No space left on device")
        real(*arguments)

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.warns(UserWarning) as said:
        tracker, used = train(SaveRule(every=10), steps=41)
    (warning,) = said
    assert "could not save the weights of step 10 to" in str(warning.message)
    assert "No space left on device" in str(warning.message)
    assert saved(tracker) == [0, 30, 40]
    assert len(used) == 42


def test_a_checkpoint_that_cannot_be_deleted_is_said(monkeypatch):
    real = Path.unlink

    def refuse(path, missing_ok=False):
        if path.parent.name == "checkpoints":
            raise PermissionError("planted")
        real(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.warns(UserWarning, match=r"could not delete .*step_000001\.safetensors, one of more .*planted"):
        train(SaveRule(every=1, at_most=4), steps=5)


def test_a_number_that_is_watched_and_never_given_is_said():
    with pytest.warns(UserWarning, match=r"save= watches accuracy, which tracker.step\(accuracy=...\) was never given"):
        train(SaveRule(on=crossing_of("accuracy", 0.5)), steps=2)


def jax_run(save, steps=80, losses=FLAT_THEN_HIGH):
    optimizer = optax.sgd(0.1)
    params = {"params": {"Dense_0": {"kernel": jnp.ones((4, 3)), "bias": jnp.zeros(3, jnp.bfloat16)}}}
    state = optimizer.init(params)

    @jax.jit
    def update(params, state, x):
        loss, grads = jax.value_and_grad(lambda p: jnp.sin(x @ p["params"]["Dense_0"]["kernel"]).mean())(params)
        updates, state = optimizer.update(grads, state)
        return optax.apply_updates(params, updates), state, loss

    used = []
    tracker = tracking_jax.track(model_state=params, save=save, path="run") if save else contextlib.nullcontext()
    with tracker as t:
        for step in range(steps):
            used.append(np.array(params["params"]["Dense_0"]["kernel"]))
            x = jnp.full((2, 4), float(step))
            params, state, _ = jax.jit(update, donate_argnums=0)(params, state, x)  # the old weights are given away
            if t is not None:
                t.step(params, loss=jnp.float32(losses[step]))
        used.append(np.array(params["params"]["Dense_0"]["kernel"]))
    return tracker, used


def test_jax_saves_by_the_same_rule():
    tracker, used = jax_run(SaveRule(every=40, on=crossing_of("loss", 2.0), before=2))
    assert saved(tracker) == [0, 40, 69, 70, 71, 80]
    for step in saved(tracker):
        path = tracker.path / "checkpoints" / f"step_{step:06d}.safetensors"
        with safe_open(path, "np") as file:
            assert sorted(file.keys()) == ["Dense_0.bias", "Dense_0.kernel"]
            assert np.array_equal(file.get_tensor("Dense_0.kernel"), used[step])
            assert file.get_slice("Dense_0.bias").get_dtype() == "BF16"
        assert sorted(name for name, _ in weights(path)) == ["Dense_0", "Dense_0.bias"]


def test_jax_training_is_bit_identical():
    (_, bare), (_, tracked) = jax_run(None, 20), jax_run(SaveRule(every=3, on=jumps_of("loss"), before=2), 20)
    assert all(np.array_equal(a, b) for a, b in zip(bare, tracked, strict=True))


def test_jax_needs_the_parameters():
    with pytest.raises(ValueError, match="save= needs the parameters"):
        tracking_jax.track(save=SaveRule(every=1))


def test_weights_that_lie_nowhere_are_refused():
    with torch.device("meta"):
        model = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="save= cannot save meta tensors, of which each rank has a piece"):
        tracking.track(model, save=SaveRule(every=1))
