"""What cannot be measured is left out and named; what is around it is recorded, and training is as it was."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax.training.dynamic_scale import DynamicScale
from jax.extend.core import Primitive

from tandv.track.common import read_pickle
from tandv.track.jax import _control_flow, measured, track

pytestmark = pytest.mark.slow

X = jnp.arange(8.0).reshape(2, 4) / 8
OUTSIDE = {"Net", "first", "last"}
INSIDE = {f"layers.{i}{part}" for i in range(3) for part in ("[0]", ".Dense_0")}


class Layer(nn.Module):
    @nn.compact
    def __call__(self, x, _):
        return nn.tanh(nn.Dense(4)(x)), None


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.Dense(4, name="first")(x)
        scanned = nn.scan(Layer, variable_axes={"params": 0}, split_rngs={"params": True}, length=3)
        return nn.Dense(1, name="last")(scanned(name="layers")(x, None)[0])


PARAMS = Net().init(jax.random.key(0), X)


def new_step():
    """Return a training step that no other test has traced."""

    def step(params):
        grads = jax.grad(lambda params: Net().apply(params, X).sum())(params)
        return jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)

    return jax.jit(step)


def trained(step):
    """Track two steps; return the log, and the weights after each of them."""
    params, seen = PARAMS, []
    with track(model_state=PARAMS) as tracker:
        for _ in range(2):
            params = tracker.intercept(step, params)
            tracker.step(params)
            seen.append(params)
        assert tracker.is_on
    return read_pickle(tracker.out_path), seen


def names(log, tensor_type, step):
    m = log["metadata"]
    return set(m.loc[(m["tensor_type"] == tensor_type) & (m["step"] == step), "name"])


def unknown_parameters(*_):
    raise KeyError("num_consts")


def does_not_compile(parameters, inputs, place, original=_control_flow.RULES["scan"]):
    """Measure a scan by an operation that XLA does not have."""
    planted = Primitive("planted")
    planted.def_abstract_eval(lambda x: x)
    found = original(parameters, inputs, place)
    return found._replace(words=[planted.bind(x) for x in found.words])


@pytest.mark.parametrize(
    ("broken", "why"),
    [(unknown_parameters, "KeyError: 'num_consts'"), (does_not_compile, "NotImplementedError: .*planted")],
)
def test_loops_that_cannot_be_measured_are_left_out(broken, why, monkeypatch, same):
    whole, _ = trained(new_step())
    monkeypatch.setitem(_control_flow.RULES, "scan", broken)
    named = f"inside JAX's 'scan' are not recorded, which are those of layers, layers.Dense_0; .* gave {why}"
    with pytest.warns(UserWarning, match=named) as said:
        log, seen = trained(new_step())
    assert len(said) == 1
    for i in range(2):
        for kind in ("Activation", "Gradient"):
            assert (names(log, kind, i), names(whole, kind, i)) == (OUTSIDE, OUTSIDE | INSIDE)
        assert names(log, "Weight", i) == names(whole, "Weight", i)
    m = whole["metadata"]
    rows = whole[~(m["tensor_type"].isin(["Activation", "Gradient"]) & m["name"].isin(INSIDE))]
    # Close, not the same: on some processors XLA rounds the programs differently.
    np.testing.assert_allclose(log["scalar_stats"].astype(float), rows["scalar_stats"].astype(float), 1e-3, 1e-6)
    step = new_step()
    first = step(PARAMS)
    assert same(seen, [first, step(first)])


def test_where_all_is_in_a_loop_that_is_what_is_said(monkeypatch):
    monkeypatch.setitem(_control_flow.RULES, "scan", unknown_parameters)
    layer = Layer()
    params = layer.init(jax.random.key(0), X, None)

    @jax.jit
    def step(params):
        return jax.lax.scan(lambda x, _: layer.apply(params, x, None), X, None, length=2)[0]

    with pytest.warns(UserWarning, match="those of Dense_0, Layer; what is around it") as said, track() as tracker:
        for _ in range(2):
            tracker.intercept(step, params)
            tracker.step()
        assert tracker.is_on
    assert len(said) == 1


def test_what_fails_outside_of_loops_stops_tracking_and_its_own_error_is_said(monkeypatch):
    def broken(*_):
        raise RuntimeError("broken measuring")

    monkeypatch.setattr("tandv.track.jax._collect._measured", broken)
    words = "tracking stopped at step 0, in measuring the jitted step: RuntimeError: broken measuring"
    step = new_step()
    with pytest.warns(UserWarning, match=words) as said, track() as tracker:
        for _ in range(2):
            tracker.intercept(step, PARAMS)
            tracker.step()
    assert len(said) == 1


def test_an_operation_that_is_not_known_is_left_out(monkeypatch):
    monkeypatch.delitem(_control_flow.RULES, "scan")
    with pytest.warns(UserWarning, match="NotImplementedError: tandv does not know it"):
        _, m = jax.jit(measured(lambda params: Net().apply(params, X)))(PARAMS)
    assert {".".join(map(str, record.mark.name)) for record in m.records} == OUTSIDE


def fails_at_the_end(parameters, inputs, place, original=_control_flow.RULES["scan"]):
    """Measure a scan, and fail when all of it has been traced."""
    original(parameters, inputs, place)
    raise KeyError("planted")


class Printing(nn.Module):
    @nn.compact
    def __call__(self, x, seen):
        jax.debug.callback(lambda value: seen.append(float(value)), x[0])
        return nn.Dense(4)(x)


@pytest.fixture
def printing(monkeypatch):
    """Return a scan of three turns that tells of each, its parameters, and what it has told."""
    monkeypatch.setitem(_control_flow.RULES, "scan", fails_at_the_end)
    seen, params = [], Printing().init(jax.random.key(0), X[0], [])

    def scan(params):
        return jax.lax.scan(lambda x, _: (Printing().apply(params, x, seen), None), X[0], None, length=3)[0]

    jax.effects_barrier()
    return scan, params, seen


def test_effects_of_what_is_left_out_happen_once(printing):
    scan, params, seen = printing
    with pytest.warns(UserWarning, match="those of Dense_0, Printing; what is around it"), track() as tracker:
        tracker.intercept(jax.jit(scan), params)
        jax.effects_barrier()
        tracker.step()
    assert len(seen) == 3


def test_what_measures_effects_itself_is_not_traced_a_second_time(printing):
    scan, params, _ = printing
    with pytest.raises(KeyError, match="planted"):
        jax.jit(measured(scan))(params)


def test_without_the_scale_of_the_loss_nothing_is_recorded(monkeypatch):
    monkeypatch.setitem(_control_flow.RULES, "scan", fails_at_the_end)
    layer = nn.Dense(1)
    params = layer.init(jax.random.key(0), X)

    @jax.jit
    def accumulated(params, given):
        def micro(total, x):
            _, _, loss, _ = given.value_and_grad(lambda params: layer.apply(params, x).sum())(params)
            return total + loss, None

        return jax.lax.scan(micro, 0.0, X)[0]

    words = "tracking stopped at step 0, in measuring the jitted accumulated: KeyError: 'planted'"
    with pytest.warns(UserWarning, match=words), track() as tracker:
        tracker.intercept(accumulated, params, DynamicScale(scale=jnp.float32(1024)))
        tracker.step()
