"""What a row of a log tells of its values whatever they are cast to: where in each power of two they lie."""

# pyright: reportCallIssue=false

import math
import zlib
from pathlib import Path

import numpy as np
from numba import njit

from tandv.analysis.whatif._bulk import NONE, fill_bulk, fit_bulk
from tandv.analysis.whatif._bulk import VERSION as OF_BULK
from tandv.analysis.whatif._elementary import COMPILED, log2
from tandv.analysis.whatif._moments import VERSION as OF_MOMENTS
from tandv.analysis.whatif._moments import tilt
from tandv.analysis.whatif._peaks import VERSION as OF_PEAKS
from tandv.analysis.whatif._peaks import fill_peak, fit, groups
from tandv.analysis.whatif._ranges import LOOSE
from tandv.analysis.whatif._sums import power_of_two
from tandv.analysis.whatif._tables import MEAN_SQUARES, STEEPEST, STEPS_OF_SLOPE
from tandv.analysis.whatif._within import fill, log_densities, slope_indices

TILTED = 4  # mantissa bits above which values lie densely enough to fit a density to the moments
# Powers of two that have points: the highest, that below, the lowest, the two with most below a peak, another.
TOP, NEXT, LOW, BULK, UNDER, ANY = np.arange(6)
_QUARTERS = 0.25 ** np.arange(400.0)
_NARROWEST = 0.02  # part of the highest power of two that values are taken to lie in, at least
_KNOWN = 1e-3  # of a sum of powers that single values leave to the others, less than which is rounding
VERSION = (
    zlib.crc32(Path(__file__).read_bytes()),
    OF_BULK,
    OF_MOMENTS,
    OF_PEAKS,
)  # for programs that numba keeps on disk


@njit(**COMPILED)
def a_of(slope):
    """Return the power a of a density u^a by the number of its slope."""
    return slope / STEPS_OF_SLOPE - STEEPEST


@njit(**COMPILED)
def _squared(x, times):
    for _ in range(times):
        x *= x
    return x


@njit(**COMPILED)
def learn(
    c, logs, slope, level, apart, square, few, loose, known, u, w, points, law, work, vectors, matrices,
    first, last, lowest, sizes, bits, subnormal, equal, listed,
):  # fmt: skip
    """Write what is known of the values of a row, and return some of it.

    Args:
        c: how many lie in each power of two; of these those that are known one by one are taken away.
        logs: see `log_densities`, written, as are all arrays down to `points`.
        slope, level: the number of the slope of the density in each power of two, mantissa bits that values have there.
        apart: into how many groups they fall there.
        square: the square of each power of two, in units of that of the highest.
        few: two deviations of a mean over the groups, squared, in units of the variance.
        loose: how many of them may lie on the other side of a limit within their power of two.
        known: values known one by one: u, how many, in which power of two, [2, 3].
        u, w, points: values that stand for those of `TOP` to `ANY`, see `fill`; [6, 128], [6, 128], [6].
        law, work, vectors, matrices: memory of `fit`, `fit_bulk` and `tilt`; law: [2, LAW], vectors: [6, 4].
        first, last: the first and the last power of two that has values.
        lowest: the exponent of the first of all.
        sizes: numbers of the row, see `predict`.
        bits: mantissa bits of the values.
        subnormal: the exponent of the smallest value of their type.
        equal: whether all have the same magnitude.
        listed: which numbers of mantissa bits have their values listed.

    Returns how many values are known one by one, the largest u of the highest power of two, how many powers of two
    have points of their own at the top (1 or 2) and at the bottom, the power of two that is `BULK` (or `NONE`), the
    logarithm to base 2 of the sum of squares in units of the square of the highest power of two, and 1 if that is
    guessed.
    """
    targets = vectors[5]
    unit = power_of_two(lowest + last)
    total, top, bottom = sizes[7], sizes[0] / unit, sizes[1] / power_of_two(lowest + first)
    knows_top, knows_bottom = 1 <= top < 2, 1 <= bottom < 2
    top = top if knows_top else 2.0
    bottom = bottom if knows_bottom else 1.0
    width = max(top - 1, _NARROWEST)
    for b in range(first, last + 1):
        level[b] = max(min(bits, lowest + b - subnormal), 0)
        square[b] = _QUARTERS[min(last - b, 399)]
    log_densities(c, first, last, width, logs)
    slope_indices(logs, first, last, slope)
    number = 0
    if equal:
        known[0, 0], known[0, 1], known[0, 2] = top, total, last
        number, c[last] = 1, 0.0
    else:
        if knows_top:
            known[0, 0], known[0, 1], known[0, 2] = top, 1.0, last
            number = 1
            c[last] -= 1
        if knows_bottom and c[first] > 0:
            known[number, 0], known[number, 1], known[number, 2] = bottom, 1.0, first
            number += 1
            c[first] -= 1
    log_densities(c, first, first, 1.0, logs)
    log_densities(c, last, last, width, logs)
    groups(logs, first, last, apart)

    peak, bulk = False, NONE
    if not equal:
        for i in range(4):
            whole = sizes[5] * _squared(sizes[8 + i] / unit, i)
            targets[i] = whole
            for j in range(number):
                targets[i] -= known[j, 1] * _squared(known[j, 0] * power_of_two(int(known[j, 2]) - last), i)
            if not targets[i] > _KNOWN * whole:
                targets[i] = np.nan  # of values that are known already, but for rounding
        if bits > TILTED:
            tilt(c, first, last, top, targets, slope, work, vectors, matrices)
        peak = fit(c, first, last, top, targets, slope, apart, law[0], work)
        if peak:
            bulk = fit_bulk(c, first, last, bottom, targets, slope, apart, law[0], law[1], work)
    signal = sizes[2] / unit / unit
    guessed = not signal > 0
    if guessed:
        signal = 0.0
        for b in range(first, last + 1):
            signal += c[b] * square[b] * MEAN_SQUARES[slope[b]]
        for j in range(number):
            b = int(known[j, 2])
            signal += known[j, 1] * square[b] * MEAN_SQUARES[slope[b]]
    for b in range(first, last + 1):
        # Where they lie within their power of two is known less well the fewer groups they fall into.
        few[b] = 4 / min(max(c[b], 1.0), apart[b])
        loose[b] = c[b] * max(LOOSE, 1 / math.sqrt(apart[b]))
    heavy = first < last and c[first] > total / 64
    points[:] = 0
    begin, own = bottom if first == last else 1.0, level[last]
    if peak:
        points[TOP] = fill_peak(begin, top, law[0], 1.0, own, listed[own] == 1, u, w, TOP)
        if last > first and c[last - 1] > 0:
            begin, own = bottom if first == last - 1 else 1.0, level[last - 1]
            points[NEXT] = fill_peak(begin, 2.0, law[0], 0.5, own, listed[own] == 1, u, w, NEXT)
    elif c[last] > 0:
        points[TOP] = fill(begin, top, a_of(slope[last]), own, listed[own] == 1, u, w, TOP)
    if bulk != NONE:
        fill_bulk(bulk, first, law[1], level, listed, u, w, points, BULK)
        heavy = first < bulk - 1
    if heavy:
        own = level[first]
        points[LOW] = fill(bottom, 2.0, a_of(slope[first]), own, listed[own] == 1, u, w, LOW)
    bottoms = bulk - first + 1 if bulk != NONE else 1 if heavy else 0
    return number, top, 2 if peak and last > first else 1, bottoms, bulk, log2(signal), 1.0 if guessed else 0.0
