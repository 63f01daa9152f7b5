"""Phases of a step around `intercept`: what happens inside has rows of its own."""

import jax
import jax.numpy as jnp
import pytest

from tandv.track.common import read_pickle
from tandv.track.jax import measured, stash_scalar_stats, tag, track

pytestmark = pytest.mark.slow


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


def test_of_a_step_that_raised_nothing_is_in_the_rows_of_the_next():
    """Training goes on with the next batch, without having called `step`; phases and numbers are of that one, too."""

    def failing(w, x):
        call(w, x)
        raise KeyError("mine")

    w = jnp.ones(1)
    words = "a call raised at step 0.*what was measured in that step before is dropped.*call tracker.step"
    with pytest.warns(UserWarning, match=words) as said, track(model_state={"w": w}) as tracker:
        for number, x in enumerate([8.0, 4.0, 8.0, 2.0, 1.0]):
            tracker.numbers(seen=x)
            with tracker.phase("first"):
                tracker.intercept(call, w, jnp.full(1, x))
            try:
                tracker.intercept(failing if x == 8 else call, w, jnp.full(1, x))
            except KeyError:
                if number == 0:
                    continue
            tracker.step({"w": w})
    log = read_pickle(tracker.out_path)
    assert len(said) == 1
    assert rows_of(log, "Activation", 0) == {"first": (1, 4.0), "": (1, 4.0)}
    assert rows_of(log, "Activation", 1) == {"first": (1, 8.0), "": (1, 8.0)}  # it was ended where it was caught
    assert rows_of(log, "Activation", 2) == {"first": (1, 2.0), "": (1, 2.0)}


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


def test_what_is_measured_by_hand_has_the_phase_in_which_it_is_recorded():
    double = jax.jit(measured(lambda x: tag(2 * x, "doubled")))
    with track() as tracker:
        with tracker.phase("rollout"):
            tracker.record(double(jnp.full(1, 4.0))[1])
        tracker.record(double(jnp.full(1, 1.0))[1])
        tracker.step()
    assert rows_of(read_pickle(tracker.out_path), "Activation") == {"rollout": (1, 8.0), "": (1, 2.0)}


def test_steps_of_a_scan_are_in_the_phase_in_which_they_are_recorded():
    double = measured(lambda x: tag(2 * x, "doubled"))
    _, m = jax.jit(lambda xs: jax.lax.scan(lambda total, x: (total, double(x)[1]), 0, xs))(jnp.arange(3.0))
    with track() as tracker, tracker.phase("scan"):
        tracker.record(m, steps_axis=0)
    log = read_pickle(tracker.out_path)
    assert [rows_of(log, "Activation", step) for step in range(3)] == [{"scan": (1, 2.0 * step)} for step in range(3)]
