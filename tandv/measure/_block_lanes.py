"""Casts of blocks of values that share a scale, compiled by numba: errors, zeros and saturated values of a block."""

# pyright: reportCallIssue=false, reportPrivateImportUsage=false
# (numba passes an intrinsic's first argument itself)

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import ir
from numba import float32, float64, njit, types, uint32
from numba.extending import intrinsic

from tandv.measure._lanes import ABS, INF, VERSION, add32, and32, as_bits, as_float, less32, max32

MX, NV, FLOAT32 = 0, 1, 2  # scale of a block: a power of two, an e4m3 of the tensor's float32, a float32
SUMS = 5  # squared error, squares, values that become zero, saturated ones, those that are not finite
_FAST = {"reassoc", "contract", "nsz", "arcp"}


@intrinsic
def _as_double(context, bits):
    return types.float64(types.int64), lambda c, b, s, a: b.bitcast(a[0], ir.DoubleType())


@intrinsic
def _select(context, condition, a, b):
    """Return one of two float32s; Python's min() does not become one vector instruction."""

    def build(context, builder, signature, given):
        return builder.select(builder.icmp_unsigned("!=", given[0], ir.IntType(32)(0)), given[1], given[2])

    return types.float32(types.uint32, types.float32, types.float32), build


@intrinsic
def _less(context, a, b):
    def build(context, builder, signature, given):
        return builder.zext(builder.fcmp_ordered("<", *given), ir.IntType(32))

    return types.uint32(types.float32, types.float32), build


@intrinsic
def _rounded(context, y, mantissa, lowest):
    """Return y >= 0 to nearest even, at the step of its power of two but at least at that of `lowest`.

    Both are shifted to where a float32 has its exponent. The step is a power of two, so that rint(y / step) * step is
    exact. Adding and subtracting a large number would be fewer instructions, but numba's fastmath lets LLVM undo that.
    """

    def build(context, builder, signature, given):
        word, real = ir.IntType(32), ir.FloatType()
        field = builder.and_(builder.bitcast(given[0], word), word(0x7F800000))
        field = builder.select(builder.icmp_unsigned(">", field, given[2]), field, given[2])
        step = builder.sub(field, given[1])
        rint = builder.module.declare_intrinsic("llvm.rint", [real])
        inverse = builder.bitcast(builder.sub(word(254 << 23), step), real)
        whole = builder.call(rint, [builder.fmul(given[0], inverse)])
        return builder.fmul(whole, builder.bitcast(step, real))

    return types.float32(types.float32, types.uint32, types.uint32), build


@njit(nogil=True)
def _block_scale(top, kind, emax, largest, tensor_scale, floor):
    """Return what values are multiplied by, and its inverse as float64, of a block whose largest has the bits `top`.

    0: the block is all zero, or becomes so.
    """
    if top == 0:
        return float32(0), 0.0
    if kind == MX:  # no float arithmetic, so that it is right for subnormals whatever the processor's mode
        field = int(top >> uint32(23))
        e = field - 127
        if field == 0:
            e = -150
            rest = top
            while rest:
                rest >>= uint32(1)
                e += 1
        e = max(e - emax, -127)
        return as_float(uint32((127 - e) << 23)), _as_double((e + 1023) << 52)
    amax = as_float(top)
    if kind == NV:
        wanted = max((amax / float32(6.0)) / tensor_scale, floor)
        scale = min(_rounded(min(wanted, float32(896.0)), uint32(3 << 23), uint32(121 << 23)), float32(448.0))
        if scale == 0:
            return float32(0), 0.0
        return (float32(1.0) / tensor_scale) / scale, float64(scale) * float64(tensor_scale)
    scale = amax / largest
    if scale < float32(2.0**-126):  # its inverse would leave float32: such a block vanishes
        return float32(0), 0.0
    return float32(1.0) / scale, float64(scale)


@njit(nogil=True, fastmath=_FAST)
def _top(v):
    top = uint32(0)
    for i in range(v.size):
        top = max32(top, and32(v[i], ABS))
    return top


@njit(nogil=True, fastmath=_FAST)
def _errors(v, factor, shift, lowest, largest):
    """Return of a block, in units of the element: squared error, squares, values that become zero, saturated ones."""
    error, squares = float32(0), float32(0)
    zeros, over = uint32(0), uint32(0)
    twice = largest + largest
    for i in range(v.size):
        y = as_float(and32(v[i], ABS)) * factor
        r = _rounded(_select(_less(y, twice), y, twice), shift, lowest)
        big = _less(largest, r)
        r = _select(big, largest, r)
        d = y - r
        error += d * d
        squares += y * y
        zeros = add32(zeros, and32(less32(as_bits(r), uint32(1)), less32(uint32(0), and32(v[i], ABS))))
        over = add32(over, big)
    return error, squares, zeros, over


@njit(nogil=True)
def largest_bits(v):
    """Return the bits of the largest finite magnitude."""
    top = _top(v)
    if top >= INF:
        top = uint32(0)
        for i in range(v.size):
            a = and32(v[i], ABS)
            top = max(top, a) if a < INF else top
    return top


@njit(nogil=True)
def _finite_only(v, out):
    bad = 0
    for i in range(v.size):
        a = and32(v[i], ABS)
        out[i] = a if a < INF else uint32(0)
        bad += 0 if a < INF else 1
    return bad


@njit(nogil=True)
def _value(bits):
    """Return a magnitude as float64, without the processor's help, which is off for subnormals."""
    return float64(as_float(bits)) if bits >= uint32(0x00800000) else int(bits) * 2.0**-149


def _measure_blocks(made_of: tuple[Any, ...]) -> Any:
    """Return `measure_blocks`, which encloses what is compiled in, so that numba finds no older program."""

    @njit(cache=True, nogil=True)
    def measure_blocks(v, length, block, kind, m, normal, emax, largest, tensor_scale, floor, out):
        """Add to `out` (see SUMS) blocks of `block` values along rows of `length` of float32 bits `v`."""
        _ = made_of
        shift, lowest = uint32(m << 23), uint32((normal + 127) << 23)
        clean = np.empty(block, np.uint32)
        for row in range(0, v.size, length):
            for start in range(row, row + length, block):
                part = v[start : min(start + block, row + length)]
                top = _top(part)
                bad = 0
                if top >= INF:
                    bad = _finite_only(part, clean[: part.size])
                    part = clean[: part.size]
                    top = _top(part)
                    out[4] += bad
                if top == 0:
                    continue
                factor, back = _block_scale(top, kind, emax, largest, tensor_scale, floor)
                if factor == 0 or (kind != MX and top < uint32(0x00800000)):
                    for i in range(part.size):
                        x = _value(and32(part[i], ABS))
                        out[0] += x * x
                        out[1] += x * x
                        out[2] += x > 0
                    continue
                if top < uint32(0x01000000):  # subnormals: values are the bits, and so are products with a power of two
                    step_of = 2.0 ** (normal - m)
                    for i in range(part.size):
                        x = _value(and32(part[i], ABS))
                        y = x / back
                        step = max(2.0 ** (np.floor(np.log2(y)) - m), step_of) if y > 0 else step_of
                        r = np.rint(y / step) * step
                        if r > largest:
                            r = float64(largest)
                            out[3] += 1
                        out[0] += (x - r * back) ** 2
                        out[1] += x * x
                        out[2] += r == 0 and x > 0
                    continue
                error, squares, zeros, over = _errors(part, factor, shift, lowest, largest)
                out[0] += float64(error) * back * back
                out[1] += float64(squares) * back * back
                out[2] += int(zeros)
                out[3] += int(over)

    return measure_blocks


measure_blocks = _measure_blocks((VERSION, zlib.crc32(Path(__file__).read_bytes())))
