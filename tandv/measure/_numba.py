"""Measure many tensors in one call and one pass over their bytes, compiled by numba.

Every type of at most 32 bits is read as float32 bit patterns, block by block, in the first-level cache.
Exponents are counted as the raw 8-bit field of the pattern; what has few patterns (8 bits, or a large
16-bit tensor) is counted by pattern first, which is exact for every statistic.

All that `add_many` is compiled from stands in this file and in `_lanes`, whose `VERSION` it encloses: numba notices
changes of this file only when it looks for what it has compiled and kept on disk.
"""

# pyright: reportCallIssue=false, reportPrivateImportUsage=false
# (numba passes an intrinsic's first argument itself)

import math
from typing import Any

import numpy as np
from numba import carray, float64, int64, njit, uint32

from tandv import statistics
from tandv.measure._lanes import (
    ABS,
    INF,
    NORMAL,
    VERSION,
    add32,
    and32,
    as_float,
    half_bits,
    less32,
    max32,
    min32,
    or32,
    pointer_to,
    prefetch,
    shl32,
    shr32,
)
from tandv.statistics import WORD

# Kinds of element, by dtype name; every other name of at most 8 bits is a row of a table of float32 bits.
FLOAT32, BFLOAT16, FLOAT16, TABLE = 0, 1, 2, 3

_BLOCK = 2048  # elements
_AHEAD = 8192  # bytes to fetch before they are needed
_BY_PATTERN = 300_000  # elements from which a 16-bit tensor is counted by its 65,536 patterns

_NUMEL, _NANS, _INFS, _ZEROS, _CALLS, _SCALE, _MANTISSA, _MAX, _MIN, _SUM, _SUM_ABS, _M2, _SUM4, _SUM8, _COUNTS = (
    LAYOUT
) = tuple(
    WORD[name]
    for name in (
        *("numel", "nans", "infs", "zeros", "calls", "scale", "mantissa", "max_abs", "min_abs"),
        *("sum", "sum_abs", "m2", "sum4", "sum8", "counts"),
    )
)
_NO_SCALE = statistics.NO_SCALE
_LOWEST = statistics.LOWEST

# Reordering sums is welcome (that is what makes them vectors); NaN and infinity must keep their meaning.
_FAST = {"reassoc", "contract", "nsz", "arcp"}


@njit(fastmath=_FAST, nogil=True)
def _extremes(v):
    largest, smallest, used = uint32(0), ABS, uint32(0)
    for i in range(v.size):
        a = and32(v[i], ABS)
        largest, smallest, used = max32(largest, a), min32(smallest, a), or32(used, a)
    return largest, smallest, used


@njit(fastmath=_FAST, nogil=True)
def _sums(v, out):
    s1, sa, s2, s4, s8 = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(v.size):
        x = float64(as_float(v[i]))
        x2 = x * x
        x4 = x2 * x2
        s1 += x
        sa += abs(x)
        s2 += x2
        s4 += x4
        s8 += x4 * x4
    out[0], out[1], out[2], out[3], out[4] = s1, sa, s2, s4, s8


@njit(fastmath=_FAST, nogil=True)
def _squared_distance(v, centre):
    total = 0.0
    for i in range(v.size):
        d = float64(as_float(v[i])) - centre
        total += d * d
    return total


@njit(nogil=True)
def _count_fields(v, fields):
    # Four counts side by side: a value that follows its equal does not wait for the count to be stored.
    even = v.size & ~3
    for i in range(0, even, 4):
        fields[0, and32(shr32(v[i], uint32(23)), uint32(255))] += uint32(1)
        fields[1, and32(shr32(v[i + 1], uint32(23)), uint32(255))] += uint32(1)
        fields[2, and32(shr32(v[i + 2], uint32(23)), uint32(255))] += uint32(1)
        fields[3, and32(shr32(v[i + 3], uint32(23)), uint32(255))] += uint32(1)
    for i in range(even, v.size):
        fields[0, and32(shr32(v[i], uint32(23)), uint32(255))] += uint32(1)


@njit(nogil=True)
def _count_low(v):
    zeros, low = uint32(0), uint32(0)
    for i in range(v.size):
        a = and32(v[i], ABS)
        zeros = add32(zeros, less32(a, uint32(1)))
        low = add32(low, less32(a, NORMAL))
    return zeros, low - zeros


@njit(nogil=True)
def _count_high(v):
    high, nans, largest = uint32(0), uint32(0), uint32(0)
    for i in range(v.size):
        a = and32(v[i], ABS)
        high = add32(high, less32(INF - uint32(1), a))
        nans = add32(nans, less32(INF, a))
        largest = max32(largest, a if a < INF else uint32(0))
    return nans, high - nans, largest


@njit(nogil=True)
def _used_by_finite(v):
    used = uint32(0)
    for i in range(v.size):
        a = and32(v[i], ABS)
        used = or32(used, a if a < INF else uint32(0))
    return used


@njit(nogil=True)
def _note_mantissa(used, ints):
    """Note how many mantissa bits are used by values of which all bits are known together (0: there is none)."""
    if used:
        count, mantissa = 24, and32(used, uint32(0x7FFFFF))
        if not mantissa:
            count = 1
        while mantissa and not and32(mantissa, uint32(1)):
            mantissa = shr32(mantissa, uint32(1))
            count -= 1
        ints[_MANTISSA] = max(ints[_MANTISSA], count)


@njit(nogil=True)
def _exponent(a):
    """Return the power of two of the finite non-zero float32 whose magnitude has the bits `a`."""
    if a >= NORMAL:
        return int64(shr32(a, uint32(23))) - 127
    exponent = -150
    while a:
        a = shr32(a, uint32(1))
        exponent += 1
    return int64(exponent)


@njit(nogil=True)
def _value(bits):
    """Return a float32 as float64 without the processor's help, which is slow or off for subnormals."""
    a = and32(bits, ABS)
    magnitude = float64(as_float(a)) if a >= NORMAL else int64(a) * 2.0**-149
    return -magnitude if bits > ABS else magnitude


@njit(nogil=True)
def _power_of_two(k):
    return math.ldexp(1.0, max(k, -2000))


@njit(nogil=True)
def _scale_for(exponent):
    return int64(0) if -100 <= exponent <= 120 else int64(exponent)


@njit(nogil=True)
def _merge(n, scale, sums, ints, floats):
    """Merge sums of `n` finite values (s1, |s|, m2, s4, s8 at 2^-scale) into a row; counts come after."""
    here = ints[_NUMEL] - ints[_NANS] - ints[_INFS]
    old = ints[_SCALE]
    if scale != old:
        new = max(scale, old)
        r = _power_of_two(old - new)
        floats[_SUM] *= r
        floats[_SUM_ABS] *= r
        floats[_M2] *= r * r
        floats[_SUM4] *= r**4
        floats[_SUM8] *= r**8
        r = _power_of_two(scale - new)
        sums[0] *= r
        sums[1] *= r
        sums[2] *= r * r
        sums[3] *= r**4
        sums[4] *= r**8
        ints[_SCALE] = new
    if here > 0 and n > 0:
        apart = sums[0] / n - floats[_SUM] / here
        floats[_M2] += apart * apart * (float64(n) * float64(here) / float64(n + here))
    floats[_SUM] += sums[0]
    floats[_SUM_ABS] += sums[1]
    floats[_M2] += sums[2]
    floats[_SUM4] += sums[3]
    floats[_SUM8] += sums[4]


@njit(nogil=True)
def _hard_sums(v, scale, sums):
    """Sums of a block that holds NaN, infinities, subnormals or 8th powers beyond float64's range."""
    r = _power_of_two(-scale // 2)
    rest = _power_of_two(-scale - (-scale // 2))
    s1, sa, s4, s8 = 0.0, 0.0, 0.0, 0.0
    n = 0
    for i in range(v.size):
        if and32(v[i], ABS) < INF:
            x = _value(v[i]) * r * rest
            x2 = x * x
            s1 += x
            sa += abs(x)
            s4 += x2 * x2
            s8 += x2 * x2 * x2 * x2
            n += 1
    centre = s1 / n if n else 0.0
    m2 = 0.0
    for i in range(v.size):
        if and32(v[i], ABS) < INF:
            d = _value(v[i]) * r * rest - centre
            m2 += d * d
    sums[0], sums[1], sums[2], sums[3], sums[4] = s1, sa, m2, s4, s8


@njit(nogil=True)
def _add_block(v, ints, floats, fields, sums):
    largest, smallest, used = _extremes(v)
    n = int64(v.size)
    zeros, subnormals, nans, infs = uint32(0), uint32(0), uint32(0), uint32(0)
    if smallest < NORMAL:
        zeros, subnormals = _count_low(v)
    if largest >= INF:
        nans, infs, largest = _count_high(v)
        used = _used_by_finite(v)
    n -= int64(nans) + int64(infs)
    if n > 0:
        floats[_MIN] = min(floats[_MIN], _value(smallest))
        floats[_MAX] = max(floats[_MAX], _value(largest))
    _note_mantissa(used, ints)
    if largest > 0:
        scale = _scale_for(_exponent(largest))
        if subnormals or nans or infs or scale:
            _hard_sums(v, scale, sums)
        else:
            _sums(v, sums)
            spread = sums[2] - sums[0] * sums[0] / n
            if sums[0] * sums[0] > 1e6 * n * spread:  # digits lost to a large mean: centre first
                spread = _squared_distance(v, sums[0] / n)
            sums[2] = max(spread, 0.0)
        _merge(n, scale, sums, ints, floats)
    elif n > 0:
        sums[:] = 0.0
        _merge(n, ints[_SCALE], sums, ints, floats)
    ints[_NUMEL] += v.size
    ints[_NANS] += nans
    ints[_INFS] += infs
    ints[_ZEROS] += zeros
    if subnormals:
        for i in range(v.size):
            a = and32(v[i], ABS)
            if uint32(0) < a < NORMAL:
                ints[_COUNTS + _exponent(a) - _LOWEST] += 1
    _count_fields(v, fields)


@njit(nogil=True)
def _fold_fields(fields, ints):
    first = _COUNTS + 1 - 127 - _LOWEST
    counts = ints[first : first + 254]
    for k in range(4):
        for f in range(254):
            counts[f] += int64(fields[k, f + 1])
    fields[:, :] = 0


@njit(nogil=True)
def _float32_bits(pattern, kind, table):
    if kind == BFLOAT16:
        return shl32(uint32(pattern), uint32(16))
    if kind == FLOAT16:
        return half_bits(uint32(pattern))
    return table[pattern]


@njit(nogil=True)
def _add_patterns(counts, kind, table, scratch, ints, floats, sums):
    """Merge a tensor that was counted by pattern (two counts side by side, cleared here) into its row."""
    values, weights = scratch[0], scratch[1]
    used, known = 0, int64(0)
    largest, smallest, bits_used = uint32(0), ABS, uint32(0)
    some = False
    for pattern in range(counts.shape[1]):
        if pattern % 32 == 0:  # most of the 65,536 patterns of a tensor do not occur: pass over many at once
            found = uint32(0)
            for i in range(pattern, pattern + 32):
                found |= counts[0, i] | counts[1, i]
            some = found != uint32(0)
        if not some:
            continue
        c = int64(counts[0, pattern]) + int64(counts[1, pattern])
        if not c:
            continue
        counts[0, pattern] = counts[1, pattern] = uint32(0)
        bits = _float32_bits(pattern, kind, table)
        a = and32(bits, ABS)
        if a > INF:
            ints[_NANS] += c
            ints[_NUMEL] += c
            continue
        if a == INF:
            ints[_INFS] += c
            ints[_NUMEL] += c
            continue
        if a:
            ints[_COUNTS + _exponent(a) - _LOWEST] += c
        else:
            ints[_ZEROS] += c
        values[used], weights[used] = _value(bits), c
        largest, smallest, bits_used = max32(largest, a), min32(smallest, a), or32(bits_used, a)
        used += 1
        known += c
    if not known:
        return
    _note_mantissa(bits_used, ints)
    floats[_MIN] = min(floats[_MIN], _value(smallest))
    floats[_MAX] = max(floats[_MAX], _value(largest))
    scale = ints[_SCALE]
    if largest > 0:
        scale = _scale_for(_exponent(largest))
    r = _power_of_two(-scale // 2)
    rest = _power_of_two(-scale - (-scale // 2))
    s1, sa, s4, s8 = 0.0, 0.0, 0.0, 0.0
    if largest > 0:
        for i in range(used):
            x = values[i] * r * rest
            values[i] = x
            x4 = x * x * x * x
            s1 += weights[i] * x
            sa += weights[i] * abs(x)
            s4 += weights[i] * x4
            s8 += weights[i] * (x4 * x4)
    centre, m2 = s1 / known, 0.0
    for i in range(used):
        m2 += weights[i] * (values[i] - centre) ** 2
    sums[0], sums[1], sums[2], sums[3], sums[4] = s1, sa, m2, s4, s8
    _merge(known, scale, sums, ints, floats)
    ints[_NUMEL] += known


@njit(nogil=True)
def _count_patterns(v, counts):
    even = v.size & ~1
    for i in range(0, even, 2):
        counts[0, v[i]] += uint32(1)
        counts[1, v[i + 1]] += uint32(1)
    if even < v.size:
        counts[0, v[even]] += uint32(1)


@njit(nogil=True)
def _upcast(v, kind, block):
    if kind == BFLOAT16:
        for i in range(v.size):
            block[i] = shl32(uint32(v[i]), uint32(16))
    else:
        for i in range(v.size):
            block[i] = half_bits(uint32(v[i]))


@njit(nogil=True)
def _fetch_ahead(address, size):
    for offset in range(0, size, 64):
        prefetch(address + _AHEAD + offset)


def _add_many(made_of: tuple[int, ...]) -> Any:
    """Return `add_many`, which encloses what it is made of besides this file: the layout of a row.

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
        fields = np.zeros((4, 256), np.uint32)
        block = np.empty(_BLOCK, np.uint32)
        sums = np.empty(5, np.float64)
        for job in range(len(jobs)):
            address, n, kind = jobs[job, 0], jobs[job, 1], jobs[job, 2]
            row, row_floats = ints[jobs[job, 3]], floats[jobs[job, 3]]
            row[_CALLS] += 1
            table = tables[max(kind - TABLE, 0)]
            if kind >= TABLE:
                few = patterns[:, :256]
                _count_patterns(carray(pointer_to(address), (n,), np.uint8), few)
                _add_patterns(few, kind, table, values, row, row_floats, sums)
            elif kind == FLOAT32:
                words = carray(pointer_to(address), (n,), np.uint32)
                for start in range(0, n, _BLOCK):
                    stop = min(start + _BLOCK, n)
                    _fetch_ahead(address + 4 * start, 4 * (stop - start))
                    _add_block(words[start:stop], row, row_floats, fields, sums)
                _fold_fields(fields, row)
            else:
                halves = carray(pointer_to(address), (n,), np.uint16)
                by_pattern = n >= _BY_PATTERN
                for start in range(0, n, _BLOCK):
                    stop = min(start + _BLOCK, n)
                    _fetch_ahead(address + 2 * start, 2 * (stop - start))
                    if by_pattern:
                        _count_patterns(halves[start:stop], patterns)
                    else:
                        _upcast(halves[start:stop], kind, block)
                        _add_block(block[: stop - start], row, row_floats, fields, sums)
                if by_pattern:
                    _add_patterns(patterns, kind, table, values, row, row_floats, sums)
                else:
                    _fold_fields(fields, row)

    return add_many


add_many = _add_many((*LAYOUT, VERSION))


@njit(nogil=True)
def merge_row(other_ints, other_floats, ints, floats):
    """Merge one row into another, both given as int64 and as float64 words."""
    n = other_ints[_NUMEL] - other_ints[_NANS] - other_ints[_INFS]
    if n > 0:
        sums = np.empty(5, np.float64)
        sums[0], sums[1], sums[2] = other_floats[_SUM], other_floats[_SUM_ABS], other_floats[_M2]
        sums[3], sums[4] = other_floats[_SUM4], other_floats[_SUM8]
        floats[_MAX] = max(floats[_MAX], other_floats[_MAX])
        floats[_MIN] = min(floats[_MIN], other_floats[_MIN])
        _merge(n, other_ints[_SCALE], sums, ints, floats)
    for i in (_NUMEL, _NANS, _INFS, _ZEROS, _CALLS):
        ints[i] += other_ints[i]
    ints[_MANTISSA] = max(ints[_MANTISSA], other_ints[_MANTISSA])
    for i in range(_COUNTS, ints.size):
        ints[i] += other_ints[i]
