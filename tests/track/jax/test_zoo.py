"""Networks as people write them in JAX: the run stays as it is to the last bit, and every tensor has its rows."""

import itertools
from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import numpy as np
import optax
import pytest
from flax import nnx
from track.jax.zoo import ZOO

from tandv.track.common import read_pickle
from tandv.track.jax import track

pytestmark = pytest.mark.slow

OPTIMISERS = {"adam": optax.adam(1e-2), "lion": optax.lion(1e-3)}
STEPS = 3


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


def train(name: str, transform: Any, tracked: bool, path: Any = None) -> tuple[list[Any], Any]:
    """Return everything that training shows at each step, and the tracker if there is one."""
    step, model, state, batch = training(name, transform)
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


def weights_of(name: str) -> Iterator[str]:
    """Give the names that a model's weights must have, with `i` for each layer of a stack."""
    model = ZOO[name]()[1]
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


@pytest.mark.parametrize(("name", "optimiser"), [
    *((name, "adam") for name in ZOO),
    *((name, "lion") for name in ZOO if "gpt" in name or "norm" in name),
])  # fmt: skip
def test_an_architecture(name, optimiser, tmp_path):
    alone, _ = train(name, OPTIMISERS[optimiser], tracked=False)
    ours, tracker = train(name, OPTIMISERS[optimiser], tracked=True, path=tmp_path / "run")
    assert [a.tobytes() == b.tobytes() for a, b in itertools.zip_longest(alone, ours)] == [True] * len(alone)

    rows = rows_of(tracker)
    assert sorted(rows) == list(range(STEPS))
    weights = set(weights_of(name))
    for shown in rows.values():
        assert sorted(weights ^ shown["Weight"]) == []
        assert sorted(weights - shown["Optimiser_State.mu"]) == []
        layers = {weight for weight in weights if not weight.endswith((".bias", "bias_ih", "bias_hh"))}
        missing = {layer for layer in layers if layer not in shown["Activation"]}
        assert {layer for layer in missing if layer.rpartition(".")[0] not in shown["Activation"]} == set()
        assert shown["Gradient"] <= shown["Activation"] | {"prediction"}
        assert len(shown["Gradient"]) >= len(shown["Activation"]) - 1


def test_how_many_there_are():
    assert len(ZOO) >= 40
    assert {name.partition("_")[0] for name in ZOO} == {"linen", "nnx", "equinox"}
