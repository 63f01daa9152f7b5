"""Loops over values that share scales, compiled by numba: the largest of each block, and what a cast does to them.

An array is [outer, length, inner], its blocks lie along `length`. Where `inner` is 1 a block is contiguous, and worked
on 16 values at a time; else as many blocks lie side by side, and loops run across them.
"""

# pyright: reportCallIssue=false, reportPrivateImportUsage=false
# pyrefly: ignore-errors[bad-argument-count, missing-argument]
# (numba passes an intrinsic's first argument itself)

import zlib
from pathlib import Path

import numpy as np
from llvmlite import ir
from numba import float32, float64, int64, njit, types, uint32
from numba.core import cgutils
from numba.extending import intrinsic

from tandv.measure._lanes import ABS, add32, and32, as_bits, as_float, less32, max32

VERSION = zlib.crc32(Path(__file__).read_bytes())  # for programs that numba keeps on disk: this is compiled into them

_FAST = {"reassoc", "contract", "nsz", "arcp"}
_TOGETHER = 128  # blocks side by side that are worked on at a time
_REAL, _WORD, _LONG = ir.FloatType(), ir.IntType(32), ir.IntType(64)
_REALS, _WORDS = ir.VectorType(_REAL, 16), ir.VectorType(_WORD, 16)


@intrinsic
def as_double(context, bits):
    return types.float64(types.int64), lambda c, b, s, a: b.bitcast(a[0], ir.DoubleType())


def _rounded(builder, y, mantissa, lowest, reals, words, rint):
    """Build y >= 0 rounded to nearest even, at the step of its power of two but at least at that of `lowest`.

    Both are shifted to where a float32 has its exponent. The step is a power of two, so that rint(y / step) * step is
    exact. Adding and subtracting a large number would be fewer instructions, but numba's fastmath lets LLVM undo that.
    """
    field = builder.and_(builder.bitcast(y, words), _filled(words, 0x7F800000))
    field = builder.select(builder.icmp_unsigned(">", field, lowest), field, lowest)
    step = builder.sub(field, mantissa)
    inverse = builder.bitcast(builder.sub(_filled(words, 254 << 23), step), reals)
    return builder.fmul(builder.call(rint, [builder.fmul(y, inverse)]), builder.bitcast(step, reals))


def _filled(kind, value):
    return ir.Constant(kind, [value] * kind.count) if isinstance(kind, ir.VectorType) else kind(value)


@intrinsic
def rounded(context, y, mantissa, lowest):
    """Return y >= 0 to nearest even, see `_rounded`."""

    def build(context, builder, signature, given):
        rint = builder.module.declare_intrinsic("llvm.rint", [_REAL])
        return _rounded(builder, *given, _REAL, _WORD, rint)

    return types.float32(types.float32, types.uint32, types.uint32), build


@intrinsic
def _select(context, condition, a, b):
    """Return one of two float32s; Python's min() does not become one vector instruction."""

    def build(context, builder, signature, given):
        return builder.select(builder.icmp_unsigned("!=", given[0], _WORD(0)), given[1], given[2])

    return types.float32(types.uint32, types.float32, types.float32), build


@intrinsic
def _less(context, a, b):
    def build(context, builder, signature, given):
        return builder.zext(builder.fcmp_ordered("<", *given), _WORD)

    return types.uint32(types.float32, types.float32), build


@intrinsic
def _errors_of_16s(context, address, vectors, factor, shift, lowest, largest):
    """Return of `vectors` times 16 values what `_errors` does.

    Loops of 16 or 32 values are too short for LLVM to fill vector registers with: a block would go by single values.
    """
    result = types.Tuple((types.float32, types.int64, types.int64))

    def build(context, builder, signature, given):
        base = builder.inttoptr(given[0], _WORDS.as_pointer())
        factor, largest = (_in_all(builder, given[i], _REALS) for i in (2, 5))
        shift, lowest = (_in_all(builder, given[i], _WORDS) for i in (3, 4))
        twice, none = builder.fadd(largest, largest), _filled(_WORDS, 0)
        rint = _vector_function(builder, "llvm.rint.v16f32", _REALS, [_REALS])
        error = cgutils.alloca_once_value(builder, _filled(_REALS, 0.0))
        zeros, over = (cgutils.alloca_once_value(builder, _LONG(0)) for _ in range(2))
        with cgutils.for_range(builder, given[1], intp=_LONG) as loop:
            values = builder.load(builder.gep(base, [loop.index]))
            values.align = 4
            bits = builder.and_(values, _filled(_WORDS, 0x7FFFFFFF))
            y = builder.fmul(builder.bitcast(bits, _REALS), factor)
            held = builder.select(builder.fcmp_ordered("<", y, twice), y, twice)
            r = _rounded(builder, held, shift, lowest, _REALS, _WORDS, rint)
            big = builder.fcmp_ordered("<", largest, r)
            r = builder.select(big, largest, r)
            d = builder.fsub(y, r)
            builder.store(builder.fadd(builder.load(error), builder.fmul(d, d)), error)
            gone = builder.icmp_unsigned("==", builder.bitcast(r, _WORDS), none)
            gone = builder.and_(gone, builder.icmp_unsigned("!=", bits, none))
            for mask, count in ((gone, zeros), (big, over)):
                found = builder.zext(builder.ctpop(builder.bitcast(mask, ir.IntType(16))), _LONG)
                builder.store(builder.add(builder.load(count), found), count)
        add = _vector_function(builder, "llvm.vector.reduce.fadd.v16f32", _REAL, [_REAL, _REALS])
        total = builder.call(add, [_REAL(0.0), builder.load(error)], fastmath=["reassoc"])
        return context.make_tuple(builder, result, [total, builder.load(zeros), builder.load(over)])

    return result(types.int64, types.int64, types.float32, types.uint32, types.uint32, types.float32), build


def _vector_function(builder, name, result, arguments):
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name)


def _in_all(builder, value, kind):
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), value, _WORD(0))
    return builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), _filled(_WORDS, 0))


@njit(nogil=True, fastmath=_FAST)
def _top(v):
    top = uint32(0)
    for i in range(v.size):
        top = max32(top, and32(v[i], ABS))
    return top


@njit(nogil=True, fastmath=_FAST)
def _tops_side_by_side(v, first, count, stride, tops):
    for c in range(tops.size):
        tops[c] = uint32(0)
    for r in range(count):
        line = v[first + r * stride : first + r * stride + tops.size]
        for c in range(tops.size):
            tops[c] = max32(tops[c], and32(line[c], ABS))


@njit(nogil=True)
def find_tops(v, outer, length, inner, block, tops):
    """Write the bits of the largest magnitude of each block, [outer, blocks, inner]."""
    at = 0
    for o in range(outer):
        for start in range(0, length, block):
            count, first = min(block, length - start), (o * length + start) * inner
            if inner == 1:
                tops[at] = _top(v[first : first + count])
            else:
                for c in range(0, inner, _TOGETHER):
                    _tops_side_by_side(v, first + c, count, inner, tops[at + c : at + min(c + _TOGETHER, inner)])
            at += inner


@njit(nogil=True, fastmath=_FAST)
def _errors(v, factor, shift, lowest, largest):
    """Return of a block, in units of the element: squared error, values that become zero, saturated ones."""
    error = float32(0)
    zeros, over = uint32(0), uint32(0)
    twice = largest + largest
    for i in range(v.size):
        y = as_float(and32(v[i], ABS)) * factor
        r = rounded(_select(_less(y, twice), y, twice), shift, lowest)
        big = _less(largest, r)
        r = _select(big, largest, r)
        d = y - r
        error += d * d
        zeros = add32(zeros, and32(less32(as_bits(r), uint32(1)), less32(uint32(0), and32(v[i], ABS))))
        over = add32(over, big)
    return error, zeros, over


@njit(nogil=True, fastmath=_FAST)
def _errors_side_by_side(v, first, count, stride, factors, shift, lowest, largest, error, zeros, over):
    twice = largest + largest
    for c in range(factors.size):
        error[c], zeros[c], over[c] = float32(0), uint32(0), uint32(0)
    for r in range(count):
        line = v[first + r * stride : first + r * stride + factors.size]
        for c in range(factors.size):
            y = as_float(and32(line[c], ABS)) * factors[c]
            q = rounded(_select(_less(y, twice), y, twice), shift, lowest)
            big = _less(largest, q)
            q = _select(big, largest, q)
            d = y - q
            error[c] += d * d
            zeros[c] = add32(zeros[c], and32(less32(as_bits(q), uint32(1)), less32(uint32(0), and32(line[c], ABS))))
            over[c] = add32(over[c], big)


@njit(nogil=True)
def add_errors(v, outer, length, inner, block, factors, backs, shift, lowest, largest, out):
    """Add to `out` the squared error, the values that become zero and the saturated ones of all blocks.

    `factors` are what values of a block are multiplied by, `backs` the inverse. Of a block with a factor of 0 every
    value becomes zero, and no error is added.
    """
    error, zeros, over = (
        np.empty(_TOGETHER, np.float32), np.empty(_TOGETHER, np.uint32), np.empty(_TOGETHER, np.uint32),
    )  # fmt: skip
    address, at = v.ctypes.data, 0
    for o in range(outer):
        for start in range(0, length, block):
            count, first = min(block, length - start), (o * length + start) * inner
            if inner == 1:
                square = backs[at] * backs[at]
                e, z, s = _errors_of_16s(
                    int64(address + 4 * first), int64(count // 16), factors[at], shift, lowest, largest
                )
                out[0] += float64(e) * square
                out[2] += z
                out[3] += s
                if count % 16:
                    rest = v[first + count // 16 * 16 : first + count]
                    e, left, big = _errors(rest, factors[at], shift, lowest, largest)
                    out[0] += float64(e) * square
                    out[2] += int64(left)
                    out[3] += int64(big)
                at += 1
                continue
            for c in range(0, inner, _TOGETHER):
                w = min(_TOGETHER, inner - c)
                here = slice(at + c, at + c + w)
                _errors_side_by_side(
                    v, first + c, count, inner, factors[here], shift, lowest, largest, error[:w], zeros[:w], over[:w]
                )
                for k in range(w):
                    out[0] += float64(error[k]) * (backs[at + c + k] * backs[at + c + k])
                    out[2] += int64(zeros[k])
                    out[3] += int64(over[k])
            at += inner


@njit(nogil=True, fastmath=_FAST)
def squares_of(v, factor):
    """Return the sum of the squares of values times a factor, in float32: of so many that it holds them."""
    total = float32(0)
    for i in range(v.size):
        y = as_float(and32(v[i], ABS)) * factor
        total += y * y
    return total
