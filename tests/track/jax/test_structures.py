"""Every way to write a training step: exactly the rows of its modules, of the right values, and nothing changed."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn
from jax import lax
from jax.ad_checkpoint import checkpoint_name

pytestmark = pytest.mark.slow

X = jax.random.normal(jax.random.key(1), (2, 8, 4))  # two steps


def dense(p, x):
    return x @ p["kernel"] + p["bias"]


def sgd(p, grads):
    return jax.tree.map(lambda p, g: p - 0.1 * g, p, grads)


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = checkpoint_name(jnp.tanh(nn.Dense(5, name="first")(x)), "tanh")
        return nn.Dense(3, name="second")(x)


def net(see, p, x):
    x = jnp.tanh(see("first", dense(p["first"], x)))
    return see("Net", see("second", dense(p["second"], x)))


def apply(p, x):
    return Net().apply({"params": p}, x)


def loss(p, x):
    return jnp.mean(apply(p, x) ** 2)


def plain(p, x):
    return sgd(p, jax.grad(loss)(p, x))


def train_with(loss):
    return jax.jit(lambda p, x: sgd(p, jax.grad(loss)(p, x)))


# The losses that a step differentiates, by hand.


def none(p, x):
    return []


def once(p, x):
    return [lambda see: jnp.mean(net(see, p, x) ** 2)]


def example_losses(p, x):
    return [lambda see: jnp.mean(net(see, p, x) ** 2, axis=1).sum()]


def micro_losses(p, x):
    return [lambda see: sum(jnp.mean(net(see, p, part) ** 2) for part in x.reshape(4, 2, 4))]


def three_losses(p, x):
    found = []
    for _ in range(3):
        found += once(p, x)
        p = plain(p, x)
    return found


def four_passes(p, x):
    return three_losses(p, x) + once(three_steps(p, x), x)


# Steps as they are written.


def value_and_grad(p, x):
    return sgd(p, jax.value_and_grad(loss)(p, x)[1])


def through_vjp(p, x):
    value, back = jax.vjp(loss, p, x)
    return sgd(p, back(jnp.ones_like(value))[0])


def linearized(p, x):
    _, forward = jax.linearize(lambda p: loss(p, x), p)
    return sgd(p, jax.linear_transpose(forward, p)(1.0)[0])


def per_example(p, x):
    grads = jax.vmap(jax.grad(loss), (None, 0))(p, x)
    return sgd(p, jax.tree.map(lambda g: g.mean(0), grads))


def batched_apply(p, x):
    return sgd(p, jax.grad(lambda p: jnp.mean(jax.vmap(apply, (None, 0))(p, x) ** 2))(p))


def micro_batches(p, x):
    def add(total, part):
        return jax.tree.map(jnp.add, total, jax.grad(loss)(p, part)), None

    return sgd(p, lax.scan(add, jax.tree.map(jnp.zeros_like, p), x.reshape(4, 2, 4))[0])


def three_steps(p, x):
    return lax.scan(lambda p, _: (plain(p, x), None), p, None, length=3)[0]


def fori_steps(p, x):
    return lax.fori_loop(0, 3, lambda _, p: plain(p, x), p)


def unrolled_steps(p, x):
    return lax.scan(lambda p, _: (plain(p, x), None), p, None, length=3, unroll=2)[0]


def while_steps(p, x):
    def goes_on(state):
        i, p = state
        return (i < 3) & (loss(p, x) < 1e9)

    return lax.while_loop(goes_on, lambda state: (state[0] + 1, plain(state[1], x)), (0, p))[1]


def chosen_step(p, x):
    return lax.cond(x.sum() < 1e9, lambda p: plain(p, x), lambda p: sgd(p, jax.grad(lambda p: 2 * loss(p, x))(p)), p)


def chosen_by_number(p, x):
    return lax.switch(2, [lambda p: p, lambda p: p, lambda p: plain(p, x)], p)


def printed(p, x):
    jax.debug.print("", ordered=False)
    return plain(p, x)


@jax.custom_vjp
def through_own_vjp(p, x):
    return loss(p, x)


def _own_backward(kept, g):
    return jax.tree.map(lambda x: g * x, jax.grad(loss, (0, 1))(*kept))


through_own_vjp.defvjp(lambda p, x: (loss(p, x), (p, x)), _own_backward)


@jax.custom_jvp
def own_jvp(p, x):
    return loss(p, x)


own_jvp.defjvp(lambda primals, tangents: jax.jvp(loss, primals, tangents))


def policy(name, *arguments):
    policy = getattr(jax.checkpoint_policies, name)
    return train_with(jax.checkpoint(loss, policy=policy(*arguments) if arguments else policy))


def inference(p, x):
    total = apply(p, x).sum()
    return jax.tree.map(lambda p: p + total, p)


def forward_mode(p, x):
    _, tangent = jax.jvp(lambda p: loss(p, x), (p,), (jax.tree.map(jnp.ones_like, p),))
    return jax.tree.map(lambda p: p + 0.1 * tangent, p)


def curvature(p, x):
    return sgd(p, jax.jvp(jax.grad(lambda p: loss(p, x)), (p,), (p,))[1])


def with_line_search(p, x):
    grads = jax.grad(loss)(p, x)
    return lax.cond(loss(sgd(p, grads), x) < loss(p, x), lambda p: sgd(p, grads), lambda p: p, p)


def after_a_step(p, x):
    return once(plain(p, x), x)


class Case(NamedTuple):
    update: Callable  # the new parameters, from the old ones and x
    losses: Callable = once  # that it differentiates
    passes: Callable = lambda p, x: []  # those that it only computes


STEPS = {
    "eager grad": Case(plain),
    "eager value_and_grad": Case(value_and_grad),
    "jit outside": Case(jax.jit(plain)),
    "jit inside": Case(lambda p, x: sgd(p, jax.jit(jax.grad(loss))(p, x))),
    "jit in jit": Case(jax.jit(lambda p, x: sgd(p, jax.jit(jax.grad(jax.jit(loss)))(p, x)))),
    "jit twice": Case(lambda p, x: jax.jit(sgd)(p, jax.jit(jax.grad(loss))(p, x))),
    "jit that donates": Case(jax.jit(lambda p, x: plain(p, x), donate_argnums=0)),
    "jit inside that donates": Case(lambda p, x: jax.jit(plain, donate_argnums=0)(jax.tree.map(jnp.copy, p), x)),
    "vjp": Case(through_vjp),
    "linearize": Case(jax.jit(linearized)),
    "inference": Case(inference, none, once),
    "inference jitted": Case(jax.jit(inference), none, once),
    "jvp": Case(jax.jit(forward_mode), none, once),
    "jvp of grad": Case(jax.jit(curvature)),
    "checkpoint": Case(train_with(jax.checkpoint(loss))),
    "checkpoint eager": Case(lambda p, x: sgd(p, jax.grad(jax.checkpoint(loss))(p, x))),
    "checkpoint nested": Case(train_with(jax.checkpoint(lambda p, x: jax.checkpoint(loss)(p, x)))),
    "checkpoint without a barrier": Case(train_with(jax.checkpoint(loss, prevent_cse=False))),
    "checkpoint everything_saveable": Case(policy("everything_saveable")),
    "checkpoint nothing_saveable": Case(policy("nothing_saveable")),
    "checkpoint dots_saveable": Case(policy("dots_saveable")),
    "checkpoint save_only_these_names": Case(policy("save_only_these_names", "tanh")),
    "checkpoint save_anything_except": Case(policy("save_anything_except_these_names", "tanh")),
    "vmap of grad": Case(per_example, example_losses),
    "vmap of grad jitted": Case(jax.jit(per_example), example_losses),
    "vmap of apply": Case(jax.jit(batched_apply)),
    "scan over micro-batches": Case(micro_batches, micro_losses),
    "scan over micro-batches jitted": Case(jax.jit(micro_batches), micro_losses),
    "scan over steps": Case(jax.jit(three_steps), three_losses),
    "scan over steps unrolled": Case(jax.jit(unrolled_steps), three_losses),
    "fori_loop": Case(jax.jit(fori_steps), three_losses),
    "while_loop": Case(jax.jit(while_steps), three_losses, four_passes),
    "while_loop eager": Case(while_steps, three_losses, four_passes),
    "cond": Case(jax.jit(chosen_step)),
    "cond eager": Case(chosen_step),
    "cond on modules": Case(jax.jit(with_line_search), passes=lambda p, x: once(p, x) + after_a_step(p, x)),
    "switch": Case(jax.jit(chosen_by_number)),
    "debug.print": Case(jax.jit(printed)),
    "custom_vjp": Case(train_with(through_own_vjp), passes=once),
    "custom_vjp eager": Case(lambda p, x: sgd(p, jax.grad(through_own_vjp)(p, x)), passes=once),
    "custom_jvp": Case(train_with(own_jvp)),
    "custom_jvp eager": Case(lambda p, x: sgd(p, jax.grad(own_jvp)(p, x))),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_step_written_in_any_way_has_the_rows_of_its_modules(step, run, truth, agree, same):
    update, losses, passes = STEPS[step]
    bare = [Net().init(jax.random.key(0), X[0])["params"]]
    for x in X:
        bare.append(update(jax.tree.map(jnp.copy, bare[-1]), x))
    log, states = run(update, bare[0], X)
    for i, (p, x) in enumerate(zip(states, X, strict=False)):
        agree(log, truth(losses(p, x), passes(p, x)), i)
    assert len(set(log["metadata", "step"])) == len(X)
    assert same(states, bare)
    assert same(update(jax.tree.map(jnp.copy, bare[0]), X[0]), bare[1])  # nothing stays in what JAX has kept
