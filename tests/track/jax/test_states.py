"""Training states given whole: their parameters are weights, their optimiser's states are states."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
import pytest
from flax import linen as nn
from flax import nnx, struct
from flax.training.train_state import TrainState

from tandv.track.common import read_pickle
from tandv.track.jax import track

pytestmark = pytest.mark.slow

NET, TRANSFORM, X = nn.Dense(2), optax.adam(1e-2), jnp.ones((4, 3))
PARAMS = NET.init(jax.random.key(0), X)["params"]


class Held(NamedTuple):
    step: int
    params: Any
    opt_state: Any


@struct.dataclass
class Own:
    params: Any
    opt_state: Any
    key: Any


class Bare(NamedTuple):
    theta: Any
    rest: Any


@struct.dataclass
class OtherNames:
    average: Any
    moments: Any
    theta: Any
    scale: Any = 1.0


def as_flax(params, opt_state):
    return TrainState(step=0, apply_fn=NET.apply, params=params, tx=TRANSFORM, opt_state=opt_state)


STATES = {
    "TrainState": as_flax,
    "dict": lambda params, opt_state: {"params": params, "opt_state": opt_state, "step": 0},
    "named tuple": lambda params, opt_state: Held(0, params, opt_state),
    "dataclass": lambda params, opt_state: Own(params, opt_state, jax.random.key(0)),
    "average of the weights": lambda params, opt_state: {"ema": params, "optim": opt_state, "params": params},
    "tuple": lambda params, opt_state: (params, opt_state, jax.random.key(0)),
    "list": lambda params, opt_state: [jnp.zeros(2), jax.random.PRNGKey(0), opt_state, params],
    "other names": lambda params, opt_state: Bare(params, opt_state),
    "other names, with averages": lambda params, opt_state: OtherNames({"loss": jnp.ones(3)}, opt_state, params),
}
WEIGHTS = {("Weight", "Dense"), ("Weight", "bias")}
OF_ADAM = {(f"Optimiser_State.{field}", name) for field in ("mu", "nu") for _, name in WEIGHTS}


def kinds(tracker):
    m = read_pickle(tracker.out_path)["metadata"]
    return {(str(kind), str(name)) for kind, name in zip(m["tensor_type"], m["name"], strict=True)}


@pytest.mark.parametrize("kind", STATES)
def test_a_state_given_whole_is_its_parts(kind):
    @jax.jit
    def update(params, opt_state):
        grads = jax.grad(lambda p: NET.apply({"params": p}, X).sum())(params)
        updates, opt_state = TRANSFORM.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    parts = PARAMS, TRANSFORM.init(PARAMS)
    with track(STATES[kind](*parts), track_gradients=False) as tracker:
        for _ in range(2):
            parts = tracker.intercept(update, *parts)
            tracker.step(STATES[kind](*parts))
    assert kinds(tracker) == WEIGHTS | OF_ADAM | {("Activation", "Dense")}


@dataclass
class Trainer:
    model: Any
    optimizer: Any


@pytest.mark.parametrize("kind", ["trainer", "model and optimiser"])
def test_objects_that_hold_model_and_optimiser(kind):
    model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    if kind == "trainer":
        state = Trainer(model, nnx.Optimizer(model, TRANSFORM, wrt=nnx.Param))
        update = nnx.jit(lambda m, o: o.update(m, nnx.grad(lambda m: m(X).sum())(m)))
        call = lambda: update(state.model, state.optimizer)  # noqa: E731
    else:
        state = nnx.ModelAndOptimizer(model, TRANSFORM, wrt=nnx.Param)
        update = nnx.jit(lambda o: o.update(nnx.grad(lambda m: m(X).sum())(o.model)))
        call = lambda: update(state)  # noqa: E731
    with track(state, track_gradients=False) as tracker:
        for _ in range(2):
            tracker.intercept(call)
            tracker.step()
    found = {(kind, name.replace("Linear", "Dense")) for kind, name in kinds(tracker)}
    assert found == WEIGHTS | OF_ADAM | {("Activation", "Dense")}


ADAM = TRANSFORM.init(PARAMS)
MIXED = {
    "two models": {"generator": (PARAMS, ADAM), "critic": (PARAMS, ADAM)},
    "an average that looks like the weights": (PARAMS, PARAMS, ADAM),
    "two optimisers": (PARAMS, ADAM, optax.ema(0.9).init(PARAMS)),
}


@pytest.mark.parametrize("kind", MIXED)
def test_states_of_optimisers_never_become_weights(kind):
    words = r"holds states of an optimiser beside parameters, and not one of each; give them apart, as in track\(model"
    with pytest.raises(ValueError, match=words):
        track(MIXED[kind])
    with track(PARAMS) as tracker, pytest.raises(ValueError, match=words):
        tracker.step(MIXED[kind])
