"""The logit lens of models of flax.linen, flax.nnx and equinox: the last layer says what the model says."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from tandv.probes import logit_lens

pytestmark = pytest.mark.slow  # JAX compiles each model
IDS = np.arange(12).reshape(2, 6)


class Block(linen.Module):
    @linen.compact
    def __call__(self, x):
        return x + linen.Dense(8)(linen.gelu(linen.Dense(16)(linen.LayerNorm()(x))))


class Compact(linen.Module):
    """Modules that exist only while the model is called."""

    tied: bool = False

    @linen.compact
    def __call__(self, tokens):
        embed = linen.Embed(32, 8)
        x = embed(tokens)
        for _ in range(2):
            x = Block()(x)
        x = linen.LayerNorm(name="ln_f")(x)
        return embed.attend(x) if self.tied else linen.Dense(32)(x)


class Setup(linen.Module):
    def setup(self):
        self.embed, self.norm, self.head = linen.Embed(32, 8), linen.LayerNorm(), linen.Dense(32)
        self.layers = [Block() for _ in range(2)]

    def __call__(self, tokens):
        x = self.embed(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))


class NnxBlock(nnx.Module):
    def __init__(self, rngs):
        self.add = nnx.Linear(8, 8, rngs=rngs)

    def __call__(self, x):
        return x + self.add(x)


class Nnx(nnx.Module):
    def __init__(self, tied):
        rngs = nnx.Rngs(0)
        self.embed, self.norm = nnx.Embed(32, 8, rngs=rngs), nnx.LayerNorm(8, rngs=rngs)
        self.blocks = nnx.List([NnxBlock(rngs) for _ in range(2)])
        self.head = None if tied else nnx.Linear(8, 32, rngs=rngs)

    def __call__(self, tokens):
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x)
        return self.embed.attend(self.norm(x)) if self.head is None else self.head(self.norm(x))


class EqxBlock(eqx.Module):
    add: eqx.nn.Linear

    def __call__(self, x):
        return x + jax.vmap(self.add)(x)


class Eqx(eqx.Module):
    embed: eqx.nn.Embedding
    layers: list
    norm: eqx.nn.LayerNorm
    head: eqx.nn.Linear | None

    def __init__(self, tied):
        keys = jax.random.split(jax.random.key(0), 4)
        self.embed, self.norm = eqx.nn.Embedding(32, 8, key=keys[0]), eqx.nn.LayerNorm(8)
        self.layers = [EqxBlock(eqx.nn.Linear(8, 8, key=key)) for key in keys[1:3]]
        self.head = None if tied else eqx.nn.Linear(8, 32, key=keys[3])

    def __call__(self, tokens):
        x = jax.vmap(self.embed)(tokens)
        for layer in self.layers:
            x = layer(x)
        x = jax.vmap(self.norm)(x)
        return x @ self.embed.weight.T if self.head is None else jax.vmap(self.head)(x)


def bound(model):
    return model.bind(model.init(jax.random.key(0), IDS))


MODELS = {
    "compact": lambda: bound(Compact()),
    "compact, tied": lambda: bound(Compact(tied=True)),
    "setup": lambda: bound(Setup()),
    "nnx": lambda: Nnx(tied=False),
    "nnx, tied": lambda: Nnx(tied=True),
    "equinox": lambda: Eqx(tied=False),
    "equinox, tied": lambda: Eqx(tied=True),
}


@pytest.mark.parametrize("kind", MODELS)
def test_the_last_layer_says_what_the_model_says_and_the_first_something_else(kind):
    model = MODELS[kind]()
    lens = logit_lens(model, IDS)
    logits = np.asarray(jax.vmap(model)(jnp.asarray(IDS)) if isinstance(model, eqx.Module) else model(IDS), np.float64)
    said = np.exp(logits - logits.max(-1, keepdims=True))
    said /= said.sum(-1, keepdims=True)
    expected = np.take_along_axis(said[:, :-1], IDS[:, 1:, None], -1)[..., 0]
    np.testing.assert_allclose(lens.probability[-1, :, :-1], expected, rtol=1e-4)
    assert len(lens.layers) == 2 and (lens.probability[0, :, :-1] != lens.probability[1, :, :-1]).any()
