"""`tracker.step()` at the top of the loop, and `track` inside of it, are said; the last iteration is kept."""

import jax
import jax.numpy as jnp

from tandv.track.common import read_pickle
from tandv.track.common.loops import IN_LOOP, TOP_OF_LOOP
from tandv.track.jax import tag, track

W, X = {"w": jnp.ones(3)}, jnp.array([1.0, 2.0, 3.0])


def of_update():
    """Return a function of its own: runs in a row are told by it."""
    return jax.jit(lambda params, x: {"w": params["w"] + tag(x, "x")})


def evaluate(params):
    return tag(params["w"], "w")


def largest(tracker):
    log = read_pickle(tracker.out_path)
    of_x = log[log["metadata", "name"] == "x"]
    return dict(zip(of_x["metadata", "step"], of_x["scalar_stats", "max_abs"].tolist(), strict=True))


def trained(at_top, after=lambda tracker, params: None, **arguments):
    params, update = W, of_update()
    with track(model_state=params, **arguments) as tracker:
        if not at_top:
            tracker.step(params)  # before training
        for i in range(3):
            if at_top:
                tracker.step(params)
            params = tracker.intercept(update, params, (i + 1) * X)
            if not at_top:
                tracker.step(params)
        after(tracker, params)
    return tracker


def sentences(found):
    return [str(one.message) for one in found]


def test_a_step_at_the_top_of_the_loop_is_said_and_the_last_iteration_is_kept(recwarn):
    tracker = trained(at_top=True)
    assert sentences(recwarn) == [f"tandv: {TOP_OF_LOOP}with the values after the update"]
    assert largest(tracker) == {1: 3.0, 2: 6.0, 3: 9.0}


def test_also_where_not_every_step_is_recorded(recwarn):
    tracker = trained(at_top=True, every=2)
    assert sentences(recwarn) == [f"tandv: {TOP_OF_LOOP}with the values after the update"]
    assert largest(tracker) == {2: 6.0}


def test_nothing_is_said_of_a_step_before_training_and_of_an_evaluation_after_it(recwarn):
    tracker = trained(at_top=False, after=lambda tracker, params: tracker.intercept(evaluate, params))
    assert sentences(recwarn) == []
    assert largest(tracker) == {1: 3.0, 2: 6.0, 3: 9.0}


def test_nor_where_the_loop_was_left_before_the_end_of_a_step(recwarn):
    params, update = W, of_update()
    with track(model_state=params) as tracker:
        for _ in range(3):
            params = tracker.intercept(update, params, X)
            tracker.step(params)
        tracker.intercept(update, params, X)
    assert sentences(recwarn) == []
    assert largest(tracker) == {0: 3.0, 1: 3.0, 2: 3.0}


def runs(update, count, steps=1, **arguments):
    for _ in range(count):
        with track(model_state=W, **arguments) as tracker:
            for _ in range(steps):
                tracker.step(tracker.intercept(update, W, X))


def test_three_runs_of_one_step_in_a_row_are_said(recwarn):
    runs(of_update(), 4)
    assert sentences(recwarn) == [f"tandv: {IN_LOOP}"]


def test_nothing_is_said_of_runs_of_several_steps_of_other_functions_or_in_other_places(recwarn):
    update = of_update()
    runs(update, 3, steps=2)
    for i in range(3):
        runs(update, 1, name=f"run-{i}")
        runs(of_update(), 1)
    assert sentences(recwarn) == []
