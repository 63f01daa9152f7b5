"""Small networks of flax.linen, whose layers let a fault change their output, their data and their losses."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from benchmarks.trainings import nets

IMAGES, LABELS, TEXT = (np.asarray(one) for one in (nets.IMAGES, nets.LABELS, nets.TEXT))
Change = Callable[[Any, jax.Array], jax.Array]


class Injected:
    """What is done to the outputs of layers while a step is traced, and its number, which is traced as well."""

    def __init__(self) -> None:
        self.changes: dict[str, Change] = {}
        self.now: Any = 0


injected = Injected()


def _changed(layer: nn.Module, output: jax.Array) -> jax.Array:
    change = injected.changes.get(".".join(layer.path))
    return output if change is None else change(injected.now, output)


class Dense(nn.Module):
    """A linear layer."""

    features: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        return _changed(self, x @ kernel + bias)


class Conv(nn.Module):
    """A convolution of 3 × 3, whose channels are the last axis."""

    features: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (3, 3, x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        y = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return _changed(self, y + bias)


class MLP(nn.Module):
    """Linear layers with a function between each two."""

    sizes: tuple[int, ...] = (48, 48, 48, 10)
    function: Callable[[jax.Array], jax.Array] = nn.relu
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for number, size in enumerate(self.sizes):
            x = Dense(size, self.dtype, name=f"fc{number}")(x)
            x = self.function(x) if number + 1 < len(self.sizes) else x
        return x


class CNN(nn.Module):
    """Three convolutions with group norm."""

    width: int = 12
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = x.reshape(-1, 8, 8, 1)
        for number, width in enumerate((self.width, self.width, 2 * self.width)):
            x = Conv(width, self.dtype, name=f"conv{number}")(x)
            x = nn.relu(nn.GroupNorm(4, dtype=self.dtype, name=f"norm{number}")(x))
            x = nn.max_pool(x, (2, 2), (2, 2)) if number == 1 else x
        return Dense(10, self.dtype, name="head")(x.reshape(len(x), -1))


class Block(nn.Module):
    """A transformer block."""

    heads: int = 2
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        width = x.shape[-1]
        y = nn.LayerNorm(dtype=self.dtype, name="n1")(x)
        q, k, v = (
            Dense(width, self.dtype, name=name)(y).reshape(*y.shape[:2], self.heads, width // self.heads)
            for name in "qkv"
        )
        mask = nn.make_causal_mask(jnp.ones(x.shape[:2]))
        y = nn.dot_product_attention(q, k, v, mask=mask, dtype=self.dtype).reshape(x.shape)
        x = x + Dense(width, self.dtype, name="o")(y)
        y = nn.relu(Dense(4 * width, self.dtype, name="up")(nn.LayerNorm(dtype=self.dtype, name="n2")(x)))
        return x + Dense(width, self.dtype, name="down")(y)


class GPT(nn.Module):
    """A language model of letters."""

    width: int = 32
    layers: int = 2
    dtype: Any = None

    @nn.compact
    def __call__(self, letters: jax.Array) -> jax.Array:
        normal = nn.initializers.normal(0.02)
        x = nn.Embed(nets.LETTERS, self.width, dtype=self.dtype, embedding_init=normal, name="tok")(letters)
        places = jnp.arange(letters.shape[1])
        x = x + nn.Embed(24, self.width, dtype=self.dtype, embedding_init=normal, name="pos")(places)
        for number in range(self.layers):
            x = Block(dtype=self.dtype, name=f"block{number}")(x)
        return Dense(nets.LETTERS, self.dtype, name="head")(nn.LayerNorm(dtype=self.dtype, name="norm")(x))


class Recurrent(nn.Module):
    """A recurrent language model of letters."""

    dtype: Any = None

    @nn.compact
    def __call__(self, letters: jax.Array) -> jax.Array:
        x = Dense(24, self.dtype, name="inp")(nn.Embed(nets.LETTERS, 24, dtype=self.dtype, name="emb")(letters))
        x = nn.RNN(nn.OptimizedLSTMCell(48, dtype=self.dtype), name="rnn")(x)
        return Dense(nets.LETTERS, self.dtype, name="head")(nn.tanh(Dense(48, self.dtype, name="mid")(x)))


class JaxArchitecture(NamedTuple):
    """How a network is built, what its batches are, and its loss of outputs and targets."""

    build: Callable[[Any], nn.Module]
    batch: Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]
    loss: Callable[[jax.Array, jax.Array], jax.Array]


def _images(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    at = random.integers(0, len(IMAGES), 32)
    return IMAGES[at].copy(), LABELS[at]


def _same_images(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    images, _ = _images(random)
    return images, images.copy()


def _letters(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    at = random.integers(0, len(TEXT) - 25, 8)
    text = np.stack([TEXT[start : start + 25] for start in at])
    return text[:, :-1], text[:, 1:]


def _classification(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(outputs.astype(jnp.float32), labels).mean()


def _reconstruction(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    return jnp.square(outputs.astype(jnp.float32) - targets).mean()


JAX_ARCHITECTURES: dict[str, JaxArchitecture] = {
    "mlp": JaxArchitecture(lambda dtype: MLP(dtype=dtype), _images, _classification),
    "tanh": JaxArchitecture(lambda dtype: MLP(function=nn.tanh, dtype=dtype), _images, _classification),
    "cnn": JaxArchitecture(lambda dtype: CNN(dtype=dtype), _images, _classification),
    "gpt": JaxArchitecture(lambda dtype: GPT(dtype=dtype), _letters, _classification),
    "lstm": JaxArchitecture(lambda dtype: Recurrent(dtype=dtype), _letters, _classification),
    "autoencoder": JaxArchitecture(
        lambda dtype: MLP((32, 8, 32, 64), nn.gelu, dtype=dtype), _same_images, _reconstruction
    ),
}
JAX_RATES = {"mlp": 2e-3, "tanh": 2e-3, "cnn": 3e-3, "gpt": 2e-3, "lstm": 3e-3, "autoencoder": 2e-3}
