"""The demo's GPT in JAX (flax.nnx), with the names of the PyTorch one, and its training."""

import contextlib
from pathlib import Path

import numpy as np

from tandv.demo.gpt_size import DECAY, HEADS, LAYERS, RATE, VOCABULARY, WARM_UP, WIDTH, deviation
from tandv.track.jax import JaxTracker, track

# isort: split
import jax
import jax.numpy as jnp

from tandv.messages import missing

try:
    import optax
    from flax import nnx
except ModuleNotFoundError as error:
    raise missing("flax and optax", "jax", "the demo") from error


class Attention(nnx.Module):
    """Causal self-attention with the names of the published models (wq, wk, wv, wo)."""

    def __init__(self, width: int, heads: int, rngs: nnx.Rngs):
        self.heads = heads
        self.wq, self.wk, self.wv, self.wo = (nnx.Linear(width, width, use_bias=False, rngs=rngs) for _ in range(4))

    def __call__(self, x: jax.Array) -> jax.Array:
        q, k, v = (w(x).reshape(*x.shape[:-1], self.heads, -1) for w in (self.wq, self.wk, self.wv))
        return self.wo(jax.nn.dot_product_attention(q, k, v, is_causal=True).reshape(x.shape))


class GELU(nnx.Module):
    """A module, so that its output has a row of its own."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return nnx.gelu(x, approximate=False)


class FeedForward(nnx.Module):
    """Two layers with a GELU between them."""

    def __init__(self, width: int, rngs: nnx.Rngs):
        self.w1, self.w2 = nnx.Linear(width, 4 * width, rngs=rngs), nnx.Linear(4 * width, width, rngs=rngs)
        self.gelu = GELU()

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.w2(self.gelu(self.w1(x)))


class TransformerLayer(nnx.Module):
    """A transformer layer with layer norm before attention and before the feed-forward part."""

    def __init__(self, width: int, heads: int, rngs: nnx.Rngs):
        self.attention_norm, self.attention = _norm(width, rngs), Attention(width, heads, rngs)
        self.ffn_norm, self.feed_forward = _norm(width, rngs), FeedForward(width, rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = x + self.attention(self.attention_norm(x))
        return x + self.feed_forward(self.ffn_norm(x))


class GPT(nnx.Module):
    """A transformer that predicts the next of `vocabulary` tokens.

    >>> GPT(layers=1, width=8, heads=2, context=4)(jnp.zeros((2, 4), int)).shape
    (2, 4, 256)
    """

    def __init__(self, layers: int, width: int, heads: int, context: int, vocabulary: int = VOCABULARY, seed: int = 0):
        rngs = nnx.Rngs(seed)
        self.tokens, self.positions = nnx.Embed(vocabulary, width, rngs=rngs), nnx.Embed(context, width, rngs=rngs)
        self.layers = nnx.List([TransformerLayer(width, heads, rngs) for _ in range(layers)])
        self.norm, self.output = _norm(width, rngs), nnx.Linear(width, vocabulary, use_bias=False, rngs=rngs)
        weights = nnx.state(self, nnx.Param)
        for path, variable in nnx.to_flat_state(weights):
            if variable[...].ndim == 2:
                variable[...] = deviation(str(path[-2]), layers) * jax.random.normal(rngs.params(), variable[...].shape)
        nnx.update(self, weights)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        x = self.tokens(tokens) + self.positions(jnp.arange(tokens.shape[1]))
        for layer in self.layers:
            x = layer(x)
        return self.output(self.norm(x))


def _norm(width: int, rngs: nnx.Rngs) -> nnx.LayerNorm:
    return nnx.LayerNorm(width, epsilon=1e-5, use_fast_variance=False, rngs=rngs)


def loss_of(model: GPT, tokens: jax.Array) -> jax.Array:
    """Return the mean cross entropy of the next token."""
    logits = model(tokens[:, :-1])
    return optax.softmax_cross_entropy_with_integer_labels(logits, tokens[:, 1:]).mean()


@nnx.jit
def train_step(model: GPT, optimizer: nnx.Optimizer, tokens: jax.Array) -> jax.Array:
    """Update a model on one batch in place; return the loss."""
    loss, grads = nnx.value_and_grad(loss_of)(model, tokens)
    optimizer.update(model, grads)
    return loss


threads = contextlib.nullcontext  # XLA chooses how many


class Training:
    """The demo's model with its optimiser; `step` trains it on one batch of tokens [sequences, context + 1]."""

    def __init__(self, seed: int, context: int):
        self.model = GPT(LAYERS, WIDTH, HEADS, context, seed=seed)
        rate = optax.linear_schedule(RATE / WARM_UP, RATE, WARM_UP)
        self.optimizer = nnx.Optimizer(self.model, optax.adamw(rate, weight_decay=DECAY), wrt=nnx.Param)
        self.parameters = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(self.model, nnx.Param)))

    def track(self, path: Path | None, thorough: bool = False) -> JaxTracker:
        return track(self.model, self.optimizer, name="demo", path=path, track_updates=thorough)

    def step(self, tracker: JaxTracker, batch: np.ndarray) -> float:
        loss = tracker.intercept(train_step, self.model, self.optimizer, batch.astype(np.int32))
        tracker.step(loss=loss)
        return float(loss)
