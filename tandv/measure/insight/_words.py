"""Blocks of float32 bits, as the programs about gradients and about updates read them, for programs of numba."""

# pyright: reportCallIssue=false, reportPrivateImportUsage=false
# pyrefly: ignore-errors[missing-argument]
# (numba passes an intrinsic's first argument itself)

import zlib
from pathlib import Path

import numpy as np
from numba import carray, njit, types, uint32
from numba.extending import intrinsic

from tandv.measure._lanes import half_bits, on_32_bits, pointer_to, shl32
from tandv.measure._numba import BFLOAT16, FLOAT32
from tandv.measure.insight.definitions import LANES

VERSION = zlib.crc32(Path(__file__).read_bytes())  # for programs that numba keeps on disk: this is compiled into them
WORDS = LANES // 32  # of a block, in a plane
ONE = uint32(1)
FAST = {"reassoc", "contract", "nsz", "arcp"}


@intrinsic
def ones(context, bits):
    def build(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return types.uint32(types.uint32), build


differ = on_32_bits(lambda b, x, y: b.xor(x, y))
minus = on_32_bits(lambda b, x, y: b.sub(x, y))
times = on_32_bits(lambda b, x, y: b.mul(x, y))


@njit(nogil=True)
def read(address, kind, start, stop, block):
    """Return a block of the float32 bits of some elements, filled up with zeros; where they lie, if it can be."""
    if kind == FLOAT32 and stop - start == LANES:
        return carray(pointer_to(address + 4 * start), (LANES,), np.uint32)
    if kind == FLOAT32:
        words = carray(pointer_to(address + 4 * start), (stop - start,), np.uint32)
        for i in range(stop - start):
            block[i] = words[i]
    else:
        halves = carray(pointer_to(address + 2 * start), (stop - start,), np.uint16)
        if kind == BFLOAT16:
            for i in range(stop - start):
                block[i] = shl32(uint32(halves[i]), uint32(16))
        else:
            for i in range(stop - start):
                block[i] = half_bits(uint32(halves[i]))
    for i in range(stop - start, LANES):
        block[i] = uint32(0)
    return block
