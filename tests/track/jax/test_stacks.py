"""Layers that are scanned over have weights, gradients, updates and optimiser states of their own."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from flax import nnx

from tandv.names import natural
from tandv.track.common import read_pickle
from tandv.track.jax import track
from tandv.track.jax._stacks import Slice, cut

pytestmark = pytest.mark.slow

X = jax.random.normal(jax.random.key(1), (4, 8))


class Block(nn.Module):
    @nn.compact
    def __call__(self, x, _):
        return nn.tanh(nn.Dense(8, name="wi")(x)), None


class Inner(nn.Module):
    axis: int = 0

    @nn.compact
    def __call__(self, x, _):
        return scanned(Block, 3, self.axis)(name="inner")(x, None)[0], None


class Net(nn.Module):
    axis: int = 0
    twice: bool = False

    @nn.compact
    def __call__(self, x):
        kind = scanned(Inner, 2, 0) if self.twice else scanned(nn.remat(Block), 3, self.axis)
        return nn.Dense(2, name="head")(kind(name="layers")(x, None)[0])


def scanned(kind, length, axis):
    return nn.scan(kind, variable_axes={"params": axis}, split_rngs={"params": True}, length=length)


def linen(net):
    p = net.init(jax.random.key(0), X)["params"]
    return p, lambda p: jnp.mean(net.apply({"params": p}, X) ** 2)


class EqxNet(eqx.Module):
    layers: eqx.nn.Linear
    head: eqx.nn.Linear

    def __init__(self, key):
        self.layers = eqx.filter_vmap(lambda key: eqx.nn.Linear(8, 8, key=key))(jax.random.split(key, 3))
        self.head = eqx.nn.Linear(8, 2, key=key)

    def __call__(self, x):
        arrays, rest = eqx.partition(self.layers, eqx.is_array)
        x, _ = jax.lax.scan(lambda x, layer: (jnp.tanh(eqx.combine(layer, rest)(x)), None), x, arrays)
        return self.head(x)


def equinox():
    return EqxNet(jax.random.key(0)), lambda net: jnp.mean(jax.vmap(net)(X) ** 2)


class NnxBlock(nnx.Module):
    def __init__(self, rngs):
        self.wi = nnx.Linear(8, 8, rngs=rngs)

    def __call__(self, x):
        return jnp.tanh(self.wi(x))


class NnxNet(nnx.Module):
    def __init__(self):
        make = nnx.vmap(lambda rngs: NnxBlock(rngs), in_axes=(0,), out_axes=0)
        self.layers = nnx.split_rngs(splits=3)(make)(nnx.Rngs(0))

    def __call__(self, x):
        return nnx.scan(lambda x, layer: layer(x), in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)(x, self.layers)


def names(log, kind):
    m = log["metadata"]
    return sorted(set(m["name"][m["tensor_type"] == kind].astype(str)), key=natural)


def value(log, kind, name, step=0):
    m = log["metadata"]
    [row] = log["scalar_stats"][(m["tensor_type"] == kind) & (m["name"] == name) & (m["step"] == step)].to_dict(
        "records"
    )
    return row["rm2"], row["numel"]


def trained(p, loss, **arguments):
    transform = optax.adam(1e-2)

    @jax.jit
    def update(p, state):
        grads = jax.grad(loss)(p)
        updates, state = transform.update(grads, state, p)
        return optax.apply_updates(p, updates), state, grads

    state, seen = transform.init(p), []
    with track(model_state=p, optimizer_state=state, track_updates=True, **arguments) as tracker:
        for _ in range(2):
            before = p
            p, state, grads = tracker.intercept(update, p, state)
            seen.append((before, grads, p, state))
            tracker.step(p, state, grads)
    return read_pickle(tracker.out_path), seen


KINDS = ("Weight", "Weight_Gradient", "Weight_Update", "Optimiser_State.mu", "Optimiser_State.nu")


@pytest.mark.parametrize("axis", [0, 1])
def test_each_layer_of_a_linen_scan_has_rows_of_every_kind(axis):
    log, seen = trained(*linen(Net(axis)))
    layers = [f"layers.{i}.wi" for i in range(3)]
    assert [name for name in names(log, "Activation") if name.endswith("wi")] == layers
    for kind in KINDS:
        assert names(log, kind) == ["head", "head.bias", *(n for layer in layers for n in (layer, f"{layer}.bias"))]
    for step, (before, grads, after, state) in enumerate(seen):
        moved = jax.tree.map(jnp.subtract, after, before)
        for kind, tree in zip(KINDS, (before, grads, moved, state[0].mu, state[0].nu), strict=True):
            for i, name in enumerate(layers):
                part = np.take(np.asarray(tree["layers"]["wi"]["kernel"], np.float64), i, axis)
                assert value(log, kind, name, step) == (pytest.approx(np.sqrt((part**2).mean()), rel=1e-5), 64)


def test_scans_within_scans_number_twice():
    log, [(before, *_), _] = trained(*linen(Net(twice=True)))
    layers = [f"layers.{i}.inner.{j}.wi" for i in range(2) for j in range(3)]
    assert [name for name in names(log, "Weight") if name.endswith("wi")] == layers
    assert [name for name in names(log, "Activation") if name.endswith("wi")] == layers
    part = np.asarray(before["layers"]["inner"]["wi"]["kernel"])[1, 2]
    assert value(log, "Weight", "layers.1.inner.2.wi")[0] == pytest.approx(np.sqrt((part**2).mean()), rel=1e-5)


def test_stacks_of_equinox():
    log, _ = trained(*equinox())
    layers = ["layers.0", "layers.1", "layers.2"]
    for kind in ("Activation", "Gradient"):
        assert [name for name in names(log, kind) if name.startswith("layers")] == layers
    for kind in KINDS:
        assert names(log, kind) == ["head", "head.bias", *(n for layer in layers for n in (layer, f"{layer}.bias"))]


def test_stacks_of_nnx():
    model = NnxNet()
    optimizer = nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)

    @nnx.jit
    def update(model, optimizer):
        optimizer.update(model, nnx.grad(lambda model: jnp.mean(model(X) ** 2))(model))

    with track(model, optimizer) as tracker:
        tracker.intercept(update, model, optimizer)
        tracker.step()
    log = read_pickle(tracker.out_path)
    layers = [f"layers.{i}.wi" for i in range(3)]
    assert [name for name in names(log, "Activation") if name.endswith("wi")] == layers
    for kind in ("Weight", "Weight_Gradient", "Optimiser_State.mu", "Optimiser_State.nu"):
        assert names(log, kind) == [n for layer in layers for n in (layer, f"{layer}.bias")], kind


@pytest.mark.parametrize("axis", [0, 1])
def test_a_donated_stack_is_read_before_it_is_given_away(axis):
    p, loss = linen(Net(axis))
    expected = np.sqrt((np.take(np.asarray(p["layers"]["wi"]["kernel"]), 1, axis) ** 2).mean())
    given = jax.tree.map(jnp.copy, p)
    update = jax.jit(lambda p: jax.tree.map(lambda p, g: p - g, p, jax.grad(loss)(p)), donate_argnums=0)
    with track(model_state=given) as tracker:
        tracker.step(tracker.intercept(update, given))
    assert value(read_pickle(tracker.out_path), "Weight", "layers.1.wi")[0] == pytest.approx(expected, rel=1e-5)


def test_parts_that_lie_in_one_piece_are_known():
    whole = np.arange(24).reshape(2, 3, 4)
    assert [part.start for _, part in cut([(("l", "w"), whole)], {(("l", None), ("w",)): (0,)})] == [0, 12]
    assert Slice(whole, (1, 2, None)).start == 20
    assert Slice(whole, (None, 2, None)).start is None
    assert Slice(whole, (None, 2, None)).of(whole).tolist() == [[8, 9, 10, 11], [20, 21, 22, 23]]
