"""Slopes of the density that give the moments that a log has: mean |x|, rms and the means of the powers 4 and 8.

The slopes that the neighbours give are changed by as little as makes the sums of |x|^p come out: in each power of two
by a sum of terms 2^(p·e), as a tilt of the density by exp(sum of λ_p |x|^p) would change them.
"""

# pyright: reportCallIssue=false

import zlib
from pathlib import Path

import numpy as np
from numba import njit

from tandv.analysis.whatif._elementary import COMPILED, exp2, log2
from tandv.analysis.whatif._tables import MEANS, POWERS, STEEPEST, STEPS_OF_SLOPE

_N = len(POWERS)
_REACH = 8  # powers of two below the highest: those further down hardly matter to the sums
_EXACT, _FREE = 0.003, 2.0  # how far a sum may be off, of itself, against how far slopes may be changed
_ROUNDS = 3
_SIZES = np.array([[2.0 ** (-p * k) for p in POWERS] for k in range(_REACH + 1)])  # [powers of two below, powers]
VERSION = zlib.crc32(Path(__file__).read_bytes())  # for programs that numba keeps on disk: this is compiled into them


@njit(**COMPILED)
def _means_to(end, a, out):
    """Write the means of u^p for a density u^a from 1 to a value."""
    b = a + 1 if abs(a + 1) > 1e-3 else 1e-3
    whole = exp2(b * log2(end))
    below = (whole - 1) / b
    by, p = end, 1
    for i in range(_N):
        while p < POWERS[i]:
            by *= by
            p *= 2
        c = b + p if abs(b + p) > 1e-3 else 1e-3
        out[i] = (whole * by - 1) / c / below if below > 0 else 1.0


@njit(**COMPILED)
def _means(a, out, more):
    """Write the means of u^p for a density u^a over a whole power of two, and those for one that is a step steeper."""
    at = (min(max(a, -STEEPEST), STEEPEST) + STEEPEST) * STEPS_OF_SLOPE
    k = min(int(at), len(MEANS) - 2)
    further = min(k + 2, len(MEANS) - 1)
    steeper = at < len(MEANS) - 2
    for i in range(_N):
        out[i] = MEANS[k, i] + (at - k) * (MEANS[k + 1, i] - MEANS[k, i])
        more[i] = MEANS[k + 1, i] + (at - k) * (MEANS[further, i] - MEANS[k + 1, i]) if steeper else out[i]


@njit(**COMPILED)
def tilt(c, first, last, top, targets, slopes, work, vectors, matrices):
    """Change slopes, as numbers of SLOPES, so that sums over the values come out.

    Args:
        c: how many values lie in each power of two, without those that are known one by one.
        first, last: the first and the last power of two.
        top: the largest u of the last.
        targets: what the sums of (|x| / 2^last)^p must be for these values; NaN where that is not known.
        slopes: [exponents] integers, changed in place.
        work, vectors, matrices: memory: [exponents], [5, 4], [2, 4, 4].
    """
    lowest = max(first, last - _REACH)
    mean, more, off, right, change = vectors[0], vectors[1], vectors[2], vectors[3], vectors[4]
    rises, matrix = matrices[0], matrices[1]
    change[:] = 0.0
    for b in range(lowest, last + 1):
        work[b] = slopes[b] / STEPS_OF_SLOPE - STEEPEST
    for _ in range(_ROUNDS):
        rises[:, :] = 0.0
        off[:] = 0.0
        for b in range(lowest, last + 1):
            if c[b] <= 0:
                continue
            if b == last and top < 2:
                _means_to(top, work[b], mean)
                _means_to(top, work[b] + 1 / STEPS_OF_SLOPE, more)
            else:
                _means(work[b], mean, more)
            for i in range(_N):
                weight = c[b] * _SIZES[last - b, i]
                off[i] += weight * mean[i]
                rise = weight * (more[i] - mean[i]) * STEPS_OF_SLOPE
                for k in range(_N):
                    rises[i, k] += rise * _SIZES[last - b, k]
        for i in range(_N):
            good = targets[i] > 0
            scale = 1 / (targets[i] * _EXACT) if good else 0.0
            off[i] = (targets[i] - off[i]) * scale if good else 0.0
            for k in range(_N):
                rises[i, k] *= scale
        for i in range(_N):
            right[i] = -change[i] / _FREE**2
            for k in range(_N):
                matrix[i, k] = 1 / _FREE**2 if i == k else 0.0
                right[i] += rises[k, i] * off[k]
                for j in range(_N):
                    matrix[i, k] += rises[j, i] * rises[j, k]
        _solve(matrix, right)
        largest = 0.0
        for i in range(_N):
            largest = max(largest, abs(right[i])) if right[i] == right[i] else np.inf
        if not largest < np.inf:  # sums that no density has, as in a log that was changed by hand
            return
        damped = min(1.0, 2.0 / largest) if largest > 0 else 1.0
        for i in range(_N):
            change[i] += damped * right[i]
        for b in range(lowest, last + 1):
            a = slopes[b] / STEPS_OF_SLOPE - STEEPEST
            for k in range(_N):
                a += change[k] * _SIZES[last - b, k]
            work[b] = min(max(a, -STEEPEST), STEEPEST)
        if largest < 0.05:
            break
    for b in range(lowest, last + 1):
        slopes[b] = int((work[b] + STEEPEST) * STEPS_OF_SLOPE + 0.5)


@njit(**COMPILED)
def _solve(matrix, right):
    """Solve a positive definite system in place."""
    for i in range(_N):
        for k in range(i + 1, _N):
            factor = matrix[k, i] / matrix[i, i]
            for j in range(i, _N):
                matrix[k, j] -= factor * matrix[i, j]
            right[k] -= factor * right[i]
    for i in range(_N - 1, -1, -1):
        for k in range(i + 1, _N):
            right[i] -= matrix[i, k] * right[k]
        right[i] /= matrix[i, i]
