"""Attention heads of jitted JAX programs: largest logit, entropy and share of the first token, however written."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tandv.track.common import read_pickle
from tandv.track.jax import track
from tests.reference import reference_heads

pytestmark = pytest.mark.slow

LENGTH, HEADS, WIDTH = 5, 2, 8
CAUSAL = np.tril(np.ones((LENGTH, LENGTH), bool))


def by_function(q, k):
    return jax.nn.dot_product_attention(q, k, k, is_causal=True)


def by_hand(q, k):
    logits = jnp.where(CAUSAL, jnp.einsum("bthd,bshd->bhts", q, k) / q.shape[-1] ** 0.5, -1e9)
    weights = jnp.exp(logits - logits.max(-1, keepdims=True))
    return jnp.einsum("bhts,bshd->bthd", weights / weights.sum(-1, keepdims=True), k)


class Attention(nn.Module):
    attend: object

    @nn.compact
    def __call__(self, x):
        q, k = (nn.Dense(WIDTH, name=name)(x).reshape(*x.shape[:2], HEADS, -1) for name in "qk")
        router = nn.softmax(nn.Dense(3, name="router")(x))
        return x + self.attend(q, k).reshape(x.shape) * router[..., :1]


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = Attention(by_function, name="a")(x)
        return nn.Dense(7)(nn.remat(Attention)(by_hand, name="b")(x))


def logits_of(parameters, x):
    """Return the logits of the attention of a module, in float64."""
    q, k = (
        (np.asarray(x, np.float64) @ np.asarray(parameters[n]["kernel"], np.float64) + parameters[n]["bias"])
        .reshape(*x.shape[:2], HEADS, -1)
        for n in "qk"
    )  # fmt: skip
    return np.einsum("bthd,bshd->bhts", q, k) / q.shape[-1] ** 0.5


def rows_of(tracker, step=0):
    log = read_pickle(tracker.out_path)
    m = log["metadata"]
    rows = log[(m["tensor_type"] == "Attention") & (m["step"] == step)]
    return rows["scalar_stats"].set_axis(rows["metadata"]["name"].astype(str), axis=0)


def assert_equal(rows, expected, name):
    for head, one in enumerate(expected):
        row = rows.loc[f"{name}.head.{head}"]
        assert row["numel"] == one["numel"] and row["nans"] == 0 and row["calls"] == 1
        for column in ("largest_logit", "mean", "attention_entropy", "first_token_share"):
            assert row[column] == pytest.approx(one[column], rel=1e-4, abs=1e-5), column


def test_heads_are_those_of_float64():
    model, x = Net(), jax.random.normal(jax.random.key(1), (3, LENGTH, WIDTH))
    first = model.init(jax.random.key(0), x)
    with track(model_state=first, attention=True, track_gradients=False, include="^[ab]$") as tracker:
        tracker.intercept(jax.jit(model.apply), first, x)
        tracker.step(first)
    rows = rows_of(tracker)
    assert list(rows.index) == ["a.head.0", "a.head.1", "b.head.0", "b.head.1"]
    assert_equal(rows, reference_heads(logits_of(first["params"]["a"], x), CAUSAL), "a")
    inner = jax.jit(Attention(by_function).apply)({"params": first["params"]["a"]}, x)
    assert_equal(rows, reference_heads(logits_of(first["params"]["b"], inner), CAUSAL), "b")


def test_training_is_the_same_to_the_last_bit():
    model, x = Attention(by_hand), jax.random.normal(jax.random.key(1), (3, LENGTH, WIDTH))
    first = model.init(jax.random.key(0), x)

    @jax.jit
    def step(parameters, x):
        gradients = jax.grad(lambda p: model.apply(p, x).sum())(parameters)
        return jax.tree.map(lambda a, b: a - 0.1 * b, parameters, gradients)

    parameters = first
    with track(model_state=parameters, attention=True, track_gradients=False) as tracker:
        for _ in range(3):
            parameters = tracker.intercept(step, parameters, x)
            tracker.step(parameters)
    untracked = first
    for _ in range(3):
        untracked = step(untracked, x)
    assert len(rows_of(tracker, step=2)) == HEADS
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, parameters, untracked)))


def test_layers_that_are_scanned_over_have_their_numbers():
    class Layer(nn.Module):
        @nn.compact
        def __call__(self, x, _):
            return nn.MultiHeadDotProductAttention(HEADS, name="attention")(x), None

    class Stack(nn.Module):
        @nn.compact
        def __call__(self, ids):
            layers = nn.scan(Layer, variable_axes={"params": 0}, split_rngs={"params": True}, length=2)(name="layers")
            return layers(nn.Embed(16, WIDTH)(ids), None)[0]

    model, ids = Stack(), jnp.arange(10).reshape(2, LENGTH)
    parameters = model.init(jax.random.key(0), ids)
    with track(model_state=parameters, attention=True, track_gradients=False) as tracker:
        tracker.intercept(jax.jit(model.apply), parameters, ids)
        tracker.step(parameters)
    assert list(rows_of(tracker).index) == [
        f"layers.{layer}.attention.head.{head}" for layer in range(2) for head in range(HEADS)
    ]


def test_a_function_without_modules_has_heads_by_number():
    weights = {name: jax.random.normal(jax.random.key(i), (WIDTH, WIDTH)) for i, name in enumerate("qk")}

    def run(weights, x):
        for _ in range(2):
            q, k = ((x @ weights[name]).reshape(*x.shape[:2], HEADS, -1) for name in "qk")
            x = x + by_hand(q, k).reshape(x.shape)
        return x

    with track(model_state=weights, attention=True, track_gradients=False) as tracker:
        tracker.intercept(jax.jit(run), weights, jax.random.normal(jax.random.key(2), (3, LENGTH, WIDTH)))
        tracker.step(weights)
    rows = rows_of(tracker)
    assert len(rows) == 2 * HEADS and set(rows["numel"]) == {3 * LENGTH}
