"""Sums over values, as they are merged into rows; in programs that numba compiles."""

# pyright: reportCallIssue=false, reportPrivateImportUsage=false
# pyrefly: ignore-errors[missing-argument, unsupported-operation]
# (numba passes an intrinsic's first argument itself)

import math

import numpy as np
from numba import float64, int64, njit, uint32

from tandv.measure._lanes import ABS, NORMAL, and32, as_float, shr32
from tandv.statistics import WORD

NUMEL, NANS, INFS, ZEROS, CALLS, SCALE, MANTISSA, MAX, MIN, SUM, SUM_ABS, M2, SUM4, SUM8, COUNTS = LAYOUT = tuple(
    WORD[name]
    for name in (
        *("numel", "nans", "infs", "zeros", "calls", "scale", "mantissa", "max_abs", "min_abs"),
        *("sum", "sum_abs", "m2", "sum4", "sum8", "counts"),
    )
)


@njit(nogil=True)
def note_mantissa(used, ints):
    """Note how many mantissa bits are used by values of which all bits are known together (0: there is none)."""
    if used:
        count, mantissa = 24, and32(used, uint32(0x7FFFFF))
        if not mantissa:
            count = 1
        while mantissa and not and32(mantissa, uint32(1)):
            mantissa = shr32(mantissa, uint32(1))
            count -= 1
        ints[MANTISSA] = max(ints[MANTISSA], count)


@njit(nogil=True)
def exponent_of(a):
    """Return the power of two of the finite non-zero float32 whose magnitude has the bits `a`."""
    if a >= NORMAL:
        return int64(shr32(a, uint32(23))) - 127
    exponent = -150
    while a:
        a = shr32(a, uint32(1))
        exponent += 1
    return int64(exponent)


@njit(nogil=True)
def value_of(bits):
    """Return a float32 as float64 without the processor's help, which is slow or off for subnormals."""
    a = and32(bits, ABS)
    magnitude = float64(as_float(a)) if a >= NORMAL else int64(a) * 2.0**-149
    return -magnitude if bits > ABS else magnitude


@njit(nogil=True)
def power_of_two(k):
    return math.ldexp(1.0, max(k, -2000))


@njit(nogil=True)
def scale_for(exponent):
    return int64(0) if -100 <= exponent <= 120 else int64(exponent)


@njit(nogil=True)
def merge_sums(n, scale, sums, ints, floats):
    """Merge sums of `n` finite values (s1, |s|, m2, s4, s8 at 2^-scale) into a row; counts come after."""
    here = ints[NUMEL] - ints[NANS] - ints[INFS]
    old = ints[SCALE]
    if scale != old:
        new = max(scale, old)
        r = power_of_two(old - new)
        floats[SUM] *= r
        floats[SUM_ABS] *= r
        floats[M2] *= r * r
        floats[SUM4] *= r**4
        floats[SUM8] *= r**8
        r = power_of_two(scale - new)
        sums[0] *= r
        sums[1] *= r
        sums[2] *= r * r
        sums[3] *= r**4
        sums[4] *= r**8
        ints[SCALE] = new
    if here > 0 and n > 0:
        apart = sums[0] / n - floats[SUM] / here
        floats[M2] += apart * apart * (float64(n) * float64(here) / float64(n + here))
    floats[SUM] += sums[0]
    floats[SUM_ABS] += sums[1]
    floats[M2] += sums[2]
    floats[SUM4] += sums[3]
    floats[SUM8] += sums[4]


@njit(nogil=True)
def merge_row(other_ints, other_floats, ints, floats):
    """Merge one row into another, both given as int64 and as float64 words."""
    n = other_ints[NUMEL] - other_ints[NANS] - other_ints[INFS]
    if n > 0:
        sums = np.empty(5, np.float64)
        sums[0], sums[1], sums[2] = other_floats[SUM], other_floats[SUM_ABS], other_floats[M2]
        sums[3], sums[4] = other_floats[SUM4], other_floats[SUM8]
        floats[MAX] = max(floats[MAX], other_floats[MAX])
        floats[MIN] = min(floats[MIN], other_floats[MIN])
        merge_sums(n, other_ints[SCALE], sums, ints, floats)
    for i in (NUMEL, NANS, INFS, ZEROS, CALLS):
        ints[i] += other_ints[i]
    ints[MANTISSA] = max(ints[MANTISSA], other_ints[MANTISSA])
    for i in range(COUNTS, ints.size):
        ints[i] += other_ints[i]
