"""Weights, their gradients, updates and optimiser states: which values at which step."""

import gc
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx

from tandv.track.common import read_pickle
from tandv.track.jax import track

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def in_its_own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def value(log, name, tensor_type, step, column="max_abs"):
    m = log["metadata"]
    found = log[(m["name"] == name) & (m["tensor_type"] == tensor_type) & (m["step"] == step)]
    assert len(found) == 1, (name, tensor_type, step)
    return float(found["scalar_stats"][column].iloc[0])


def kinds(log, step):
    m = log["metadata"]
    return set(m["tensor_type"][m["step"] == step])


@jax.jit
def descend(params, momentum):
    """Gradient descent on w²/2 with momentum 0.5 and rate 0.5: the gradient is w itself."""
    grads = jax.grad(lambda params: 0.5 * jnp.square(params["a"]["kernel"]).sum())(params)
    momentum = jax.tree.map(lambda m, g: 0.5 * m + g, momentum, grads)
    return jax.tree.map(lambda p, m: p - 0.5 * m, params, momentum), momentum, grads


START = {"a": {"kernel": jnp.array([8.0])}}
ZERO = {"a": {"kernel": jnp.array([0.0])}}


def run(steps=3, **arguments):
    params, momentum = START, {"trace": ZERO}
    with track(model_state=params, optimizer_state=momentum, **arguments) as tracker:
        for _ in range(steps):
            params, trace, grads = tracker.intercept(descend, params, momentum["trace"])
            momentum = {"trace": trace}
            tracker.step(params, momentum, grads)
    return read_pickle(tracker.out_path)


def test_a_row_has_the_weights_that_its_forward_pass_used_and_the_state_after_its_update():
    log = run(track_updates=True)
    # w: 8, then 8 - 4 = 4, then m = 0.5·8 + 4 = 8 and 4 - 4 = 0
    assert [value(log, "a", "Weight", step) for step in range(3)] == [8, 4, 0]
    assert [value(log, "a", "Weight_Gradient", step) for step in range(3)] == [8, 4, 0]
    assert [value(log, "a", "Optimiser_State.trace", step) for step in range(3)] == [8, 8, 4]
    assert [value(log, "a", "Weight_Update", step, "mean") for step in range(3)] == [-4, -4, -2]


def test_weights_and_states_may_be_read_less_often():
    log = run(steps=5, every=2, every_trees=4)
    assert sorted(set(log["metadata"]["step"])) == [0, 4]  # there is no module in it, so step 2 has no row
    assert kinds(log, 4) == {"Weight", "Weight_Gradient", "Optimiser_State.trace"}


def test_what_is_not_wanted_is_not_recorded():
    assert kinds(run(track_weights=False), 0) == {"Weight_Gradient", "Optimiser_State.trace"}
    assert kinds(run(track_gradients=False), 0) == {"Weight", "Optimiser_State.trace"}


class Net(nnx.Module):
    def __init__(self):
        self.a = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        self.norm = nnx.BatchNorm(3, rngs=nnx.Rngs(0))

    def __call__(self, x):
        return self.norm(self.a(x))


def nnx_run(**arguments):
    model = Net()
    optimizer = nnx.Optimizer(model, optax.sgd(0.5, momentum=0.5), wrt=nnx.Param)
    kept = []
    with track(model, optimizer, **arguments) as tracker:

        @tracker.wrap
        @nnx.jit
        def update(model, optimizer):
            grads = nnx.grad(lambda model: jnp.square(model(jnp.array([[1.0, 2.0], [3.0, 5.0]])) - 1).sum())(model)
            optimizer.update(model, grads)
            return nnx.to_pure_dict(grads)

        for _ in range(2):
            before = np.array(model.a.kernel[...])
            grads = update(model, optimizer)
            kept.append((before, grads))
            tracker.step()
    return read_pickle(tracker.out_path), kept, model


def test_nnx_objects_are_read_where_they_change():
    log, kept, model = nnx_run()
    for step, (before, grads) in enumerate(kept):
        assert value(log, "a", "Weight", step) == np.abs(before).max()
        assert value(log, "a", "Weight_Gradient", step) == pytest.approx(float(jnp.abs(grads["a"]["kernel"]).max()))
        assert value(log, "norm.bias", "Weight_Gradient", step) == pytest.approx(
            float(jnp.abs(grads["norm"]["bias"]).max())
        )
    assert float(model.norm.mean[...].max()) > 0  # the statistics of batch norm were written back
    m = log["metadata"]
    assert set(m["name"][m["tensor_type"] == "Weight"]) == {"a", "a.bias", "norm", "norm.bias"}  # and are no weights


def test_gradients_that_step_is_given_stand_for_those_that_the_optimiser_was_seen_to_receive():
    model = Net()
    optimizer = nnx.Optimizer(model, optax.sgd(0.5), wrt=nnx.Param)

    @nnx.jit
    def update(model, optimizer):
        grads = nnx.grad(lambda model: jnp.square(model(jnp.ones((2, 2)))).sum())(model)
        optimizer.update(model, grads)
        return grads

    with track(model, optimizer) as tracker:
        grads = tracker.intercept(update, model, optimizer)
        tracker.step(grads=grads)
    log = read_pickle(tracker.out_path)
    assert value(log, "a", "Weight_Gradient", 0, "calls") == 1
    assert value(log, "a", "Weight_Gradient", 0) == pytest.approx(float(jnp.abs(grads["a"]["kernel"][...]).max()))


def updated(model, *optimizers):
    """Return the log of a step in which several models of nnx, each with its optimiser, are updated."""

    @nnx.jit
    def update(pairs):
        for one, optimizer in pairs:
            optimizer.update(one, nnx.grad(lambda one: one(jnp.ones((1, 2))).sum())(one))

    with track(model) as tracker:
        tracker.intercept(update, [(one, nnx.Optimizer(one, optax.sgd(0.5), wrt=nnx.Param)) for one in optimizers])
        tracker.step()
    log = read_pickle(tracker.out_path)
    m = log["metadata"]
    gradients = m["tensor_type"] == "Weight_Gradient"
    return dict(zip(m["name"][gradients], log["scalar_stats", "calls"][gradients], strict=True))


@pytest.mark.parametrize("outputs", [1, 3])  # three: a second model that looks like a layer of the first
def test_gradients_of_a_second_model_of_nnx_stand_under_its_class(outputs):
    found = updated(net := Net(), net, nnx.Linear(2, outputs, rngs=nnx.Rngs(0)))
    assert found == dict.fromkeys(["a", "a.bias", "norm", "norm.bias", "Linear", "Linear.bias"], 1)


def test_gradients_of_a_part_of_a_model_of_nnx_bear_the_models_names():
    net = Net()
    assert updated(net, net.a) == {"a": 1, "a.bias": 1}


class Second(Net):
    pass


class Maker(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.Dense(3)(x)


class Judge(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.Dense(1)(x)


@pytest.mark.parametrize("tracked", ["Maker", "Judge"])
def test_two_train_states_with_layers_of_the_same_names_are_told_apart(tracked):
    from flax.training.train_state import TrainState

    x, key, transform = jnp.array([[1.0, 2.0]]), jax.random.key(0), optax.sgd(0.1)
    states = [
        TrainState.create(apply_fn=net.apply, params=net.init(key, like)["params"], tx=transform)
        for net, like in ((Maker(), x), (Judge(), jnp.ones((1, 3))))
    ]

    @jax.jit
    def update(maker, judge):
        def loss(both):
            return judge.apply_fn({"params": both[1]}, maker.apply_fn({"params": both[0]}, x)).sum()

        one, other = jax.grad(loss)((maker.params, judge.params))
        return maker.apply_gradients(grads=one), judge.apply_gradients(grads=other)

    with track(states[tracked == "Judge"].params) as tracker:
        tracker.intercept(update, *states)
        tracker.step(states[tracked == "Judge"].params)
    log, other = read_pickle(tracker.out_path), "Judge" if tracked == "Maker" else "Maker"
    made = x @ states[0].params["Dense_0"]["kernel"]
    judged = made @ states[1].params["Dense_0"]["kernel"]
    own, others = (made, judged) if tracked == "Maker" else (judged, made)
    for name, output in (("Dense_0", own), (f"{other}.Dense_0", others)):
        assert value(log, name, "Activation", 0) == pytest.approx(float(jnp.abs(output).max()))
        assert value(log, name, "Weight_Gradient", 0, "calls") == 1
        assert value(log, name, "Weight_Gradient", 0, "numel") == 2 * 3 if output is made else 3


def test_the_tracked_model_of_nnx_has_its_own_names_though_another_is_called_first():
    first, tracked = Second(), Net()
    call = nnx.jit(lambda one, other, x: (one(x), other(x)))
    with track(tracked) as tracker:
        tracker.intercept(call, first, tracked, jnp.array([[1.0, 2.0], [3.0, 4.0]]))
        tracker.step()
    m = read_pickle(tracker.out_path)["metadata"]
    names = list(m["name"][m["tensor_type"] == "Activation"])
    assert names == ["Second", "Second.a", "Second.norm", "Net", "a", "norm"]


def test_a_train_state_shows_its_gradients():
    from flax.training.train_state import TrainState

    dense = linen.Dense(2)
    params = dense.init(jax.random.key(0), jnp.ones((1, 3)))
    state = TrainState.create(apply_fn=dense.apply, params=params, tx=optax.sgd(0.1))

    @jax.jit
    def update(state):
        grads = jax.grad(lambda params: state.apply_fn(params, jnp.ones((1, 3))).sum())(state.params)
        return state.apply_gradients(grads=grads)

    with track(model_state=state.params) as tracker:
        state = tracker.intercept(update, state)
        tracker.step(state.params)
    log = read_pickle(tracker.out_path)
    assert value(log, "Dense", "Weight_Gradient", 0) == 1.0  # the root is called by its class
    assert value(log, "bias", "Weight_Gradient", 0) == 1.0
    assert value(log, "Dense", "Weight", 0) == float(jnp.abs(params["params"]["kernel"]).max())


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float8_e4m3fn"])
def test_narrow_weights_are_read_as_they_are(dtype):
    params = {"a": {"kernel": jnp.array([1.5, -0.25, 0.0], dtype)}}
    with track(model_state=params) as tracker:
        tracker.step(params)
    log = read_pickle(tracker.out_path)
    assert log["metadata"]["dtype"].iloc[0] == dtype
    assert value(log, "a", "Weight", 0) == 1.5 and value(log, "a", "Weight", 0, "zeros") == 1


def test_reading_weights_does_not_hinder_their_donation():
    @jax.jit
    def twice(params):
        return jax.tree.map(lambda p: 2 * p, params)

    donating = jax.jit(twice, donate_argnums=0)
    params = {"a": {"kernel": jnp.ones((64, 64))}}
    with track(model_state=params) as tracker:
        for _ in range(3):
            old = params["a"]["kernel"]
            params = tracker.intercept(donating, params)
            assert old.is_deleted()
            tracker.step(params)
    log = read_pickle(tracker.out_path)
    assert [value(log, "a", "Weight", step) for step in range(3)] == [1, 2, 4]


def test_no_array_is_kept_alive_beyond_its_step():
    params, opt_state = {"a": {"kernel": jnp.ones(4)}}, {"mu": {"a": {"kernel": jnp.ones(4)}}}
    arrays = [weakref.ref(leaf) for leaf in jax.tree.leaves((params, opt_state))]
    with track(model_state=params, optimizer_state=opt_state) as tracker:
        tracker.step(params, opt_state, params)
        params = opt_state = None
        gc.collect()
        assert [array() for array in arrays] == [None, None]
        tracker.step({"a": {"kernel": jnp.ones(4)}}, {"mu": {"a": {"kernel": jnp.ones(4)}}})
    assert kinds(read_pickle(tracker.out_path), 1) == {"Optimiser_State.mu", "Weight"}
