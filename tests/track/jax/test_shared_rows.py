"""Models of one class in one step share rows, which is said where their parameters are different inputs."""

import jax
import jax.numpy as jnp
import pytest
from flax import linen

from tandv.tensor_types import ACTIVATION
from tandv.track.common import read_pickle
from tandv.track.jax import track
from tandv.track.jax._shared_rows import calls_of, say_shared
from tandv.track.jax._tag import Mark, mark_leaves
from tests.track.jax.filled import variables_of

W, X = jnp.ones((3, 3)), jnp.ones((2, 3))


def net(w, x):
    return mark_leaves(jnp.tanh(x @ w), Mark(("Net",), "Net", ACTIVATION))


def loss(w, x):
    return jnp.square(net(w, x)).mean()


def updated(w, x):
    return w - jax.grad(loss)(w, x)


def scanned(w, other, x):
    def step(both, _):
        w, other = both
        return (w - jax.grad(lambda w: (net(w, x) - net(other, x)).mean())(w), other), None

    return jax.lax.scan(step, (w, other), None, 2)[0]


def looped(w, other, x):
    return jax.lax.while_loop(lambda c: c[0] < 2, lambda c: (c[0] + 1, net(w, c[1]) + net(other, c[1])), (0, x))


def branching(w, other, x):
    return jax.lax.cond(x.sum() > 0, lambda w, other: net(w, x), lambda w, other: net(other, x), w, other)


inner = jax.jit(net)  # one trace, called on both

OF_TWO = {
    "plain": lambda w, other, x: net(w, x) + net(other, x),
    "differentiated": lambda w, other, x: jax.grad(lambda w: jnp.square(net(w, x) - net(other, x)).mean())(w),
    "adversarial": lambda w, other, x: net(w, x).mean() + net(w, net(other, x)).mean(),
    "in a jitted function": lambda w, other, x: inner(w, x) + inner(other, x),
    "in a checkpoint": lambda w, other, x: jax.checkpoint(net)(w, x) + net(other, x),
    "over steps": scanned,
    "in a loop": looped,
    "in branches": branching,
}


def said(function, *args):
    found = []
    program = jax.make_jaxpr(function)(*args)
    say_shared(program, calls_of(program, {"Net": frozenset({(3, 3)})}), lambda *said: found.append(said))
    return found


@pytest.mark.parametrize("way", OF_TWO)
def test_two_sets_of_parameters_that_are_inputs_are_named(way):
    ((words, about),) = said(OF_TWO[way], W, W, X)
    assert words.startswith("Net is called on several sets of parameters in one step (w, other): its rows")
    assert about == "parameters of Net"


def test_parameters_in_a_closure_are_others():
    teacher = jnp.full((3, 3), 2.0)
    ((words, _),) = said(lambda w, x: net(w, x) + net(teacher, x), W, X)
    assert words.startswith("Net is called on several sets of parameters in one step: its rows")


OF_ONE = {
    "twice": lambda w, x: net(w, x) + net(w, net(w, x)),
    "after an update": lambda w, x: net(updated(w, x), x) + net(w, x),
    "in half precision": lambda w, x: net(w.astype(jnp.bfloat16), x) + net(w, x),
    "as its average": lambda w, x: net(0.9 * w + 0.1 * updated(w, x), x) + net(w, x),
    "over steps": lambda w, x: jax.lax.scan(lambda w, _: (updated(w, x), None), w, None, 2)[0] + updated(w, x),
    "from a vector": lambda w, x: net(w[0] * w, x) + net(w[1] * w, x),
}


@pytest.mark.parametrize("way", OF_ONE)
def test_nothing_is_said_of_one_set(way):
    assert said(OF_ONE[way], W, X) == []


def test_nothing_is_said_of_two_inputs_with_the_shape_of_a_parameter():
    def call(vector, one, two):
        return net(vector.reshape(3, 3), one) + net(vector.reshape(3, 3), two)

    found = []
    program = jax.make_jaxpr(call)(jnp.ones(9), W, W)
    say_shared(program, calls_of(program, {"Net": frozenset({(3, 3), (3,)})}), lambda *said: found.append(said))
    assert found == []


WIDE = jnp.ones((3, 4))


def wide(params, x):
    return mark_leaves(jnp.tanh(x @ params["in"]) @ params["out"], Mark(("Net",), "Net", ACTIVATION))


@pytest.mark.parametrize("samples", [4, 2])
def test_samples_with_the_shape_of_a_parameter_are_none_of_both(samples):
    params, x = {"in": WIDE, "out": WIDE.T}, jnp.ones((samples, 3))
    shapes = {"Net": frozenset({(3, 4), (4, 3)})}

    def of(function, *args):
        found, program = [], jax.make_jaxpr(function)(*args)
        say_shared(program, calls_of(program, shapes), lambda *said: found.append(said))
        return found

    ((words, _),) = of(lambda one, other, x: wide(one, x) + wide(other, x), params, params, x)
    assert words.startswith("Net is called on several sets of parameters in one step (one, other): its rows")
    assert of(lambda params, x, more: wide(params, x) + wide(params, more), params, x, x) == []


class Actor(linen.Module):
    units: int = 2

    @linen.compact
    def __call__(self, x):
        return linen.Dense(self.units, name="out")(x)


class Critic(Actor):
    pass


def rows(tracker):
    log = read_pickle(tracker.out_path)
    of_outputs = log[log["metadata", "tensor_type"] == "Activation"]
    return dict(zip(of_outputs["metadata", "name"], of_outputs["scalar_stats", "max_abs"].tolist(), strict=True))


def constant(units, value):
    return {"params": {"out": {"kernel": jnp.full((3, units), value), "bias": jnp.zeros(units)}}}


def test_a_teacher_of_the_students_class_is_said_once():
    params = variables_of(Actor(), X)
    step = jax.jit(lambda student, teacher: Actor().apply(student, X).mean() + Actor().apply(teacher, X).mean())
    words = r"Actor is called on several sets of parameters in one step \(student\['params'\]\['out'\], teacher"
    with pytest.warns(UserWarning, match=words) as found, track(model_state=params) as tracker:
        for _ in range(2):
            tracker.intercept(step, params, params)
            tracker.step(params)
    assert len(found) == 1


@pytest.mark.parametrize("units", [1, 2])
def test_a_model_of_another_class_that_is_called_first_does_not_take_the_names_of_the_tracked_one(units):
    """Unless its parameters have the same names and shapes: then it is said which class is taken for that one."""
    actor, critic = constant(2, 1.0), constant(units, 2.0)
    step = jax.jit(lambda a, c: Critic(units).apply(c, X).mean() + Actor().apply(a, X).mean())
    words = "Critic and Actor both have parameters with the names and shapes of the tracked model: Critic.*called first"
    with track(model_state=actor) as tracker:
        if units == 2:
            with pytest.warns(UserWarning, match=words):
                tracker.intercept(step, actor, critic)
        else:
            tracker.intercept(step, actor, critic)
        tracker.step(actor)
    own, other = ("", "Critic.") if units == 1 else ("Actor.", "")
    assert rows(tracker) == {"Actor": 3.0, f"{own}out": 3.0, "Critic": 6.0, f"{other}out": 6.0}


class Encoder(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.Dense(1, name="other")(x)


def test_nor_does_one_whose_layers_have_other_names():
    actor, encoder = constant(2, 1.0), {"params": {"other": {"kernel": jnp.full((3, 1), 2.0), "bias": jnp.zeros(1)}}}
    with track(model_state=actor) as tracker:
        tracker.intercept(
            jax.jit(lambda a, e: Encoder().apply(e, X).mean() + Actor().apply(a, X).mean()), actor, encoder
        )
        tracker.step(actor)
    assert rows(tracker) == {"Actor": 3.0, "out": 3.0, "Encoder": 6.0, "Encoder.other": 6.0}


@pytest.mark.parametrize("given", [list, lambda leaves: {f"out.{i}": leaf for i, leaf in enumerate(leaves)}])
def test_a_model_whose_parameters_were_given_under_other_names_has_no_prefix(given):
    actor = constant(2, 1.0)
    params = given(jax.tree.leaves(actor))
    with track(model_state=params) as tracker:
        tracker.intercept(jax.jit(lambda a: Actor().apply(a, X)), actor)
        tracker.step(params)
    assert list(rows(tracker)) == ["Actor", "out"]


FORWARD = jax.jit(lambda params, x: Actor().apply(params, x))
UPDATE = jax.jit(
    lambda params, x: jax.tree.map(jnp.subtract, params, jax.grad(lambda p: Actor().apply(p, x).mean())(params))
)


def steps(tracker, step, params):
    for _ in range(2):
        params = step(params)
        tracker.step(params)


SEVERAL = "Actor is called on several sets of parameters in one step \\(in the jitted "


@pytest.mark.parametrize("teacher_is_first", [True, False])
def test_a_teacher_that_another_program_calls_is_said_once(teacher_is_first):
    """It has never been seen before in the first step, where it is known as another only if it is called first."""
    params, teacher = constant(2, 1.0), constant(2, 2.0)

    def step(params):
        if teacher_is_first:
            tracker.intercept(FORWARD, teacher, X)
            return tracker.intercept(UPDATE, params, X)
        params = tracker.intercept(UPDATE, params, X)
        tracker.intercept(FORWARD, teacher, X)
        return params

    with pytest.warns(UserWarning, match=SEVERAL) as found, track(model_state=params) as tracker:
        steps(tracker, step, params)
    assert len(found) == 1


def test_an_average_that_is_made_anew_at_each_step_is_said_where_it_is_called_first():
    params = average = constant(2, 1.0)

    def step(params):
        nonlocal average
        average = jax.tree.map(lambda one, other: 0.5 * one + 0.5 * other, average, params)
        tracker.intercept(FORWARD, average, X)
        return tracker.intercept(UPDATE, params, X)

    with pytest.warns(UserWarning, match=SEVERAL), track(model_state=params) as tracker:
        steps(tracker, step, params)


def test_a_model_of_one_class_in_a_phase_of_its_own_shares_no_rows(recwarn):
    params, teacher = constant(2, 1.0), constant(2, 2.0)

    def step(params):
        with tracker.phase("teacher"):
            tracker.intercept(FORWARD, teacher, X)
        return tracker.intercept(UPDATE, params, X)

    with track(model_state=params) as tracker:
        steps(tracker, step, params)
    assert not recwarn.list


def test_nothing_is_said_of_a_model_that_is_called_after_its_update_or_again_on_other_samples(recwarn):
    params = constant(2, 1.0)

    def step(params):
        tracker.intercept(FORWARD, params, 2 * X)
        params = tracker.intercept(UPDATE, tracker.intercept(UPDATE, params, X), X)
        tracker.intercept(FORWARD, params, X)
        return jax.tree.map(lambda x: x + 1, params)  # as by an optimiser outside of these programs

    with track(model_state=params) as tracker:
        steps(tracker, step, params)
    assert not recwarn.list
