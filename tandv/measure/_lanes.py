"""Bits of float32s in programs that numba compiles: reading them, and operations that stay 32 bits wide."""

# pyright: reportCallIssue=false, reportPrivateImportUsage=false
# pyrefly: ignore-errors[missing-argument, unsupported-operation]
# (numba passes an intrinsic's first argument itself)

import zlib
from pathlib import Path

from llvmlite import ir
from numba import float32, njit, types, uint32
from numba.core import cgutils
from numba.extending import intrinsic

VERSION = zlib.crc32(Path(__file__).read_bytes())  # for programs that numba keeps on disk: this is compiled into them

ABS = uint32(0x7FFFFFFF)
INF = uint32(0x7F800000)
ONES = uint32(0xFFFFFFFF)  # which added subtract one
NORMAL = uint32(0x00800000)


@intrinsic
def pointer_to(context, address):
    def build(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), build


@intrinsic
def as_float(context, bits):
    def build(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.uint32), build


@intrinsic
def as_bits(context, value):
    def build(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.uint32(types.float32), build


def on_32_bits(operation):
    """Return an intrinsic on two uint32 that stays 32 bits wide; numba would widen to 64 and halve the lanes."""

    @intrinsic
    def narrow(context, a, b):
        def build(context, builder, signature, arguments):
            return operation(builder, *arguments)

        return types.uint32(types.uint32, types.uint32), build

    return narrow


and32 = on_32_bits(lambda b, x, y: b.and_(x, y))
or32 = on_32_bits(lambda b, x, y: b.or_(x, y))
shr32 = on_32_bits(lambda b, x, y: b.lshr(x, y))
shl32 = on_32_bits(lambda b, x, y: b.shl(x, y))
add32 = on_32_bits(lambda b, x, y: b.add(x, y))
less32 = on_32_bits(lambda b, x, y: b.zext(b.icmp_unsigned("<", x, y), ir.IntType(32)))
max32 = on_32_bits(lambda b, x, y: b.select(b.icmp_unsigned(">", x, y), x, y))
min32 = on_32_bits(lambda b, x, y: b.select(b.icmp_unsigned("<", x, y), x, y))


@njit(nogil=True)
def half_bits(h):
    """Return the float32 bits of the float16 bits `h`."""
    a = and32(h, uint32(0x7FFF))
    normal = add32(shl32(a, uint32(13)), uint32(112 << 23))
    subnormal = as_bits(float32(a) * float32(2.0**-24))
    special = add32(shl32(a, uint32(13)), uint32(224 << 23))
    bits = subnormal if a < uint32(0x400) else (normal if a < uint32(0x7C00) else special)
    return add32(bits, shl32(and32(h, uint32(0x8000)), uint32(16)))
