"""Steps that are not recorded are checked in JAX as well: what `step` is given."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx

import tandv
from tandv.log.files import read_pickle
from tandv.track.jax import track

pytestmark = pytest.mark.slow

BAD = 17


@jax.custom_vjp
def broken_if(x, broken):
    return x


broken_if.defvjp(lambda x, broken: (x, broken), lambda broken, gradient: (jnp.where(broken, jnp.nan, gradient), None))


class Net(linen.Module):
    @linen.compact
    def __call__(self, x, broken):
        x = linen.relu(linen.Dense(8, name="up")(x))
        return linen.Dense(1, name="down")(broken_if(linen.Dense(8, name="mid")(x), broken))


def train(bad=BAD, steps=25, skip=False, given=("grads", "loss"), every=10):
    """Train; return the tracker, the losses and the last parameters. In step `bad` a gradient is NaN."""
    net, transform = Net(), optax.adam(1e-3)
    params = net.init(jax.random.key(0), jnp.ones((1, 4)), False)
    state = transform.init(params)

    @jax.jit
    def update(params, state, x, broken):
        def loss_of(params):
            return jnp.square(net.apply(params, x, broken) - x[:, :1]).mean()

        loss, grads = jax.value_and_grad(loss_of)(params)
        updates, next_state = transform.update(grads, state, params)
        new = optax.apply_updates(params, updates), next_state
        new = jax.tree.map(lambda new, old: jnp.where(skip & broken, old, new), new, (params, state))
        return *new, grads, loss

    losses = []
    with track(model_state=params, optimizer_state=state, every=every, async_offload=False) as tracker:
        for step in range(steps):
            x = jax.random.normal(jax.random.key(step), (8, 4))
            params, state, grads, loss = tracker.intercept(update, params, state, x, step == bad)
            losses.append(float(loss))
            more = {"grads": grads, "loss": loss}
            tracker.step(params, state, **{name: more[name] for name in given})
    return tracker, losses, params


def seen(tracker):
    return json.loads((Path(tracker.path) / "run.json").read_text())["between_steps"]


def test_gradients_are_seen_to_go_bad_at_their_step_and_the_next_one_is_recorded():
    tracker, *_ = train()
    first = seen(tracker)["not_finite"][0]
    assert first["step"] == BAD
    assert set(first["gradients"]["names"]) == {"up", "up.bias", "mid", "mid.bias"}
    assert first["gradients"]["of"] == first["weights"]["of"] == 6
    assert set(read_pickle(tracker.out_path)["metadata", "step"]) == {0, 10, BAD + 1, 20}
    [found] = tandv.findings(tracker.path)
    assert (found.kind, found.layer, found.tensor_type, found.step) == ("not_finite", "mid", "Weight_Gradient", BAD)


def test_without_gradients_the_new_weights_and_the_loss_tell():
    tracker, *_ = train(given=["loss"])
    first = seen(tracker)["not_finite"][0]
    assert (first["step"], first["loss"]) == (BAD, {"state": "finite"})
    assert set(first["weights"]["names"]) == {"up", "up.bias", "mid", "mid.bias"}
    [found] = tandv.findings(tracker.path)
    assert (found.layer, found.tensor_type, found.step) == ("mid", "Weight", BAD)
    assert found.what.startswith("4 of 6 new weights are not finite")


def test_an_update_that_the_step_skips_is_no_fault():
    tracker, *_ = train(skip=True)
    assert seen(tracker)["not_finite"] == []
    assert [one for one in tandv.findings(tracker.path) if one.severity == "error"] == []


@pytest.mark.usefixtures("optimised")
def test_training_is_bit_for_bit_the_same():
    _, losses, params = train(bad=None)
    _, bare_losses, bare = train(bad=None, every=10**6)
    assert losses == bare_losses
    assert all(np.array_equal(one, other) for one, other in zip(*map(jax.tree.leaves, (params, bare)), strict=True))


def test_objects_that_change_in_place_are_checked_too():
    model = nnx.Linear(3, 1, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
    with track(model, optimizer, every=10, async_offload=False) as tracker:

        @tracker.wrap
        @nnx.jit
        def step_fn(model, optimizer, x):
            loss, grads = nnx.value_and_grad(lambda model: jnp.square(model(x)).mean())(model)
            optimizer.update(model, grads)
            return loss

        for step in range(6):
            loss = step_fn(model, optimizer, jnp.full((2, 3), jnp.nan if step == 3 else 1.0))
            tracker.step(loss=loss)
    assert seen(tracker)["not_finite"][0]["step"] == 3
    assert "weights" in seen(tracker)["groups"]
