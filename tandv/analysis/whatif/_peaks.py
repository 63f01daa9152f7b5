"""Peaks: powers of two that hold most of the values near them, as in the gradient of a classifier's outputs.

There the neighbours say little of where values lie. Of the two highest powers of two the sums of |x|^4 and |x|^8 do: of
all densities with these sums the one of most entropy is taken, exp(a·q + b·q²) with q = (|x|^4 - mean) / deviation. For
a range, values of a peak count as few groups that move together.
"""

# pyright: reportCallIssue=false

import math
import zlib
from pathlib import Path

import numpy as np
from numba import njit

from tandv.analysis.whatif._elementary import COMPILED, REORDERED, exp2
from tandv.analysis.whatif._tables import MEANS
from tandv.analysis.whatif._within import NODES, fill, listed_values, shares

_GROUPS = 64.0  # of values in a peak that is four times as high as what is beside it, and an eighth of it if twice that
_APART = 2.0  # by how much sharper a peak is taken to be above others
FITTED = 6.0  # groups at least, where the density of a peak was fitted
_REACH, _ROUNDS, _POINTS, _LEAST_VALUES, _REST = 8, 8, 16, 8, 0.2
_PER_LOG = 1 / math.log(2)
EXACT = 1e-6  # relative variance of |x|^4 that sums in single precision can tell
_UNSURE = 0.3  # of what the powers of two below a peak add to its sums
_CLOSEST = 3e-7  # relative deviation of |x|^4 that is taken to be there at least
LAW = 9  # numbers of a density
VERSION = zlib.crc32(Path(__file__).read_bytes())  # for programs that numba keeps on disk: this is compiled into them


@njit(**COMPILED)
def groups(logs, first, last, out):
    """Write into how many groups that move together the values of each power of two fall, at least.

    Args:
        logs: the logarithm to base 2 of the density of each power of two, -1 where there are no values.
        first, last: the first and the last of these.
        out: [exponents], written.
    """
    most = two = one = -1.0
    here, after = logs[first], logs[first + 1] if first < last else -1.0
    for b in range(first, last + 1):
        after2 = logs[b + 2] if b + 1 < last else -1.0
        alone = here - max(one, after)
        below = min(here - one, after - after2) if b < last else 0.0  # of a peak across this one and the next
        above = min(one - two, here - after) if b > first else 0.0
        sharp = max(alone, below, above)
        if most > one + 0.5 and here > one + 0.3:  # apart from those further down, as no smooth density is
            sharp = max(sharp, here - one) + _APART
        most = max(most, two)
        out[b] = sharp
        two, one, here, after = one, here, after, after2
    for b in range(first, last + 1):
        sharp = out[b]
        out[b] = max(_GROUPS * exp2(3 * (2 - sharp)), 1.0) if sharp > -4 else np.inf


@njit(**COMPILED)
def fit(c, first, last, top, targets, slopes, apart, law, work):
    """Write the density of the two highest powers of two by their sums; return whether there is one.

    Args:
        c: how many values lie in each power of two, without those that are known one by one.
        first, last: the first and the last power of two.
        top: the largest u of the last, 2 where it is not known.
        targets: the sums of (|x| / 2^last)^p of these values for p of 1, 2, 4, 8; NaN where that is not known.
        slopes: [exponents] integers, of the others.
        apart: what `groups` wrote; where the density is known well there are more.
        law: [LAW], written, see `solve`; in units of 2^last.
        work: memory, [32].
    """
    fourth, eighth, rest = targets[2], targets[3], 0.0
    if not (fourth > 0 and eighth > 0):
        return False
    for b in range(max(first, last - _REACH), last - 1):
        size = 0.0625 ** (last - b)
        part = c[b] * size * MEANS[slopes[b], 2]
        rest += part
        eighth -= c[b] * size * size * MEANS[slopes[b], 3]
    below = c[last - 1] if last > first else 0.0
    n = c[last] + below
    if n < _LEAST_VALUES or rest > _REST * fourth:
        return False
    unsure = EXACT + (_UNSURE * rest / fourth) ** 2
    fourth = (fourth - rest) / n
    measured = eighth / n / fourth / fourth - 1
    variance = max(measured, unsure)
    if measured < 4 * unsure:  # rounding: then the largest value lies so many deviations above the mean
        above = (top * top * top * top / fourth - 1) / extreme(n)
        variance = min(variance, max(above, _CLOSEST) ** 2)
        fourth = min(fourth, (top * top * top * top) / (1 + _CLOSEST))
    middle = fourth**0.25
    lowest = 0.5 if below > 0 else 1.0
    begin = middle * (1 - 1.5 * math.sqrt(variance))  # six deviations of |x|
    begin = begin if lowest < begin < top else lowest
    if (below > 0 and begin > 0.999) or begin >= top or middle >= top:
        return False
    law[0], law[1], law[4] = fourth, fourth * math.sqrt(variance), 4.0
    law[5], law[6], law[7], law[8] = max(begin, 1.0), top, begin, 1.0
    if not solve(law, c[last] / n, work):
        return False
    if variance > 4 * EXACT:
        for b in range(max(first, last - 1), last + 1):
            apart[b] = max(apart[b], FITTED)
    return True


@njit(**COMPILED)
def extreme(n):
    """Return how many deviations the largest of at least 8 values of a normal distribution lies above their mean."""
    most = math.sqrt(2 * math.log(n))
    return most - math.log(4 * math.pi * math.log(n)) / (2 * most)


@njit(**COMPILED)
def solve(law, share, work):
    """Write a and b of a density exp(a·q + b·q²) that has a mean and a deviation; return whether there is one.

    Args:
        law: [LAW]: mean and deviation of |x|^p, a and b (written), p (1 or 4), first and last value in the upper power
            of two, and in the lower one, in units of the upper; q = (|x|^p - mean) / deviation.
        share: of the values, that lies in the upper one.
        work: memory, [32].
    """
    law[2] = law[3] = 0.0
    for k in range(2):
        low, high = law[5 + 2 * k], law[6 + 2 * k]
        for i in range(_POINTS):
            work[k * _POINTS + i] = _q(low + (i + 0.5) * (high - low) / _POINTS, law)
    for _ in range(_ROUNDS):
        g1, g2, h11, h12, h22 = 1e-4 * law[2], 1e-4 * law[3] - 1.0, 1e-4, 0.0, 1e-4
        for k in range(2):
            part = share if k == 0 else 1 - share
            if part <= 0:
                continue
            q = work[k * _POINTS : (k + 1) * _POINTS]
            m0, m1, m2, m3, m4 = _powers(q, law[2], law[3], _peak(law, law[5 + 2 * k], law[6 + 2 * k]))
            if not m0 > 0:  # steeper than so many points can show
                return False
            m1, m2, m3, m4 = m1 / m0, m2 / m0, m3 / m0, m4 / m0
            g1 += part * m1
            g2 += part * m2
            h11 += part * (m2 - m1 * m1)
            h12 += part * (m3 - m1 * m2)
            h22 += part * (m4 - m2 * m2)
        determinant = h11 * h22 - h12 * h12
        if not determinant > 1e-12:
            return False
        by1, by2 = (h12 * g2 - h22 * g1) / determinant, (h12 * g1 - h11 * g2) / determinant
        largest = max(abs(by1), abs(by2))
        if not largest < np.inf:
            return False
        damped = min(1.0, 1.0 / largest) if largest > 0 else 1.0
        law[2] += damped * by1
        law[3] += damped * by2
        if largest < 0.02:
            break
    return True


@njit(**COMPILED)
def _q(x, law):
    return ((x * x * x * x if law[4] == 4 else x) - law[0]) / law[1]


@njit(**REORDERED)
def _powers(q, a, b, peak):
    """Return the sums of q^p for p from 0 to 4 with weights exp(a·q + b·q² - peak)."""
    m0, m1, m2, m3, m4 = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(_POINTS):
        x = q[i]
        w = exp2((x * (a + b * x) - peak) * _PER_LOG)
        m0 += w
        m1 += w * x
        m2 += w * x * x
        m3 += w * x * x * x
        m4 += w * x * x * x * x
    return m0, m1, m2, m3, m4


@njit(**COMPILED)
def _peak(law, low, high):
    """Return the largest exponent of a density between two values, which keeps it from overflowing."""
    a, b = _q(low, law), _q(high, law)
    found = max(a * (law[2] + law[3] * a), b * (law[2] + law[3] * b))
    if law[3] < 0:
        at = min(max(-0.5 * law[2] / law[3], a), b)
        found = max(found, at * (law[2] + law[3] * at))
    return found


@njit(**COMPILED)
def fill_peak(start, stop, law, unit, bits, listed, u, w, kind):
    """Write the values between two and the share of each, as `fill` does, by the density of `solve`.

    Args:
        start, stop: the values, in units of their power of two.
        law: what `solve` wrote.
        unit: their power of two, in units of the upper one of the density: 1, or 0.5 for the lower one.
        bits, listed, u, w, kind: as in `fill`.
    """
    begin = min(max(law[5 if unit == 1 else 7] / unit, start), stop)
    peak = _peak(law, begin * unit, stop * unit)
    n = listed_values(start, stop, bits, listed, u, kind)
    for i in range(n if n else NODES):
        at = u[kind, i] if n else begin + (i + 0.5) * (stop - begin) / NODES
        q = _q(at * unit, law)
        w[kind, i] = exp2((q * (law[2] + law[3] * q) - peak) * _PER_LOG) if at >= begin * (1 - 1e-9) else 0.0
    if not shares(n, start, stop, begin, u, w, kind):
        return fill(start, stop, 0.0, bits, listed, u, w, kind)
    return n
