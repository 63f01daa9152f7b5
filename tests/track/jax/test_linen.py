"""Modules of flax.linen in every arrangement: each by its own name, scanned layers apart, shared ones together."""

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

from tandv.track.jax import tag

pytestmark = pytest.mark.slow

X = jax.random.normal(jax.random.key(1), (8, 4))
SERIES = jax.random.normal(jax.random.key(2), (8, 6, 4))  # batch, time, features


def dense(p, x):
    return x @ p["kernel"] + p.get("bias", 0)


class Block(nn.Module):
    @nn.compact
    def __call__(self, x):
        return x + nn.Dense(4, name="inner")(jnp.tanh(x))


class Carried(nn.Module):
    @nn.compact
    def __call__(self, x, _):
        return x + nn.Dense(4, name="inner")(jnp.tanh(x)), None


def block(see, name, p, x, output=""):
    return see(name + output, x + see(f"{name}.inner", dense(p["inner"], jnp.tanh(x))))


def of(call):
    """Return a model that is written in one function."""

    class Model(nn.Module):
        @nn.compact
        def __call__(self, x):
            return call(self, x)

    return Model()


def two_blocks(kind):
    return of(lambda _, x: kind(name="b")(kind(name="a")(x)))


def two_blocks_by_hand(see, p, x):
    return see("Model", block(see, "b", p["b"], block(see, "a", p["a"], x)))


class RematMethod(Block):
    __call__ = nn.remat(Block.__call__)


class JitMethod(Block):
    __call__ = nn.jit(Block.__call__)


def scanned(transform=lambda kind: kind, around=lambda kind: kind):
    kind = nn.scan(transform(Carried), variable_axes={"params": 0}, split_rngs={"params": True}, length=3)
    return of(lambda _, x: around(kind)(name="layers")(x, None)[0])


def scanned_by_hand(see, p, x, output="[0]"):
    for i in range(3):
        x = block(see, f"layers.{i}", jax.tree.map(lambda p, i=i: p[i], p["layers"]), x, output)
    return see("Model", x)


def lifted_scan(self, x):
    whole = nn.scan(lambda m, x, _: (m(x), None), variable_axes={"params": 0}, split_rngs={"params": True}, length=3)
    return whole(Block(name="layers"), x, None)[0]


def lifted_scan_by_hand(see, p, x):
    return scanned_by_hand(see, p, x, "")


def scan_of_scan_by_hand(see, p, x):
    for i, j in (0, 0), (0, 1), (1, 0), (1, 1):
        x = block(see, f"layers.{i}.{j}", jax.tree.map(lambda p, i=i, j=j: p[i, j], p["layers"]), x)
    return see("Model", x)


def over_time(self, x):
    cell = Block(name="cell")
    step = nn.scan(lambda m, x, _: (m(x), None), variable_broadcast="params", split_rngs={"params": False}, length=3)
    return step(cell, x, None)[0]


def over_time_by_hand(see, p, x):
    for _ in range(3):
        x = block(see, "cell", p["cell"], x)
    return see("Model", x)


def ensemble(self, x):
    kind = nn.vmap(Block, variable_axes={"params": 0}, split_rngs={"params": True}, in_axes=None, axis_size=3)
    return kind(name="members")(x).mean(0)


def ensemble_by_hand(see, p, x):
    p = p["members"]["inner"]
    inner = see("members.inner", jnp.einsum("bi,mij->mbj", jnp.tanh(x), p["kernel"]) + p["bias"][:, None])
    return see("Model", see("members", x + inner).mean(0))


def recurrent(self, x):
    return nn.RNN(nn.SimpleCell(4, name="cell"), name="rnn")(x)


def recurrent_by_hand(see, p, x):
    h, outputs = jnp.zeros((8, 4)), []
    for t in range(6):
        h = jnp.tanh(see("cell.i", dense(p["cell"]["i"], x[:, t])) + see("cell.h", dense(p["cell"]["h"], h)))
        outputs.append(see("cell[1]", h))
        h = see("cell[0]", h)
    return see("Model", see("rnn", jnp.stack(outputs, 1)))


class Wrapper(nn.Module):
    wrapped: nn.Module

    def __call__(self, x):
        return 2 * self.wrapped(x)


def given(self, x):
    shared = Block(name="shared")
    return Wrapper(shared, name="wrapper")(shared(x))


def given_by_hand(see, p, x):
    x = block(see, "shared", p["shared"], block(see, "shared", p["shared"], x))
    return see("Model", see("wrapper", 2 * x))


class Parts(nn.Module):
    def setup(self):
        self.first, self.several, self.by_key = nn.Dense(4), [nn.Dense(4), nn.Dense(4)], {"last": nn.Dense(4)}

    def encode(self, x):
        return self.first(x)

    def __call__(self, x):
        x = self.encode(self.encode(x))
        for one in self.several:
            x = one(x)
        return self.by_key["last"](x), 3, None, {"between": x, "whole": jnp.arange(2)}


def parts_by_hand(see, p, x):
    for name, part in ("first", "first"), ("first", "first"), ("several_0",) * 2, ("several_1",) * 2:
        x = see(name, dense(p[part], x))
    last = see("by_key_last", dense(p["by_key_last"], x))
    return jnp.concatenate([see("Parts[0]", last), see("Parts[3][between]", x)])


@jax.custom_vjp
def clipped(x):
    return jnp.sin(x)


clipped.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: (jnp.clip(g, -0.01, 0.01),))


@jax.custom_jvp
def halved(x):
    return jnp.sin(x)


halved.defjvp(lambda x, t: (jnp.sin(x[0]), 0.5 * t[0]))


def with_own_rule(rule):
    return of(lambda _, x: nn.Dense(4, name="b")(rule(nn.Dense(4, name="a")(x))))


def with_own_rule_by_hand(rule):
    return lambda see, p, x: see("Model", see("b", dense(p["b"], rule(see("a", dense(p["a"], x))))))


def branches(self, x):
    return nn.cond(x.sum() < 1e9, lambda m, x: m(x), lambda m, x: m(2 * x), Block(name="a"), x)


def loop(self, x):
    rounds = nn.while_loop(
        lambda m, c: c[0] < 3,
        lambda m, c: (c[0] + 1, m(c[1])),
        Block(name="cell"),
        (0, x),
        broadcast_variables="params",
    )
    return rounds[1]


def tagged(self, x):
    x = tag(nn.Dense(4, name="a")(x), "of the model")
    return nn.remat(nn.jit(Tagging))(name="b")(x)


class Tagging(nn.Module):
    @nn.compact
    def __call__(self, x):
        return tag({"logits": jnp.sin(x), "numbers": jnp.arange(3)}, "inside")["logits"]


def tagged_by_hand(see, p, x):
    x = see("of the model", see("a", dense(p["a"], x)))
    return see("Model", see("b", see("b.inside[logits]", jnp.sin(x))))


def attend(self, x):
    scores = jax.jit(lambda q, k: tag(q @ k.T, "scores"))  # kept by JAX from the first call on
    return of_head("b", scores)(of_head("a", scores)(nn.Dense(4, name="first")(x)))


def of_head(name, scores):
    class Head(nn.Module):
        @nn.compact
        def __call__(self, x):
            return jax.nn.softmax(scores(x, x)) @ x

    return Head(name=name)


def attend_by_hand(see, p, x):
    x = see("first", dense(p["first"], x))
    for name in "ab":
        x = see(name, jax.nn.softmax(see(f"{name}.scores", x @ x.T)) @ x)
    return see("Model", x)


MODELS = {
    "nn.jit": (two_blocks(nn.jit(Block)), two_blocks_by_hand, X),
    "nn.jit of a method": (two_blocks(JitMethod), two_blocks_by_hand, X),
    "nn.remat": (two_blocks(nn.remat(Block)), two_blocks_by_hand, X),
    "nn.remat of a method": (two_blocks(RematMethod), two_blocks_by_hand, X),
    "nn.remat of nn.jit": (two_blocks(nn.remat(nn.jit(Block))), two_blocks_by_hand, X),
    "nn.remat with a policy": (
        two_blocks(nn.remat(Block, policy=jax.checkpoint_policies.dots_saveable)), two_blocks_by_hand, X),
    "nn.scan over layers": (scanned(), scanned_by_hand, X),
    "nn.scan of nn.remat": (scanned(nn.remat), scanned_by_hand, X),
    "nn.remat of nn.scan": (scanned(around=nn.remat), scanned_by_hand, X),
    "nn.scan of a function": (of(lifted_scan), lifted_scan_by_hand, X),
    "nn.remat_scan": (of(lambda _, x: nn.remat_scan(Block, (2, 2))(name="layers")(x)), scan_of_scan_by_hand, X),
    "nn.scan over time": (of(over_time), over_time_by_hand, X),
    "nn.vmap": (of(ensemble), ensemble_by_hand, X),
    "nn.RNN": (of(recurrent), recurrent_by_hand, SERIES),
    "a module given to another": (of(given), given_by_hand, X),
    "shared, in lists and dicts, several outputs": (Parts(), parts_by_hand, X),
    "custom_vjp": (with_own_rule(clipped), with_own_rule_by_hand(clipped), X),
    "custom_jvp": (with_own_rule(halved), with_own_rule_by_hand(halved), X),
    "nn.cond": (of(branches), lambda see, p, x: see("Model", block(see, "a", p["a"], x)), X),
    "tag": (of(tagged), tagged_by_hand, X),
    "tag in a function that JAX keeps": (of(attend), attend_by_hand, X),
}  # fmt: skip


def floats(output):
    return jnp.concatenate([x for x in jax.tree.leaves(output) if getattr(x, "ndim", 0) > 1])


@pytest.mark.parametrize("model", MODELS)
def test_every_module_has_its_rows_by_its_own_name(model, run, truth, agree, same):
    module, by_hand, x = MODELS[model]

    @jax.jit
    def update(p, x):
        grads = jax.grad(lambda p: jnp.mean(floats(module.apply({"params": p}, x)) ** 2))(p)
        return jax.tree.map(lambda p, g: p - 0.1 * g, p, grads)

    p = module.init(jax.random.key(0), x).get("params", {})
    log, states = run(update, p, [x])
    agree(log, truth([lambda see: jnp.mean(by_hand(see, p, x) ** 2)]))
    assert same(states[-1], update(p, x))


def test_rounds_of_a_while_loop_merge(run, truth, agree):
    p = {"cell": Block().init(jax.random.key(0), X)["params"]}
    log, _ = run(jax.jit(lambda p, x: of(loop).apply({"params": p}, x)), p, [X])
    agree(log, truth([], [lambda see: over_time_by_hand(see, p, X)]))
