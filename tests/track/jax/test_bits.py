"""Losses, gradients, parameters and optimiser states of 20 steps are those of the untracked run to the last bit."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from jax.experimental import io_callback

from tandv.track.common import read_pickle
from tandv.track.jax import _variant, tag, track
from tests.track.jax.filled import variables_of

STEPS = 20


class Norms(nn.Module):
    norm: type
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        for _ in range(2):
            x = x + nn.Dense(8, dtype=self.dtype)(
                nn.silu(nn.Dense(16, dtype=self.dtype)(self.norm(dtype=self.dtype)(x)))
            )
        return nn.Dense(4, dtype=self.dtype)(x)


class Block(nn.Module):
    heads: int = 2
    norm: type = nn.LayerNorm
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, _=None):
        width = x.shape[-1]
        h = self.norm(dtype=self.dtype)(x)
        x = x + nn.MultiHeadDotProductAttention(self.heads, dtype=self.dtype)(h, h)
        h = nn.Dense(2 * width, dtype=self.dtype)(self.norm(dtype=self.dtype)(x))
        return x + nn.Dense(width, dtype=self.dtype)(nn.gelu(h)), None


class Attention(nn.Module):
    heads: int = 2
    norm: type = nn.LayerNorm
    dtype: jnp.dtype = jnp.float32
    scanned: bool = False
    remat: bool = False

    @nn.compact
    def __call__(self, x):
        x = x.astype(self.dtype)
        block = nn.remat(Block) if self.remat else Block
        if self.scanned:
            block = nn.scan(block, variable_axes={"params": 0}, split_rngs={"params": True}, length=2)
            return block(self.heads, self.norm, self.dtype)(x, None)[0]
        for _ in range(2):
            x, _ = block(self.heads, self.norm, self.dtype)(x)
        return x


class Convolutions(nn.Module):
    batch: bool

    @nn.compact
    def __call__(self, x):
        for _ in range(2):
            x = nn.Conv(8, (3, 3))(x)
            x = nn.relu(nn.BatchNorm(use_running_average=False)(x) if self.batch else nn.GroupNorm(2)(x))
        return nn.Dense(4)(x.mean((1, 2)))


class Batch(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(4)(nn.relu(nn.BatchNorm(use_running_average=False)(nn.Dense(8)(x))))


class Embedded(nn.Module):
    @nn.compact
    def __call__(self, x):
        tokens = (jnp.abs(x[:, :6]) * 7).astype(jnp.int32) % 11
        return nn.Dense(11)(Block(norm=nn.RMSNorm)(nn.Embed(11, 8)(tokens))[0])


FLAT, SEQUENCE, IMAGE = (16, 8), (4, 6, 8), (2, 8, 8, 3)
NETS = {
    "batch norm": (Batch(), FLAT),
    "layer norm": (Norms(nn.LayerNorm), FLAT),
    "rms norm": (Norms(nn.RMSNorm), FLAT),
    "rms norm bf16": (Norms(nn.RMSNorm, jnp.bfloat16), FLAT),
    "convolutions, batch norm": (Convolutions(True), IMAGE),
    "convolutions, group norm": (Convolutions(False), IMAGE),
    "embedding": (Embedded(), FLAT),
    "attention": (Attention(), SEQUENCE),
    "attention bf16": (Attention(heads=4, norm=nn.RMSNorm, dtype=jnp.bfloat16), (4, 16, 32)),
    "attention scan remat": (Attention(scanned=True, remat=True), SEQUENCE),
}
QUICK = "batch norm", "adam"
TRANSFORMS = {"adam": lambda: optax.adamw(1e-2), "lion": lambda: optax.lion(1e-3)}


def training(net, shape, transform, by_example=False):
    numbers = np.random.default_rng(0)
    batches = [jnp.asarray(numbers.normal(size=shape), jnp.float32) for _ in range(STEPS)]
    variables = variables_of(net, batches[0])

    def one_loss(p, x):
        y, _ = net.apply({**variables, "params": p}, x, mutable=["batch_stats"])
        return jnp.mean(jnp.square(y.astype(jnp.float32) - 1))

    def loss(p, x):
        return jax.vmap(lambda x: one_loss(p, x[None]))(x).mean() if by_example else one_loss(p, x)

    @jax.jit
    def step(state, x):
        p, kept = state
        value, grads = jax.value_and_grad(loss)(p, x)
        updates, kept = transform.update(grads, kept, p)
        return (optax.apply_updates(p, updates), kept), (value, grads)

    return step, (variables["params"], transform.init(variables["params"])), batches


def assert_same(step, state, batches, same, **arguments):
    bare = tracked = state
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the jitted step is run as it is and once more")
        with track(model_state=state[0], track_weights=False, **arguments) as tracker:
            for i, x in enumerate(batches):
                bare, bare_results = step(bare, x)
                tracked, results = tracker.intercept(step, tracked, x)
                tracker.step(tracked[0])
                assert same((tracked, results), (bare, bare_results)), f"step {i}"
    return tracker


@pytest.mark.parametrize(
    ("net", "transform"),
    [
        pytest.param(net, transform, marks=[pytest.mark.slow] if (net, transform) != QUICK else [])
        for net in NETS
        for transform in TRANSFORMS
        if transform == "adam" or net == "layer norm"  # the gradients are compared themselves
    ],
)
def test_twenty_steps_keep_their_bits(net, transform, same):
    assert_same(*training(*NETS[net], TRANSFORMS[transform]()), same)


@pytest.mark.slow
def test_twenty_steps_by_example_keep_their_bits(same):
    assert_same(*training(*NETS["layer norm"], TRANSFORMS["adam"](), by_example=True), same)


@pytest.mark.slow
def test_exact_gives_the_rows_of_one_program(same):
    logs = []
    for exact in (False, True):
        step, state, batches = training(*NETS["layer norm"], optax.sgd(0.1))
        tracker = assert_same(step, state, batches[:3], same, exact=exact)
        logs.append(read_pickle(tracker.out_path)["scalar_stats"])
    assert logs[0].equals(logs[1]) and len(logs[0]) == 3 * 2 * 8


def x_plus_one(step):
    """Return a variant's way to run, off by a bit from its n-th run on."""
    original = _variant.Variant._both

    def both(variant, jaxpr, inputs):
        results, words = original(variant, jaxpr, inputs)
        return [x * (1 + 2.0**-23) for x in results], words

    return both


def test_a_program_whose_bits_differ_is_run_as_two_and_that_is_said(monkeypatch, same):
    monkeypatch.setattr(_variant.Variant, "_both", x_plus_one(_variant.Variant))
    step = jax.jit(lambda x: tag(jnp.sin(x), "sine"), donate_argnums=0)
    xs = [jnp.arange(4.0) + i for i in range(3)]
    words = "<lambda> is run as it is and once more to measure it: .*differ in their last bits"
    with pytest.warns(UserWarning, match=words) as said, track() as tracker:
        for x in xs:
            given = jnp.copy(x)
            assert same(tracker.intercept(step, given), jnp.sin(x))
            assert given.is_deleted()
            tracker.step()
    assert len(said) == 1
    log = read_pickle(tracker.out_path)
    assert log["scalar_stats"]["max_abs"].tolist() == pytest.approx([float(jnp.abs(jnp.sin(x)).max()) for x in xs])


def test_a_program_whose_bits_differ_is_first_measured_in_another_way(monkeypatch, same):
    original, seen = _variant.Variant._both, []

    def off_in_the_first_way(variant, jaxpr, inputs):
        results, words = original(variant, jaxpr, inputs)
        seen.append(len(variant._others))
        return [x * (1 + 2.0**-23) for x in results] if variant._others else results, words

    monkeypatch.setattr(_variant.Variant, "_both", off_in_the_first_way)
    monkeypatch.setattr(_variant, "_FIRST", 1)
    step = jax.jit(lambda x: tag(jnp.sin(x), "sine"))
    xs = [jnp.arange(24.0).reshape(2, 3, 4) + i for i in range(5)]
    with track() as tracker:
        for x in xs:
            assert same(tracker.intercept(step, x), jnp.sin(x))
            tracker.step()
    assert seen == [1, 0]  # each was traced once, and no run needed two programs
    log = read_pickle(tracker.out_path)
    assert log["scalar_stats"]["max_abs"].tolist() == pytest.approx([float(jnp.abs(jnp.sin(x)).max()) for x in xs])


def a_bit_off_above_two(self, jaxpr, inputs, original=_variant.Variant._both):
    """Return what a variant gives, rounded otherwise where it is above 2."""
    results, words = original(self, jaxpr, inputs)
    return [jnp.where(x > 2, x * (1 + 2.0**-23), x) for x in results], words


def steps_of_double(xs):
    """Give the results of a tracked step on each of these numbers, twice them to the last bit."""
    step = jax.jit(lambda x: tag(2 * x, "double"))
    with track() as tracker:
        for x in xs:
            yield float(tracker.intercept(step, jnp.float32(x)))
            tracker.step()


def test_bits_that_differ_only_from_a_later_run_on_are_found_before_they_harm(monkeypatch):
    monkeypatch.setattr(_variant.Variant, "_both", a_bit_off_above_two)
    xs = [0, 0, 1.5, 0, 3, 7]  # runs 3, 5 and 6 are those that differ
    with pytest.warns(UserWarning, match="differ in their last bits. Results stay those of the untracked run"):
        assert list(steps_of_double(xs)) == [2 * x for x in xs]


def test_bits_that_differed_before_they_were_compared_are_said(monkeypatch):
    monkeypatch.setattr(_variant.Variant, "_both", a_bit_off_above_two)
    monkeypatch.setattr(_variant, "_SMALL", 0)
    words = r"bits. Those of its recorded runs 3 to 3 may differ so from the untracked run; `track\(..., exact=True"
    with pytest.warns(UserWarning, match=words):
        assert [y == 3 for y in steps_of_double([0, 0, 1.5, 1.5])] == [False, False, False, True]


def test_callbacks_happen_once_in_each_step():
    happened = []

    @jax.jit
    def step(x):
        jax.debug.callback(lambda x: happened.append(("debug", float(x))), x)
        io_callback(lambda x: happened.append(("io", float(x))), None, x, ordered=True)

        def body(carry, _):
            jax.debug.callback(lambda x: happened.append(("scan", float(x))), carry, ordered=True)
            return carry, None

        return tag(jax.lax.scan(body, x * 2, None, length=2)[0], "double")

    with track() as tracker:
        for n in range(10):
            tracker.intercept(step, jnp.float32(n))
            tracker.step()
        jax.effects_barrier()
    expected = [(kind, float(n)) for n in range(10) for kind in ("debug", "io")]
    expected += [("scan", 2.0 * n) for n in range(10)] * 2
    assert sorted(happened) == sorted(expected)
    assert read_pickle(tracker.out_path)["scalar_stats"]["mean"].tolist() == [2.0 * n for n in range(10)]


def test_a_program_that_uses_what_a_callback_answers_runs_once_and_is_said_to_have_no_rows():
    happened = []

    def answer():
        happened.append("asked")
        return jnp.float32(3)

    @jax.jit
    def step(x):
        return tag(x * io_callback(answer, jax.ShapeDtypeStruct((), jnp.float32)), "times three")

    with pytest.warns(UserWarning, match="uses what callbacks answer.*measured"), track() as tracker:
        assert float(tracker.intercept(step, jnp.float32(2))) == 6
        tracker.step()
    assert happened == ["asked"]
