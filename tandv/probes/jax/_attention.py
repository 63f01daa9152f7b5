"""Attention of models of JAX: softmaxes over keys that were computed from the batch, and that average values.

So a router, whose scores are products with a weight, and an output's softmax, which averages nothing, are none.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from tandv.probes._layers import chosen, numbered
from tandv.probes.jax._interpreter import Seen, Softmax
from tandv.probes.jax._models import prepared
from tandv.probes.jax._outputs import as_numpy, in_model_order, run_seen
from tandv.track.jax.axes import Axis

TOLERANCE = 0.01  # of the sum of a row: half precision is off by up to 0.4 %


def attention_patterns(
    model: Any, batch: Any, layers: Any = None, call: Callable[[Any, Any], Any] | None = None
) -> dict[str, np.ndarray]:
    """Return attention probabilities (batch, heads, query, key) by layer; see `tandv.probes.attention_patterns`.

    >>> from flax import nnx
    >>> model = nnx.MultiHeadAttention(num_heads=2, in_features=8, decode=False, rngs=nnx.Rngs(0))
    >>> attention_patterns(model, jnp.ones((3, 5, 8)))["MultiHeadAttention"].shape
    (3, 2, 5, 5)

    Args:
        model: a flax.nnx or an equinox module, or a flax.linen module bound to its variables.
        batch: the input: an array, a tuple of positional arguments, or a dict of keyword arguments.
        layers: a layer's name, a compiled pattern, or a list of these; None for all.
        call: `call(model, batch)` runs the model, for models that take their input in another way.

    Raises ValueError if no attention is found, or if rows do not sum to 1.
    """
    ready = prepared(model, call)
    seen, problem = run_seen(ready, batch)
    if problem is not None:
        raise ValueError(
            f"attention of {ready.name} cannot be seen: its code looks at values, so that JAX cannot trace it; give "
            f"call=, a way to run it that JAX can trace ({type(problem).__name__}: {str(problem).splitlines()[0]})"
        ) from problem
    examples = _examples(batch)
    found: dict[str, list[np.ndarray]] = {}
    for softmax in _attention_in(seen):
        found.setdefault(softmax.path or ready.name, []).append(_pattern(softmax, examples))
    if not found:
        raise ValueError(
            f"no attention is seen in {ready.name}: no softmax over keys that averages values (a router's and an "
            f"output's are none; there are {len(seen.softmaxes)} softmaxes in all); kernels that are written for a "
            "device show none, so choose an implementation in plain JAX, such as "
            "jax.nn.dot_product_attention(implementation='xla')"
        )
    named = {numbered(layer, layer, time): array for layer, all_of_it in found.items() for time, array in
             enumerate(all_of_it)}  # fmt: skip
    if wrong := [name for name, array in named.items() if not _is_probabilities(array)]:
        raise ValueError(
            f"attention rows of {', '.join(map(repr, wrong))} do not sum to 1; NaN comes from a model that has diverged"
        )
    order = in_model_order(found, ready)
    names = [name for layer in order for name in named if name.partition("@")[0] == layer]
    return {name: named[name] for name in chosen(names, layers, "attention layer")}


def _attention_in(seen: Seen) -> list[Softmax]:
    """Return the softmaxes over keys that come from the batch, and that average values that do."""
    found = []
    for number, softmax in seen.softmaxes.items():
        keys = softmax.axes[softmax.axis]
        if number in seen.averaging and keys is not None and keys.of_batch and keys.side != "shared":
            found.append(softmax)
    return found


def _pattern(softmax: Softmax, examples: int | None) -> np.ndarray:
    """Return probabilities as (batch, heads, query, key); a sink without a key of its own is one more key, the last."""
    axes, key = softmax.axes, softmax.axis
    of_keys = axes[key]
    rest = [at for at in range(len(axes)) if at != key]
    queries = [at for at in rest if _is_other_side(axes[at], of_keys)]
    rest.sort(key=lambda at: _place(axes[at], at))
    example = next((at for at in rest if softmax.array.shape[at] == examples and at not in queries[-1:]), None)
    if not queries:  # both come from one operand, as in additive attention
        queries = [at for at in sorted(rest) if at != example][-1:]
    query = queries[-1:]
    heads = [at for at in rest if at != example and at not in query]
    array = jnp.transpose(softmax.array, [*([example] if example is not None else []), *heads, *query, key])
    array = as_numpy(array)
    long, wide = (softmax.array.shape[query[0]] if query else 1), softmax.array.shape[key]
    if example is None and heads and examples and array.shape[0] % examples == 0:  # heads are folded into the batch
        array = array.reshape(examples, -1, long, wide)
    else:
        array = array.reshape(examples if example is not None and examples else 1, -1, long, wide)
    if softmax.added:
        array = np.concatenate([array, 1 - array.sum(-1, keepdims=True)], -1)
    return array


def _is_other_side(axis: Axis | None, keys: Axis | None) -> bool:
    return (
        axis is not None
        and keys is not None
        and axis.number == keys.number
        and axis.side in ("left", "right")
        and axis.side != keys.side
    )


def _place(axis: Axis | None, at: int) -> tuple[int, int]:
    """Return where an axis was in the product: transforms have perhaps moved it, but heads have an order."""
    if axis is None:
        return (2, at)
    return (0, axis.place) if axis.side == "shared" else (1, axis.place)


def _examples(batch: Any) -> int | None:
    parts = batch.values() if isinstance(batch, dict) else batch if isinstance(batch, tuple | list) else [batch]
    return next((part.shape[0] for part in parts if getattr(part, "ndim", 0)), None)


def _is_probabilities(array: np.ndarray) -> bool:
    """Tell whether no value is negative and every row sums to 1, or to 0 where it attends to no key."""
    total = array.sum(-1, dtype=np.float64)
    return bool((array >= -1e-6).all()) and bool(((np.abs(total - 1) <= TOLERANCE) | (total == 0)).all())
