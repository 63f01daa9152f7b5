"""The kernel of block formats as XLA's typed FFI calls it: from inside a compiled program, without Python.

Offsets are those of XLA's C interface, see `ffi`.
"""

# pyright: reportCallIssue=false, reportPrivateImportUsage=false, reportIndexIssue=false
# pyrefly: ignore-errors[missing-argument]

import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numba import carray, cfunc, int64, types

from tandv.measure import _block_casts
from tandv.measure._block_casts import SUMS, measure_array
from tandv.measure._block_lanes import VERSION as LANES
from tandv.measure._lanes import VERSION, pointer_to


def _measure_block_operands(made_of: tuple[int, ...]) -> Any:
    """Return `measure_block_operands`, which encloses what it is made of besides this file."""

    @cfunc(types.int64(types.int64), cache=True)
    def measure_block_operands(frame):
        """Write the words of a measurement (`block_words`): operands are the bits of float32s, and float64s that have
        three lengths (before, along and behind the axis) and the formats (`blocks.described`).
        """
        call = carray(pointer_to(frame), (15,), np.int64)
        extension, operands, results = call[1], call[7], call[12]
        if extension != 0 and operands == 0 and results == 0:  # XLA asks for which version this was written
            metadata = carray(pointer_to(extension), (4,), np.int64)[3]
            version = carray(pointer_to(metadata + 24), (2,), np.int32)
            version[0], version[1] = 0, 1
            return int64(0)
        _ = made_of
        addresses = carray(pointer_to(call[9]), (2,), np.int64)
        values = carray(pointer_to(addresses[0]), (6,), np.int64)
        given = carray(pointer_to(addresses[1]), (6,), np.int64)
        size = carray(pointer_to(given[5]), (1,), np.int64)[0] // 2
        numbers = carray(pointer_to(given[3]), (size,), np.float64)
        outer, length, inner = int64(numbers[0]), int64(numbers[1]), int64(numbers[2])
        formats = numbers[3:].copy().reshape((size - 3) // 8, 8)
        sums = np.zeros((formats.shape[0], SUMS), np.float64)
        measure_array(
            carray(pointer_to(values[3]), (outer * length * inner,), np.uint32), outer, length, inner, formats, sums
        )
        result = carray(pointer_to(carray(pointer_to(call[14]), (1,), np.int64)[0]), (6,), np.int64)
        words = 1 + 7 * formats.shape[0]
        out, reals = (
            carray(pointer_to(result[3]), (words,), np.uint32),
            carray(pointer_to(result[3]), (words,), np.float32),
        )
        out[0] = 1
        for i in range(formats.shape[0]):
            at = 1 + 7 * i
            for k in range(2):
                fraction, power = math.frexp(sums[i, k])
                out[at + 2 * k] = np.uint32(int64(power) & 0xFFFFFFFF)
                reals[at + 2 * k + 1] = np.float32(fraction)
            for k in range(2, SUMS):
                out[at + 2 + k] = np.uint32(sums[i, k])
        return int64(0)

    return measure_block_operands


_MADE_OF = (VERSION, LANES, zlib.crc32(Path(_block_casts.__file__).read_bytes()))
measure_block_operands = _measure_block_operands(_MADE_OF)
