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

from tandv.analysis.whatif._elementary import COMPILED, exp2
from tandv.analysis.whatif._tables import MEAN_FOURTHS
from tandv.analysis.whatif._within import NODES, fill, listed_values

_GROUPS = 64.0  # of values in a peak that is four times as high as what is beside it, and an eighth of it if twice that
_APART = 2.0  # by how much sharper a peak is taken to be above others
_FITTED = 6.0  # groups at least, where the density of a peak was fitted
_REACH, _ROUNDS, _POINTS, _LEAST_VALUES, _REST = 8, 8, 16, 8, 0.2
_PER_LOG = 1 / math.log(2)
_EXACT = 1e-6  # relative variance of |x|^4 that sums in single precision can tell
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
        top: the largest u of the last.
        targets: the sums of (|x| / 2^last)^p of these values for p of 1, 2, 4, 8; NaN where that is not known.
        slopes: [exponents] integers, of the others.
        apart: what `groups` wrote; where the density is known well there are more.
        law: [5], written: mean and deviation of |x|^4, a, b, where values begin, all in units of 2^last.
        work: memory, [32].
    """
    fourth, eighth, rest = targets[2], targets[3], 0.0
    if not (fourth > 0 and eighth > 0):
        return False
    for b in range(max(first, last - _REACH), last - 1):
        size = 0.0625 ** (last - b)
        part = c[b] * size * MEAN_FOURTHS[slopes[b], 0]
        rest += part
        eighth -= c[b] * size * size * MEAN_FOURTHS[slopes[b], 1]
    below = c[last - 1] if last > first else 0.0
    n = c[last] + below
    if n < _LEAST_VALUES or rest > _REST * fourth:
        return False
    fourth = (fourth - rest) / n
    variance = max(eighth / n / fourth / fourth - 1, _EXACT)
    law[0], law[1], law[2], law[3] = fourth, fourth * math.sqrt(variance), 0.0, 0.0
    middle = fourth**0.25
    lowest = 0.5 if below > 0 else 1.0
    begin = middle * (1 - 1.5 * math.sqrt(variance))  # six deviations of |x|
    law[4] = begin = begin if lowest < begin < top else lowest
    if (below > 0 and begin > 0.999) or begin >= top or middle >= top:
        return False
    lows, highs = (max(begin, 1.0), begin), (top, 1.0)
    for k in range(2):
        for i in range(_POINTS):
            z = lows[k] + (i + 0.5) * (highs[k] - lows[k]) / _POINTS
            work[k * _POINTS + i] = (z * z * z * z - law[0]) / law[1]
    for _ in range(_ROUNDS):
        g1, g2, h11, h12, h22 = 1e-4 * law[2], 1e-4 * law[3] - 1.0, 1e-4, 0.0, 1e-4
        for k in range(2):
            share = (c[last] if k == 0 else below) / n
            if share <= 0:
                continue
            q = work[k * _POINTS : (k + 1) * _POINTS]
            m0, m1, m2, m3, m4 = _powers(q, law[2], law[3], _peak(law, lows[k], highs[k]))
            if not m0 > 0:  # steeper than so many points can show
                return False
            m1, m2, m3, m4 = m1 / m0, m2 / m0, m3 / m0, m4 / m0
            g1 += share * m1
            g2 += share * m2
            h11 += share * (m2 - m1 * m1)
            h12 += share * (m3 - m1 * m2)
            h22 += share * (m4 - m2 * m2)
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
    if variance > 4 * _EXACT:
        for b in range(max(first, last - 1), last + 1):
            apart[b] = max(apart[b], _FITTED)
    return True


@njit(nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})  # sums become vectors
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
    a, b = (low**4 - law[0]) / law[1], (high**4 - law[0]) / law[1]
    found = max(a * (law[2] + law[3] * a), b * (law[2] + law[3] * b))
    if law[3] < 0:
        at = min(max(-0.5 * law[2] / law[3], a), b)
        found = max(found, at * (law[2] + law[3] * at))
    return found


@njit(**COMPILED)
def fill_peak(start, stop, law, unit, bits, listed, u, w, kind):
    """Write the values between two and the share of each, as `fill` does, by the density of `fit`.

    Args:
        start, stop: the values, in units of their power of two.
        law: what `fit` wrote.
        unit: of u: 1 in the highest power of two, 0.5 in the one below.
        bits, listed, u, w, kind: as in `fill`.
    """
    begin = min(max(law[4] / unit, start), stop)
    peak = _peak(law, begin * unit, stop * unit)
    n = listed_values(start, stop, bits, listed, u, kind)
    total = 0.0
    for i in range(n if n else NODES):
        at = u[kind, i] if n else begin + (i + 0.5) * (stop - begin) / NODES
        size = at * unit * at * unit
        q = (size * size - law[0]) / law[1]
        w[kind, i] = exp2((q * (law[2] + law[3] * q) - peak) * _PER_LOG) if at >= begin * (1 - 1e-9) else 0.0
    for i in range(n if n else NODES):
        total += w[kind, i]
    if not total > 0:
        return fill(start, stop, 0.0, bits, listed, u, w, kind)
    for i in range(n if n else NODES):
        w[kind, i] /= total
    if n == 0:
        u[kind, 0], u[kind, 1], u[kind, 2] = start, stop, begin
        below = 0.0
        for i in range(NODES):
            here = w[kind, i]
            w[kind, i] = below
            below += here
        w[kind, NODES] = 1.0
    return n
