"""Measure an array in block formats, compiled by numba: scales of blocks, and the sums of what casts do.

No arithmetic on subnormal float32s decides anything: a processor may take them for zeros, as it does within XLA.
"""

# pyright: reportCallIssue=false, reportIndexIssue=false
# pyrefly: ignore-errors[missing-argument, no-matching-overload, unsupported-operation]

import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numba import float32, float64, int64, njit, uint32

from tandv.measure._block_lanes import VERSION, add_errors, as_double, find_tops, rounded, squares_of
from tandv.measure._lanes import ABS, INF, NORMAL, and32, as_float

MX, NV, FLOAT32 = 0, 1, 2  # scale of a block: a power of two, an e4m3 of the tensor's float32, a float32
SUMS = 5  # squared error, squares, values that become zero, saturated ones, those that are not finite
_TINY = uint32(41 << 23)  # bits of 2^-86: blocks below hold subnormals that do not all become zero, see `_add_tiny`
_NARROW = 16  # fewer blocks side by side are made contiguous first
_PIECE = 4096  # values whose squares are added in float32


@njit(nogil=True)
def _value(bits):
    """Return a magnitude as float64, without the processor's help, which is off for subnormals."""
    return float64(as_float(bits)) if bits >= NORMAL else int64(bits) * 2.0**-149


@njit(nogil=True)
def _exponent(bits):
    """Return the power of two of a magnitude that is not zero."""
    if bits >= NORMAL:
        return int64(bits >> uint32(23)) - 127
    return math.frexp(float(int64(bits)))[1] - 150


@njit(nogil=True)
def _nv_scale(amax, tensor_scale, floor):
    wanted = max((amax / float32(6.0)) / tensor_scale, floor)
    return min(rounded(min(wanted, float32(896.0)), uint32(3 << 23), uint32(121 << 23)), float32(448.0))


@njit(nogil=True)
def _find_scales(tops, kind, emax, largest, tensor_scale, floor, factors, backs):
    """Write what the values of each block are multiplied by, and its inverse; return how many blocks have a 0 instead.

    Of these every value becomes zero, or they are left to `_add_tiny`; blocks of nothing but zeros are not counted.
    """
    left = 0
    for i in range(tops.size):
        top = tops[i]
        factors[i], backs[i] = float32(0), 0.0
        if top < _TINY:
            left += top > 0
        elif kind == MX:
            e = int64(top >> uint32(23)) - 127 - emax
            factors[i], backs[i] = as_float(uint32((127 - e) << 23)), as_double((e + 1023) << 52)
        elif kind == NV:
            scale = _nv_scale(as_float(top), tensor_scale, floor)
            if scale > 0:
                factors[i] = (float32(1.0) / tensor_scale) / scale
                backs[i] = float64(scale) * float64(tensor_scale)
            else:
                left += 1
        else:
            scale = as_float(top) / largest
            factors[i], backs[i] = float32(1.0) / scale, float64(scale)
    return left


@njit(nogil=True)
def _add_tiny(v, first, count, stride, top, kind, m, normal, emax, largest, tensor_scale, floor, out):
    """Add a block of tiny values, of which `add_errors` has counted all as zeros, by float64 alone."""
    factor, back = 0.0, 0.0
    if kind == MX:
        back = 2.0 ** max(_exponent(top) - emax, -127)
        factor = 1 / back
    elif kind == NV:
        scale = _nv_scale(float32(_value(top)), tensor_scale, floor)
        if scale > 0:
            factor = float64((float32(1.0) / tensor_scale) / scale)
            back = float64(scale) * float64(tensor_scale)
    else:
        scale = float32(_value(top) / largest)
        if scale >= float32(2.0**-126):  # else the inverse would leave float32: such a block vanishes
            factor, back = float64(float32(1.0) / scale), float64(scale)
    for i in range(count):
        x = _value(and32(v[first + i * stride], ABS))
        y = x * factor if kind == MX else float64(float32(x * factor))
        power = max(math.frexp(y)[1] - 1, normal) if y > 0 else normal
        step = 2.0 ** (power - m)
        r = np.rint(y / step) * step
        if r > largest:
            r = float64(largest)
            out[3] += 1
        out[0] += (x - r * back) ** 2
        out[2] -= r > 0


@njit(nogil=True)
def _squares(v, top):
    """Return the sum of the squares; `top` has the bits of the largest magnitude."""
    total = 0.0
    if top < _TINY:
        for i in range(v.size):
            x = _value(and32(v[i], ABS))
            total += x * x
        return total
    factor = as_float(uint32((127 - min(_exponent(top), 126)) << 23))
    for start in range(0, v.size, _PIECE):
        total += float64(squares_of(v[start : start + _PIECE], factor))
    return total / float64(factor) / float64(factor)


@njit(nogil=True)
def _finite(v):
    """Return a copy in which what is not finite is zero, and how much that was."""
    out, bad = np.empty(v.size, np.uint32), 0
    for i in range(v.size):
        a = and32(v[i], ABS)
        out[i] = a if a < INF else uint32(0)
        bad += a >= INF
    return out, bad


@njit(nogil=True)
def _turned(v, outer, length, inner):
    """Return a copy whose blocks are contiguous, [outer, inner, length]."""
    out = np.empty(v.size, np.uint32)
    for o in range(outer):
        for i in range(inner):
            for k in range(length):
                out[(o * inner + i) * length + k] = v[(o * length + k) * inner + i]
    return out


@njit(nogil=True)
def _of_tiles(tops, outer, segments, inner, rows, out):
    """Write for each segment of a row the largest of the `rows` rows that share a scale."""
    for first in range(0, outer * inner, rows):
        for s in range(segments):
            top = uint32(0)
            for row in range(first, min(first + rows, outer * inner)):
                top = max(top, tops[(row // inner * segments + s) * inner + row % inner])
            for row in range(first, min(first + rows, outer * inner)):
                out[(row // inner * segments + s) * inner + row % inner] = top


def _measure_array(made_of: tuple[Any, ...]) -> Any:
    """Return `measure_array`, which encloses what is compiled in, so that numba finds no older program."""

    @njit(cache=True, nogil=True)
    def measure_array(v, outer, length, inner, formats, out):
        """Add to `out` [formats, SUMS] what casts of the float32 bits `v`, [outer, length, inner], do.

        `formats` [formats, 8] has of each: kind, rows, values of a block, mantissa bits, exponents of the smallest
        normal and of the largest value, that value, and the least scale of a block.
        """
        _ = made_of
        if v.size == 0:
            return
        if 1 < inner < _NARROW:
            v, outer, inner = _turned(v, outer, length, inner), outer * inner, 1
        known, bad, squares, top = int64(0), int64(0), 0.0, uint32(0)
        tops = np.empty(0, np.uint32)
        for j in range(formats.shape[0]):
            kind, rows, block, m, normal, emax = (
                int64(formats[j, 0]), int64(formats[j, 1]), int64(formats[j, 2]), int64(formats[j, 3]),
                int64(formats[j, 4]), int64(formats[j, 5]),
            )  # fmt: skip
            largest, floor = float32(formats[j, 6]), float32(formats[j, 7])
            segments = -(-length // block)
            if known != block:
                tops = np.empty(outer * segments * inner, np.uint32)
                find_tops(v, outer, length, inner, block, tops)
                if known == 0:
                    if tops.max() >= INF:
                        v, bad = _finite(v)
                        find_tops(v, outer, length, inner, block, tops)
                    top = tops.max()
                    squares = _squares(v, top)
                known = block
            shared = tops
            if rows > 1:
                shared = np.empty_like(tops)
                _of_tiles(tops, outer, segments, inner, rows, shared)
            tensor_scale = max(float32(_value(top)) / float32(6 * 448), float32(2.0**-112))
            factors, backs = np.empty(tops.size, np.float32), np.empty(tops.size, np.float64)
            left = _find_scales(shared, kind, emax, largest, tensor_scale, floor, factors, backs)
            sums = out[j]
            shift, lowest = uint32(m << 23), uint32((normal + 127) << 23)
            add_errors(v, outer, length, inner, block, factors, backs, shift, lowest, largest, sums)
            sums[1] += squares
            sums[4] += bad
            at = 0
            while left > 0:
                if factors[at] == 0 and shared[at] > 0:
                    row, s = at // (segments * inner), at // inner % segments
                    first = (row * length + s * block) * inner + at % inner
                    _add_tiny(
                        v, first, min(block, length - s * block), inner, shared[at], kind, m, normal, emax, largest,
                        tensor_scale, floor, sums,
                    )  # fmt: skip
                    left -= 1
                at += 1

    return measure_array


measure_array = _measure_array((VERSION, zlib.crc32(Path(__file__).read_bytes())))
