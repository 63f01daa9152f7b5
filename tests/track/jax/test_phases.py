"""Phases of a step around `intercept`: what happens inside has rows of its own."""

import jax
import jax.numpy as jnp

from tandv.track.common import read_pickle
from tandv.track.jax import stash_scalar_stats, tag, track


@jax.jit
def call(w, x):
    return tag(w * x, "product").sum()


def rows_of(log, tensor_type, step=0):
    """Return (calls, mean) by phase."""
    m = log["metadata"]
    found = log[(m["tensor_type"] == tensor_type) & (m["step"] == step)]
    phases = found[("metadata", "phase")]
    assert len(set(phases)) == len(phases)
    stats = found["scalar_stats"]
    return {p: (calls, mean) for p, calls, mean in zip(phases, stats["calls"], stats["mean"], strict=True)}


def test_a_rollout_is_told_apart_from_the_training_pass():
    w = jnp.ones(1)
    with track(model_state={"w": w}) as tracker:
        with tracker.phase("rollout"):
            for n in range(31):
                tracker.intercept(call, w, jnp.full(1, float(n)))
        tracker.intercept(jax.grad(call), w, jnp.full(1, 7.0))
        tracker.step({"w": w})
    log = read_pickle(tracker.out_path)
    assert rows_of(log, "Activation") == {"rollout": (31, 15.0), "": (1, 7.0)}
    assert rows_of(log, "Gradient") == {"": (1, 1.0)}
    assert rows_of(log, "Weight") == {"": (1, 1.0)}


def test_phases_nest_and_may_last_over_steps():
    w = jnp.ones(1)
    with track(model_state={"w": w}) as tracker, tracker.phase("a"):
        for step in range(2):
            tracker.intercept(call, w, jnp.full(1, 1.0 + step))
            with tracker.phase("b"):
                tracker.intercept(call, w, jnp.full(1, 10.0 + step))
            tracker.intercept(call, w, jnp.full(1, 3.0 + step))
            tracker.step({"w": w})
    log = read_pickle(tracker.out_path)
    for step in range(2):
        assert rows_of(log, "Activation", step) == {"a": (2, 2.0 + step), "a/b": (1, 10.0 + step)}


def test_statistics_of_ones_own_are_kept_apart():
    w = jnp.ones(1)
    with track(model_state={"w": w}, stash_value=stash_scalar_stats) as tracker:
        with tracker.phase("a"):
            tracker.intercept(call, w, jnp.full(1, 2.0))
        tracker.intercept(call, w, jnp.full(1, 3.0))
        tracker.step({"w": w})
    assert rows_of(read_pickle(tracker.out_path), "Activation") == {"a": (1, 2.0), "": (1, 3.0)}


def test_start_and_close_do_what_the_block_does():
    w = jnp.ones(1)
    tracker = track(model_state={"w": w}).start()
    tracker.intercept(call, w, jnp.full(1, 2.0))
    tracker.step({"w": w})
    tracker.close()
    tracker.close()
    assert set(read_pickle(tracker.out_path)["metadata"]["tensor_type"]) == {"Activation", "Weight"}
