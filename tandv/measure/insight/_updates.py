"""Measure what a step has done to weights, in one pass over the bytes of many tensors, compiled by numba.

Which values had a gradient, and of which size, is read from the bit planes of `_gradients`.
"""

# pyright: reportCallIssue=false, reportPrivateImportUsage=false
# pyrefly: ignore-errors[missing-argument, unsupported-operation]
# (numba passes an intrinsic's first argument itself)

import math
from typing import Any

import numpy as np
from numba import float32, float64, int64, njit, uint32

from tandv.measure._lanes import ABS, add32, and32, as_bits, as_float, less32, shr32
from tandv.measure._lanes import VERSION as LANES_VERSION
from tandv.measure.insight._words import FAST, ONE, VERSION, WORDS, differ, minus, read
from tandv.measure.insight.definitions import LANES


@njit(fastmath=FAST, nogil=True)
def _change(before, after, steps, few, sums):
    """Fill `steps` with the sizes of changes; add to the sums of their squares, squared weights, and sizes."""
    squares, weights, moved = 0.0, 0.0, 0.0
    few[:] = float32(0)
    for i in range(LANES):
        steps[i] = abs(as_float(after[i]) - as_float(before[i]))
    for i in range(LANES):
        step, old = float64(steps[i]), float64(as_float(before[i]))
        squares += step * step
        weights += old * old
    for i in range(32):
        for j in range(WORDS):
            few[j] += steps[i * WORDS + j]
    for j in range(WORDS):
        moved += float64(few[j])
    sums[0] += squares
    sums[1] += weights
    sums[2] += moved


@njit(fastmath=FAST, nogil=True)
def _inside(steps, plane, sums):
    """Return the sum of those steps whose bit is set; the bit masks them, so that no NaN comes in from elsewhere."""
    sums[:] = float32(0)
    for i in range(32):
        for j in range(WORDS):
            bit = and32(shr32(plane[j], uint32(i)), ONE)
            sums[j] += as_float(and32(as_bits(steps[i * WORDS + j]), minus(uint32(0), bit)))
    total = 0.0
    for j in range(WORDS):
        total += float64(sums[j])
    return total


@njit(nogil=True)
def _rounded(before, after, asked):
    """Count what stayed though something was asked for; as bits, 0.0 and -0.0 differ, which is a change of nothing."""
    total = uint32(0)
    for i in range(LANES):
        same = less32(differ(before[i], after[i]), ONE)
        total = add32(total, and32(same, less32(uint32(0), and32(asked[i], ABS))))
    return int64(total)


@njit(nogil=True)
def _rounded_by_plane(before, after, plane):
    total = uint32(0)
    for i in range(32):
        for j in range(WORDS):
            same = less32(differ(before[i * WORDS + j], after[i * WORDS + j]), ONE)
            total = add32(total, and32(same, shr32(plane[j], uint32(i))))
    return int64(total)


@njit(nogil=True)
def _at_most(values, above):
    """Count what is below the float32 of these bits; of numbers that are not negative, bits are in the same order."""
    total = uint32(0)
    for i in range(LANES):
        total = add32(total, less32(values[i], above))
    return int64(total)


def _of_updates(made_of: tuple[int, ...]) -> Any:
    """Return `of_updates`, which encloses what it is made of besides this file (see `measure._numba._compiled`)."""

    @njit(cache=True, nogil=True)
    def of_updates(jobs, limits, planes, counts, sums):
        """Measure what a step has done to each weight, by the planes of its gradients.

        `jobs` [n, 10]: address and kind of the weight before, after, of momentum and of the mean of squares (0: there
        is none), elements, number of the first block. `limits` are for the mean of squares, as bits of
        float32.
        """
        _ = made_of
        before, after, state = np.empty(LANES, np.uint32), np.empty(LANES, np.uint32), np.empty(LANES, np.uint32)
        steps, few = np.empty(LANES, np.float32), np.empty(WORDS, np.float32)
        for job in range(len(jobs)):
            n, first = jobs[job, 8], jobs[job, 9]
            for number in range(max(1, -(-n // LANES))):
                start = number * LANES
                stop = min(start + LANES, n)
                old = read(jobs[job, 0], jobs[job, 1], start, stop, before)
                now = read(jobs[job, 2], jobs[job, 3], start, stop, after)
                _change(old, now, steps, few, sums[job])
                for k in range(2, len(planes)):
                    sums[job, 1 + k] += _inside(steps, planes[k, first + number], few)
                if jobs[job, 4]:
                    counts[job, 0] += _rounded(old, now, read(jobs[job, 4], jobs[job, 5], start, stop, state))
                else:
                    counts[job, 0] += _rounded_by_plane(old, now, planes[0, first + number])
                if jobs[job, 6]:
                    squares = read(jobs[job, 6], jobs[job, 7], start, stop, state)
                    counts[job, 1] += _at_most(squares, add32(limits[job], ONE))
                else:
                    counts[job, 1] = -1
            sums[job, 0], sums[job, 1] = math.sqrt(sums[job, 0]), math.sqrt(sums[job, 1])

    return of_updates


of_updates = _of_updates((LANES_VERSION, VERSION))
