"""Units of marked values (`track(units=True)`), measured inside the compiled step beside their rows."""

import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from tandv.tensor_types import ACTIVATION, GRADIENT
from tandv.track.common.units import Units
from tandv.track.jax._kernels import Kernel
from tandv.track.jax._tag import Mark, axes_of
from tandv.track.jax._xla import with_any_sharding

_CHANNELS_FIRST = re.compile(r"Conv(?:Transpose)?([123])d")  # of equinox, with the number of axes behind the channels


def axis_of(x: Any, mark: Mark) -> int | None:
    """Return the axis of a value along which its units lie, None if it has none.

    >>> axis_of(np.ones((8, 16, 4)), Mark(("conv",), "Conv", ACTIVATION))
    2
    >>> axis_of(np.ones((8, 4, 16)), Mark(("conv",), "Conv1d", ACTIVATION))
    1
    >>> axis_of(np.ones((4, 8)), Mark(("act",), "Lambda", ACTIVATION, mapped=(1,)))  # by vmap(..., in_axes=1)
    0
    """
    if mark.tensor_type not in (ACTIVATION, GRADIENT) or not x.ndim or not x.size:
        return None
    match = _CHANNELS_FIRST.fullmatch(mark.type)
    behind = int(match[1]) if match else 0
    own = axes_of(x.ndim, mark)[len(mark.mapped) :]
    return own[-1 - behind] if len(own) > behind else None


@functools.cache
def kernel_of(units: int, axis: int) -> Kernel:
    """Return the kernel that measures units along an axis; it must not be given a part within a shard_map."""

    def measure(x: jax.Array, _: tuple[str, ...]) -> jax.Array:
        # Behind a barrier, so that XLA fuses the operations of the user's as it would without.
        return with_any_sharding(both, lax.optimization_barrier(x))

    def both(x: jax.Array) -> jax.Array:
        over, x = tuple(one for one in range(x.ndim) if one != axis), x.astype(jnp.float32)
        return _words(jnp.ones(1, jnp.uint32), jnp.abs(x).max(over), jnp.square(x).sum(over))

    def merge(one: jax.Array, other: jax.Array) -> jax.Array:
        a, b = _numbers(one, units), _numbers(other, units)
        return _words(one[:1] + other[:1], jnp.maximum(a[0], b[0]), a[1] + b[1])

    return Kernel(measure, merge, np.zeros(1 + 2 * units, np.uint32), functools.partial(units_of, units))


def units_of(units: int, words: np.ndarray) -> list[Units | None]:
    """Return the units of each layer whose words, [layers, of one measurement], came out of a program; None of a
    branch that was not taken.
    """
    rows = np.ascontiguousarray(words).reshape(-1, 1 + 2 * units)
    numbers = rows[:, 1:].view(np.float32)
    return [
        Units(one[:units], one[units:]) if calls else None
        for calls, one in zip(rows[:, 0].tolist(), numbers, strict=True)
    ]


def together(one: Units | None, other: Units) -> Units:
    """Return the units of two calls, or micro-batches, of one module."""
    if one is None or len(one.largest) != len(other.largest):
        return other
    return Units(np.maximum(one.largest, other.largest), one.squares + other.squares)


def _words(calls: jax.Array, largest: jax.Array, squares: jax.Array) -> jax.Array:
    return jnp.concatenate([calls, *(lax.bitcast_convert_type(one, jnp.uint32) for one in (largest, squares))])


def _numbers(words: jax.Array, units: int) -> tuple[jax.Array, jax.Array]:
    numbers = lax.bitcast_convert_type(words[1:], jnp.float32)
    return numbers[:units], numbers[units:]
