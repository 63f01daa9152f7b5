"""Tracking leaves functions, modules and JAX's caches as they were, and asks the device for nothing in between."""

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn
from flax import nnx
from jax._src import pjit
from jax._src.ad_checkpoint import remat_p

from tandv.track.common import read_pickle
from tandv.track.jax import track
from tandv.track.jax._tag import naming

pytestmark = pytest.mark.slow

X = jax.random.normal(jax.random.key(1), (8, 4))
DENSE = nn.Dense(3)
PARAMS = DENSE.init(jax.random.key(0), X)
TYPES = ["float32", "bfloat16", "float16", "float8_e4m3fn", "float8_e5m2"]


def sgd(p, grads):
    return jax.tree.map(lambda p, g: p - 0.1 * g, p, grads)


def fresh_step():
    return jax.jit(lambda p, x: sgd(p, jax.grad(lambda p: jnp.mean(DENSE.apply(p, x) ** 2))(p)))


def rows(tracker):
    log = read_pickle(tracker.out_path)
    return sorted(
        zip(log["metadata", "tensor_type"], log["metadata", "step"], log["scalar_stats", "calls"], strict=True)
    )


@pytest.mark.parametrize("outside_first", [True, False])
def test_what_runs_outside_of_intercept_leaves_no_rows(outside_first, same):
    step = fresh_step()
    if outside_first:
        step(PARAMS, X)
    with track() as tracker:
        tracked = tracker.intercept(step, PARAMS, X)
        within = step(PARAMS, X)
        tracker.step()
        step(PARAMS, X)
        tracker.intercept(step, PARAMS, X)
        tracker.step()
    after = step(PARAMS, X)
    assert rows(tracker) == [("Activation", 0, 1), ("Activation", 1, 1), ("Gradient", 0, 1), ("Gradient", 1, 1)]
    assert same(tracked, within)
    assert same(tracked, after)
    assert "tandv" not in str(jax.make_jaxpr(step)(PARAMS, X))


def test_two_trackers_record_apart():
    step = fresh_step()
    with track(name="one") as one, track(name="other", track_gradients=False) as other:
        one.intercept(step, PARAMS, X)
        one.step()
        other.intercept(step, PARAMS, X)
        other.step()
    assert rows(one) == [("Activation", 0, 1), ("Gradient", 0, 1)]
    assert rows(other) == [("Activation", 0, 1)]


class NnxNet(nnx.Module):
    def __init__(self):
        self.dense = nnx.Linear(4, 3, rngs=nnx.Rngs(0))

    def __call__(self, x):
        if x.shape[0] == 3:
            raise KeyError("no batches of three")
        return self.dense(x)


class EqxNet(eqx.Module):
    dense: eqx.nn.Linear

    def __call__(self, x):
        if x.shape[0] == 3:
            raise KeyError("no batches of three")
        return jax.vmap(self.dense)(x)


class LinenNet(nn.Module):
    @nn.compact
    def __call__(self, x):
        if x.shape[0] == 3:
            raise KeyError("no batches of three")
        return nn.Dense(3)(x)


def called(*classes):
    return [vars(kind)["__call__"] for kind in classes] + [nnx.Optimizer.update]


@pytest.mark.parametrize("jit", [lambda f: f, eqx.filter_jit], ids=["eager", "jitted"])
@pytest.mark.parametrize("library", ["linen", "nnx", "equinox"])
def test_an_error_in_a_module_passes_and_everything_is_put_back(library, jit):
    if library == "linen":
        p = LinenNet().init(jax.random.key(0), X)
        call = lambda x: LinenNet().apply(p, x)  # noqa: E731
    else:
        call = NnxNet() if library == "nnx" else EqxNet(eqx.nn.Linear(4, 3, key=jax.random.key(0)))
    before = called(NnxNet, EqxNet, nnx.Linear, eqx.nn.Linear)
    entry, checkpointed = pjit._pjit_call_impl_python, remat_p.impl
    update = (nnx.jit if library == "nnx" and jit is eqx.filter_jit else jit)(lambda x: call(x))
    with track() as tracker:
        with pytest.raises(KeyError, match="no batches of three"):
            tracker.intercept(update, X[:3])
        assert naming.namer is None
        tracker.intercept(update, X)
        tracker.step()
    assert rows(tracker) == [("Activation", 0, 1)] * 2
    assert called(NnxNet, EqxNet, nnx.Linear, eqx.nn.Linear) == before  # at the end of the block
    assert pjit._pjit_call_impl_python is entry and remat_p.impl is checkpointed
    assert "tandv" not in str(jax.make_jaxpr(lambda x: call(x))(X))


def test_a_jitted_step_calls_nothing_back_and_is_copied_once_for_a_flush(compiled, monkeypatch):
    copies = []
    get = jax.device_get
    monkeypatch.setattr(jax, "device_get", lambda tree: copies.append(jax.tree.leaves(tree)) or get(tree))
    step = fresh_step()
    with track(offload_inc=4) as tracker:
        p = PARAMS
        for _ in range(8):
            p = tracker.intercept(step, p, X)
            tracker.step()
    assert compiled
    assert not [text for text in compiled if "callback" in text]
    assert [len(arrays) for arrays in copies if arrays] == [4, 4]  # all rows of a step are one array
    assert len(rows(tracker)) == 8 * 2


def test_a_donated_argument_is_given_away():
    step = jax.jit(lambda p, x: sgd(p, jax.grad(lambda p: jnp.mean(DENSE.apply(p, x) ** 2))(p)), donate_argnums=0)
    p = jax.tree.map(jnp.copy, PARAMS)
    with track() as tracker:
        tracker.intercept(step, p, X)
        tracker.step()
    assert all(x.is_deleted() for x in jax.tree.leaves(p))
    assert len(rows(tracker)) == 2


@pytest.mark.parametrize("dtype", TYPES)
def test_narrow_numbers_lose_nothing_on_the_way(dtype, run, truth, agree):
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(3, dtype=jnp.bfloat16 if "float8" in dtype else dtype, name="dense")(x).astype(dtype)

    def loss(p, x):
        return jnp.mean(Net().apply({"params": p}, x).astype(jnp.float32) ** 2)

    def by_hand(see, p):
        inner = jnp.bfloat16 if "float8" in dtype else dtype
        y = X.astype(inner) @ p["dense"]["kernel"].astype(inner) + p["dense"]["bias"].astype(inner)
        return jnp.mean(see("Net", see("dense", y).astype(dtype)).astype(jnp.float32) ** 2)

    p = {"dense": PARAMS["params"]}
    log, _ = run(lambda p, x: sgd(p, jax.grad(loss)(p, x)), p, [X])
    agree(log, truth([lambda see: by_hand(see, p)]))
    types = dict(zip(log["metadata", "name"], log["metadata", "dtype"], strict=True))
    assert types == {"Net": dtype, "dense": "bfloat16" if "float8" in dtype else dtype}
