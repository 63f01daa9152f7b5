"""The many values below a peak that lie close together, as in the gradient of a classifier's outputs at the start.

There all classes are about as likely: one value of a row, at its true class, is nearly all of the squares, and the
others, thousands perhaps, fill one or two powers of two far below. What the peak leaves of the sum of |x| says where in
these they lie, and what it leaves of that of x², if that is more than rounding, how closely; else the smallest does.
"""

# pyright: reportCallIssue=false

import math
import zlib
from pathlib import Path

import numpy as np
from numba import njit

from tandv.analysis.whatif._elementary import COMPILED
from tandv.analysis.whatif._peaks import EXACT, FITTED, extreme, fill_peak, solve
from tandv.analysis.whatif._sums import power_of_two
from tandv.analysis.whatif._tables import MEANS

NONE = np.int64(-9)  # no power of two
_STRAY = 2  # powers of two below these, at most: there values are cast one power of two after the other
_REST = 0.2  # of the sum of |x|, of all that lies below the peak, that others may have at most
_REACH = 6.0  # deviations about the mean that values are taken to lie within
_SURE, _WIDEST = 0.02, 0.25  # how far the mean may be off, of itself; deviation, of the mean, from which slopes will do
_LEAST_VALUES = 64
VERSION = zlib.crc32(Path(__file__).read_bytes())  # for programs that numba keeps on disk: this is compiled into them


@njit(**COMPILED)
def fit_bulk(c, first, last, bottom, targets, slopes, apart, peak, law, work):
    """Write the density of the two powers of two that hold most values below a peak; return the upper one, or `NONE`.

    Args:
        c: how many values lie in each power of two, without those that are known one by one.
        first, last: the first and the last power of two.
        bottom: the smallest u of the first.
        targets: the sums of (|x| / 2^last)^p of these values for p of 1, 2, 4, 8; NaN where that is not known.
        slopes: [exponents] integers, of the others.
        apart: groups of values that move together; where the density is known there are more.
        peak: the density of the two highest powers of two, see `fit`.
        law: [LAW], written, see `solve`; in units of the upper one.
        work: memory, [32].
    """
    if last - first < 2 or not (targets[0] > 0 and targets[1] > 0):
        return NONE
    most = first
    for b in range(first + 1, last - 1):
        if c[b] > c[most]:
            most = b
    high = most
    if most < last - 2 and c[most + 1] > (c[most - 1] if most > first else 0.0):
        high = most + 1
    below = c[high - 1] if high > first else 0.0
    n = c[high] + below
    if n < _LEAST_VALUES or high - 1 - first > _STRAY or not c[high] > 0:
        return NONE
    unit = power_of_two(high - last)
    rest1, rest2 = 0.0, 0.0
    for b in range(first, last - 1):
        if c[b] > 0 and b != high and b != high - 1:
            size = power_of_two(b - high)
            rest1 += c[b] * size * MEANS[slopes[b], 0]
            rest2 += c[b] * size * size * MEANS[slopes[b], 1]
    # Sums of the peak, whose values |x|^4 have this relative variance, from their mean: (1 + d)^(1/4) to second order.
    v, of_peak = (peak[1] / peak[0]) ** 2, c[last] + c[last - 1]
    peak1 = of_peak * peak[0] ** 0.25 * (1 - 3 / 32 * v) / unit
    peak2 = of_peak * math.sqrt(peak[0]) * (1 - v / 8) / unit / unit
    sum1, sum2 = targets[0] / unit - peak1, targets[1] / unit / unit - peak2
    off = EXACT + v * v / 16
    if not (sum1 > 0 and off * peak1 < _SURE * sum1 and rest1 < _REST * sum1):
        return NONE
    mean, square = (sum1 - rest1) / n, (sum2 - rest2) / n
    lowest = 0.5 if below > 0 else 1.0
    if below > 0 and high - 1 == first:
        lowest *= bottom
    elif high == first:
        lowest = bottom
    least, greatest = (c[high] + below * lowest) / n, (2 * c[high] + below) / n
    if not least < mean < greatest:
        return NONE
    deviation = (mean - lowest) / extreme(n)
    measured, unsure = square - mean * mean, off * peak2 / n
    if measured > 0 and unsure < 0.5 * deviation * deviation:
        deviation = math.sqrt(max(measured, unsure))
    if not 0 < deviation < _WIDEST * mean:
        return NONE
    begin, end = mean - _REACH * deviation, mean + _REACH * deviation
    law[0], law[1], law[4] = mean, deviation, 1.0
    law[5] = begin if 1 < begin < 2 else max(lowest, 1.0)
    law[6] = end if law[5] < end < 2 else 2.0
    law[7] = begin if lowest < begin < 1 else lowest
    law[8] = end if law[7] < end < 1 else 1.0
    if not solve(law, c[high] / n, work):
        return NONE
    for b in range(max(first, high - 1), high + 1):
        apart[b] = max(apart[b], FITTED)
    return high


@njit(**COMPILED)
def fill_bulk(high, first, law, level, listed, u, w, points, kind):
    """Write the values of these two powers of two, and of each the share: see `fill_peak`.

    Args:
        high: what `fit_bulk` returned; `law`, what it wrote.
        first: the first power of two that has values.
        level: mantissa bits that values have in each power of two.
        listed, u, w: as in `fill`.
        points: [kinds], written.
        kind: the row of `u` and `w` for the upper one, that of the lower one comes next.
    """
    own = level[high]
    points[kind] = fill_peak(law[5], law[6], law, 1.0, own, listed[own] == 1, u, w, kind)
    if high > first:
        own = level[high - 1]
        points[kind + 1] = fill_peak(
            2 * law[7], 2 * law[8], law, 0.5, own, listed[own] == 1, u, w, kind + 1
        )  # fmt: skip
