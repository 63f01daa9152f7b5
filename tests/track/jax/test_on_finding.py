"""Findings while a model of JAX trains."""

import json
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen

from tandv.log.files import read_pickle
from tandv.track import FindingStop
from tandv.track.jax import track

pytestmark = pytest.mark.slow

BAD = 12  # the step whose batch has a NaN


class Net(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.Dense(1, name="down")(linen.relu(linen.Dense(8, name="up")(x)))


def train(on_finding, bad=BAD, steps=16, **arguments):
    """Train a small model; return its tracker, the losses and the last parameters."""
    net, transform = Net(), optax.adam(1e-3)
    params = net.init(jax.random.key(0), jnp.ones((1, 4)))
    state = transform.init(params)

    @jax.jit
    def update(params, state, x):
        loss, grads = jax.value_and_grad(lambda params: jnp.square(net.apply(params, x) - x[:, :1]).mean())(params)
        updates, state = transform.update(grads, state, params)
        return optax.apply_updates(params, updates), state, grads, loss

    losses = []
    with track(model_state=params, optimizer_state=state, on_finding=on_finding, **arguments) as tracker:
        for step in range(steps):
            x = jax.random.normal(jax.random.key(step), (8, 4))
            x = x.at[0, 0].set(jnp.nan) if step == bad else x
            params, state, grads, loss = tracker.intercept(update, params, state, x)
            losses.append(float(loss))
            tracker.step(params, state, grads, loss=loss)
    return tracker, losses, params


def test_stop_raises_at_the_next_step_with_the_log_written():
    with pytest.raises(FindingStop, match=r"error, not_finite at step 12, Activation of 'up'"):
        train("stop", async_offload=False, path="stopped")
    said = json.loads(Path("stopped/run.json").read_text())
    assert (said["status"], said["log"]) == ("ended by FindingStop", "log.pkl")
    assert read_pickle("stopped/log.pkl")["metadata", "step"].max() == BAD


def test_a_function_gets_each_finding_once_from_the_thread_that_writes():
    found = []
    _, losses, _ = train(found.append)
    assert [(one.kind, one.layer, one.step) for one in found] == [("not_finite", "up", BAD)]
    assert len(losses) == 16


def test_save_keeps_the_weights_from_before():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        tracker, *_ = train("save", async_offload=False)
    assert "(Being saved: the weights of step 0, from before it." in str(seen[-1].message)
    assert (Path(tracker.path) / "checkpoints" / "step_000000.safetensors").is_file()


@pytest.mark.usefixtures("optimised")
def test_training_is_bit_for_bit_the_same():
    _, losses, params = train(["save", "stop"], bad=None)
    _, bare_losses, bare = train(None, bad=None)
    assert losses == bare_losses
    assert all(np.array_equal(one, other) for one, other in zip(*map(jax.tree.leaves, (params, bare)), strict=True))


def test_saving_needs_the_parameters():
    with pytest.raises(ValueError, match="on_finding='save' needs the parameters"):
        track(on_finding="save")
