"""Casts to block formats by XLA's own operations: on any device, sharded or not.

XLA may take subnormal numbers for zeros, so they are read from their bits: such a number is its bits times 2^-149.
"""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from tandv.track.jax._xla import total

_ABS, _INF, _NORMAL = 0x7FFFFFFF, 0x7F800000, 0x00800000
_MX, _NV = 0, 1

Sum = tuple[jax.Array, jax.Array]  # a power of two, and what it is multiplied by


def measured(x: jax.Array, formats: np.ndarray, axis: int) -> Iterator[tuple[tuple[Sum, Sum], tuple[jax.Array, ...]]]:
    """Yield of each format (`blocks.described`) the error and the squares, and counts of zeros, saturated values and
    those that are not finite.
    """
    axis %= x.ndim
    bits = _bits(x)
    finite = bits < _INF
    bits = jnp.where(finite, bits, 0)
    unit = jnp.minimum(_exponent(bits.max()), 126)
    squares = total(jnp.square(_scaled(bits, unit)), ())
    for kind, rows, size, m, normal, emax, largest, floor in formats.tolist():
        b = _cut(bits, axis, int(size))
        tops = b.max(axis + 1, keepdims=True)
        if rows > 1:
            tops = _of_tiles(tops, axis, int(rows))
        errors, zeros, over = _cast(
            b, tops, unit, int(kind), int(m), int(normal), int(emax), np.float32(largest), np.float32(floor)
        )
        error = total(jnp.square(errors), ())
        yield ((2 * unit, error), (2 * unit, squares)), (zeros.sum(), over.sum(), (~finite).sum())


def _cast(
    bits: jax.Array,
    tops: jax.Array,
    unit: jax.Array,
    kind: int,
    m: int,
    normal: int,
    emax: int,
    largest: np.float32,
    floor: np.float32,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return errors in units of 2^unit, which values become zero, and which saturate."""
    if kind == _MX:
        e = jnp.maximum(_exponent(tops) - emax, -127)
        y, lost, back = _scaled(bits, e), None, power_of_two(e - unit)
    elif kind == _NV:  # all in units of 2^unit, which changes no rounding
        x, whole = _scaled(bits, unit), _scaled(tops.max(), unit)
        scale_of_all = jnp.maximum(whole / _hidden(6 * 448), power_of_two(-112 - unit))
        wanted = jnp.maximum(_scaled(tops, unit) / _hidden(6) / scale_of_all, floor)
        scale = jnp.minimum(_rounded(jnp.minimum(wanted, 896), 3, -6), 448)
        some = scale > 0
        y = jnp.where(some, x * ((1 / scale_of_all) / jnp.where(some, scale, 1)), 0)
        lost, back = jnp.where(some, 0, x), scale * scale_of_all
    else:  # in units of the block's power of two
        e = _exponent(tops)
        x, scale = _scaled(bits, jnp.minimum(e, 126)), _scaled(tops, jnp.minimum(e, 126)) / _hidden(largest)
        field = lax.bitcast_convert_type(scale, jnp.int32) >> 23
        some = jnp.minimum(e, 126) + field - 127 >= -126  # else the inverse of the scale would leave float32
        y = jnp.where(some, x * (1 / jnp.where(some, scale, 1)), 0)
        shrink = power_of_two(jnp.minimum(e, 126) - unit)
        lost, back = jnp.where(some, 0, x * shrink), scale * shrink
    r = _rounded(jnp.minimum(y, 2 * largest), m, normal)
    over = r > largest
    r = jnp.minimum(r, largest)
    errors = (y - r) * back
    return errors if lost is None else errors + lost, (r == 0) & (bits > 0), over


def _hidden(value: Any) -> jax.Array:
    """Return a number that XLA does not see: it would turn the division by it into a product with its inverse."""
    return lax.optimization_barrier(jnp.float32(value))


def _bits(x: jax.Array) -> jax.Array:
    """Return the bits of magnitudes as float32, without arithmetic."""
    if x.dtype == jnp.bfloat16:
        return (lax.bitcast_convert_type(x, jnp.uint16).astype(jnp.int32) << 16) & _ABS
    return lax.bitcast_convert_type(x.astype(jnp.float32), jnp.int32) & _ABS


def _exponent(bits: jax.Array) -> jax.Array:
    """Return the power of two of float32s of these bits; 0 has some low one."""
    return jnp.where(bits < _NORMAL, 31 - lax.clz(bits) - 149, (bits >> 23) - 127)


def power_of_two(exponent: jax.Array) -> jax.Array:
    """Return a power of two, 0 where it would be subnormal; it must not overflow."""
    return lax.bitcast_convert_type(jnp.clip(exponent + 127, 0, 254) << 23, jnp.float32)


def _scaled(bits: jax.Array, exponent: jax.Array) -> jax.Array:
    """Return float32s of these bits times 2^-exponent."""
    tiny = bits.astype(jnp.float32) * power_of_two(-149 - exponent)
    usual = lax.bitcast_convert_type(bits, jnp.float32) * power_of_two(jnp.minimum(-exponent, 127))
    return jnp.where(bits < _NORMAL, tiny, usual)


def _rounded(y: jax.Array, m: int, normal: int) -> jax.Array:
    """Return y >= 0 to nearest even at the step of its power of two, at least at that of 2^normal."""
    field = jnp.maximum(lax.bitcast_convert_type(y, jnp.int32) >> 23, normal + 127)
    step = power_of_two(field - 127 - m)
    return jnp.round(y / step) * step


def _cut(bits: jax.Array, axis: int, size: int) -> jax.Array:
    """Return the blocks of an array: its axis in two where it lies, since on a CPU to move it is far slower."""
    length = bits.shape[axis]
    if length % size:
        bits = jnp.pad(bits, [(0, -length % size if i == axis else 0) for i in range(bits.ndim)])
    return bits.reshape(*bits.shape[:axis], -1, size, *bits.shape[axis + 1 :])


def _of_tiles(tops: jax.Array, axis: int, rows: int) -> jax.Array:
    """Return for each block the largest of the `rows` rows that share a scale; tops have 1 at axis + 1."""
    last = jnp.moveaxis(jnp.squeeze(tops, axis + 1), axis, -1)
    flat = last.reshape(-1, last.shape[-1])
    filled = jnp.pad(flat, [(0, -len(flat) % rows), (0, 0)]).reshape(-1, rows, flat.shape[1])
    shared = jnp.repeat(filled.max(1), rows, axis=0)[: len(flat)].reshape(last.shape)
    return jnp.expand_dims(jnp.moveaxis(shared, -1, axis), axis + 1)
