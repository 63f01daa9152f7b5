"""Outputs and attention of flax models, linen and nnx."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from tandv.probes import attention_patterns, get_intermediate_outputs, probe

pytestmark = pytest.mark.slow

X = np.linspace(-1, 1, 40, dtype="float32").reshape(
    2, 5, 4
)  # an array of JAX would start its devices before others are asked for


class Linen(linen.Module):
    @linen.compact
    def __call__(self, x, train=False):
        x = linen.Dense(4, name="fc")(x)
        x = linen.BatchNorm(use_running_average=not train)(x)
        x = linen.MultiHeadDotProductAttention(2, name="attention")(x)
        out = linen.Dense(3, name="head", param_dtype=jnp.bfloat16, dtype=jnp.bfloat16)
        return {"logits": out(x), "again": out(x + 1)}


@pytest.fixture(scope="module")
def bound():
    return Linen().bind(Linen().init(jax.random.key(0), X))


def test_linen_modules_show_their_outputs_by_the_models_names(bound):
    found = get_intermediate_outputs(bound, X)
    names = {name for name in found if "." not in name}
    assert names == {"Linen[again]", "Linen[logits]", "fc", "BatchNorm_0", "attention", "head", "head@1"}
    kernel = bound.variables["params"]["fc"]
    np.testing.assert_allclose(found["fc"], X @ kernel["kernel"] + kernel["bias"], atol=1e-6)
    assert found["head"].dtype == np.float32 and (found["head"] == found["Linen[logits]"]).all()
    assert list(get_intermediate_outputs(bound, {"x": X}, ["attention", "fc"])) == ["fc", "attention"]


def test_linen_attention_sums_to_one_and_is_the_formula(bound):
    found = attention_patterns(bound, X)
    assert list(found) == ["attention"]
    parts = get_intermediate_outputs(bound, X, ["attention.query", "attention.key"])
    q, k = parts["attention.query"], parts["attention.key"]
    expected = jax.nn.softmax(jnp.einsum("bqhd,bkhd->bhqk", q, k) / jnp.sqrt(2.0), -1)
    np.testing.assert_allclose(found["attention"], expected, atol=1e-6)


def test_a_linen_module_needs_its_variables():
    with pytest.raises(TypeError, match=r"Linen has no variables yet; give it bound to them: model.bind\(variables\)"):
        get_intermediate_outputs(Linen(), X)


class Nnx(nnx.Module):
    def __init__(self, rngs):
        self.fc = nnx.Linear(4, 4, rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.layers = nnx.List([nnx.Linear(4, 4, rngs=rngs)])
        self.attention = nnx.MultiHeadAttention(2, 4, decode=False, rngs=rngs)

    def __call__(self, x):
        return self.attention(self.layers[0](self.drop(self.norm(self.fc(x)))))


class Child(Nnx):
    def __call__(self, x):
        return super().__call__(x) + 1


def test_nnx_modules_show_their_outputs_and_stay_as_they_are():
    model = Child(nnx.Rngs(0))
    before, flags = jax.tree.map(jnp.copy, nnx.to_pure_dict(nnx.state(model))), (model.drop.deterministic, Nnx.__call__)
    found = get_intermediate_outputs(model, X)
    assert {name for name in found if "attention" not in name} == {"Child", "fc", "norm", "drop", "layers.0"}
    assert (found["drop"] == found["norm"]).all()  # eval mode
    assert (found["Child"] == found["attention"] + 1).all()
    np.testing.assert_allclose(found["fc"], model.fc(X), atol=1e-6)
    patterns = attention_patterns(model, X)
    assert patterns["attention"].shape == (2, 2, 5, 5)
    np.testing.assert_allclose(patterns["attention"].sum(-1), 1, atol=1e-6)
    after = nnx.to_pure_dict(nnx.state(model))
    assert jax.tree.all(jax.tree.map(jnp.array_equal, before, after))
    assert (model.drop.deterministic, Nnx.__call__) == flags and not hasattr(model.attention, "attention_weights")


def test_what_runs_inside_a_transform_is_seen():
    class Jitted(nnx.Module):
        def __init__(self):
            self.fc = nnx.Linear(4, 4, rngs=nnx.Rngs(0))

        def __call__(self, x):
            return nnx.jit(lambda fc, x: fc(x))(self.fc, x)

    assert list(get_intermediate_outputs(Jitted(), X)) == ["Jitted", "fc"]


def test_no_attention_is_said():
    with pytest.raises(ValueError, match="no attention is seen in Linear"):
        attention_patterns(nnx.Linear(4, 4, rngs=nnx.Rngs(0)), X)


def test_a_probe_is_given_the_new_model_at_each_step():
    linear = linen.Dense(1, use_bias=False)
    params = {"kernel": jnp.ones((4, 1))}
    watch = probe(linear.bind({"params": params}), X, 1, {"mean": lambda model, x: jnp.abs(model(x)).mean()})
    watch.step(linear.bind({"params": jax.tree.map(lambda w: 2 * w, params)}))
    assert watch.curves["mean"][1] == 2 * watch.curves["mean"][0] > 0
