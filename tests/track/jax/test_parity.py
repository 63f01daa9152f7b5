"""The same network, weights and batch in PyTorch, flax.linen and flax.nnx give the same log."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from flax import linen, nnx
from torch.nn import functional

from tandv.demo import jax_gpt, torch_gpt
from tandv.log import logframe
from tandv.track.common import read_pickle
from tandv.track.jax import track as track_jax
from tandv.track.torch import track as track_torch

pytestmark = pytest.mark.slow

SIZES = {"layers": 2, "width": 16, "heads": 2, "context": 8}
TOKENS = np.random.default_rng(1).integers(256, size=(4, 9))
INPUTS = np.random.default_rng(2).standard_normal((8, 6)).astype(np.float32)
STATES = {"Optimiser_State.exp_avg": "Optimiser_State.mu", "Optimiser_State.exp_avg_sq": "Optimiser_State.nu"}
SETTINGS = {"learning_rate": 1e-2, "weight_decay": 0.01}


class TorchMLP(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Linear(6, 16), torch.nn.Linear(16, 3)

    def forward(self, x):
        return self.second(functional.relu(self.first(x)))


class NnxMLP(nnx.Module):
    def __init__(self):
        self.first, self.second = nnx.Linear(6, 16, rngs=nnx.Rngs(0)), nnx.Linear(16, 3, rngs=nnx.Rngs(0))

    def __call__(self, x):
        return self.second(nnx.relu(self.first(x)))


class LinenMLP(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.Dense(3, name="second")(linen.relu(linen.Dense(16, name="first")(x)))


class LinenAttention(linen.Module):
    @linen.compact
    def __call__(self, x):
        q, k, v = (linen.Dense(16, use_bias=False, name=name)(x) for name in ("wq", "wk", "wv"))
        q, k, v = (one.reshape(*one.shape[:-1], 2, -1) for one in (q, k, v))
        mixed = jax.nn.dot_product_attention(q, k, v, is_causal=True).reshape(x.shape)
        return linen.Dense(16, use_bias=False, name="wo")(mixed)


class LinenGELU(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.gelu(x, approximate=False)


class LinenFeedForward(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.Dense(16, name="w2")(LinenGELU(name="gelu")(linen.Dense(64, name="w1")(x)))


class LinenBlock(linen.Module):
    @linen.compact
    def __call__(self, x):
        x = x + LinenAttention(name="attention")(norm("attention_norm")(x))
        return x + LinenFeedForward(name="feed_forward")(norm("ffn_norm")(x))


class LinenGPT(linen.Module):
    @linen.compact
    def __call__(self, tokens):
        x = linen.Embed(256, 16, name="tokens")(tokens)
        x = x + linen.Embed(8, 16, name="positions")(jnp.arange(tokens.shape[1]))
        for i in range(2):
            x = LinenBlock(name=f"layers_{i}")(x)
        return linen.Dense(256, use_bias=False, name="output")(norm("norm")(x))


def norm(name):
    return linen.LayerNorm(epsilon=1e-5, use_fast_variance=False, name=name)


def torch_log(kind) -> tuple:
    torch.manual_seed(0)
    model = torch_gpt.GPT(**SIZES) if kind == "gpt" else TorchMLP()
    weights = {name: parameter.detach().numpy().copy() for name, parameter in model.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.01)
    with track_torch(model, optimizer=optimizer, track_updates=True) as tracker:
        for _ in range(2):
            optimizer.zero_grad()
            if kind == "gpt":
                tokens = torch.from_numpy(TOKENS)
                loss = functional.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
            else:
                loss = model(torch.from_numpy(INPUTS)).square().mean()
            loss.backward()
            optimizer.step()
            tracker.step()
    return read_pickle(tracker.out_path), weights


def as_tree(weights: dict) -> dict:
    """Return PyTorch's weights as nested dicts, by flax's names and in flax's orientation."""
    tree: dict = {}
    for name, value in weights.items():
        *path, own = name.split(".")
        kind = "bias"
        if own == "weight":
            kind = {1: "scale", 2: "embedding" if path[-1] in ("tokens", "positions") else "kernel"}[value.ndim]
        node = tree
        for key in path:
            node = node.setdefault(key, {})
        node[kind] = jnp.asarray(value.T if kind == "kernel" else value)
    return tree


def nnx_log(kind, weights):
    model = jax_gpt.GPT(**SIZES) if kind == "gpt" else NnxMLP()
    tree = as_tree(weights)
    if "layers" in tree:
        tree["layers"] = {int(number): layer for number, layer in tree["layers"].items()}
    nnx.update(model, tree)
    optimizer = nnx.Optimizer(model, optax.adamw(**SETTINGS), wrt=nnx.Param)

    @nnx.jit
    def update(model, optimizer):
        def loss_of(model):
            return jax_gpt.loss_of(model, jnp.asarray(TOKENS)) if kind == "gpt" else jnp.square(model(INPUTS)).mean()

        optimizer.update(model, nnx.grad(loss_of)(model))

    with track_jax(model, optimizer, track_updates=True) as tracker:
        for _ in range(2):
            tracker.intercept(update, model, optimizer)
            tracker.step()
    return read_pickle(tracker.out_path)


def linen_log(kind, weights):
    model = LinenGPT() if kind == "gpt" else LinenMLP()
    tree = as_tree(weights)
    for number, layer in tree.pop("layers", {}).items():
        tree[f"layers_{number}"] = layer
    transform = optax.adamw(**SETTINGS)
    state = {"params": tree}
    opt_state = transform.init(state)

    @jax.jit
    def update(state, opt_state):
        def loss_of(state):
            if kind == "mlp":
                return jnp.square(model.apply(state, INPUTS)).mean()
            logits = model.apply(state, TOKENS[:, :-1])
            return optax.softmax_cross_entropy_with_integer_labels(logits, TOKENS[:, 1:]).mean()

        grads = jax.grad(loss_of)(state)
        updates, opt_state = transform.update(grads, opt_state, state)
        return optax.apply_updates(state, updates), opt_state, grads

    with track_jax(model_state=state, optimizer_state=opt_state, track_updates=True) as tracker:
        for _ in range(2):
            state, opt_state, grads = tracker.intercept(update, state, opt_state)
            tracker.step(state, opt_state, grads)
    return read_pickle(tracker.out_path)


def by_key(log):
    """Return {(step, tensor type, name): (scalars, counts)} with the names and states of PyTorch's log."""
    m, low = log["metadata"], logframe.exponents(log)
    names = [name.replace("layers_", "layers.").replace("Linen", "").replace("Nnx", "") for name in m["name"]]
    names = [name.replace("TorchMLP", "MLP") for name in names]
    kinds = [STATES.get(kind, kind) for kind in m["tensor_type"]]
    keys = zip(m["step"], kinds, names, strict=True)
    counts = log["exponent_counts"][[-np.inf, *low, np.inf]].to_dict("records")
    return dict(zip(keys, zip(log["scalar_stats"].to_dict("records"), counts, strict=True), strict=True))


@pytest.fixture(autouse=True)
def in_its_own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("kind", ["mlp", "gpt"])
@pytest.mark.parametrize("other", [nnx_log, linen_log])
def test_the_same_network_gives_the_same_rows(kind, other):
    expected, weights = torch_log(kind)
    expected, found = by_key(expected), by_key(other(kind, weights))
    assert set(found) == set(expected)
    assert {kind for _, kind, _ in found} == {
        *("Activation", "Gradient", "Weight", "Weight_Gradient", "Weight_Update"),
        *("Optimiser_State.mu", "Optimiser_State.nu"),
    }
    for key, (scalars, counts) in expected.items():
        mine, my_counts = found[key]
        for name in ("numel", "nans", "infs", "calls"):
            assert mine[name] == scalars[name], (key, name)
        for name in ("mean_abs", "max_abs", "rm2", "rm4", "rm8"):
            assert mine[name] == pytest.approx(scalars[name], rel=2e-4), (key, name)
        for name in ("mean", "std"):  # which may be differences of larger numbers
            assert mine[name] == pytest.approx(scalars[name], abs=2e-4 * scalars["rm2"]), (key, name)
        step, kind, _ = key
        if step == 0 and kind == "Weight":
            assert {n: c for n, c in my_counts.items() if c} == {n: c for n, c in counts.items() if c}, key
        elif step == 0 and kind in ("Activation", "Gradient", "Weight_Gradient"):
            top = math.frexp(scalars["max_abs"])[1]
            assert_counts_as_far_as_rounding_leaves_them(my_counts, counts, range(top - 10, top + 2), key)


def assert_counts_as_far_as_rounding_leaves_them(counts, others, exponents, key):
    """Assert that counts could be of the same values, none of which is off by more than 2**exponents[0].

    What should be zero is a rounding in one framework and an exact zero in the other, and a value beside a power of
    two lies on either side of it. But what is below 2**n in one is below 2**(n + 1) in the other.
    """

    def below(counts, n):
        return sum(count for exponent, count in counts.items() if exponent < n)

    for n in exponents:
        assert below(counts, n) <= below(others, n + 1) and below(others, n) <= below(counts, n + 1), (key, n)
