"""Several devices: the rows are of whole tensors, and nothing is gathered to make them."""

import functools

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from tandv.track.jax import tag
from tests.track.jax.filled import variables_of

pytestmark = pytest.mark.slow

X = jax.random.normal(jax.random.key(1), (8, 4))


class Net(nn.Module):
    hidden: int = 8
    axis: str | None = None  # over which each device has its part of the hidden units

    @nn.compact
    def __call__(self, x):
        x = jnp.tanh(nn.Dense(self.hidden, name="first")(x))
        x = nn.Dense(4, name="second", use_bias=False)(x)
        return x if self.axis is None else jax.lax.psum(x, self.axis)


def dense(p, x):
    return x @ p["kernel"] + p.get("bias", 0)


def net(see, p, x):
    x = jnp.tanh(see("first", dense(p["first"], x)))
    return see("Net", see("second", dense(p["second"], x)))


def net_in_two(see, p, x):
    x = jnp.tanh(see("first", dense(p["first"], x))).reshape(8, 2, 4)
    parts = see("second", jnp.einsum("bdh,dho->dbo", x, p["second"]["kernel"].reshape(2, 4, 4)))
    return see("Net", parts.sum(0))


def once(by_hand, scale=1):
    return lambda p: [lambda see: scale * jnp.mean(by_hand(see, p, X) ** 2)]


def sgd(p, grads):
    return jax.tree.map(lambda p, g: p - 0.1 * g, p, grads)


def loss(p, x):
    return jnp.mean(Net().apply({"params": p}, x) ** 2)


def plain(p, x):
    return sgd(p, jax.grad(loss)(p, x))


def placed(mesh, tree, *specs):
    return jax.tree.map(lambda x, spec: jax.device_put(x, NamedSharding(mesh, spec)), tree, *specs)


LINE = jax.make_mesh((4,), ("data",), (AxisType.Auto,))
SQUARE = jax.make_mesh((2, 2), ("data", "model"), (AxisType.Auto,) * 2)
EXPLICIT = jax.make_mesh((2, 2), ("data", "model"), (AxisType.Explicit,) * 2)
START = variables_of(Net(), X)["params"]
ALL = jax.tree.map(lambda _: P(), START)
BY_UNIT = {
    "first": {"bias": P("model"), "kernel": P(None, "model")},
    "second": {"kernel": P("model", None)},
}


def shard_map_of_grad(check):
    def local(p, x):
        grads = jax.grad(loss)(p, x)
        return grads if check else jax.lax.psum(grads, "data")

    grad = jax.shard_map(local, mesh=LINE, in_specs=(P(), P("data")), out_specs=P(), check_vma=check)
    return jax.jit(lambda p, x: sgd(p, grad(p, x)))


def grad_of_shard_map(mesh, check):
    model = Net(4, "model") if mesh is SQUARE else Net()
    apply = jax.shard_map(
        lambda p, x: model.apply({"params": p}, x),
        mesh=mesh,
        in_specs=(BY_UNIT if mesh is SQUARE else P(), P("data")),
        out_specs=P("data"),
        check_vma=check,
    )
    return jax.jit(lambda p, x: sgd(p, jax.grad(lambda p: jnp.mean(apply(p, x) ** 2))(p)))


def pmapped(p, x):
    def local(p, x):
        return jax.lax.psum(jax.grad(loss)(p, x), "data")

    grads = jax.pmap(local, "data", in_axes=(None, 0))(p, x.reshape(4, 2, 4))
    return sgd(p, jax.tree.map(lambda g: g[0], grads))


def constrained(p, x):
    x = jax.lax.with_sharding_constraint(x, NamedSharding(LINE, P("data")))
    return plain(p, x)


with_shardings = jax.jit(
    plain,
    in_shardings=(NamedSharding(SQUARE, P()), NamedSharding(SQUARE, P("data"))),
    out_shardings=jax.tree.map(functools.partial(NamedSharding, SQUARE), BY_UNIT),
)

# update, mesh, how parameters and x lie on it at first, and the losses by hand
CASES = {
    "data parallel": (jax.jit(plain), LINE, ALL, P("data"), once(net)),
    "data and tensor parallel": (jax.jit(plain), SQUARE, BY_UNIT, P("data"), once(net)),
    "data and tensor parallel, eager": (plain, SQUARE, BY_UNIT, P("data"), once(net)),
    "explicit mesh": (jax.jit(plain), EXPLICIT, ALL, P("data"), once(net)),
    "in_shardings and out_shardings": (with_shardings, None, None, None, once(net)),
    "with_sharding_constraint": (jax.jit(constrained), None, None, None, once(net)),
    "shard_map of grad": (shard_map_of_grad(True), LINE, ALL, P("data"), once(net, 4)),
    "shard_map of grad, unchecked": (shard_map_of_grad(False), LINE, ALL, P("data"), once(net, 4)),
    "grad of shard_map": (grad_of_shard_map(LINE, True), LINE, ALL, P("data"), once(net)),
    "grad of shard_map, unchecked": (grad_of_shard_map(LINE, False), LINE, ALL, P("data"), once(net)),
    "tensor parallel shard_map": (grad_of_shard_map(SQUARE, True), SQUARE, BY_UNIT, P("data"), once(net_in_two)),
    "pmap": (pmapped, None, None, None, once(net, 4)),
}


@pytest.mark.parametrize("case", CASES)
def test_rows_are_of_whole_tensors_and_nothing_is_gathered(case, run, truth, agree, same, compiled):
    update, mesh, specs, spec, losses = CASES[case]
    p, x = (START, X) if mesh is None else (placed(mesh, START, specs), placed(mesh, X, spec))
    log, states = run(update, p, [x])
    agree(log, truth(losses(START)))
    assert same(states[-1], update(p, x))
    assert compiled or case.endswith("eager")
    assert not [text for text in compiled if "all-gather" in text or "callback" in text]


def test_a_replicated_value_counts_once_also_where_types_do_not_tell(run, truth, agree):
    log, _ = run(grad_of_shard_map(SQUARE, False), placed(SQUARE, START, BY_UNIT), [placed(SQUARE, X, P("data"))])
    expected = truth(once(net_in_two)(START))
    whole = expected["Gradient", "Net"]
    expected["Gradient", "Net"] = [g / 2 for g in whole]  # JAX divides it among the two copies
    expected["Gradient", "second"] = whole  # each of the two terms has the same
    agree(log, expected)


def differing(a, b):
    """Compute on values that differ along both, one or no axis; the names say along which."""
    a, b = tag(a, "data"), tag(b, "none")
    tag(jax.lax.psum(a, "data"), "none")
    tag(jax.lax.pmean(a + b, ("data", "model")), "none")
    tag(a + jax.lax.axis_index("model"), "data model")
    rounds = jax.lax.scan(lambda c, x: (tag(c + x, "data"), tag(b, "none")), a, jnp.ones((2, 1)))[0]
    return jax.lax.cond(b.sum() > 0, lambda x: tag(jax.jit(jnp.sin)(x), "data"), lambda x: x, rounds)


def test_what_differs_along_which_axis_is_followed_through_loops_and_branches(run, agree):
    specs = (P("data"), P()), P("data")
    update = jax.shard_map(differing, mesh=SQUARE, in_specs=specs[0], out_specs=specs[1], check_vma=False)
    a, b = jnp.arange(4.0), jnp.ones(2)
    log, _ = run(jax.jit(update), a, [b])
    rows = log["metadata"].assign(numel=log["scalar_stats", "numel"], calls=log["scalar_stats", "calls"])
    found = {row["name"]: (row["calls"], row["numel"]) for _, row in rows.iterrows()}
    assert found == {"none": (5, 10), "data": (4, 16), "data model": (1, 8)}
