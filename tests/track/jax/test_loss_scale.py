"""Gradients of a scaled loss are those of the loss: by flax's DynamicScale, and by `loss_scale=`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax.training.dynamic_scale import DynamicScale

from tandv.track.common import read_pickle
from tandv.track.jax import measured, track

pytestmark = pytest.mark.slow

X = jax.random.normal(jax.random.key(0), (16, 8))
NET = nn.Dense(4, dtype=jnp.float16)
PARAMS = NET.init(jax.random.key(1), X)


def loss(p):
    return jnp.mean(NET.apply(p, X).astype(jnp.float32) ** 2)


def step(p, scale):
    scale, is_finite, value, grads = scale.value_and_grad(loss)(p)
    return jax.tree.map(lambda p, g: jnp.where(is_finite, p - 0.1 * g, p), p, grads), scale, value


def gradient(tracker, step=0):
    log = read_pickle(tracker.out_path)
    [row] = log.index[(log["metadata", "tensor_type"] == "Gradient") & (log["metadata", "step"] == step)]
    counts = log["exponent_counts"].loc[row]
    return log["scalar_stats"].loc[row], {key: n for key, n in counts.items() if n}, log["metadata"].loc[row]


OUTPUT = NET.apply(PARAMS, X).astype(jnp.float32)
EXPECTED = float(jnp.sqrt(jnp.mean((2 * OUTPUT / OUTPUT.size) ** 2)))  # of the mean of the squares' gradient


@pytest.mark.parametrize("scale", [2.0**16, 3000.0])
@pytest.mark.parametrize("jit", [jax.jit, lambda f: f], ids=["jitted", "eager"])
def test_the_scale_of_flax_is_taken_out(jit, scale, same):
    given, update = DynamicScale(scale=jnp.float32(scale)), jit(step)
    with track() as tracker:
        tracked = tracker.intercept(update, PARAMS, given)
        tracker.step()
    assert same(tracked, update(PARAMS, given))
    row, _, about = gradient(tracker)
    assert row["rm2"] == pytest.approx(EXPECTED, rel=2e-3) and about["dtype"] == "float16"


def test_it_is_taken_out_of_what_is_measured_and_of_micro_batches():
    def micro(p, scale):
        def body(scale, _):
            return scale.value_and_grad(loss)(p)[0], None

        return jax.lax.scan(body, scale, None, length=3)[0]

    with track() as tracker:
        _, m = jax.jit(measured(micro))(PARAMS, DynamicScale())
        tracker.record(m)
        tracker.step()
    row, _, _ = gradient(tracker)
    assert row["rm2"] == pytest.approx(EXPECTED, rel=2e-3) and row["calls"] == 3


def test_a_loss_beside_the_scaled_one_is_as_it_is():
    def both(p, scale):
        return step(p, scale), jax.grad(loss)(p)

    with track() as tracker:
        tracker.intercept(jax.jit(both), PARAMS, DynamicScale())
        tracker.step()
    row, _, _ = gradient(tracker)
    assert row["rm2"] == pytest.approx(EXPECTED, rel=2e-3) and row["calls"] == 2


def scaled_by_hand(factor):
    return jax.jit(lambda p: jax.grad(lambda p: loss(p) * factor)(p))


def test_a_scale_of_ones_own_is_told_to_step():
    with track() as tracker:
        for scale in (None, jnp.float32(1024.0), 0.5):
            tracker.intercept(scaled_by_hand(1 if scale is None else scale), PARAMS)
            tracker.step(loss_scale=scale)
    rows = [gradient(tracker, i) for i in range(3)]
    for row, counts, _ in rows[1:]:
        assert [row[name] for name in ("mean", "std", "rm8", "max_abs", "zeros", "numel")] == pytest.approx(
            [rows[0][0][name] for name in ("mean", "std", "rm8", "max_abs", "zeros", "numel")], rel=2e-3
        )
        assert sum(counts.values()) == 64 and abs(np.mean(list(counts)) - np.mean(list(rows[0][1]))) < 2


def test_a_scale_that_is_no_power_of_two_leaves_gradients_out_and_says_so():
    for _ in range(2):  # each run says it, once
        with pytest.warns(UserWarning) as said, track() as tracker:
            for _ in range(2):
                tracker.intercept(scaled_by_hand(1000.0), PARAMS)
                tracker.step(loss_scale=1000.0)
        (warning,) = said
        assert "loss_scale=1000.0 is no power of two" in str(warning.message)
        assert set(read_pickle(tracker.out_path)["metadata"]["tensor_type"]) == {"Activation"}


def test_the_log_says_what_the_scale_was():
    scales = [DynamicScale(scale=jnp.float32(2.0**n)) for n in (16, 12)]
    with track() as tracker:
        update = jax.jit(step)
        for scale in (scales[0], scales[1]):
            tracker.intercept(update, PARAMS, scale)
            tracker.step()
        tracker.intercept(jax.jit(loss), PARAMS)
        tracker.step()
        tracker.intercept(scaled_by_hand(8.0), PARAMS)
        tracker.step(loss_scale=8.0)
    log = read_pickle(tracker.out_path)
    of_steps = log["scalar_stats"]["loss_scale"].groupby(log["metadata"]["step"]).unique()
    assert [values.tolist() for values in of_steps[[0, 1, 3]]] == [[2.0**16], [2.0**12], [8.0]]
    assert np.isnan(of_steps[2]).all()


def test_two_scales_in_one_step_are_none():
    with track() as tracker:
        update = jax.jit(step)
        for n in (16, 12):
            tracker.intercept(update, PARAMS, DynamicScale(scale=jnp.float32(2.0**n)))
        tracker.step()
    assert np.isnan(read_pickle(tracker.out_path)["scalar_stats"]["loss_scale"]).all()
