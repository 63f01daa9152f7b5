"""Attention of JAX models as people write them, against the formula; what is a softmax and no attention is left out."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from tandv.demo.jax_gpt import GPT
from tandv.probes import attention_patterns, get_intermediate_outputs, probe

pytestmark = pytest.mark.slow

X = np.random.default_rng(0).normal(size=(4, 5, 16)).astype("float32")


def formula(q, k, causal=False):
    scores = np.einsum("bqhd,bkhd->bhqk", q, k) / np.sqrt(q.shape[-1])
    scores = np.where(np.tri(*scores.shape[-2:], dtype=bool) | (not causal), scores, -np.inf)
    exponentials = np.exp(scores - scores.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def test_the_demo_shows_attention_in_the_order_of_its_definition():
    ids, model = np.arange(18).reshape(3, 6), GPT(layers=1, width=8, heads=2, context=6)
    found, outputs = attention_patterns(model, ids), get_intermediate_outputs(model, ids)
    assert list(found) == ["layers.0.attention"]
    q, k = (outputs[f"layers.0.attention.{name}"].reshape(3, 6, 2, 4) for name in ("wq", "wk"))
    np.testing.assert_allclose(found["layers.0.attention"], formula(q, k, causal=True), atol=1e-6)
    assert list(outputs)[:6] == [
        "GPT", "tokens", "positions", "layers.0", "layers.0.attention_norm", "layers.0.attention"
    ]  # fmt: skip
    assert list(outputs)[-2:] == ["norm", "output"]


def test_grouped_heads_inside_jit_are_in_the_order_of_the_queries():
    class Grouped(nnx.Module):
        def __init__(self):
            self.q, self.k = nnx.Linear(16, 32, rngs=nnx.Rngs(0)), nnx.Linear(16, 16, rngs=nnx.Rngs(1))

        def __call__(self, x):
            q, k = (layer(x).reshape(*x.shape[:2], -1, 4) for layer in (self.q, self.k))
            return jax.jit(lambda q, k: jax.nn.dot_product_attention(q, k, k, is_causal=True))(q, k)

    model = Grouped()
    outputs = get_intermediate_outputs(model, X)
    q, k = outputs["q"].reshape(4, 5, 8, 4), np.repeat(outputs["k"].reshape(4, 5, 4, 4), 2, axis=2)
    np.testing.assert_allclose(attention_patterns(model, X)["Grouped"], formula(q, k, causal=True), atol=1e-6)


class Mixture(eqx.Module):
    """Attention, a router with experts, and an output's softmax: of three softmaxes one is attention."""

    attention: eqx.nn.MultiheadAttention
    router: eqx.nn.Linear
    experts: list
    out: eqx.nn.Linear
    drop: eqx.nn.Dropout

    def __init__(self):
        keys = jax.random.split(jax.random.key(0), 6)
        self.attention, self.router = eqx.nn.MultiheadAttention(4, 16, key=keys[0]), eqx.nn.Linear(16, 5, key=keys[1])
        self.experts = [eqx.nn.Linear(16, 16, key=key) for key in jax.random.split(keys[2], 5)]
        self.out, self.drop = eqx.nn.Linear(16, 5, key=keys[3]), eqx.nn.Dropout(0.5)

    def __call__(self, x):
        x = self.drop(self.attention(x, x, x))
        gates = jax.nn.softmax(jax.vmap(self.router)(x))
        of_experts = jnp.stack([jax.vmap(expert)(x) for expert in self.experts], -2)
        return jax.nn.softmax(jax.vmap(self.out)(jnp.einsum("te,ted->td", gates, of_experts)))


def test_models_of_equinox_are_called_on_each_sample():
    model = Mixture()
    outputs, found = get_intermediate_outputs(model, X), attention_patterns(model, X)
    assert list(found) == ["attention"] and outputs["Mixture"].shape == (4, 5, 5)
    q, k = (outputs[f"attention.{name}_proj"].reshape(4, 5, 4, 4) for name in ("query", "key"))
    np.testing.assert_allclose(found["attention"], formula(q, k), atol=1e-6)
    np.testing.assert_array_equal(outputs["drop"], outputs["attention"])  # eval mode
    names = [name for name in outputs if not name.startswith("attention.")]
    assert names == ["Mixture", "attention", "router", *[f"experts.{n}" for n in range(5)], "out", "drop"]
    assert "out/stable_rank" in probe(model, X, measure="dimensions").curves
    batched = attention_patterns(model, X, call=lambda model, x: jax.vmap(model)(x))
    np.testing.assert_array_equal(batched["attention"], found["attention"])


def test_a_model_of_equinox_that_takes_neither_samples_nor_the_batch_says_how_to_call_it():
    with pytest.raises(Exception) as raised:
        get_intermediate_outputs(eqx.nn.Linear(3, 2, key=jax.random.key(0)), X)
    assert any("called on each sample of the batch, by jax.vmap" in note for note in raised.value.__notes__)


class OwnAttention(linen.Module):
    """Written by hand, with a router that is sorted and a sum over experts."""

    @linen.compact
    def __call__(self, x, _=None):
        q, k, v = (linen.Dense(16, name=name)(x).reshape(*x.shape[:2], 4, 4) for name in "qkv")
        scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / 2
        exponentials = jnp.exp(scores - scores.max(-1, keepdims=True))
        mixed = jnp.einsum("bhqk,bkhd->bqhd", exponentials / exponentials.sum(-1, keepdims=True), v)
        gates, _ = jax.lax.top_k(jax.nn.softmax(linen.Dense(5, name="router")(x)), 2)
        return x + mixed.reshape(x.shape) + jnp.einsum("bte,bted->btd", gates, jnp.stack([x, x], -2)), None


class Stacked(linen.Module):
    @linen.compact
    def __call__(self, x):
        many = linen.scan(OwnAttention, variable_axes={"params": 0}, split_rngs={"params": True}, length=2)
        x, _ = linen.remat(OwnAttention)(name="last")(many(name="layers")(x, None)[0])
        return jax.nn.softmax(linen.Dense(5, name="head")(x))


def test_attention_by_hand_in_scanned_and_rematerialised_layers():
    model = Stacked()
    bound = model.bind(model.init(jax.random.key(0), X))
    found, outputs = attention_patterns(bound, X), get_intermediate_outputs(bound, X)
    assert list(found) == ["layers.0", "layers.1", "last"]
    for layer, pattern in found.items():
        q, k = (outputs[f"{layer}.{name}"].reshape(4, 5, 4, 4) for name in "qk")
        np.testing.assert_allclose(pattern, formula(q, k), atol=1e-6)


def softmax_of(written):
    class Model(nnx.Module):
        def __call__(self, x):
            return jnp.einsum("bqk,bkd->bqd", written(jnp.einsum("bqd,bkd->bqk", x, x) / 4), x)

    return Model()


@pytest.mark.parametrize(
    "written",
    [
        lambda s: jnp.exp(s) / jnp.exp(s).sum(-1, keepdims=True),
        lambda s: (e := jnp.exp(s)) * (1 / e.sum(-1, keepdims=True)),
        lambda s: (e := jnp.exp(s)) / jnp.maximum(e.sum(-1, keepdims=True), 1e-9),
        lambda s: jnp.exp(s - jax.nn.logsumexp(s, -1, keepdims=True)),
        lambda s: jnp.exp(jax.nn.log_softmax(s)),
        lambda s: jax.nn.softmax(s.astype(jnp.float32)).astype(jnp.bfloat16),
    ],
    ids=["twice", "reciprocal", "clamped", "logsumexp", "log_softmax", "cast"],
)
def test_a_softmax_is_known_however_it_is_written(written):
    found = attention_patterns(softmax_of(written), X)["Model"]
    np.testing.assert_allclose(found, formula(X[:, :, None], X[:, :, None]), atol=0.01)


def test_what_is_added_to_the_sum_is_a_sink_of_its_own():
    model = softmax_of(lambda s: (e := jnp.exp(s)) / (1 + e.sum(-1, keepdims=True)))
    found = attention_patterns(model, X)["Model"]
    assert found.shape == (4, 1, 5, 6)
    scores = np.einsum("bqd,bkd->bqk", X, X) / 4
    np.testing.assert_allclose(found[:, 0, :, -1], 1 / (1 + np.exp(scores).sum(-1)), rtol=1e-4)


def test_pooling_by_a_learned_query_is_attention_and_similarity_of_samples_is_not():
    class Pooled(nnx.Module):
        def __init__(self):
            self.query = nnx.Param(jnp.ones(16))

        def __call__(self, x):
            x = jnp.einsum("bk,bkd->bd", jax.nn.softmax(x @ self.query[...]), x)
            return jax.nn.softmax(x @ x.T)  # as in contrastive losses

    found = attention_patterns(Pooled(), X)
    assert [(name, array.shape) for name, array in found.items()] == [("Pooled", (4, 1, 1, 5))]


def test_code_that_looks_at_values_runs_as_it_is_and_that_is_said():
    class Looking(nnx.Module):
        def __init__(self):
            self.fc = nnx.Linear(16, 2, rngs=nnx.Rngs(0))

        def __call__(self, x):
            return self.fc(x if float(x.sum()) > 0 else -x)

    with pytest.warns(UserWarning, match="Looking looks at values, so that JAX cannot trace it"):
        assert list(get_intermediate_outputs(Looking(), X)) == ["Looking", "fc"]
    with pytest.raises(ValueError, match="attention of Looking cannot be seen"):
        attention_patterns(Looking(), X)
