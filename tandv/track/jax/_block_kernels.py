"""Block formats of marked values and of weights (`track(formats=[...])`), measured inside the compiled step.

A measurement is words: 1, then of each format the power of two and the float32 of two sums (error, squares), and three
counts. On one CPU the kernel of the host writes them, else XLA's own operations do.
"""

import functools
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from tandv.measure.blocks import around, block_format, described
from tandv.tensor_types import WEIGHT
from tandv.track.common.block_formats import Axes, axis_of
from tandv.track.jax import _block_operations, _native_blocks
from tandv.track.jax._kernels import Kernel
from tandv.track.jax._tag import Mark, axes_of
from tandv.track.jax._xla import with_any_sharding

_WORDS = 7  # of a format
_CHANNELS_FIRST = re.compile(r"(?:Conv(?:Transpose)?|(?:Max|Avg)Pool)([123])d")  # of equinox, with the axes behind them


class BlockFormats(NamedTuple):
    """The formats that operands are measured in, and the axis of their blocks where the user chose it."""

    names: tuple[str, ...]
    axes: Axes


def axis_of_value(x: Any, mark: Mark, axes: Axes) -> int | None:
    """Return the axis of a marked value along which its blocks lie: that of units of outputs, of a weight its own."""
    if mark.tensor_type == WEIGHT:
        number = axis_of_weight(x, mark.key, axes)
        return None if number is None else axes_of(x.ndim, mark)[number]
    match = _CHANNELS_FIRST.fullmatch(mark.type)
    behind = int(match[1]) if match else 0
    usual = -1 - behind if x.ndim > behind else -1
    number = axis_of(axes, mark.tensor_type, x.ndim, usual) if _is_measured(x) else None
    return None if number is None else axes_of(x.ndim, mark)[number]


def axis_of_weight(x: Any, key: str, axes: Axes) -> int | None:
    """Return the axis of a weight along which its blocks lie: that which the forward product sums over.

    >>> kernel, weight = np.ones((3, 3, 8, 16), np.float32), np.ones((16, 8, 3, 3), np.float32)
    >>> axis_of_weight(kernel, "kernel", None), axis_of_weight(weight, "weight", None)
    (2, 1)

    Args:
        x: the weight.
        key: its name in its module: "kernel" and "w" (of haiku) are [..., inputs, outputs], others [outputs, inputs,
            ...].
        axes: what the user chose.
    """
    usual = -2 if key in ("kernel", "w") else min(1, x.ndim - 1)
    return axis_of(axes, WEIGHT, x.ndim, usual) if _is_measured(x) else None


def _is_measured(x: Any) -> bool:
    return bool(x.size) and x.dtype != np.float64


@functools.cache
def kernel_of(names: tuple[str, ...], axis: int, one_cpu: bool) -> Kernel:
    """Return the kernel that measures blocks along an axis; it must not be given a part within a shard_map."""
    formats = described([block_format(name) for name in names])
    native = one_cpu and _native_blocks.available()

    def measure(x: jax.Array, _: tuple[str, ...]) -> jax.Array:
        # Behind a barrier, so that XLA fuses the operations of the user's as it would without.
        if native:
            return _native_blocks.measure(x, around(x.shape, axis), formats)
        return with_any_sharding(by_operations, lax.optimization_barrier(x))

    def by_operations(x: jax.Array) -> jax.Array:
        numbers = [jnp.ones(1, jnp.uint32)]
        for of_sums, counts in _block_operations.measured(x, formats, axis):
            for power, value in of_sums:
                numbers += [_as_words(power.astype(jnp.int32)), _as_words(value.astype(jnp.float32))]
            numbers += [count.astype(jnp.uint32).reshape(1) for count in counts]
        return jnp.concatenate(numbers)

    empty = np.zeros(1 + _WORDS * len(names), np.uint32)
    return Kernel(measure, _merge, empty, functools.partial(sums_of, len(names)))


def _as_words(value: jax.Array) -> jax.Array:
    return lax.bitcast_convert_type(value, jnp.uint32).reshape(1)


def _merge(one: jax.Array, other: jax.Array) -> jax.Array:
    """Return the words of two measurements added up."""
    a, b = one[1:].reshape(-1, _WORDS), other[1:].reshape(-1, _WORDS)
    columns = []
    for k in (0, 2):
        powers = [lax.bitcast_convert_type(words[:, k], jnp.int32) for words in (a, b)]
        values = [lax.bitcast_convert_type(words[:, k + 1], jnp.float32) for words in (a, b)]
        powers = [jnp.where(value > 0, power, -(1 << 20)) for power, value in zip(powers, values, strict=True)]
        top = jnp.maximum(*powers)
        total = sum(
            value * _block_operations.power_of_two(power - top) for power, value in zip(powers, values, strict=True)
        )
        columns += [lax.bitcast_convert_type(one, jnp.uint32) for one in (top, jnp.asarray(total, jnp.float32))]
    both = jnp.concatenate([jnp.stack(columns, 1), a[:, 4:] + b[:, 4:]], 1)
    return jnp.concatenate([one[:1] + other[:1], both.reshape(-1)])


def sums_of(formats: int, words: np.ndarray) -> list[np.ndarray | None]:
    """Return the sums [formats, PARTS] of each layer whose words came out of a program; None of a branch that was not
    taken.
    """
    rows = np.ascontiguousarray(words).reshape(-1, 1 + _WORDS * formats)
    found: list[np.ndarray | None] = []
    for row in rows:
        numbers = row[1:].reshape(formats, _WORDS)
        powers = np.maximum(numbers[:, :4:2].view(np.int32), -2000)
        values = np.ascontiguousarray(numbers[:, 1:4:2]).view(np.float32).astype(np.float64)
        found.append(np.concatenate([np.ldexp(values, powers), numbers[:, 4:]], 1) if row[0] else None)
    return found


def together(found: Sequence[np.ndarray]) -> np.ndarray:
    """Return the sums of several calls, or micro-batches, of one module."""
    return np.sum(found, axis=0)
