"""Small networks of flax.linen, flax.nnx and equinox: `ZOO[name]()` returns (loss function, model or weights, batch).

The loss is a function of (model or weights, batch). In nnx and equinox every module of a model is called.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx

from tests.track.jax.filled import variables_of

Made = tuple[Callable[[Any, Any], jax.Array], Any, Any]

KEY = jax.random.key(0)


def _x(*shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(1).normal(size=shape), jnp.float32)


def _tokens(length: int = 6) -> jax.Array:
    return jnp.asarray(np.random.default_rng(2).integers(20, size=(3, length)), jnp.int32)


def _square(outputs: Any) -> jax.Array:
    return jnp.stack([jnp.mean(jnp.square(x.astype(jnp.float32))) for x in jax.tree.leaves(outputs)]).sum()


# ---------------------------------------------------------------------------------------------------------- linen


def _linen(net: linen.Module, batch: Any, **settings: Any) -> Made:
    variables = variables_of(net, batch, **settings)
    others = {name: tree for name, tree in variables.items() if name != "params"}
    rngs = {"dropout": jax.random.key(3)}

    def loss(params: Any, batch: Any) -> jax.Array:
        outputs = net.apply({"params": params, **others}, batch, mutable=list(others), rngs=rngs, **settings)
        return _square(outputs[0])

    return loss, variables["params"], batch


class LinenMlp(linen.Module):
    dtype: Any = None

    @linen.compact
    def __call__(self, x):
        x = linen.LayerNorm(dtype=self.dtype)(linen.Dense(16, dtype=self.dtype)(x))
        return linen.Dense(4, dtype=self.dtype)(linen.gelu(x))


class LinenConv(linen.Module):
    norm: Any

    @linen.compact
    def __call__(self, x):
        x = linen.relu(self.norm()(linen.Conv(8, (3, 3))(x)))
        x = linen.relu(x + self.norm()(linen.Conv(8, (3, 3), feature_group_count=2)(x)))
        return linen.Dense(4)(linen.avg_pool(x, (2, 2)).mean((1, 2)))


class LinenUNet(linen.Module):
    @linen.compact
    def __call__(self, x):
        down = linen.relu(linen.Conv(8, (3, 3))(x))
        bottom = linen.relu(linen.Conv(16, (3, 3), strides=2)(down))
        up = linen.ConvTranspose(8, (2, 2), strides=(2, 2))(bottom)
        return linen.Conv(1, (1, 1))(jnp.concatenate([down, up], -1))


class LinenBlock(linen.Module):
    norm: Any = linen.LayerNorm
    dtype: Any = None

    @linen.compact
    def __call__(self, x):
        mask = linen.make_causal_mask(jnp.ones(x.shape[:2]))
        h = self.norm(dtype=self.dtype)(x)
        x = x + linen.MultiHeadDotProductAttention(4, dtype=self.dtype)(h, mask=mask)
        h = linen.Dense(32, dtype=self.dtype)(self.norm(dtype=self.dtype)(x))
        return x + linen.Dense(16, dtype=self.dtype)(linen.swish(h))


class LinenGpt(linen.Module):
    block: Any = LinenBlock
    layers: int = 2
    dtype: Any = None

    @linen.compact
    def __call__(self, tokens):
        embed = linen.Embed(20, 16, dtype=self.dtype)
        x = embed(tokens)
        for _ in range(self.layers):
            x = self.block(dtype=self.dtype)(x)
        return embed.attend(linen.RMSNorm(dtype=self.dtype)(x))


class LinenScanned(linen.Module):
    remat: bool = False

    @linen.compact
    def __call__(self, x):
        block = linen.remat(LinenStep) if self.remat else LinenStep
        layers = linen.scan(block, variable_axes={"params": 0}, split_rngs={"params": True, "dropout": True}, length=3)
        return linen.Dense(4)(layers(name="layers")(x, None)[0])


class LinenStep(linen.Module):
    @linen.compact
    def __call__(self, x, _):
        return x + linen.Dense(8, name="out")(jnp.tanh(linen.Dense(16, name="in")(x))), None


class LinenRecurrent(linen.Module):
    cell: Any

    @linen.compact
    def __call__(self, tokens):
        return linen.Dense(20)(linen.RNN(self.cell(8))(linen.Embed(20, 8)(tokens)))


class LinenExperts(linen.Module):
    @linen.compact
    def __call__(self, x):
        weights = jax.nn.softmax(linen.Dense(3, name="router")(x))
        outputs = [linen.Dense(8, name=f"expert_{i}")(x) for i in range(3)]
        return jnp.einsum("be,ebf->bf", weights, jnp.stack(outputs))


class LinenVae(linen.Module):
    @linen.compact
    def __call__(self, x):
        mean, spread = jnp.split(linen.Dense(8)(x), 2, -1)
        return linen.Dense(8)(mean + jnp.exp(spread) * jax.random.normal(self.make_rng("dropout"), mean.shape))


class LinenDropout(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.Dense(4)(linen.Dropout(0.5, deterministic=False)(linen.Dense(16)(x)))


class LinenMixer(linen.Module):
    @linen.compact
    def __call__(self, x):
        x = x + jnp.swapaxes(linen.Dense(6)(jnp.swapaxes(linen.LayerNorm()(x), 1, 2)), 1, 2)
        return x + linen.Dense(8)(linen.gelu(linen.Dense(16)(linen.LayerNorm()(x))))


_BATCH_NORM = partial(linen.BatchNorm, use_running_average=False)

# ------------------------------------------------------------------------------------------------------------ nnx


def _nnx(model: nnx.Module, batch: Any) -> Made:
    model.train()
    return lambda model, batch: _square(model(batch)), model, batch


class NnxMlp(nnx.Module):
    def __init__(self, rngs, dtype=None, norm=nnx.LayerNorm, **settings):
        self.first, self.norm = nnx.Linear(8, 16, dtype=dtype, rngs=rngs), norm(16, dtype=dtype, rngs=rngs, **settings)
        self.last = nnx.Linear(16, 4, dtype=dtype, rngs=rngs)

    def __call__(self, x):
        return self.last(nnx.gelu(self.norm(self.first(x))))


class NnxConv(nnx.Module):
    def __init__(self, rngs, norm=nnx.BatchNorm, **settings):
        self.first = nnx.Conv(3, 8, (3, 3), rngs=rngs)
        self.second = nnx.Conv(8, 8, (3, 3), feature_group_count=8, rngs=rngs)
        self.norms = nnx.List([norm(8, rngs=rngs, **settings) for _ in range(2)])
        self.head = nnx.Linear(8, 4, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.norms[0](self.first(x)))
        return self.head(nnx.relu(x + self.norms[1](self.second(x))).mean((1, 2)))


class NnxBlock(nnx.Module):
    def __init__(self, rngs, norm=nnx.LayerNorm, dtype=None):
        self.norms = nnx.List([norm(16, dtype=dtype, rngs=rngs) for _ in range(2)])
        self.wq, self.wk, self.wv, self.wo = (nnx.Linear(16, 16, dtype=dtype, rngs=rngs) for _ in range(4))
        self.up, self.down = nnx.Linear(16, 32, dtype=dtype, rngs=rngs), nnx.Linear(32, 16, dtype=dtype, rngs=rngs)

    def __call__(self, x):
        h = self.norms[0](x)
        q, k, v = (w(h).reshape(*h.shape[:-1], 4, 4) for w in (self.wq, self.wk, self.wv))
        x = x + self.wo(jax.nn.dot_product_attention(q, k, v, is_causal=True).reshape(h.shape))
        return x + self.down(nnx.silu(self.up(self.norms[1](x))))


class NnxGpt(nnx.Module):
    def __init__(self, rngs, **settings):
        self.embed = nnx.Embed(20, 16, rngs=rngs)
        self.layers = nnx.List([NnxBlock(rngs, **settings) for _ in range(2)])
        self.head = nnx.Linear(16, 20, rngs=rngs)

    def __call__(self, tokens):
        x = self.embed(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


class NnxRemat(NnxGpt):
    def __call__(self, tokens):
        x = self.embed(tokens)
        for layer in self.layers:
            x = nnx.remat(lambda layer, x: layer(x))(layer, x)
        return self.head(x)


class NnxStacked(nnx.Module):
    """Layers made by vmap and run by scan."""

    def __init__(self, rngs):
        self.layers = nnx.vmap(lambda rngs: nnx.Linear(8, 8, rngs=rngs))(rngs.split(3))
        self.head = nnx.Linear(8, 4, rngs=rngs)

    def __call__(self, x):
        return self.head(
            nnx.scan(lambda x, layer: jnp.tanh(layer(x)), in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)(x, self.layers)
        )


class NnxDropout(nnx.Module):
    def __init__(self, rngs):
        self.first, self.drop, self.last = (
            nnx.Linear(8, 16, rngs=rngs),
            nnx.Dropout(0.5, rngs=rngs),
            nnx.Linear(16, 4, rngs=rngs),
        )

    def __call__(self, x):
        return self.last(self.drop(self.first(x)))


class NnxLora(nnx.Module):
    def __init__(self, rngs):
        self.adapted, self.head = nnx.LoRALinear(8, 8, lora_rank=2, rngs=rngs), nnx.Linear(8, 4, rngs=rngs)

    def __call__(self, x):
        return self.head(self.adapted(x))


class NnxShared(nnx.Module):
    """One tower for both halves of the batch, called twice."""

    def __init__(self, rngs):
        self.tower = NnxMlp(rngs)

    def __call__(self, x):
        return self.tower(x[:2]) * self.tower(x[2:])


class NnxRecurrent(nnx.Module):
    def __init__(self, rngs, cell):
        self.embed, self.cell, self.head = (
            nnx.Embed(20, 8, rngs=rngs),
            cell(8, 8, rngs=rngs),
            nnx.Linear(8, 20, rngs=rngs),
        )

    def __call__(self, tokens):
        zeros = jnp.zeros((len(tokens), 8))
        carry: Any = (zeros, zeros) if isinstance(self.cell, nnx.LSTMCell) else zeros
        for x in jnp.unstack(self.embed(tokens), axis=1):
            carry, y = self.cell(carry, x)
        return self.head(y)


class NnxAttention(nnx.Module):
    def __init__(self, rngs):
        self.attention = nnx.MultiHeadAttention(4, 16, decode=False, rngs=rngs)

    def __call__(self, x):
        return self.attention(x)


class NnxMixed(nnx.Module):
    """A branch that is taken by the data, and a loop."""

    def __init__(self, rngs):
        self.inner, self.head = nnx.Linear(8, 8, rngs=rngs), nnx.Linear(8, 4, rngs=rngs)

    def __call__(self, x):
        for _ in range(3):
            x = x + jnp.tanh(self.inner(x))
        return self.head(x)


# -------------------------------------------------------------------------------------------------------- equinox


def _equinox(model: eqx.Module, batch: Any, **settings: Any) -> Made:
    def loss(model: Any, batch: Any) -> jax.Array:
        return _square(jax.vmap(partial(model, **settings))(batch))

    return loss, model, batch


def _keys(n: int) -> list[jax.Array]:
    return list(jax.random.split(KEY, n))


class EqxMlp(eqx.Module):
    first: eqx.nn.Linear
    norm: eqx.Module
    last: eqx.nn.Linear

    def __init__(self, norm=eqx.nn.LayerNorm):
        a, b = _keys(2)
        self.first, self.norm, self.last = eqx.nn.Linear(8, 16, key=a), norm(16), eqx.nn.Linear(16, 4, key=b)

    def __call__(self, x):
        return self.last(jax.nn.gelu(self.norm(self.first(x))))


class EqxConv(eqx.Module):
    layers: list

    def __init__(self):
        a, b, c = _keys(3)
        self.layers = [
            eqx.nn.Conv2d(3, 8, 3, key=a),
            eqx.nn.GroupNorm(2, 8),
            eqx.nn.Conv2d(8, 8, 3, key=b),
            eqx.nn.Linear(8, 4, key=c),
        ]

    def __call__(self, x):
        first, norm, second, head = self.layers
        return head(jax.nn.relu(second(jax.nn.relu(norm(first(x))))).mean((1, 2)))


class EqxGpt(eqx.Module):
    embed: eqx.nn.Embedding
    attention: eqx.nn.MultiheadAttention
    norms: list
    up: eqx.nn.Linear
    down: eqx.nn.Linear

    def __init__(self, norm=eqx.nn.LayerNorm):
        a, b, c, d = _keys(4)
        self.embed, self.attention = eqx.nn.Embedding(20, 16, key=a), eqx.nn.MultiheadAttention(4, 16, key=b)
        self.norms = [norm(16), norm(16)]
        self.up, self.down = eqx.nn.Linear(16, 32, key=c), eqx.nn.Linear(32, 16, key=d)

    def __call__(self, tokens):
        x = jax.vmap(self.embed)(tokens)
        h = jax.vmap(self.norms[0])(x)
        x = x + self.attention(h, h, h, mask=jnp.tril(jnp.ones((len(x), len(x)), bool)))
        return x + jax.vmap(lambda x: self.down(jax.nn.silu(self.up(self.norms[1](x)))))(x)


class EqxRecurrent(eqx.Module):
    cell: eqx.Module
    head: eqx.nn.Linear

    def __init__(self, cell):
        a, b = _keys(2)
        self.cell, self.head = cell(8, 8, key=a), eqx.nn.Linear(8, 4, key=b)

    def __call__(self, x):
        start = (jnp.zeros(8), jnp.zeros(8)) if isinstance(self.cell, eqx.nn.LSTMCell) else jnp.zeros(8)
        end, _ = jax.lax.scan(lambda carry, x: (self.cell(x, carry), None), start, x)
        return self.head(jax.tree.leaves(end)[0])


class EqxStacked(eqx.Module):
    """Layers made by vmap and run by scan."""

    layers: eqx.nn.Linear
    head: eqx.nn.Linear

    def __init__(self):
        self.layers = eqx.filter_vmap(lambda key: eqx.nn.Linear(8, 8, key=key))(jax.random.split(KEY, 3))
        self.head = eqx.nn.Linear(8, 4, key=KEY)

    def __call__(self, x):
        arrays, static = eqx.partition(self.layers, eqx.is_array)
        x, _ = jax.lax.scan(lambda x, layer: (jnp.tanh(eqx.combine(layer, static)(x)), None), x, arrays)
        return self.head(x)


class EqxSequential(eqx.Module):
    layers: eqx.nn.Sequential

    def __init__(self):
        a, b = _keys(2)
        self.layers = eqx.nn.Sequential(
            [eqx.nn.Linear(8, 16, key=a), eqx.nn.Lambda(jnp.tanh), eqx.nn.Linear(16, 4, key=b)]
        )

    def __call__(self, x):
        return self.layers(x)


class EqxPool(eqx.Module):
    conv: eqx.nn.Conv1d
    pool: eqx.nn.MaxPool1d
    act: eqx.nn.PReLU

    def __init__(self):
        self.conv, self.pool, self.act = eqx.nn.Conv1d(2, 4, 3, key=KEY), eqx.nn.MaxPool1d(2, 2), eqx.nn.PReLU(0.2)

    def __call__(self, x):
        return self.act(self.pool(self.conv(x)))


ZOO: dict[str, Callable[[], Made]] = {
    "linen_mlp": lambda: _linen(LinenMlp(), _x(8, 8)),
    "linen_mlp_bfloat16": lambda: _linen(LinenMlp(jnp.bfloat16), _x(8, 8)),
    "linen_mlp_float16": lambda: _linen(LinenMlp(jnp.float16), _x(8, 8)),
    "linen_batch_norm": lambda: _linen(LinenConv(_BATCH_NORM), _x(4, 8, 8, 3)),
    "linen_group_norm": lambda: _linen(LinenConv(partial(linen.GroupNorm, 4)), _x(4, 8, 8, 3)),
    "linen_instance_norm": lambda: _linen(LinenConv(linen.InstanceNorm), _x(4, 8, 8, 3)),
    "linen_unet": lambda: _linen(LinenUNet(), _x(2, 8, 8, 3)),
    "linen_gpt": lambda: _linen(LinenGpt(), _tokens()),
    "linen_gpt_bfloat16": lambda: _linen(LinenGpt(dtype=jnp.bfloat16), _tokens()),
    "linen_gpt_rms_norm": lambda: _linen(LinenGpt(partial(LinenBlock, linen.RMSNorm)), _tokens()),
    "linen_gpt_remat": lambda: _linen(LinenGpt(linen.remat(LinenBlock)), _tokens()),
    "linen_scanned_layers": lambda: _linen(LinenScanned(), _x(4, 8)),
    "linen_scanned_layers_remat": lambda: _linen(LinenScanned(True), _x(4, 8)),
    "linen_lstm": lambda: _linen(LinenRecurrent(linen.OptimizedLSTMCell), _tokens()),
    "linen_gru": lambda: _linen(LinenRecurrent(linen.GRUCell), _tokens()),
    "linen_experts": lambda: _linen(LinenExperts(), _x(6, 8)),
    "linen_variational": lambda: _linen(LinenVae(), _x(6, 8)),
    "linen_dropout": lambda: _linen(LinenDropout(), _x(6, 8)),
    "linen_mixer": lambda: _linen(LinenMixer(), _x(2, 6, 8)),
    "nnx_mlp": lambda: _nnx(NnxMlp(nnx.Rngs(0)), _x(8, 8)),
    "nnx_mlp_bfloat16": lambda: _nnx(NnxMlp(nnx.Rngs(0), jnp.bfloat16), _x(8, 8)),
    "nnx_rms_norm": lambda: _nnx(NnxMlp(nnx.Rngs(0), norm=nnx.RMSNorm), _x(8, 8)),
    "nnx_batch_norm": lambda: _nnx(NnxConv(nnx.Rngs(0)), _x(4, 8, 8, 3)),
    "nnx_group_norm": lambda: _nnx(NnxConv(nnx.Rngs(0), nnx.GroupNorm, num_groups=4), _x(4, 8, 8, 3)),
    "nnx_gpt": lambda: _nnx(NnxGpt(nnx.Rngs(0)), _tokens()),
    "nnx_gpt_rms_norm": lambda: _nnx(NnxGpt(nnx.Rngs(0), norm=nnx.RMSNorm), _tokens()),
    "nnx_gpt_bfloat16": lambda: _nnx(NnxGpt(nnx.Rngs(0), dtype=jnp.bfloat16), _tokens()),
    "nnx_gpt_remat": lambda: _nnx(NnxRemat(nnx.Rngs(0)), _tokens()),
    "nnx_stacked": lambda: _nnx(NnxStacked(nnx.Rngs(0)), _x(4, 8)),
    "nnx_dropout": lambda: _nnx(NnxDropout(nnx.Rngs(0)), _x(4, 8)),
    "nnx_lora": lambda: _nnx(NnxLora(nnx.Rngs(0)), _x(4, 8)),
    "nnx_shared": lambda: _nnx(NnxShared(nnx.Rngs(0)), _x(4, 8)),
    "nnx_lstm": lambda: _nnx(NnxRecurrent(nnx.Rngs(0), nnx.LSTMCell), _tokens()),
    "nnx_gru": lambda: _nnx(NnxRecurrent(nnx.Rngs(0), nnx.GRUCell), _tokens()),
    "nnx_attention": lambda: _nnx(NnxAttention(nnx.Rngs(0)), _x(2, 6, 16)),
    "nnx_called_in_a_loop": lambda: _nnx(NnxMixed(nnx.Rngs(0)), _x(4, 8)),
    "equinox_mlp": lambda: _equinox(EqxMlp(), _x(4, 8)),
    "equinox_rms_norm": lambda: _equinox(EqxMlp(eqx.nn.RMSNorm), _x(4, 8)),
    "equinox_conv": lambda: _equinox(EqxConv(), _x(4, 3, 8, 8)),
    "equinox_gpt": lambda: _equinox(EqxGpt(), _tokens()),
    "equinox_gpt_rms_norm": lambda: _equinox(EqxGpt(eqx.nn.RMSNorm), _tokens()),
    "equinox_lstm": lambda: _equinox(EqxRecurrent(eqx.nn.LSTMCell), _x(3, 5, 8)),
    "equinox_gru": lambda: _equinox(EqxRecurrent(eqx.nn.GRUCell), _x(3, 5, 8)),
    "equinox_stacked": lambda: _equinox(EqxStacked(), _x(4, 8)),
    "equinox_sequential": lambda: _equinox(EqxSequential(), _x(4, 8)),
    "equinox_pool": lambda: _equinox(EqxPool(), _x(4, 2, 9)),
}
