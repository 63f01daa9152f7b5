"""flax.nnx and equinox, whose modules are objects: each by its place in its caller, whatever rebuilds it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from tandv.track.common import read_pickle
from tandv.track.jax import _objects, track
from tests.interleaved import Meanwhile

pytestmark = pytest.mark.slow

X = jax.random.normal(jax.random.key(1), (8, 4))
SERIES = jax.random.normal(jax.random.key(2), (8, 6, 4))


def dense(p, x):
    return x @ p["kernel"] + p.get("bias", 0) if "kernel" in p else x @ p["weight"].mT + p["bias"]


def block(see, name, p, x):
    return see(name, x + see(f"{name}.inner", dense(p["inner"], jnp.tanh(x))))


# Models by hand; p are the parameters as dicts. The models are called Net.


def two(see, p, x):
    return see("Net", block(see, "b", p["b"], block(see, "a", p["a"], x)))


def three_layers(see, p, x):
    for i in range(3):
        x = block(see, f"layers.{i}", jax.tree.map(lambda p, i=i: p[i], p["layers"]), x)
    return see("Net", x)


def members(see, p, x):
    p = p["layers"]["inner"]
    kernel = p["kernel"] if "kernel" in p else p["weight"].mT
    inner = see("layers.inner", jnp.einsum("bi,mij->mbj", jnp.tanh(x), kernel) + p["bias"][:, None])
    return see("Net", see("layers", x + inner).mean(0))


def several(see, p, x):
    for name, part in ("first", p["first"]), ("first", p["first"]), *((f"rest.{i}", p["rest"][i]) for i in (0, 1)):
        x = see(name, dense(part, x))
    last = see("by_key.last", dense(p["by_key"]["last"], x))
    return jnp.concatenate([see("Net[0]", last), see("Net[3][between]", x)])


def recurrent(see, p, x):
    h, outputs = jnp.zeros((8, 4)), []
    for t in range(6):
        h = jnp.tanh(
            see("rnn.cell.dense_i", dense(p["rnn"]["cell"]["dense_i"], x[:, t]))
            + see("rnn.cell.dense_h", dense(p["rnn"]["cell"]["dense_h"], h))
        )
        outputs.append(see("rnn.cell[1]", h))
        h = see("rnn.cell[0]", h)
    return see("Net", see("rnn", jnp.stack(outputs, 1)))


def only_a(see, p, x):
    return see("Net", block(see, "a", p["a"], x))


def both(see, p, x):  # what vmap makes of a cond
    of_a, of_b = (block(see, name, p[name], x) for name in "ab")
    return see("Net", jnp.where(jnp.isfinite(x), of_a, of_b))


def floats(output):
    return jnp.concatenate([x for x in jax.tree.leaves(output) if getattr(x, "dtype", None) == jnp.float32])


def check(log, p, x, by_hand, truth, agree):
    agree(log, truth([lambda see: jnp.mean(by_hand(see, p, x) ** 2)]))


# flax.nnx


class Block(nnx.Module):
    def __init__(self, rngs):
        self.inner = nnx.Linear(4, 4, rngs=rngs)

    def __call__(self, x):
        return x + self.inner(jnp.tanh(x))


class RematBlock(Block):
    __call__ = nnx.remat(Block.__call__)


class JitBlock(Block):
    __call__ = nnx.jit(Block.__call__)


def stacked(rngs):
    return nnx.vmap(Block, in_axes=0, out_axes=0)(nnx.Rngs(jax.random.split(rngs.params(), 3)))


def nnx_net(build, call):
    class Net(nnx.Module):
        def __init__(self):
            build(self, nnx.Rngs(0))

        def __call__(self, x):
            return call(self, x)

    return Net


def blocks(kind):
    def build(m, rngs):
        m.a, m.b = kind(rngs), kind(rngs)

    return build


def layers(m, rngs):
    m.layers = stacked(rngs)


def parts(m, rngs):
    def linear():
        return nnx.Linear(4, 4, rngs=rngs)

    some, others = getattr(nnx, "List", list), getattr(nnx, "Dict", dict)  # plain ones until flax 0.12
    m.first, m.rest, m.by_key = linear(), some([linear(), linear()]), others(last=linear())
    m.same = m.first


def call_parts(m, x):
    x = m.same(m.first(x))
    for one in m.rest:
        x = one(x)
    return m.by_key["last"](x), 3, None, {"between": x, "whole": jnp.arange(2)}


def cell(m, rngs):
    m.rnn = nnx.RNN(nnx.SimpleCell(4, 4, rngs=rngs))


def through_one_function(transform):
    def call(m, x):
        function = transform(lambda block, x: block(x))
        return function(m.b, function(m.a, x))

    return call


def nnx_scan(m, x, transform=lambda f: f):
    @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
    @transform
    def layer(x, block):
        return block(x)

    return layer(x, m.layers)


def lax_scan(m, x):
    graph, state = nnx.split(m.layers)
    return jax.lax.scan(lambda x, state: (nnx.merge(graph, state)(x), None), x, state)[0]


def nnx_vmap(m, x):
    return nnx.vmap(lambda block, x: block(x), in_axes=(0, None))(m.layers, x).mean(0)


def nnx_cond(m, x):
    return nnx.cond(x.sum() < 1e9, lambda m, x: m.a(x), lambda m, x: m.b(x), m, x)


def in_turn(m, x):
    return m.b(m.a(x))


NNX = {
    "plain": (nnx_net(blocks(Block), in_turn), two),
    "remat of a method": (nnx_net(blocks(RematBlock), in_turn), two),
    "jit of a method": (nnx_net(blocks(JitBlock), in_turn), two),
    "remat of a function": (nnx_net(blocks(Block), through_one_function(nnx.remat)), two),
    "jit of a function": (nnx_net(blocks(Block), through_one_function(nnx.jit)), two),
    "scan": (nnx_net(layers, nnx_scan), three_layers),
    "scan of remat": (nnx_net(layers, lambda m, x: nnx_scan(m, x, nnx.remat)), three_layers),
    "lax.scan of what was split": (nnx_net(layers, lax_scan), three_layers),
    "vmap": (nnx_net(layers, nnx_vmap), members),
    "cond": (nnx_net(blocks(Block), nnx_cond), only_a),
    "RNN": (nnx_net(cell, lambda m, x: m.rnn(x)), recurrent),
    "shared, in lists and dicts, several outputs": (nnx_net(parts, call_parts), several),
}


def nnx_update(model, x):
    grads = nnx.grad(lambda m: jnp.mean(floats(m(x)) ** 2))(model)
    nnx.update(model, jax.tree.map(lambda p, g: p - 0.1 * g, nnx.state(model, nnx.Param), grads))


def nnx_update_functional(model, x):
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    loss = jax.jit(lambda params, x: jnp.mean(floats(nnx.merge(graph, params, rest)(x)) ** 2))
    grads = jax.grad(loss)(params, x)
    nnx.update(model, jax.tree.map(lambda p, g: p - 0.1 * g, params, grads))


UPDATES = {"jitted": nnx.jit(nnx_update), "eager": nnx_update, "functional": nnx_update_functional}
WAYS = [(name, "jitted") for name in NNX] + [("scan", "eager"), ("plain", "eager"), ("plain", "functional")]


@pytest.mark.parametrize(("model", "way"), WAYS)
def test_modules_of_nnx_have_their_rows_by_their_own_names(model, way, truth, agree, same):
    make, by_hand = NNX[model]
    x = SERIES if model == "RNN" else X
    tracked, bare = make(), make()
    before = nnx.to_pure_dict(nnx.state(tracked, nnx.Param))
    with track(tracked, track_weights=False) as tracker:
        tracker.wrap(UPDATES[way])(tracked, x)
        tracker.step()
    check(read_pickle(tracker.out_path), before, x, by_hand, truth, agree)
    UPDATES[way](bare, x)
    assert same(nnx.state(tracked), nnx.state(bare))


def test_nnx_keeps_its_random_numbers_and_running_averages(same):
    class Net(nnx.Module):
        def __init__(self):
            rngs = nnx.Rngs(0)
            self.norm, self.dropout = nnx.BatchNorm(4, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)

        def __call__(self, x):
            return self.dropout(self.norm(x))

    tracked, bare, update = Net(), Net(), UPDATES["jitted"]
    with track(tracked) as tracker:
        for _ in range(2):
            tracker.wrap(update)(tracked, X)
            tracker.step()
            update(bare, X)
    assert same(nnx.state(tracked), nnx.state(bare))


# equinox


class EqxBlock(eqx.Module):
    inner: eqx.nn.Linear

    def __init__(self, key):
        self.inner = eqx.nn.Linear(4, 4, key=key)

    def __call__(self, x):
        return x + self.inner(jnp.tanh(x))


def eqx_net(build, call):
    class Net(eqx.Module):
        a: eqx.Module | None = None
        b: eqx.Module | None = None
        layers: eqx.Module | None = None
        first: eqx.Module | None = None
        rest: list | None = None
        by_key: dict | None = None

        def __call__(self, x):
            return call(self, x)

    return lambda: Net(**build(jax.random.split(jax.random.key(0), 4)))


def eqx_blocks(keys):
    return {"a": EqxBlock(keys[0]), "b": EqxBlock(keys[1])}


def eqx_layers(keys):
    return {"layers": eqx.filter_vmap(EqxBlock)(keys[:3])}


def eqx_parts(keys):
    first, *rest, last = (eqx.nn.Linear(4, 4, key=key) for key in keys)
    return {"first": first, "rest": rest, "by_key": {"last": last}}


def eqx_call_parts(m, x):
    x = m.first(m.first(x))
    for one in m.rest:
        x = one(x)
    return m.by_key["last"](x), 3, None, {"between": x, "whole": jnp.arange(2)}


def eqx_scan(m, x, transform=lambda f: f):
    arrays, rest = eqx.partition(m.layers, eqx.is_array)

    @transform
    def layer(x, arrays):
        return eqx.combine(arrays, rest)(x), None

    return jax.lax.scan(layer, x, arrays)[0]


def eqx_vmap(m, x):
    return eqx.filter_vmap(lambda block, x: block(x), in_axes=(0, None))(m.layers, x).mean(0)


def eqx_cond(m, x):
    return jax.lax.cond(jnp.isfinite(x).all(), lambda x: m.a(x), lambda x: m.b(x), x)


def eqx_checkpoint(m, x):
    return eqx.filter_checkpoint(m.b)(eqx.filter_checkpoint(m.a)(x))


EQX = {
    "plain": (eqx_net(eqx_blocks, in_turn), two),
    "filter_checkpoint": (eqx_net(eqx_blocks, eqx_checkpoint), two),
    "filter_checkpoint of a function": (eqx_net(eqx_blocks, through_one_function(eqx.filter_checkpoint)), two),
    "filter_jit of a function": (eqx_net(eqx_blocks, through_one_function(eqx.filter_jit)), two),
    "scan": (eqx_net(eqx_layers, eqx_scan), three_layers),
    "scan of checkpoint": (eqx_net(eqx_layers, lambda m, x: eqx_scan(m, x, jax.checkpoint)), three_layers),
    "filter_vmap": (eqx_net(eqx_layers, eqx_vmap), members),
    "cond": (eqx_net(eqx_blocks, eqx_cond), both),
    "shared, in lists and dicts, several outputs": (eqx_net(eqx_parts, eqx_call_parts), several),
}


def eqx_update(model, x):
    grads = eqx.filter_grad(lambda m: jnp.mean(floats(jax.vmap(m)(x)) ** 2))(model)
    return eqx.apply_updates(model, jax.tree.map(lambda g: -0.1 * g, grads))


EQX_WAYS = [(name, eqx.filter_jit(eqx_update)) for name in EQX] + [("plain", eqx_update), ("scan", eqx_update)]


@pytest.mark.parametrize(("model", "update"), EQX_WAYS)
def test_modules_of_equinox_have_their_rows_by_their_own_names(model, update, truth, agree, same):
    make, by_hand = EQX[model]
    start = make()
    with track(start, track_weights=False) as tracker:
        end = tracker.wrap(update)(start, X)
        tracker.step(end)
    check(read_pickle(tracker.out_path), as_dict(start), X, by_hand, truth, agree)
    assert same(eqx.filter(end, eqx.is_array), eqx.filter(update(start, X), eqx.is_array))


class EqxMethods(eqx.Module):
    fc: eqx.nn.Linear

    def encode(self, x):
        return self.fc(x)

    @eqx.filter_jit
    def encode_all(self, x):
        return jax.vmap(self.encode)(x)


@pytest.mark.parametrize(
    "method",
    [lambda m: m.encode_all, lambda m: eqx.filter_vmap(m.encode), lambda m: eqx.Partial(EqxMethods.encode_all, m)],
)
def test_a_model_within_a_function_of_equinox_is_the_model(method):
    model = EqxMethods(eqx.nn.Linear(4, 3, key=jax.random.key(0)))
    with track(model, include="fc") as tracker:
        tracker.intercept(method(model), X)
        tracker.step(model)
    m = read_pickle(tracker.out_path)["metadata"]
    found = list(zip(m["tensor_type"], m["name"], strict=True))
    assert found == [("Activation", "fc"), ("Weight", "fc"), ("Weight", "fc.bias")]


def as_dict(model):
    if isinstance(model, eqx.Module):
        model = {name: value for name, value in vars(model).items() if eqx.filter(value, eqx.is_array) is not None}
    if isinstance(model, dict):
        return {name: as_dict(value) for name, value in model.items()}
    return list(map(as_dict, model)) if isinstance(model, list) else model


def test_trackers_that_start_at_once_in_two_threads_leave_classes_as_they_were(monkeypatch):
    before, meanwhile = _calls_of_classes(), Meanwhile(_objects._replacing, _objects.watch)

    class Replaced(dict):
        def __contains__(self, key):
            found = super().__contains__(key)
            meanwhile.now()
            return found

    monkeypatch.setattr(_objects, "_replacing", meanwhile)
    monkeypatch.setattr(_objects, "_replaced", Replaced())
    _objects.watch()
    meanwhile.join()
    assert not any(call is before[kind] for kind, call in _calls_of_classes().items())
    for _ in range(2):
        _objects.unwatch()
    assert _calls_of_classes() == before


def _calls_of_classes():
    return {kind: vars(kind)["__call__"] for base, *_ in _objects._libraries() for kind in _objects._kinds(base)}
