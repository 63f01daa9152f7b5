"""What run.json says of each parameter of a JAX run, as far as JAX lets it be known."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from tandv.analysis.findings import examined
from tandv.track.common.measurements import Block, Quantity
from tandv.track.jax import track
from tandv.track.jax._parameters import ParametersSeen
from tests.interleaved import Meanwhile

pytestmark = pytest.mark.slow

X = jnp.ones((4, 3))


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.Dense(3, use_bias=False, name="first")(x)
        x = nn.Dense(2, use_bias=False, name="cut")(x)
        return nn.Dense(1, use_bias=False, name="last")(jax.lax.stop_gradient(x))


NET = Net()
PARAMS = NET.init(jax.random.key(0), X)


def masked(names, inner):
    mask = {"params": {name: {"kernel": name in names} for name in ("first", "cut", "last")}}
    return optax.masked(inner, mask)


def told(transform, steps=12, of=PARAMS, loss=lambda p: NET.apply(p, X).sum() + p["params"]["first"]["kernel"].sum()):
    """Train with jitted steps; return what run.json says of requires_grad, in_optimizer, had_gradient, and the run."""
    state = transform.init(of)

    @jax.jit
    def step(p, state):
        grads = jax.grad(loss)(p)
        updates, state = transform.update(grads, state, p)
        return optax.apply_updates(p, updates), state, grads

    p = of
    with track(model_state=p, optimizer_state=state, offload_inc=4, async_offload=False) as tracker:
        for _ in range(steps):
            p, state, grads = tracker.intercept(step, p, state)
            tracker.step(p, state, grads)
            meanwhile = json.loads((tracker.path / "run.json").read_text()).get("parameters")
    found = json.loads((tracker.path / "run.json").read_text())["parameters"]
    assert meanwhile in (None, found) and (meanwhile or steps < 9)
    return {name: tuple(one.values())[1:] for name, one in found.items()}, found, tracker.path


def test_shapes_and_what_adam_has_a_state_of():
    facts, found, _ = told(optax.adam(0.1))
    assert found["first"]["shape"] == [3, 3]
    # The graph is cut: JAX computes gradients of exactly zero, and Adam has states of all.
    assert facts == {"first": (True, True, True), "cut": (True, True, False), "last": (True, True, True)}


def test_what_is_masked_and_stays_as_it_is_is_not_in_the_optimiser():
    frozen = optax.chain(masked(("first", "cut"), optax.adam(0.1)), masked(("last",), optax.set_to_zero()))
    facts, _, path = told(frozen)
    assert facts == {"first": (True, True, True), "cut": (True, True, False), "last": (True, False, True)}
    kinds = {(one.layer, one.severity) for one in examined(path).findings if one.kind == "not_trained"}
    assert kinds == {("cut", "warning"), ("last", "note")}


def test_what_changes_is_in_an_optimiser_that_keeps_no_state_and_of_the_rest_nothing_is_known():
    facts, _, _ = told(optax.sgd(0.1))
    assert facts == {"first": (True, True, True), "cut": (True, None, False), "last": (True, True, True)}


def test_without_gradients_and_an_optimiser_only_shapes_are_known():
    with track(model_state=PARAMS) as tracker:
        tracker.step(PARAMS)
    found = json.loads((tracker.path / "run.json").read_text())["parameters"]
    assert found["last"] == {"shape": [2, 1], "requires_grad": None, "in_optimizer": None, "had_gradient": None}


def test_what_the_loss_is_not_differentiated_with_respect_to_requires_no_gradient():
    with track(model_state=PARAMS) as tracker:
        for _ in range(2):
            grads = {"params": {"last": jax.grad(lambda k: (X[:, :2] @ k).sum())(PARAMS["params"]["last"]["kernel"])}}
            tracker.step(PARAMS, grads={"params": {"last": {"kernel": grads["params"]["last"]}}})
    found = json.loads((tracker.path / "run.json").read_text())["parameters"]
    assert [found[name]["requires_grad"] for name in ("first", "last")] == [False, True]


def test_while_the_rows_of_a_step_are_noted_nothing_is_told_of_them():
    """Training asks, at its flush, when of the second step one of two weights has been noted: both have changed."""
    seen, told = ParametersSeen(), []
    meanwhile = Meanwhile(seen._alone, lambda: told.append(seen.facts([("a", (1,)), ("b", (1,))])))
    seen._alone = meanwhile

    class Noted(list):
        def __iter__(self):
            for one in super().__iter__():
                if one.name == "b" and told_of_two:
                    meanwhile.now()
                yield one

    weights = [Quantity((), name, "", "Weight") for name in "ab"]
    for told_of_two in (False, True):
        mean = {"mean": np.full(2, float(told_of_two))}
        seen.note(Block(told_of_two, Noted(weights), ["float32"] * 2, mean, np.zeros((2, 2)), 0))
    meanwhile.join()
    assert [{name: one["in_optimizer"] for name, one in facts.items()} for facts in told] == [{"a": True, "b": True}]
