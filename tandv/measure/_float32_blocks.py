"""Blocks of float32s that lie in the first-level cache: one sweep for each kind of number, merged into a row."""

# pyright: reportCallIssue=false, reportPrivateImportUsage=false
# pyrefly: ignore-errors[bad-argument-type, bad-specialization, missing-argument, unsupported-operation]
# (numba passes an intrinsic's first argument itself)

from numba import float64, int64, njit, uint32

from tandv.measure._exponents import count
from tandv.measure._lanes import ABS, INF, NORMAL, ONES, add32, and32, as_float, less32, max32, min32, or32, shr32
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
def _count_zeros(v):
    """Return how many zeros there are, and the smallest magnitude besides zero."""
    others, least = uint32(0), ONES
    for i in range(v.size):
        a = and32(v[i], ABS)
        others = add32(others, min32(a, uint32(1)))
        least = min32(least, add32(a, ONES))  # less one, so that zero is the largest
    return uint32(v.size) - others, least + uint32(1)


@njit(nogil=True)
def _count_subnormals(v):
    low = uint32(0)
    for i in range(v.size):
        low = add32(low, less32(add32(and32(v[i], ABS), ONES), NORMAL - uint32(1)))
    return low


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
def _hard_sums(v, scale, sums):
    """Sums of a block that holds NaN, infinities, subnormals or 8th powers beyond float64's range."""
    r = power_of_two(-scale // 2)
    rest = power_of_two(-scale - (-scale // 2))
    s1, sa, s4, s8 = 0.0, 0.0, 0.0, 0.0
    n = 0
    for i in range(v.size):
        if and32(v[i], ABS) < INF:
            x = value_of(v[i]) * r * rest
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
            d = value_of(v[i]) * r * rest - centre
            m2 += d * d
    sums[0], sums[1], sums[2], sums[3], sums[4] = s1, sa, m2, s4, s8


@njit(nogil=True)
def add_block(v, ints, floats, counter, sums):
    """Merge a block of float32 bits into a row, but for the counts of exponents, which `counter` gets."""
    largest, smallest, used = _extremes(v)
    n = int64(v.size)
    zeros, subnormals, nans, infs = uint32(0), uint32(0), uint32(0), uint32(0)
    least = smallest
    if not smallest:
        zeros, above = _count_zeros(v)
        least = uint32(above)
    if uint32(0) < least < NORMAL:
        subnormals = _count_subnormals(v)
    if largest >= INF:
        nans, infs, largest = _count_high(v)
        used = _used_by_finite(v)
    n -= int64(nans) + int64(infs)
    if n > 0:
        floats[MIN] = min(floats[MIN], value_of(smallest))
        floats[MAX] = max(floats[MAX], value_of(largest))
    note_mantissa(used, ints)
    if largest > 0:
        scale = scale_for(exponent_of(largest))
        if subnormals or nans or infs or scale:
            _hard_sums(v, scale, sums)
        else:
            _sums(v, sums)
            spread = sums[2] - sums[0] * sums[0] / n
            if sums[0] * sums[0] > 1e6 * n * spread:  # digits lost to a large mean: centre first
                spread = _squared_distance(v, sums[0] / n)
            sums[2] = max(spread, 0.0)
        merge_sums(n, scale, sums, ints, floats)
    elif n > 0:
        sums[:] = 0.0
        merge_sums(n, ints[SCALE], sums, ints, floats)
    ints[NUMEL] += v.size
    ints[NANS] += nans
    ints[INFS] += infs
    ints[ZEROS] += zeros
    if subnormals:
        for i in range(v.size):
            a = and32(v[i], ABS)
            if uint32(0) < a < NORMAL:
                ints[COUNTS + exponent_of(a) - LOWEST] += 1
    if largest > 0:
        count(v, int64(shr32(least, uint32(23))), int64(shr32(largest, uint32(23))), counter, ints)
