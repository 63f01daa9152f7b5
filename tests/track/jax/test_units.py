"""Units of outputs and of the gradients with respect to them in a compiled step: along the last axis."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tandv.track.common import read_pickle
from tandv.track.jax import measured, tag, track

pytestmark = pytest.mark.slow

X = jnp.ones((4, 2))


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(1, name="out")(nn.relu(nn.Dense(3, name="up")(x)))


NET = Net()
PARAMS = NET.init(jax.random.key(0), X)
PARAMS["params"]["up"]["bias"] = jnp.array([-100.0, 100.0, -100.0])  # two of three units are dead


def loss(p):
    return NET.apply(p, X).sum()


def columns(path, name, kind, step=0):
    log = read_pickle(path)
    m = log["metadata"]
    [at] = log.index[(m["tensor_type"] == kind) & (m["name"] == name) & (m["step"] == step)]
    return log["scalar_stats"].loc[at]


def test_units_that_get_no_gradient_are_dead_though_the_function_has_no_row():
    step = jax.jit(jax.grad(loss))
    with track(model_state=PARAMS, units=True) as tracker:
        for _ in range(20):
            grads = tracker.intercept(step, PARAMS)
            tracker.step(PARAMS, grads=grads)
    late, before = (columns(tracker.out_path, "up", "Gradient", at) for at in (19, 18))
    assert (late["units"], late["zero_units"], late["dead_units"]) == (3, 2, 2)
    assert np.isnan(before["dead_units"])
    assert columns(tracker.out_path, "up", "Activation", 19)["dead_units"] == 0
    assert np.isnan(columns(tracker.out_path, "up", "Weight", 19)["units"])


@pytest.mark.parametrize("jit", [jax.jit, lambda f: f], ids=["jitted", "eager"])
def test_calls_of_a_step_count_together(jit):
    with track(units=True) as tracker:
        tagged = tracker.wrap(jit(lambda x: tag(x, "x")))
        tagged(jnp.array([[1.0, 0.0, 0.0]]))
        tagged(jnp.array([[0.0, 0.0, 2.0]]))
        tracker.step()
    found = columns(tracker.out_path, "x", "Activation")
    assert (found["units"], found["zero_units"]) == (3, 1)


@pytest.mark.parametrize("jit", [jax.jit, lambda f: f], ids=["jitted", "eager"])
def test_units_of_a_vmapped_function_are_those_of_the_function_wherever_its_batch_lies(jit):
    x = jnp.ones((3, 4)).at[0].set(0.0)  # [unit, example]
    with track(units=True) as tracker:
        tracker.wrap(jit(jax.vmap(lambda one: tag(one, "x"), in_axes=1)))(x)
        tracker.wrap(jit(jax.vmap(lambda one: tag(one[0], "number"), in_axes=1)))(x)
        tracker.step()
    found = columns(tracker.out_path, "x", "Activation")
    assert (found["units"], found["zero_units"]) == (3, 1)
    assert np.isnan(columns(tracker.out_path, "number", "Activation")["units"])


def test_time_steps_are_merged_and_scanned_layers_are_told_apart():
    def body(carry, x):
        return carry, tag(x, "x")

    with track() as tracker:
        _, m = jax.jit(measured(lambda xs: jax.lax.scan(body, 0.0, xs), units=True))(jnp.eye(3)[:2])
        tracker.record(m)
        tracker.step()
    found = columns(tracker.out_path, "x", "Activation")
    assert (found["units"], found["zero_units"], found["calls"]) == (3, 1, 2)


def test_the_largest_unit_is_named():
    with track(units=True) as tracker:
        tracker.intercept(jax.jit(lambda x: tag(x, "x")), jnp.ones((2, 9)).at[:, 4].set(60.0))
        tracker.step()
    found = columns(tracker.out_path, "x", "Activation")
    assert (found["largest_unit"], found["largest_unit_ratio"]) == (4, 60)


def test_results_are_the_same_to_the_last_bit(same):
    step = jax.jit(jax.value_and_grad(loss))
    with track(units=True) as tracker:
        tracked = [tracker.intercept(step, PARAMS) for _ in range(3)]
        tracker.step()
    assert all(same(one, step(PARAMS)) for one in tracked)


def test_without_it_the_log_has_no_such_column():
    with track() as tracker:
        tracker.intercept(jax.jit(lambda x: tag(x, "x")), X)
        tracker.step()
    assert "units" not in read_pickle(tracker.out_path)["scalar_stats"]
