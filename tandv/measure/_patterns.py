"""Tensors of types with few bit patterns: each pattern is counted first, which is exact for every statistic."""

# pyright: reportCallIssue=false, reportPrivateImportUsage=false
# pyrefly: ignore-errors[bad-specialization, missing-argument]
# (numba passes an intrinsic's first argument itself)

from numba import int64, njit, uint32

from tandv.measure._lanes import ABS, INF, and32, half_bits, max32, min32, or32, shl32
from tandv.measure._row_sums import (
    COUNTS,
    INFS,
    MAX,
    MIN,
    NANS,
    NUMEL,
    SCALE,
    ZEROS,
    exponent_of,
    merge_sums,
    note_mantissa,
    power_of_two,
    scale_for,
    value_of,
)
from tandv.statistics import LOWEST

# Kinds of element, by dtype name; every other name of at most 8 bits is a row of a table of float32 bits.
FLOAT32, BFLOAT16, FLOAT16, TABLE = 0, 1, 2, 3


@njit(nogil=True)
def _float32_bits(pattern, kind, table):
    if kind == BFLOAT16:
        return shl32(uint32(pattern), uint32(16))
    if kind == FLOAT16:
        return half_bits(uint32(pattern))
    return table[pattern]


@njit(nogil=True)
def add_patterns(counts, kind, table, scratch, ints, floats, sums):
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
            ints[NANS] += c
            ints[NUMEL] += c
            continue
        if a == INF:
            ints[INFS] += c
            ints[NUMEL] += c
            continue
        if a:
            ints[COUNTS + exponent_of(a) - LOWEST] += c
        else:
            ints[ZEROS] += c
        values[used], weights[used] = value_of(bits), c
        largest, smallest, bits_used = max32(largest, a), min32(smallest, a), or32(bits_used, a)
        used += 1
        known += c
    if not known:
        return
    note_mantissa(bits_used, ints)
    floats[MIN] = min(floats[MIN], value_of(smallest))
    floats[MAX] = max(floats[MAX], value_of(largest))
    scale = ints[SCALE]
    if largest > 0:
        scale = scale_for(exponent_of(largest))
    r = power_of_two(-scale // 2)
    rest = power_of_two(-scale - (-scale // 2))
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
    merge_sums(known, scale, sums, ints, floats)
    ints[NUMEL] += known


@njit(nogil=True)
def count_patterns(v, counts):
    even = v.size & ~1
    for i in range(0, even, 2):
        counts[0, v[i]] += uint32(1)
        counts[1, v[i + 1]] += uint32(1)
    if even < v.size:
        counts[0, v[even]] += uint32(1)
