"""Functions that cannot be traced as a whole: one warning that names the line, and rows all the same."""

import warnings

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn
from flax import nnx

from tandv.track.common import read_pickle
from tandv.track.jax import track

X = jax.random.normal(jax.random.key(1), (2, 8, 4))


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3, name="second")(jnp.tanh(nn.Dense(5, name="first")(x)))


def net(see, p, x):
    x = jnp.tanh(see("first", x @ p["first"]["kernel"] + p["first"]["bias"]))
    return see("Net", see("second", x @ p["second"]["kernel"] + p["second"]["bias"]))


def loss(p, x):
    return jnp.mean(Net().apply({"params": p}, x) ** 2)


def sgd(p, grads):
    return jax.tree.map(lambda p, g: p - 0.1 * g, p, grads)


def reading_the_loss(p, x):
    value, grads = jax.value_and_grad(loss)(p, x)
    return sgd(p, grads) if float(value) > 0 else p


jitted = jax.jit(lambda p, x: (loss(p, x), sgd(p, jax.grad(loss)(p, x))))


def round_a_jitted_step(p, x):
    value, p = jitted(p, x)
    return p if float(value) > 0 else None


@pytest.mark.parametrize(("update", "passes"), [(reading_the_loss, 0), (round_a_jitted_step, 1)])
def test_reading_a_number_in_a_step_costs_speed_but_no_rows(update, passes, run, truth, agree, same):
    p = Net().init(jax.random.key(0), X[0])["params"]
    jitted.clear_cache()
    bare = [p]
    for x in X:
        bare.append(update(bare[-1], x))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        log, states = run(update, p, X)
    assert len(said) == 1
    assert f"{update.__name__} cannot be traced by JAX (ConcretizationTypeError at {__file__}:" in str(said[0].message)
    assert "float(value) > 0" in str(said[0].message)  # the line
    for i, x in enumerate(X):
        losses = [lambda see, x=x, p=states[i]: jnp.mean(net(see, p, x) ** 2)]
        agree(log, truth(losses, losses * passes), i)
    assert same(states, bare)
    update(p, X[0])  # compiled with reports no more
    assert len(log) == len(X) * 6


def test_objects_that_change_in_place_do_so_once(run, same):
    class Net(nnx.Module):
        def __init__(self):
            self.dense, self.dropout = nnx.Linear(4, 4, rngs=nnx.Rngs(0)), nnx.Dropout(0.5, rngs=nnx.Rngs(1))

        def __call__(self, x):
            return self.dropout(self.dense(x))

    def update(model, x):
        value, grads = nnx.value_and_grad(lambda m: jnp.mean(m(x) ** 2))(model)
        nnx.update(model, sgd(nnx.state(model, nnx.Param), grads))
        return float(value)

    tracked, bare = Net(), Net()
    with track(tracked, track_weights=False) as tracker:
        with pytest.warns(UserWarning, match="cannot be traced"):
            values = [tracker.intercept(update, tracked, X[0])]
        tracker.step()
        values.append(tracker.intercept(update, tracked, X[1]))
        tracker.step()
    assert values == [update(bare, X[0]), update(bare, X[1])]
    assert same(nnx.state(tracked), nnx.state(bare))
    log = read_pickle(tracker.out_path)
    assert set(log["metadata", "name"]) == {"Net", "dense", "dropout"}
    assert set(log["scalar_stats", "calls"]) == {1}
