"""The compiled kernel as XLA's typed FFI calls it: from inside a compiled program, without Python.

Offsets are those of XLA's C interface (`xla/ffi/api/c_api.h`, version 0), in words of 8 bytes.
"""

# pyright: reportCallIssue=false, reportPrivateImportUsage=false, reportIndexIssue=false
# pyrefly: ignore-errors[missing-argument]

import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numba import carray, cfunc, int64, types

from tandv import measure, statistics
from tandv.measure import _numba
from tandv.measure._lanes import pointer_to
from tandv.measure._numba import add_many
from tandv.measure._row_sums import LAYOUT, merge_row

# XLA's numbers for element types, by the names of dtypes.
XLA_TYPES = {
    "float16": 10,
    "float32": 11,
    "bfloat16": 16,
    "float8_e5m2": 19,
    "float8_e4m3fn": 20,
    "float8_e4m3b11fnuz": 23,
    "float8_e5m2fnuz": 24,
    "float8_e4m3fnuz": 25,
    "float8_e4m3": 28,
    "float8_e3m4": 29,
    "float8_e8m0fnu": 33,
}
_ROW = 8  # XLA's number for uint32: such an operand is not measured, it is a row to go on from

_KIND_OF = np.full(64, -1, np.int64)
for _name, _number in XLA_TYPES.items():
    _KIND_OF[_number] = measure.KINDS[_name]
_TABLES = measure.tables()
_WIDTH = statistics.WORDS
_SCALE, _SMALLEST = statistics.WORD["scale"], statistics.WORD["min_abs"]
_NO_SCALE = statistics.NO_SCALE


def _measure_operands(made_of: tuple[int, ...]) -> Any:
    """Return `measure_operands`, which encloses what it is made of besides this file (see `_numba._compiled`)."""

    @cfunc(types.int64(types.int64), cache=True)
    def measure_operands(frame):
        """Write one row that has measured every operand of an XLA call; operands of uint32 are rows themselves."""
        call = carray(pointer_to(frame), (15,), np.int64)
        extension, operands, results = call[1], call[7], call[12]
        if extension != 0 and operands == 0 and results == 0:  # XLA asks for which version this was written
            metadata = carray(pointer_to(extension), (4,), np.int64)[3]
            version = carray(pointer_to(metadata + 24), (2,), np.int32)
            version[0], version[1] = 0, 1
            return int64(0)
        addresses = carray(pointer_to(call[9]), (operands,), np.int64)
        result = carray(pointer_to(carray(pointer_to(call[14]), (1,), np.int64)[0]), (6,), np.int64)
        ints = carray(pointer_to(result[3]), (1, _WIDTH), np.int64)
        floats = carray(pointer_to(result[3]), (1, _WIDTH), np.float64)
        _ = made_of
        ints[:, :] = 0
        ints[0, _SCALE] = _NO_SCALE
        floats[0, _SMALLEST] = math.inf
        for i in range(operands):
            buffer = carray(pointer_to(addresses[i]), (6,), np.int64)
            xla_type, address = buffer[2] & 0xFFFFFFFF, buffer[3]
            if xla_type == _ROW:
                merge_row(
                    carray(pointer_to(address), (_WIDTH,), np.int64),
                    carray(pointer_to(address), (_WIDTH,), np.float64),
                    ints[0],
                    floats[0],
                )
                continue
            size = int64(1)
            for length in carray(pointer_to(buffer[5]), (buffer[4],), np.int64):
                size *= length
            kind = _KIND_OF[xla_type]
            patterns = 65_536 if 1 <= kind <= 2 and size >= _numba.BY_PATTERN else 256
            jobs = np.empty((1, 4), np.int64)
            jobs[0, 0], jobs[0, 1], jobs[0, 2], jobs[0, 3] = address, size, kind, 0
            counts, values = np.zeros((2, patterns), np.uint32), np.empty((2, patterns), np.float64)
            add_many(jobs, _TABLES, ints, floats, counts, values)
        return int64(0)

    return measure_operands


measure_operands = _measure_operands((*LAYOUT, _numba.VERSION, zlib.crc32(Path(_numba.__file__).read_bytes())))
