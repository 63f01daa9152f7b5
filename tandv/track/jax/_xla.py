"""Measure inside a compiled program by XLA's own operations: on any device, sharded or not.

Sums are taken axis by axis over the tensor's own shape, never over a flattened copy, so that XLA reduces
a sharded tensor on its devices. Exponents, extremes and zeros are read from the bits, since XLA may flush subnormal
numbers to zero.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from tandv import statistics
from tandv.statistics import SUMS


class _Layout(NamedTuple):
    """The format of a float type, and the words of one measurement."""

    number: type
    pattern: type  # whole numbers as wide
    mantissa: int  # bits
    lowest: int  # exponent of the smallest subnormal
    exponents: int  # how many there are

    @property
    def slots(self) -> int:
        return self.exponents + 3  # zeros, the exponents, infinities, NaNs

    @property
    def words(self) -> int:
        return 3 + self.slots + (2 + len(SUMS)) * np.dtype(self.number).itemsize // 4


_SINGLE = _Layout(np.float32, np.int32, 23, statistics.LOWEST, 277)
_DOUBLE = _Layout(np.float64, np.int64, 52, statistics.WIDE_LOWEST, 2098)


class XlaMeasurement(NamedTuple):
    """A measurement inside a program; sums are of x·2^-scale."""

    calls: jax.Array
    scale: jax.Array
    mantissa: jax.Array  # bits that are used, and 1
    counts: jax.Array  # [slots]
    extremes: jax.Array  # bits of the largest and the smallest magnitude
    sums: jax.Array  # as in SUMS


def words(dtype: np.dtype) -> int:
    """Return the number of uint32 words of a measurement."""
    return _layout(dtype).words


def measure(x: jax.Array, axes: tuple[str, ...] = ()) -> jax.Array:
    """Return the words of a measurement of `x`, together with that of the other devices along mesh `axes`."""
    return with_any_sharding(lambda x: _to_words(_measure(x, axes)), x)


def with_any_sharding(function: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    """Return what a function makes of a value, the same on all devices, also where types carry the sharding."""
    mesh = getattr(jax.typeof(x).sharding, "mesh", None)
    if mesh is not None and jax.sharding.AxisType.Explicit in mesh.axis_types:
        everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
        whole: Any = jax.sharding.auto_axes(function, out_sharding=everywhere)
        return whole(x)
    return function(x)


def merge(one: jax.Array, other: jax.Array, dtype: np.dtype) -> jax.Array:
    """Return the words of two measurements of the same type merged."""
    a, b, layout = _from_words(one, dtype), _from_words(other, dtype), _layout(dtype)
    scale = jnp.maximum(a.scale, b.scale)
    n = [m.counts[:-2].sum().astype(layout.number) for m in (a, b)]
    sums = [m.sums * _powers(m.scale - scale, layout) for m in (a, b)]
    whole, total = jnp.maximum(n[0] + n[1], 1), list(SUMS).index("sum")
    apart = sums[0][total] / jnp.maximum(n[0], 1) - sums[1][total] / jnp.maximum(n[1], 1)
    between = apart * apart * (n[0] / whole) * n[1]  # Chan, Golub and LeVeque (1979)
    both = (sums[0] + sums[1]).at[list(SUMS).index("m2")].add(between)
    extremes = jnp.stack([jnp.maximum(a.extremes[0], b.extremes[0]), jnp.minimum(a.extremes[1], b.extremes[1])])
    return _to_words(
        XlaMeasurement(
            a.calls + b.calls, scale, jnp.maximum(a.mantissa, b.mantissa), a.counts + b.counts, extremes, both
        )
    )


def empty(dtype: np.dtype) -> np.ndarray:
    """Return the words of a measurement of nothing."""
    layout = _layout(dtype)
    head = np.array([0, statistics.NO_SCALE, 0], np.int32)
    extremes = np.array([0, _infinity(layout)], layout.pattern)
    counts, sums = np.zeros(layout.slots, np.int32), np.zeros(len(SUMS), layout.number)
    return np.concatenate([part.view(np.uint32) for part in (head, counts, extremes, sums)])


def rows_of(flat: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return the rows whose words, [..., words], came out of a program."""
    layout = _layout(dtype)
    flat = np.ascontiguousarray(flat).reshape(-1, layout.words)
    rows = np.zeros(len(flat), statistics.ROW if layout is _SINGLE else statistics.WIDE_ROW)
    head, counts = flat[:, :3].view(np.int32), flat[:, 3 : 3 + layout.slots].view(np.int32)
    rest = np.ascontiguousarray(flat[:, 3 + layout.slots :])
    sums = rest.view(layout.number)[:, 2:]
    rows["calls"], rows["scale"], rows["mantissa"] = head.T
    rows["zeros"], rows["infs"], rows["nans"] = counts[:, 0], counts[:, -2], counts[:, -1]
    rows["counts"], rows["numel"] = counts[:, 1:-2], counts.sum(axis=1)
    rows["max_abs"], rows["min_abs"] = rest.view(layout.number)[:, 0], rest.view(layout.number)[:, 1]
    for name, values in zip(SUMS, sums.T, strict=True):
        rows[name] = values
    return rows


def counts(x: jax.Array) -> tuple[jax.Array, int]:
    """Return the counts [zeros, each exponent from `lowest`, infinities] of an array, and `lowest`."""
    layout = _layout(x.dtype)
    return _measure(x, ()).counts[:-1], layout.lowest


def summarise(x: jax.Array) -> dict[str, jax.Array]:
    """Return every scalar statistic of an array as arrays of its program, in float32 or, of float64, in float64."""
    layout, measured = _layout(x.dtype), _measure(x, ())
    n = measured.counts[:-2].sum()
    known = n > 0
    largest, smallest = lax.bitcast_convert_type(measured.extremes, layout.number)
    of = {"max_abs": largest, "min_abs": smallest} | dict(zip(SUMS, measured.sums / jnp.maximum(n, 1), strict=True))
    moments = statistics.moments(of, _times_power(measured.scale, layout), jnp)
    zeros, infs, nans = measured.counts[0], measured.counts[-2], measured.counts[-1]
    numel = measured.counts.sum()
    numbers = {"numel": numel, "zeros": zeros, "nans": nans, "infs": infs}
    return {name: jnp.where(known, value, jnp.nan) for name, value in moments.items()} | numbers


def _times_power(scale: jax.Array, layout: _Layout) -> Callable[[jax.Array], jax.Array]:
    """Return the product with 2^scale, which may itself be no normal number."""
    half = jnp.maximum(scale, -(1 << 10)) // 2
    return lambda x: x * _power(half, layout) * _power(jnp.maximum(scale, -(1 << 10)) - half, layout)


def _layout(dtype: np.dtype) -> _Layout:
    return _DOUBLE if np.dtype(dtype) == np.float64 else _SINGLE


def _infinity(layout: _Layout) -> int:
    return int(np.array(np.inf, layout.number).view(layout.pattern))


def _measure(x: jax.Array, axes: tuple[str, ...]) -> XlaMeasurement:
    layout = _layout(x.dtype)
    x = x.astype(layout.number)
    bits = lax.bitcast_convert_type(x, layout.pattern) & np.iinfo(layout.pattern).max
    infinity, normal = _infinity(layout), 1 << layout.mantissa
    finite = bits < infinity

    largest = _over(jnp.maximum, jnp.where(finite, bits, 0), 0, axes)
    smallest = _over(jnp.minimum, jnp.where(finite, bits, infinity), infinity, axes)
    exponent = _slot(largest, layout) - 1 + layout.lowest
    top = -layout.lowest - layout.mantissa  # as far as powers of two and their inverses are normal numbers
    shift = jnp.minimum(exponent, top)

    # A subnormal number is its bits times the smallest one; only among equals does it count.
    tiny = bits.astype(layout.number) * _power(layout.lowest - shift, layout)
    tiny = jnp.where(lax.bitcast_convert_type(x, layout.pattern) < 0, -tiny, tiny)
    y = jnp.where(bits < normal, tiny, jnp.where(finite, x, 0) * _power(jnp.minimum(-shift, top), layout))

    counts = _count(_slot(bits, layout), layout, axes)
    n = jnp.maximum(counts[:-2].sum(), 1).astype(layout.number)
    mean = total(y, axes) / n
    centred = jnp.where(finite, y - mean, 0)
    missed = total(centred, axes)  # rounding error of the mean (Neely, 1966)
    m2 = jnp.maximum(total(centred * centred, axes) - missed * (missed / n), 0)
    y4 = jnp.square(y * y)
    sums = {
        "sum": mean * n + missed,
        "sum_abs": total(jnp.abs(y), axes),
        "m2": m2,
        "sum4": total(y4, axes),
        "sum8": total(y4 * y4, axes),
    }
    scale = jnp.where(largest > 0, shift, statistics.NO_SCALE).astype(jnp.int32)
    return XlaMeasurement(
        jnp.int32(1),
        scale,
        _mantissa(bits, finite, layout, axes),
        counts,
        jnp.stack([largest, smallest]),
        jnp.stack([sums[name] for name in SUMS]),
    )


def _mantissa(bits: jax.Array, finite: jax.Array, layout: _Layout, axes: tuple[str, ...]) -> jax.Array:
    """Return one more than the mantissa bits that finite values use; 0 if all are zero."""
    width = 8 * np.dtype(layout.pattern).itemsize
    mantissa = bits & ((1 << layout.mantissa) - 1)
    lowest = mantissa & -mantissa  # of the used bits
    used = layout.mantissa + 2 - (width - lax.clz(lowest))
    used = jnp.where(mantissa > 0, used, jnp.where(bits > 0, 1, 0))
    return _over(jnp.maximum, jnp.where(finite, used, 0).astype(jnp.int32), 0, axes)


def _slot(bits: jax.Array, layout: _Layout) -> jax.Array:
    """Return 0 for zero, 1 + exponent - lowest for finite values, then infinity, then NaN."""
    width = 8 * np.dtype(layout.pattern).itemsize
    subnormal = width - lax.clz(bits)  # 0 for zero, 1 for the smallest
    field = lax.shift_right_logical(bits, np.asarray(layout.mantissa, layout.pattern)) + layout.mantissa
    slot = jnp.where(bits < (1 << layout.mantissa), subnormal, field)
    return jnp.where(bits > _infinity(layout), layout.slots - 1, slot).astype(jnp.int32)


def _count(slots: jax.Array, layout: _Layout, axes: tuple[str, ...]) -> jax.Array:
    if jax.default_backend() == "cpu":
        counts = jnp.zeros(layout.slots, jnp.int32).at[slots].add(1)
    else:  # scatter is slow on GPUs: compare with every slot, which XLA fuses into one reduction
        every = jnp.arange(layout.slots, dtype=jnp.int32)
        counts = (slots[..., None] == every).sum(tuple(range(slots.ndim)), dtype=jnp.int32)
    return lax.psum(counts, axes) if axes else counts


def _over(extreme, values: jax.Array, initial: int, axes: tuple[str, ...]) -> jax.Array:
    reduce, over = (jnp.max, lax.pmax) if extreme is jnp.maximum else (jnp.min, lax.pmin)
    found = reduce(values, initial=initial)
    return over(found, axes) if axes else found


def total(values: jax.Array, axes: tuple[str, ...]) -> jax.Array:
    """Sum one axis after the other: short sums of sums lose few digits. The barrier keeps XLA from joining them."""
    if values.ndim == 1 and values.size >= 4096 and values.size % 256 == 0:
        values = values.reshape(-1, 256)
    while values.ndim:
        values = values.sum(-1)
        if values.ndim:
            values = lax.optimization_barrier(values)
    return lax.psum(values, axes) if axes else values


def _power(exponent: jax.Array | int, layout: _Layout) -> jax.Array:
    """Return a power of two exactly, 0 where it would be subnormal; it must not overflow."""
    bias = 1 - layout.lowest - layout.mantissa
    field = jnp.clip(jnp.asarray(exponent, layout.pattern) + bias, 0, 2 * bias)
    return lax.bitcast_convert_type(lax.shift_left(field, np.asarray(layout.mantissa, layout.pattern)), layout.number)


def _powers(exponent: jax.Array, layout: _Layout) -> jax.Array:
    """Return what each of SUMS is multiplied by where its values are multiplied by a power of two."""
    lowest = 1 << 12
    return jnp.stack([_power(jnp.maximum(exponent, -lowest) * power, layout) for power in SUMS.values()])


def _to_words(measured: XlaMeasurement) -> jax.Array:
    head = jnp.stack([measured.calls, measured.scale, measured.mantissa])
    parts = [head, measured.counts, measured.extremes, measured.sums]
    return jnp.concatenate([lax.bitcast_convert_type(part, jnp.uint32).reshape(-1) for part in parts])


def _from_words(flat: jax.Array, dtype: np.dtype) -> XlaMeasurement:
    layout = _layout(dtype)
    end = 3 + layout.slots
    calls, scale, mantissa = (lax.bitcast_convert_type(flat[i], jnp.int32) for i in range(3))
    counts = lax.bitcast_convert_type(flat[3:end], jnp.int32)
    rest = flat[end:] if layout is _SINGLE else flat[end:].reshape(-1, 2)
    extremes = lax.bitcast_convert_type(rest[:2], layout.pattern)
    return XlaMeasurement(calls, scale, mantissa, counts, extremes, lax.bitcast_convert_type(rest[2:], layout.number))
