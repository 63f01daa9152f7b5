"""What is said of pytrees that are given in each other's place, and of calls that record nothing."""

import jax
import jax.numpy as jnp
import optax
import pytest
from flax import linen

from tandv.track.common import read_pickle
from tandv.track.jax import track

DENSE = linen.Dense(2)
X = jnp.ones((4, 3))
PARAMS = DENSE.init(jax.random.key(0), X)
GRADS = jax.tree.map(jnp.ones_like, PARAMS)


def forward(params):
    return DENSE.apply(params, X)


def names(tracker, kind="Activation"):
    log = read_pickle(tracker.out_path)
    return list(log["metadata"]["name"][log["metadata"]["tensor_type"] == kind])


@pytest.mark.parametrize("place", ["model_state", "opt_state", "grads"])
def test_a_loss_without_its_name_is_no_pytree_of_the_step(place):
    given = {"model_state": PARAMS, place: jnp.float32(0.5)}
    with track(model_state=PARAMS) as tracker:
        with pytest.raises(ValueError, match=f"{place} given to tracker.step.* is one number.*loss=loss"):
            tracker.step(**given)
        tracker.step(PARAMS)


def test_a_model_of_one_number_is_no_loss():
    with track(model_state=jnp.float32(0.5)) as tracker:
        tracker.step(jnp.float32(0.25), grads=jnp.float32(2.0))
    assert names(tracker, "Weight_Gradient") == ["model"]


def test_gradients_in_the_place_of_the_optimisers_state_are_said():
    with track(model_state=PARAMS) as tracker, pytest.warns(UserWarning, match="built like the parameters, as grad"):
        tracker.step(PARAMS, GRADS)


def test_where_the_state_is_known_they_are_refused_and_a_state_that_is_built_like_the_parameters_is_not(recwarn):
    with track(model_state=PARAMS, optimizer_state=optax.adam(0.1).init(PARAMS)) as tracker:
        with pytest.raises(ValueError, match=r"grads=grads\), with a state like that which track"):
            tracker.step(PARAMS, GRADS)
        tracker.step(PARAMS, optax.adam(0.1).init(PARAMS))
    with track(model_state=PARAMS, optimizer_state=GRADS) as tracker:
        tracker.step(PARAMS, GRADS)
    assert not recwarn.list


def test_a_step_that_jax_traces_ends_none():
    @jax.jit
    def update(params):
        tracker.step(params)
        return params

    with track(model_state=PARAMS) as tracker:
        with pytest.warns(UserWarning, match="step.* ran while JAX traced the function around it"):
            update(PARAMS)
        assert tracker.steps == 0
        tracker.step(PARAMS)
    assert tracker.steps == 1


def test_what_another_tracker_intercepted_within_is_said():
    outer, inner = track(model_state=PARAMS, name="outer"), track(model_state=PARAMS, name="inner")
    with pytest.warns(UserWarning, match="another tracker intercepted a call within one") as found, outer, inner:
        outer.intercept(inner.wrap(jax.jit(forward)), PARAMS)
        outer.step(PARAMS)
        inner.step(PARAMS)
    assert len(found) == 1
    assert (names(outer), names(inner)) == ([], ["Dense"])
