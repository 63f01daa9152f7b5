"""Insight into JAX's optimisers, against whole float64 copies; on the host's memory and by XLA's operations."""

import contextlib
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from insight_reference import insight

from tandv.log.raster import ABOVE, NEGATIVE, NONE, POSITIVE, read_raster
from tandv.track.common import read_pickle
from tandv.track.jax import track

pytestmark = pytest.mark.slow

BACKENDS = "the kernel", "arrays"


@pytest.fixture(params=BACKENDS)
def backend(request, monkeypatch):
    """Compare in the host's memory, and as on a device."""
    if request.param == "arrays":
        monkeypatch.setattr("tandv.track.jax._insight.available", lambda: False)
    return request.param


def rows(log, name):
    m = log["metadata"]
    mine = log[(m["name"] == name) & (m["tensor_type"] == "Weight_Gradient")]
    return mine["scalar_stats"].to_dict("records")


def same(found, expected, tolerance):
    for step, (one, other) in enumerate(zip(found, expected, strict=True)):
        for name, value in other.items():
            fine = 0.05 if name == "gradient_angle" else tolerance  # degrees, where float32 has the cosine
            assert one[name] == pytest.approx(value, rel=tolerance, abs=fine, nan_ok=True), (step, name)


def loss_of(params, x):
    return 0.1 * jnp.square(jnp.tanh(x @ params["first"]["kernel"]) @ params["second"]["kernel"]).sum()


def parameters(dtype=jnp.float32):
    one, two = jax.random.split(jax.random.key(0))
    return {
        "first": {"kernel": jax.random.normal(one, (12, 30), dtype)},
        "second": {"kernel": jax.random.normal(two, (30, 2), dtype)},
    }


def train(params, optimizer, batches, donate=False, seen=None, **arguments):
    @(lambda f: jax.jit(f, donate_argnums=(0, 1) if donate else ()))
    def update(params, state, x):
        grads = jax.grad(loss_of)(params, x)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state, grads

    state = optimizer.init(params)
    tracker = track(model_state=params, optimizer_state=state, track_gradients=True, **arguments) if arguments else None
    with tracker or contextlib.nullcontext():
        for x in batches:
            before = jax.tree.map(lambda p: np.array(p, np.float64), params)
            params, state, grads = update(params, state, x)
            if tracker is not None:
                tracker.step(params, state, grads)
            if seen is not None:
                after = jax.tree.map(lambda p: np.array(p, np.float64), params)
                seen.append((jax.tree.map(lambda p: np.array(p, np.float64), grads), before, after))
    return tracker, params


@pytest.mark.parametrize(("dtype", "donate"), [(jnp.float32, True), (jnp.bfloat16, False)])
def test_every_column_is_that_of_whole_copies(dtype, donate, backend):
    seen, batches = [], jax.random.normal(jax.random.key(1), (4, 3, 12), dtype)
    thresholds = (1e-3, 1e-2)
    arguments = {"donate": donate, "seen": seen, "insight": {"thresholds": thresholds}}
    tracker, _ = train(parameters(dtype), optax.sgd(0.02), batches, **arguments)
    assert tracker is not None
    log = read_pickle(tracker.out_path)
    for layer in ("first", "second"):
        known = zip(*[[tree[layer]["kernel"] for tree in step] for step in seen], strict=True)
        same(rows(log, layer), insight(*map(list, known), thresholds=thresholds), tolerance=2e-5)


def test_momentum_is_what_was_asked_for_and_epsilon_is_given(backend):
    params = {"w": jnp.ones(5, jnp.bfloat16)}
    optimizer = optax.adam(1e-6, eps=1e-6)
    state = optimizer.init(params)
    grads = {"w": jnp.array([1e-7, -5e-7, 2e-6, 1.0, 0.0], jnp.bfloat16)}
    with track(model_state=params, optimizer_state=state, insight={"adam": (1e-6, 0.999)}) as tracker:
        updates, state = optimizer.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        tracker.step(params, state, grads)
    (row,) = rows(read_pickle(tracker.out_path), "w")
    # next to 1, bfloat16 has no room for a step of 1e-6; the last weight was not asked to move
    assert row["rounded_away"] == pytest.approx(4 / 5)
    assert row["epsilon_regime"] == pytest.approx(3 / 5)


def test_on_a_convex_quadratic_gradient_descent_passes_minima_and_no_maxima(backend):
    rate = 0.15  # times the curvature, above 1 for some: these pass the minimum at each step
    curvature, params = jnp.linspace(0.5, 10, 100), {"w": jnp.linspace(-3, 3, 100)}
    with track(model_state=params, insight=True) as tracker:
        for _ in range(4):
            grads = jax.grad(lambda p: 0.5 * (curvature * p["w"] ** 2).sum())(params)
            params = jax.tree.map(lambda p, g: p - rate * g, params, grads)
            tracker.step(params, grads=grads)
    for row in rows(read_pickle(tracker.out_path), "w")[1:]:
        assert (row["curved_up"], row["curved_down"], row["maxima"]) == (1, 0, 0)
        assert row["minima"] == pytest.approx(float((rate * curvature > 1).mean()))


def test_a_tensor_of_many_blocks_is_told_alike_by_both(monkeypatch):
    rng = np.random.default_rng(0)
    gradients = [rng.normal(size=9_001).astype("f4") * 1e-5 for _ in range(2)]
    found = []
    for kernel in (True, False):
        monkeypatch.setattr("tandv.track.jax._insight.available", lambda kernel=kernel: kernel)
        with track(model_state={"w": jnp.ones(9_001)}, insight=True) as tracker:
            for n, g in enumerate(gradients):
                tracker.step({"w": jnp.ones(9_001) * (1 - n)}, grads={"w": jnp.asarray(g)})
        found.append(rows(read_pickle(tracker.out_path), "w"))
    for one, other in zip(*found, strict=True):
        assert one == pytest.approx(other, rel=1e-5, nan_ok=True)
    assert found[0][1]["zeros_1e-05"] == (np.abs(gradients[1]) <= 1e-5).sum()


def test_gradients_of_nnx_are_given_to_step(backend):
    model = nnx.Linear(3, 1, use_bias=False, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)
    with track(model, optimizer, insight=True) as tracker:
        for sign in (1.0, -1.0):
            grads = nnx.grad(lambda m, sign=sign: sign * m(jnp.ones((1, 3))).sum())(model)
            optimizer.update(model, grads)
            tracker.step(grads=grads)
    first, second = rows(read_pickle(tracker.out_path), "Linear")
    assert second["sign_flips"] == 1
    assert first["update_norm"] == pytest.approx(math.sqrt(3) * 1e-2, rel=1e-3)
    assert first["epsilon_regime"] == 0


def test_a_spread_array_is_compared_too():
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("x",))
    spread = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("x"))
    params = {"w": jax.device_put(jnp.ones(64), spread)}
    with track(model_state=params, insight=True) as tracker:
        for sign in (1, -1):
            grads = {"w": jax.device_put(sign * jnp.ones(64), spread)}
            params = jax.tree.map(lambda p, g: p - g, params, grads)
            tracker.step(params, grads=grads)
    first, second = rows(read_pickle(tracker.out_path), "w")
    assert first["update_norm"] == 8
    assert (second["sign_flips"], second["minima"]) == (1, 1)


def test_every_other_tree_is_compared_with_the_one_recorded_before():
    with track(model_state={"w": jnp.ones(2)}, insight=True, every=2) as tracker:
        for value in (1.0, -1.0, 1.0):
            tracker.step({"w": jnp.ones(2)}, grads={"w": jnp.array([value, abs(value)])})
    assert [row["sign_flips"] for row in rows(read_pickle(tracker.out_path), "w")][1:] == [0]


def test_the_raster_keeps_a_code_for_each_parameter(backend):
    with track(model_state={"w": jnp.ones(4)}, insight={"raster": True}) as tracker:
        for _ in range(2):
            tracker.step({"w": jnp.ones(4)}, grads={"w": jnp.array([1.0, -1e-6, 1e-6, 0.0])})
    assert read_raster(tracker.path).codes.tolist() == [[ABOVE, NEGATIVE, POSITIVE, NONE]] * 2


def test_training_is_bit_identical(same, backend):
    donate = backend == "the kernel"
    batches = jax.random.normal(jax.random.key(1), (6, 3, 12))
    _, bare = train(parameters(), optax.adam(1e-2), batches, donate)
    _, tracked = train(parameters(), optax.adam(1e-2), batches, donate, insight={"raster": True})
    assert same(bare, tracked)


def test_gradients_that_are_lacking_are_asked_for():
    with (
        pytest.warns(UserWarning, match="give them to tracker.step") as said,
        track(model_state={"w": jnp.ones(2)}, insight={"raster": True}) as tracker,
    ):
        tracker.step({"w": jnp.ones(2)})
    assert len(said) == 1  # of the raster nothing more
    assert not (tracker.path / "signs.npz").exists()


def test_of_a_part_that_the_optimiser_leaves_as_it_is_nothing_is_rounded_away(backend):
    params = {"frozen": jnp.ones(2), "trained": jnp.ones(2)}
    parts = {"frozen": "off", "trained": "on"}
    optimizer = optax.multi_transform({"on": optax.adam(0.1), "off": optax.set_to_zero()}, parts)
    state, grads = optimizer.init(params), jax.tree.map(jnp.ones_like, params)
    with track(model_state=params, optimizer_state=state, insight=True) as tracker:
        updates, state = optimizer.update(grads, state, params)
        tracker.step(optax.apply_updates(params, updates), state, grads)
    log = read_pickle(tracker.out_path)
    assert math.isnan(rows(log, "frozen")[0]["rounded_away"])
    assert rows(log, "trained")[0]["rounded_away"] == 0
