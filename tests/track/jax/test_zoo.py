"""Networks as people write them in JAX: the run stays as it is to the last bit, and every tensor has its rows."""

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
import optax
import pytest
from flax import nnx
from track.architectures import TABLE
from track.jax.zoo import ZOO

from tandv.track.common import read_pickle
from tandv.track.jax import track
from tests.compiled import optimising

pytestmark = pytest.mark.slow

STEPS = 3
ADAM = optax.adam(1e-2)  # whose first moments show the last bit of each gradient


def training(name: str, transform: optax.GradientTransformation) -> tuple[Any, Any, Any, Any]:
    """Return (jitted step, model, optimiser state, batch); a step takes the last three."""
    loss, model, batch = ZOO[name]()
    if isinstance(model, nnx.Module):
        optimizer = nnx.Optimizer(model, transform, wrt=nnx.Param)

        @nnx.jit
        def in_place(model, optimizer, batch):
            value, grads = nnx.value_and_grad(loss)(model, batch)
            optimizer.update(model, grads)
            return value

        return in_place, model, optimizer, batch
    arrays, static = eqx.partition(model, eqx.is_inexact_array)

    @jax.jit
    def step(arrays, state, batch):
        value, grads = jax.value_and_grad(lambda arrays: loss(eqx.combine(arrays, static), batch))(arrays)
        updates, state = transform.update(grads, state, arrays)
        return optax.apply_updates(arrays, updates), state, value

    return step, arrays, transform.init(arrays), batch


def train(made: tuple[Any, Any, Any, Any], tracked: bool, path: Any = None) -> tuple[list[Any], Any]:
    """Return everything that training shows at each step, and the tracker if there is one."""
    step, model, state, batch = made
    if isinstance(model, nnx.Module):  # another training begins with the same
        model, state = nnx.clone((model, state))
    tracker = track(model, state, path=path, async_offload=False) if tracked else None
    seen = []
    with tracker or jax.transfer_guard("allow"):
        call = tracker.wrap(step) if tracker else step
        for _ in range(STEPS):
            if isinstance(model, nnx.Module):
                value = call(model, state, batch)
                shown = [nnx.to_pure_dict(nnx.state(model, nnx.Not(nnx.RngState)))]
                if tracker:
                    tracker.step()
            else:
                model, state, value = call(model, state, batch)
                shown = [model, state]
                if tracker:
                    tracker.step(model, state)
            seen += [np.array(x) for x in jax.tree.leaves([shown, value])]
    return seen, tracker


def weights_of(name: str, model: Any) -> Iterator[str]:
    """Give the names that a model's weights must have, with `i` for each layer of a stack."""
    model = nnx.to_pure_dict(nnx.state(model, nnx.Param)) if isinstance(model, nnx.Module) else model
    for path, leaf in jax.tree_util.tree_leaves_with_path(model):
        if not (eqx.is_inexact_array(leaf)):
            continue
        parts = [str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", "")))) for key in path]
        if parts[-1] in ("kernel", "scale", "embedding", "weight") and len(parts) > 1:
            parts.pop()
        layers = range(3) if parts[0] == "layers" and ("scanned" in name or "stacked" in name) else [None]
        for layer in layers:
            yield ".".join([parts[0], *([] if layer is None else [str(layer)]), *parts[1:]])


def rows_of(tracker: Any) -> dict[int, dict[str, set[str]]]:
    """Return {step: {tensor type: names}} of a finished log."""
    m = read_pickle(tracker.out_path)["metadata"]
    steps: dict[int, dict[str, set[str]]] = {}
    for step, kind, name in zip(m["step"], m["tensor_type"].astype(str), m["name"].astype(str), strict=True):
        steps.setdefault(step, {}).setdefault(kind, set()).add(name)
    return steps


class Compared(NamedTuple):
    """A run with tracking beside one without."""

    identical: bool  # weights, optimiser states and losses of every step
    missing: list[str]  # in any step
    rows: int  # of a step


def compare(name: str, folder: Any, compiling: Any = None) -> Compared:
    """Train an architecture with and without tracking, where `compiling` is a context in which steps are compiled."""
    made = training(name, ADAM)
    weights = set(weights_of(name, made[1]))
    with compiling or nullcontext():
        alone, _ = train(made, tracked=False)
        ours, tracker = train(made, tracked=True, path=folder)
    identical = [x.tobytes() for x in alone] == [x.tobytes() for x in ours]
    steps = rows_of(tracker)
    assert sorted(steps) == list(range(STEPS))
    missing = set().union(*(missing_rows(weights, shown) for shown in steps.values()))
    return Compared(identical, sorted(missing), sum(map(len, steps[1].values())))


def around(name: str) -> Iterator[str]:
    """Give a name and those of the modules around it: the cell whose gates have weights but are never called."""
    while name:
        yield name
        name = name.rpartition(".")[0]


def missing_rows(weights: set[str], shown: dict[str, set[str]]) -> set[str]:
    """Return what a step does not show: a weight, its state, its layer's output or the gradient of an output."""
    missing = {f"Weight {name}" for name in weights ^ shown["Weight"]}
    missing |= {f"Optimiser_State.mu {name}" for name in weights - shown["Optimiser_State.mu"]}
    outputs = {name.partition("[")[0] for name in shown["Activation"]}
    missing |= {f"Activation {name}" for name in weights if not outputs.intersection(around(name))}
    return missing | {f"Gradient {name}" for name in shown["Activation"] - shown["Gradient"]}


# Each kind of network in one of the libraries, but for those of test_bits.py: the bits of these are those of optimised
# programs. The others are told apart from them by how their library builds a program, which optimising does not change.
OPTIMISED = {
    *("linen_mlp_float16", "linen_unet", "linen_experts", "linen_variational", "linen_dropout", "linen_mixer"),
    *("nnx_rms_norm", "nnx_gpt_remat", "nnx_lora", "nnx_lstm", "nnx_attention", "nnx_called_in_a_loop"),
    *("equinox_conv", "equinox_gpt", "equinox_gru", "equinox_stacked", "equinox_pool"),
}


@pytest.mark.parametrize("name", ZOO)
def test_an_architecture(name, tmp_path):
    compiling = optimising() if name in OPTIMISED else None
    assert compare(name, tmp_path / "run", compiling) == (True, [], TABLE["JAX", name])


def test_the_table_has_them_all():
    assert {name for group, name in TABLE if group == "JAX"} == set(ZOO)
    assert len(ZOO) >= 40 and set(ZOO) > OPTIMISED
    assert {name.partition("_")[0] for name in ZOO} == {"linen", "nnx", "equinox"}
