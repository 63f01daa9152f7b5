"""Compare gradients with those of the step before, in one pass over the bytes of many tensors, compiled by numba.

Bit planes are words of 32 bits here: lane 64 i + j of a block is bit i of its word j, so that a block's bits are
found without any step from one lane to the next.
"""

# pyright: reportCallIssue=false, reportPrivateImportUsage=false
# pyrefly: ignore-errors[missing-argument]
# (numba passes an intrinsic's first argument itself)

import math
from typing import Any

import numpy as np
from numba import carray, float32, float64, int64, njit, uint32

from tandv.measure._lanes import ABS, INF, add32, and32, as_float, half_bits, less32, or32, pointer_to, shl32, shr32
from tandv.measure._lanes import VERSION as LANES_VERSION
from tandv.measure._numba import BFLOAT16, FLOAT32
from tandv.measure.insight._words import FAST, ONE, VERSION, WORDS, differ, ones, read, times
from tandv.measure.insight.definitions import LANES, SAMPLE

_SAMPLED = SAMPLE.bit_length() - 1  # a power of two
_OF_ALL, _OF_ZEROS = 6, 5  # counts before those of each threshold, and of each


@njit(nogil=True)
def _mixed(number):
    """Return the bits of `_insight.mixed`."""
    h = times(differ(shr32(number, uint32(16)), number), uint32(0x45D9F3B))
    h = times(differ(shr32(h, uint32(16)), h), uint32(0x45D9F3B))
    return differ(shr32(h, uint32(16)), h)


@njit(nogil=True)
def _signs(v, has_sign, negative):
    has_sign[:] = uint32(0)
    negative[:] = uint32(0)
    for i in range(32):
        for j in range(WORDS):
            x = v[i * WORDS + j]
            a = and32(x, ABS)
            there = and32(less32(uint32(0), a), less32(a, add32(INF, ONE)))
            has_sign[j] = or32(has_sign[j], shl32(there, uint32(i)))
            negative[j] = or32(negative[j], shl32(and32(there, shr32(x, uint32(31))), uint32(i)))


@njit(nogil=True)
def _zeros(v, limit, plane):
    plane[:] = uint32(0)
    for i in range(32):
        for j in range(WORDS):
            plane[j] = or32(plane[j], shl32(less32(and32(v[i * WORDS + j], ABS), limit), uint32(i)))


@njit(nogil=True)
def _count(bits):
    total = uint32(0)
    for j in range(WORDS):
        total = add32(total, ones(bits[j]))
    return int64(total)


@njit(nogil=True)
def _compare(new, old, both, flips, work, counts):
    """Count what has become of a block, and keep its new planes."""
    for j in range(WORDS):
        both[j] = and32(new[0, j], old[0, j])
        flips[j] = and32(differ(new[1, j], old[1, j]), both[j])
    counts[0] += _count(flips)
    counts[1] += _count(both)
    at = _OF_ALL
    for k in range(2, len(new)):
        counts[at] += _count(new[k])
        counts[at + 1] += _count(old[k])
        for j in range(WORDS):
            work[j] = and32(new[k, j], old[k, j])
        counts[at + 2] += _count(work)
        for j in range(WORDS):
            work[j] = and32(work[j], both[j])
        counts[at + 3] += _count(work)
        for j in range(WORDS):
            work[j] = and32(work[j], flips[j])
        counts[at + 4] += _count(work)
        at += _OF_ZEROS
    for k in range(len(new)):
        for j in range(WORDS):
            old[k, j] = new[k, j]


@njit(fastmath=FAST, nogil=True)
def _sketch(v, number, words, sketch):
    for j in range(WORDS):
        words[j] = _mixed(add32(shl32(uint32(number), uint32(6)), uint32(j)))
    for i in range(32):
        for j in range(WORDS):
            sign = shl32(shr32(words[j], uint32(i)), uint32(31))
            sketch[i * WORDS + j] += as_float(differ(v[i * WORDS + j], sign))


@njit(nogil=True)
def _cosine(one, other):
    dot, a, b = 0.0, 0.0, 0.0
    for i in range(LANES):
        x, y = float64(one[i]), float64(other[i])
        dot += x * y
        a += x * x
        b += y * y
    return dot / (math.sqrt(a) * math.sqrt(b)) if a > 0 and b > 0 else math.nan


@njit(nogil=True)
def _places(n, places):
    """Fill in which elements of `n` are sampled, as `definitions.Layout.places` does."""
    for number in range(SAMPLE):
        at = int64(number)
        if n > SAMPLE:
            low, high = (n * at) >> _SAMPLED, (n * (at + 1)) >> _SAMPLED
            at = low + ((int64(_mixed(uint32(number))) * (high - low)) >> 32)
        places[number] = at


@njit(nogil=True)
def _gather(address, kind, n, places, out):
    """Fill `out` with the values of the sampled elements."""
    sampled = min(n, SAMPLE)
    if kind == FLOAT32:
        words = carray(pointer_to(address), (n,), np.uint32)
        for number in range(sampled):
            out[number] = as_float(words[places[number]])
    else:
        halves = carray(pointer_to(address), (n,), np.uint16)
        for number in range(sampled):
            half = uint32(halves[places[number]])
            out[number] = as_float(shl32(half, uint32(16)) if kind == BFLOAT16 else half_bits(half))


@njit(nogil=True)
def _curvature(gradients, weights, old_gradients, old_weights, counts):
    """Count where gradient and weight changed alike or against each other, and where the gradient's sign turned."""
    up, down, minima, maxima = 0, 0, 0, 0
    for i in range(SAMPLE):
        changed, moved = gradients[i] - old_gradients[i], weights[i] - old_weights[i]
        rose, fell = changed > 0, changed < 0
        right, left = moved > 0, moved < 0
        turned = ((gradients[i] > 0) & (old_gradients[i] < 0)) | ((gradients[i] < 0) & (old_gradients[i] > 0))
        curved_up = (rose & right) | (fell & left)
        curved_down = (rose & left) | (fell & right)
        up += curved_up
        down += curved_down
        minima += curved_up & turned
        maxima += curved_down & turned
    counts[2] += up
    counts[3] += down
    counts[4] += minima
    counts[5] += maxima


def _of_gradients(made_of: tuple[int, ...]) -> Any:
    """Return `of_gradients`, which encloses what it is made of besides this file (see `measure._numba._compiled`)."""

    @njit(cache=True, nogil=True)
    def of_gradients(jobs, limits, planes, sketches, gradients, weights, counts, cosines):
        """Compare each gradient with what was kept of the one before, and keep this one.

        `jobs` [n, 7]: address, kind and elements of the gradient, address (0: not known) and kind of the weight,
        number of the tensor and of its first block. `limits` are bits of float32. Counts and cosines come per job.
        """
        _ = made_of
        block = np.empty(LANES, np.uint32)
        new = np.empty((len(limits) + 2, WORDS), np.uint32)
        both, flips, work = np.empty(WORDS, np.uint32), np.empty(WORDS, np.uint32), np.empty(WORDS, np.uint32)
        sketch, sampled = np.empty(LANES, np.float32), np.empty((2, SAMPLE), np.float32)
        places = np.empty(SAMPLE, np.int64)
        for job in range(len(jobs)):
            address, kind, n = jobs[job, 0], jobs[job, 1], jobs[job, 2]
            tensor, first = jobs[job, 5], jobs[job, 6]
            sampled[:, min(n, SAMPLE) :] = float32(0)
            sketch[:] = float32(0)
            for number in range(max(1, -(-n // LANES))):
                start = number * LANES
                v = read(address, kind, start, min(start + LANES, n), block)
                _signs(v, new[0], new[1])
                for k in range(len(limits)):
                    _zeros(v, add32(limits[k], ONE), new[2 + k])
                _compare(new, planes[:, first + number], both, flips, work, counts[job])
                _sketch(v, number, work, sketch)
            cosines[job] = _cosine(sketch, sketches[tensor])
            sketches[tensor] = sketch
            _places(n, places)
            _gather(address, kind, n, places, sampled[0])
            if jobs[job, 3]:
                _gather(jobs[job, 3], jobs[job, 4], n, places, sampled[1])
                _curvature(sampled[0], sampled[1], gradients[tensor], weights[tensor], counts[job])
                weights[tensor] = sampled[1]
            gradients[tensor] = sampled[0]

    return of_gradients


of_gradients = _of_gradients((LANES_VERSION, VERSION))
