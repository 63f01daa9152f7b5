"""The user's Python runs at every step; only what is jitted is replaced, and gives the results of the untracked run."""

import contextlib
import gc
import threading
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from flax import nnx

from tandv.track.common import read_pickle
from tandv.track.jax import _entry, tag, track

pytestmark = pytest.mark.slow

X = jax.random.normal(jax.random.key(1), (4, 8, 4))


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3, name="second")(jnp.tanh(nn.Dense(5, name="first")(x)))


PARAMS = Net().init(jax.random.key(0), X[0])["params"]


def net(see, p, x):
    x = jnp.tanh(see("first", x @ p["first"]["kernel"] + p["first"]["bias"]))
    return see("Net", see("second", x @ p["second"]["kernel"] + p["second"]["bias"]))


def loss(p, x):
    return jnp.mean(Net().apply({"params": p}, x) ** 2)


def sgd(p, grads, rate=0.1):
    return jax.tree.map(lambda p, g: p - rate * g, p, grads)


def reading_the_loss(p, x):
    value, grads = jax.value_and_grad(loss)(p, x)
    return sgd(p, grads) if float(value) > 0 else p


jitted = jax.jit(lambda p, x: (loss(p, x), sgd(p, jax.grad(loss)(p, x))))


def round_a_jitted_step(p, x):
    value, p = jitted(p, x)
    return p if float(value) > 0 else None


@contextlib.contextmanager
def said_nothing():
    """Assert that the tracker does not warn; an error of a warning would end in a line, for training goes on."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        yield
    assert [str(one.message) for one in said if "tandv" in str(one.message)] == []


def untracked(function, *args):
    return function(*args)


@pytest.mark.parametrize(("update", "passes"), [(reading_the_loss, 0), (round_a_jitted_step, 1)])
def test_a_number_may_be_read_in_a_step(update, passes, run, truth, agree, same):
    bare = [PARAMS]
    for x in X[:2]:
        bare.append(update(bare[-1], x))
    log, states = run(update, PARAMS, X[:2])
    for i, x in enumerate(X[:2]):
        losses = [lambda see, x=x, p=states[i]: jnp.mean(net(see, p, x) ** 2)]
        agree(log, truth(losses, losses * passes), i)
    assert same(states, bare)
    assert len(log) == 2 * 6


def test_what_a_step_reads_outside_of_its_arguments_is_read_at_every_step():
    """A global, an attribute, a random generator and a setting, by code that is not jitted as a whole."""
    gradient = jax.jit(jax.value_and_grad(loss))

    class Learner:
        def __init__(self):
            self.p, self.random, self.settings, self.calls = PARAMS, np.random.default_rng(0), {"rate": 0.5}, 0

        def step(self, x):
            self.calls += 1
            value, grads = gradient(self.p, x + self.random.normal(size=x.shape).astype("float32"))
            self.p = sgd(self.p, grads, self.settings["rate"])
            return value

    def losses(call):
        learner, found = Learner(), []
        for i, x in enumerate(X):
            learner.settings["rate"] = 0.5 / (i + 1)
            found.append(float(call(learner.step, x)))
        assert learner.calls == len(X)
        return found

    with track() as tracker:
        tracked = losses(tracker.intercept)
        tracker.step()
    assert tracked == losses(untracked)


@pytest.mark.parametrize("every", [1, 2, 3])
def test_what_jax_reads_while_it_traces_is_the_same_in_all_steps(every):
    setting = {"rate": 0.0}

    def weights(call, after=lambda: None):
        step = jax.jit(lambda w, x: tag(w - setting["rate"] * x, "w"))
        other = jax.jit(lambda w: tag(w * setting["rate"], "other"))  # traced in between
        w, found = 0.0, []
        for i in range(5):
            setting["rate"] = 0.5 / (i + 1)
            w = call(lambda w: step(step(w, 1.0), other(w)), w)
            found.append(float(w))
            after()
        return found

    with track(every=every) as tracker:
        tracked = weights(tracker.intercept, tracker.step)
    assert tracked == weights(untracked)
    steps = read_pickle(tracker.out_path)["metadata"]["step"]
    assert sorted(set(steps)) == list(range(0, 5, every))


def test_one_trace_serves_all_steps():
    traced = []

    @jax.jit
    def step(p, x):
        traced.append("step")
        return sgd(p, jax.grad(loss)(p, x))

    with track(every=3) as tracker:
        for _ in range(7):
            tracker.intercept(step, PARAMS, X[0])
            tracker.step()
    assert sorted(set(read_pickle(tracker.out_path)["metadata"]["step"])) == [0, 3, 6]
    assert traced == ["step"]


def test_options_of_the_compiler_are_those_of_the_user(same):
    step = jax.jit(lambda p, x: sgd(p, jax.grad(loss)(p, x)), compiler_options={"xla_cpu_enable_fast_min_max": True})
    with track() as tracker:
        p = tracker.intercept(step, PARAMS, X[0])
        tracker.step()
    assert same(p, step(PARAMS, X[0]))
    assert len(read_pickle(tracker.out_path)) == 6


class Dropped(nnx.Module):
    def __init__(self):
        self.dense, self.dropout = nnx.Linear(4, 4, rngs=nnx.Rngs(0)), nnx.Dropout(0.5, rngs=nnx.Rngs(1))

    def __call__(self, x):
        return self.dropout(self.dense(x))


def train(model, optimizer, x):
    value, grads = nnx.value_and_grad(lambda model: jnp.mean(model(x) ** 2))(model)
    optimizer.update(model, grads)
    return value


class Trainer:
    def __init__(self, step):
        self.model = Dropped()
        self.optimizer, self.step = nnx.Optimizer(self.model, optax.adam(0.1), wrt=nnx.Param), step

    def through_self(self, x):
        return self.step(self.model, self.optimizer, x)

    @property
    def through_closure(self):
        model, optimizer, step = self.model, self.optimizer, self.step
        return lambda x: step(model, optimizer, x)

    @property
    def cached(self):
        return nnx.cached_partial(self.step, self.model, self.optimizer)


@pytest.mark.parametrize("way", ["through_self", "through_closure", "cached"])
@pytest.mark.parametrize("step", [train, nnx.jit(train)], ids=["eager", "jitted"])
def test_objects_that_are_no_arguments_change_as_untracked(step, way, same):
    if way == "cached" and step is train:
        step = nnx.jit(train)
    bare, tracked = Trainer(step), Trainer(step)
    call = getattr(bare, way)
    expected = [float(call(x)) for x in X[:3]]
    found = []
    with track(tracked.model, tracked.optimizer) as tracker:
        call = getattr(tracked, way)
        for x in X[:3]:
            found.append(float(tracker.intercept(call, x)))
            tracker.step()
    assert found == expected
    assert same(nnx.state(tracked.model), nnx.state(bare.model))
    assert same(nnx.state(tracked.optimizer), nnx.state(bare.optimizer))
    log = read_pickle(tracker.out_path)["metadata"]
    of_outputs = log[log["tensor_type"] == "Activation"]
    assert sorted(set(of_outputs["name"])) == ["Dropped", "dense", "dropout"]


def test_an_error_in_the_middle_leaves_objects_in_use_and_runs_nothing_twice():
    calls = []

    @nnx.jit
    def wrong(model, x):
        calls.append(model(x))
        raise KeyError("mine")

    trainer = Trainer(nnx.jit(train))
    with track(trainer.model, trainer.optimizer) as tracker:
        with pytest.raises(KeyError, match="mine"):
            tracker.intercept(wrong, trainer.model, X[0])
        assert len(calls) == 1
        tracker.intercept(trainer.through_self, X[0])
        tracker.step()
    assert trainer.model(X[0]).shape == (8, 4)
    assert set(read_pickle(tracker.out_path)["metadata"]["step"]) == {0}


@pytest.mark.parametrize("bad", range(5))
def test_a_program_that_raises_at_one_step_is_recorded_at_all_others(bad):
    """Whether results of that run would have been compared (the 1st, 2nd and 4th) or not."""

    @eqx.filter_jit
    def checked(x, is_bad):
        return eqx.error_if(tag(x, "x"), is_bad, "mine")

    with said_nothing(), track() as tracker:
        for i in range(5):
            with pytest.raises(Exception, match="mine") if i == bad else contextlib.nullcontext():
                tracker.intercept(checked, jnp.float32(i), jnp.array(i == bad)).block_until_ready()
            tracker.step()
    log = read_pickle(tracker.out_path)
    others = [i for i in range(5) if i != bad]
    assert log["metadata"]["step"].tolist() == others and log["scalar_stats"]["max_abs"].tolist() == others


def test_the_users_search_for_nans_goes_on():
    """In a thread of its own: parts of JAX switch the search off for good in the thread that they run in."""
    jax.config.update("jax_debug_nans", True)
    try:
        with ThreadPoolExecutor(1) as thread:
            thread.submit(_search_for_nans).result()
    finally:
        jax.config.update("jax_debug_nans", False)


def _search_for_nans():
    with track() as tracker:
        tracker.intercept(jax.jit(lambda x: jnp.log(tag(x, "x"))), jnp.float32(1))
        tracker.step()
    untracked = jax.jit(jnp.log)
    untracked(jnp.float32(1))  # compiled, so that JAX's fast path finds the next one
    with pytest.raises(FloatingPointError, match="nan"):
        untracked(jnp.float32(-1))


@pytest.mark.parametrize("where", ["_calls.holds_marks", "_calls.Variant", "_variant.inline", "_variant.bits_of"])
def test_whatever_fails_in_measuring_the_users_program_runs_once(where, monkeypatch, same):
    printed = []

    def counted(p, x):
        printed.append("python")
        return jitted(p, x)

    def broken(*_, **__):
        raise RuntimeError("broken measuring")

    with track() as tracker:
        if where == "_calls.holds_marks":
            monkeypatch.setattr("tandv.track.jax._calls.Calls._variant_of", broken)
        else:
            monkeypatch.setattr(f"tandv.track.jax.{where}", broken)
        with pytest.warns(UserWarning, match="tracking stopped at step 0.*broken measuring"):
            first = tracker.intercept(counted, PARAMS, X[0])
        tracker.step()
        second = tracker.intercept(counted, PARAMS, X[1])
    assert printed == ["python"] * 2
    assert same((first, second), (jitted(PARAMS, X[0]), jitted(PARAMS, X[1])))


def test_where_jax_has_no_such_entry_the_run_goes_on_and_it_is_said(monkeypatch, same):
    monkeypatch.setattr("tandv.track.jax._entry.available", lambda: False)
    words = "runs jitted programs in a way that tandv does not know.*tandv.track.jax.measured"
    with pytest.warns(UserWarning, match=words), track(model_state=PARAMS) as tracker:
        _, p = tracker.intercept(jitted, PARAMS, X[0])
        tracker.step(p)
    assert same(p, jitted(PARAMS, X[0])[1])
    assert set(read_pickle(tracker.out_path)["metadata"]["tensor_type"]) == {"Weight"}


AS_THE_USER_IS = {
    "jit is turned off": lambda call: _within(jax.disable_jit(), call),
    "transfers are forbidden": lambda call: _within(jax.transfer_guard("disallow"), call),
    "something is being traced": lambda call: jax.jit(lambda _: call())(0.0),
}


def _within(setting, call):
    with setting:
        return call()


@pytest.mark.parametrize("doing", AS_THE_USER_IS)
def test_what_the_user_does_at_the_first_call_does_not_decide_whether_jax_is_known(doing):
    _entry.available.cache_clear()
    known = []
    AS_THE_USER_IS[doing](lambda: known.append(_entry.available()))
    assert known == [True]


def test_where_jit_is_turned_off_values_are_measured_as_they_come(same):
    _entry.available.cache_clear()
    with jax.disable_jit():
        with track() as tracker:
            _, p = tracker.intercept(jitted, PARAMS, X[0])
            tracker.step()
        expected = jitted(PARAMS, X[0])[1]
    log = read_pickle(tracker.out_path)
    rows = log[(log["metadata", "tensor_type"] == "Activation") & (log["metadata", "name"] == "Net")]
    largest = float(jnp.abs(Net().apply({"params": PARAMS}, X[0])).max())
    assert same(p, expected)
    assert rows["scalar_stats"]["max_abs"].tolist() == pytest.approx([largest]) and len(log) == 6


def test_another_thread_is_left_alone():
    found = []
    with track() as tracker:
        other = threading.Thread(target=lambda: found.extend(float(jitted(PARAMS, x)[0]) for x in X))
        other.start()
        tracker.intercept(jitted, PARAMS, X[0])
        other.join()
        tracker.step()
    assert set(read_pickle(tracker.out_path)["scalar_stats"]["calls"].dropna()) == {1, 2}  # the loss and its gradient
    assert len(found) == len(X)


def test_what_is_intercepted_is_not_kept_alive():
    class Held:
        pass

    held = Held()
    gone = weakref.ref(held)
    with track() as tracker:
        tracker.intercept(lambda p, held=held: jitted(p, X[0]), PARAMS)
        tracker.step()
        del held
        gc.collect()
        assert gone() is None


def test_a_function_that_is_jitted_anew_at_each_step_is_said_and_not_kept():
    with pytest.warns(UserWarning, match="was compiled 8 times.*jitted anew"), track() as tracker:
        for _ in range(8):
            tracker.intercept(jax.jit(lambda x: tag(x, "x")), X[0])
            tracker.step()
        assert len(tracker._calls._variants) <= 64


def test_the_argument_that_makes_jax_compile_again_is_named():
    @jax.jit
    def scaled(state, factor):
        return tag(state["x"] * factor, "x")

    words = r"scaled was compiled 8 times in this run, because of state\['x'\] \(its shape or type\)"
    with pytest.warns(UserWarning, match=words) as said, track() as tracker:
        for n in range(8):
            tracker.intercept(scaled, {"x": jnp.ones(n + 1), "y": jnp.ones(3)}, 2.0)
            tracker.step()
    assert "factor" not in str(said[0].message) and "'y'" not in str(said[0].message)


def test_a_static_argument_that_changes_is_named():
    def named(p, x, how):
        return tag(x if how == "one" else 2 * x, "x")

    step = jax.jit(named, static_argnames="how")
    with pytest.warns(UserWarning, match=r"compiled 8 times.*how, a Python value that changes"), track() as tracker:
        for n in range(8):
            tracker.intercept(step, PARAMS, X[0], how=f"name {n}")
            tracker.step()


def test_numbers_that_change_are_inputs_as_untracked():
    step = jax.jit(lambda x, n: tag(x * n, "x"))
    with said_nothing(), track() as tracker:
        for n in range(10):
            tracker.intercept(step, X[0], n)
            tracker.step()
        assert len(tracker._calls._variants) == 1
