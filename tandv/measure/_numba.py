"""Measure many tensors in one call and one pass over their bytes, compiled by numba.

Every type of at most 32 bits is read as float32 bit patterns, block by block, in the first-level cache.
Exponents are counted as the raw 8-bit field of the pattern; what has few patterns (8 bits, or a large
16-bit tensor) is counted by pattern first, which is exact for every statistic.

`add_many` and `add_one` are compiled from this file and its parts, and enclose the `VERSION` of these: numba notices
changes of this file only when it looks for what it has compiled and kept on disk.
"""

# pyright: reportCallIssue=false, reportPrivateImportUsage=false
# pyrefly: ignore-errors[missing-argument]
# (numba passes an intrinsic's first argument itself)

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numba import carray, njit, uint32

from tandv.measure import _exponents, _float32_blocks, _lanes, _patterns, _row_sums
from tandv.measure._exponents import BLOCK, begin, end, new_counter
from tandv.measure._float32_blocks import add_block
from tandv.measure._lanes import half_bits, pointer_to, shl32
from tandv.measure._patterns import BFLOAT16, FLOAT32, TABLE, add_patterns, count_patterns
from tandv.measure._row_sums import CALLS, LAYOUT
from tandv.statistics import WORDS

BY_PATTERN = 600_000

_PARTS = (_lanes, _row_sums, _exponents, _float32_blocks, _patterns)
VERSION = zlib.crc32(b"".join(Path(str(part.__file__)).read_bytes() for part in _PARTS))


@njit(nogil=True)
def _upcast(v, kind, block):
    if kind == BFLOAT16:
        for i in range(v.size):
            block[i] = shl32(uint32(v[i]), uint32(16))
    else:
        for i in range(v.size):
            block[i] = half_bits(uint32(v[i]))


@njit(nogil=True)
def _add(address, n, kind, table, row, row_floats, counter, scratch, patterns, values):
    """Merge a tensor into its row; `scratch` is a block of values, and memory of five sums."""
    block, sums = scratch
    row[CALLS] += 1
    begin(counter, n)
    if kind >= TABLE:
        few = patterns[:, :256]
        count_patterns(carray(pointer_to(address), (n,), np.uint8), few)
        add_patterns(few, kind, table, values, row, row_floats, sums)
    elif kind == FLOAT32:
        words = carray(pointer_to(address), (n,), np.uint32)
        for start in range(0, n, BLOCK):
            stop = min(start + BLOCK, n)
            add_block(words[start:stop], row, row_floats, counter, sums)
        end(counter, row)
    else:
        halves = carray(pointer_to(address), (n,), np.uint16)
        by_pattern = n >= BY_PATTERN
        for start in range(0, n, BLOCK):
            stop = min(start + BLOCK, n)
            if by_pattern:
                count_patterns(halves[start:stop], patterns)
            else:
                _upcast(halves[start:stop], kind, block)
                add_block(block[: stop - start], row, row_floats, counter, sums)
        if by_pattern:
            add_patterns(patterns, kind, table, values, row, row_floats, sums)
        else:
            end(counter, row)


def _compiled(made_of: tuple[int, ...]) -> tuple[Any, Any]:
    """Return `add_many` and `add_one`, which enclose what they are made of besides this file: the layout of a row.

    What numba has compiled and keeps on disk it finds again by the file and by what a function encloses. The values
    of globals, which are compiled in, do not count, so that without this another layout would get the old program.
    """

    @njit(cache=True, nogil=True)
    def add_many(jobs, tables, ints, floats, patterns, values):
        """Merge every tensor of `jobs` [n, 4]: address, elements, kind, number of the row, into its row.

        `ints` and `floats` are two views of one buffer of rows; `tables` has the float32 bits of each 8-bit
        type; `patterns` [2, 65536] (zero, and left zero) and `values` [2, 65536] are scratch memory.
        """
        _ = made_of
        counter = new_counter(jobs[:, 1].max() if len(jobs) else 0)
        scratch = np.empty(BLOCK, np.uint32), np.empty(5, np.float64)
        for job in range(len(jobs)):
            address, n, kind, row = jobs[job, 0], jobs[job, 1], jobs[job, 2], jobs[job, 3]
            table = tables[max(kind - TABLE, 0)]
            _add(address, n, kind, table, ints[row], floats[row], counter, scratch, patterns, values)

    @njit(cache=True, nogil=True)
    def add_one(address, n, kind, row):
        """Merge one tensor, of float32s or of fewer than `BY_PATTERN` 16-bit numbers, into the row at an address.

        Where a training step has emptied the caches, passing arrays takes as long as measuring a small tensor.
        """
        _ = made_of
        ints, floats = carray(pointer_to(row), (WORDS,), np.int64), carray(pointer_to(row), (WORDS,), np.float64)
        patterns, values = np.empty((1, 0), np.uint32), np.empty((1, 0), np.float64)
        scratch = np.empty(BLOCK, np.uint32), np.empty(5, np.float64)
        _add(address, n, kind, patterns[0], ints, floats, new_counter(n), scratch, patterns, values)

    return add_many, add_one


add_many, add_one = _compiled((*LAYOUT, WORDS, VERSION))
