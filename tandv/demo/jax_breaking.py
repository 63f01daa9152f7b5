"""Faults that `tandv demo --break` puts into a training in JAX, each at a known layer and step."""

from collections.abc import Callable
from typing import Any

from tandv.demo.broken import FACTOR, GROWTH, Break
from tandv.demo.jax_gpt import Training

# isort: split
import jax
import jax.numpy as jnp
import optax


def fault(training: Training, kind: Break, steps: int) -> Callable[[int], None]:
    """Return a function that breaks a training, to be called before each step.

    Args:
        training: the training.
        kind: the fault.
        steps: how many steps there will be; the fault begins at half of them.
    """
    at = steps // 2
    layers: Any = training.model.layers
    layer, norm = layers[2].feed_forward, layers[1].attention_norm

    def overflow(step: int) -> None:
        if step >= at:
            layer.w1.kernel[...] = layer.w1.kernel[...] * 2.0 ** (GROWTH / (steps - at))

    def dead(step: int) -> None:
        if step == at:
            layer.w1.bias[...] = jnp.full_like(layer.w1.bias[...], -50.0)

    def rate(step: int) -> None:
        if step == at:
            training.optimizer.tx = _faster(training.optimizer.tx)

    def nan(step: int) -> None:
        if step == at:
            norm.scale[...] = norm.scale[...].at[0].set(jnp.nan)

    if kind == "overflow":  # the layer is computed in float16, what follows in float32
        layer.w1.dtype = jnp.float16
    return {"overflow": overflow, "dead": dead, "lr": rate, "nan": nan}[kind]


def _faster(transform: optax.GradientTransformation) -> optax.GradientTransformation:
    """Return the same optimiser, of the same state, with a learning rate that is too high."""

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        updates, state = transform.update(updates, state, params)
        return jax.tree.map(lambda one: FACTOR * one, updates), state

    return optax.GradientTransformation(transform.init, update)
