"""What casts of the values of many rows would do, from tables, compiled by numba."""

import math
from typing import Any

import numpy as np
from numba import njit

from tandv.analysis.whatif._moments import VERSION as OF_MOMENTS
from tandv.analysis.whatif._moments import tilt
from tandv.analysis.whatif._tables import (
    FIELDS,
    FOURTH,
    LEAST,
    LISTED,
    MEAN_SQUARES,
    MOST,
    SLOPES,
    SMOOTH,
    SQUARE,
    STEEPEST,
    STEPS_OF_SLOPE,
    SUBNORMAL,
    ZERO,
)
from tandv.analysis.whatif._within import MOST_POINTS, VERSION, errors, fill, listed_errors, slope_indices

_SLOPES = len(SLOPES)
TILTED = 4  # mantissa bits above which values lie densely enough to fit a density to the moments
_UNKNOWN = 0.5  # dB that values of real tensors stray, besides where they happen to lie
_DECIBEL = 10 / math.log(10)
_REACH = 1022
_POWERS = np.ldexp(1.0, np.arange(-_REACH, _REACH + 1))  # read, as math.ldexp is a call of a library


@njit(nogil=True)
def _power(k):
    return _POWERS[max(min(k, _REACH), -_REACH) + _REACH]


@njit(nogil=True)
def _range(out, at, value, sure, doubtful, half, n):
    """Write a share: as predicted, its 95 % range, and its least and most."""
    least, most = sure / n, min((sure + doubtful) / n, 1.0)
    value = min(max(value / n, least), most)
    half = half / n if doubtful > 0 else 0.0
    out[at], out[at + 1], out[at + 2] = value, max(value - half, least), min(value + half, most)
    out[at + 3], out[at + 4] = least, most


@njit(nogil=True)
def _decibel(signal, noise):
    if noise > 0:
        return _DECIBEL * math.log(signal / noise) if signal > 0 else -np.inf
    return np.inf


def _predict(made_of: tuple[Any, ...]) -> Any:
    """Return `predict`, which encloses the constants that are compiled in, so that numba finds no older program."""

    @njit(cache=True, nogil=True)
    def predict(counts, which, lowest, of, whole, levels, listed, factors, shifts, places, tables, jobs, limits, out):
        """Write what casts do to each row, [20, rows, jobs]: underflow, overflow, subnormal, SQNR, five numbers each.

        Args:
            counts: [some rows, exponents] floats.
            which: the numbers of these rows in all other arrays.
            lowest: the exponent of the first of them.
            of: [rows, 12]: largest, smallest, squares, numel, infinite, finite, unsure, total, and the power means of
                1, 2, 4 and 8; see `Values`.
            whole: [rows, 3] integers: mantissa bits, exponent of the smallest value of the type, 1 if all are equal.
            levels: [53], which entry of the tables is about so many mantissa bits.
            listed: [53], 1 if some format keeps nearly so many bits, so that the values themselves matter.
            factors: [jobs, rows], each scale's fraction from 1 to 2.
            shifts: [jobs, rows], its exponent.
            places: [jobs, rows], which entry of the tables is about that fraction.
            tables: entries of all formats, one after the other.
            jobs: [jobs, 5]: where a format's entries begin, how many fractions they have, its mantissa bits, the
                exponents of its smallest normal and of its largest value.
            limits: [jobs, 2]: its largest value, and above which it overflows.
        """
        _ = made_of
        slope = np.zeros(counts.shape[1], np.int64)
        p4 = 0.25 ** np.arange(400.0)
        top_u, top_w = np.empty(MOST_POINTS), np.empty(MOST_POINTS)
        low_u, low_w = np.empty(MOST_POINTS), np.empty(MOST_POINTS)
        any_u, any_w = np.empty(MOST_POINTS), np.empty(MOST_POINTS)
        wide = np.empty(counts.shape[1])
        known = np.empty((2, 3))
        work, targets, four, matrix = np.empty(counts.shape[1]), np.empty(4), np.empty((4, 4)), np.empty((4, 4))
        numbers, at_points = np.empty(20), np.empty(7)
        for row in range(counts.shape[0]):
            r = which[row]
            first, last = -1, -1
            for b in range(counts.shape[1]):
                wide[b] = counts[row, b]
                if wide[b] > 0:
                    first = b if first < 0 else first
                    last = b
            n = max(of[r, 3], 1.0)
            infinite, unsure, total = of[r, 4], of[r, 6], of[r, 7]
            bits, subnormal, equal = whole[r, 0], whole[r, 1], whole[r, 2] == 1
            if last < 0:
                for j in range(len(jobs)):
                    numbers[:] = 0.0
                    _range(numbers, 0, 0.0, 0.0, unsure, unsure, n)
                    _range(numbers, 5, infinite, infinite, 0.0, 0.0, n)
                    numbers[15:] = np.inf if of[r, 5] > 0 else np.nan
                    for i in range(20):
                        out[i, r, j] = numbers[i]
                continue

            unit = _power(lowest + last)  # errors and squares are in units of its square
            top, bottom = of[r, 0] / unit, of[r, 1] / _power(lowest + first)
            knows_top, knows_bottom = 1 <= top < 2, 1 <= bottom < 2
            top = top if knows_top else 2.0
            bottom = bottom if knows_bottom else 1.0
            slope_indices(wide, first, last, max(top - 1, 0.02), slope)
            top_bits = max(min(bits, lowest + last - subnormal), 0)
            number = 0  # of values that are known one by one: u, how many, in which power of two
            if equal:
                known[0, 0], known[0, 1], known[0, 2] = top, total, last
                number, wide[last] = 1, 0.0
            else:
                if knows_top:
                    known[0, 0], known[0, 1], known[0, 2] = top, 1.0, last
                    number = 1
                    wide[last] -= 1
                if knows_bottom and wide[first] > 0:
                    known[number, 0], known[number, 1], known[number, 2] = bottom, 1.0, first
                    number += 1
                    wide[first] -= 1
            if not equal and bits > TILTED:
                for i in range(4):
                    p = 1 << i
                    whole_sum = of[r, 5] * (of[r, 8 + i] / unit) ** p
                    targets[i] = whole_sum
                    for j in range(number):
                        targets[i] -= known[j, 1] * (known[j, 0] * 0.5 ** (last - known[j, 2])) ** p
                    if not targets[i] > 1e-3 * whole_sum:
                        targets[i] = np.nan  # of values that are known already, but for rounding
                tilt(wide, first, last, top, targets, slope, work, four[0], four[1], matrix, four[2], four[3])
            heavy = first < last and wide[first] > total / 64
            n_top = n_low = 0
            if wide[last] > 0:
                begin = bottom if first == last else 1.0
                a = (slope[last] / STEPS_OF_SLOPE) - STEEPEST
                n_top = fill(begin, top, a, top_bits, listed[top_bits] == 1, top_u, top_w)
            if heavy:
                a = (slope[first] / STEPS_OF_SLOPE) - STEEPEST
                low_bits = max(min(bits, lowest + first - subnormal), 0)
                n_low = fill(bottom, 2.0, a, low_bits, listed[low_bits] == 1, low_u, low_w)
            signal, guessed = of[r, 2] / unit / unit, False
            if not signal > 0:
                guessed, signal = True, 0.0
                for b in range(first, last + 1):
                    signal += counts[row, b] * p4[min(last - b, 399)] * MEAN_SQUARES[slope[b]]

            for j in range(len(jobs)):
                begins, fractions, m, normal, highest = jobs[j, 0], jobs[j, 1], jobs[j, 2], jobs[j, 3], jobs[j, 4]
                f, shift, place_of_f = factors[j, r], shifts[j, r], places[j, r]
                back = 1 / f
                square, spread, most, least = 0.0, 0.0, 0.0, 0.0
                zero, zero_sure, zero_maybe = 0.0, 0.0, 0.0
                over, over_sure, over_maybe = 0.0, 0.0, 0.0
                small, small_sure, small_maybe = 0.0, 0.0, 0.0
                tie = False
                for b in range(last, first - 1, -1):
                    c = wide[b]
                    if c <= 0:
                        continue
                    k = lowest + b + shift
                    place = min(max(normal - k, 0), m + 3)
                    power = p4[min(last - b, 399)]
                    gone = place >= m + 3 or (f == 1.0 and place >= m + 2)
                    direct = b == last or (heavy and b == first)
                    fits = True
                    if k >= highest - 1:
                        fits = 2 * f * _power(k) <= limits[j, 0]
                    if fits and not direct:
                        level = levels[max(min(bits, lowest + b - subnormal), 0)]
                        at = (
                            begins
                            + (((level * fractions + place_of_f) * (m + 4) + place) * _SLOPES + slope[b]) * FIELDS
                        )
                        mean = tables[at + SQUARE]
                        square += c * mean * power
                        spread += c * (tables[at + FOURTH] - mean * mean) * power * power
                        most += c * tables[at + MOST] * power
                        least += c * tables[at + LEAST] * power
                        zeros, smalls = c * tables[at + ZERO], c * tables[at + SUBNORMAL]
                        zero += zeros
                        small += smalls
                    else:
                        if b == last:
                            u, w, points = top_u, top_w, n_top
                        elif b == first and heavy:
                            u, w, points = low_u, low_w, n_low
                        else:
                            u, w = any_u, any_w
                            a = (slope[b] / STEPS_OF_SLOPE) - STEEPEST
                            own = max(min(bits, lowest + b - subnormal), 0)
                            points = fill(1.0, 2.0, a, own, listed[own] == 1, u, w)
                        here = _power(-k)
                        largest, end = limits[j, 0] * here, limits[j, 1] * here
                        own = max(min(bits, lowest + b - subnormal), 0)
                        exact = f == 1.0 and own <= m - place
                        step1, step2, edge = _power(place - m), _power(max(place, 1) - m), _power(place)
                        if points:
                            listed_errors(u, w, points, f, step1, step2, largest, end, edge, exact, at_points)
                        else:
                            smooth = m - place >= SMOOTH
                            errors(u, w, f, step1, step2, largest, end, edge, smooth, exact, at_points)
                        e1, e2, hi, lo = at_points[0], at_points[1], at_points[2], at_points[3]
                        zs, ss, os = at_points[4], at_points[5], at_points[6]
                        square += c * e1 * power
                        spread += c * (e2 - e1 * e1) * power * power
                        most += c * hi * power
                        least += c * lo * power
                        zeros, smalls = c * zs, c * ss
                        zero += zeros
                        small += smalls
                        over += c * os
                        if f > end:
                            over_sure += c
                        elif 2 * f > end and os > 0:
                            over_maybe += c
                    if gone:
                        zero_sure += c
                    elif place >= m + 2 or (f == 1.0 and place == m + 1):
                        zero_maybe += c
                        tie = f == 1.0
                    elif place >= 1 and (f == 1.0 or place >= 2):
                        small_sure += c
                    elif place == 1:
                        small_maybe += c
                for i in range(number):
                    x, c, b = known[i, 0], known[i, 1], int(known[i, 2])
                    place = normal - lowest - b - shift
                    here = _power(place - normal)
                    y = f * x
                    step = _power(max(1 if y >= 2 else 0, place) - m)
                    q = min(np.rint(y / step) * step, limits[j, 0] * here)
                    d = q * back - x
                    own = max(min(bits, lowest + b - subnormal), 0)
                    if f == 1.0 and own <= m - max(place, 0) and y <= limits[j, 0] * here:
                        d = 0.0  # also where a log keeps extremes with fewer digits than values have
                    d = c * d * d * p4[min(last - b, 399)]
                    square += d
                    most += d
                    least += d
                    if q == 0:
                        zero += c
                        zero_sure += c
                    elif y < _power(place):
                        small += c
                        small_sure += c
                    if y > limits[j, 1] * here:
                        over += c
                        over_sure += c

                stray = 0.15 * zero_maybe + math.sqrt(zero_maybe) + 1
                if tie:  # only values of exactly half the smallest one go to zero
                    stray = 2 * zero + 2 * math.sqrt(zero) + 1 + (zero_maybe / 64 if bits > LISTED else 0.0)
                _range(numbers, 0, zero, zero_sure, zero_maybe + unsure, stray + unsure, n)
                half = 0.15 * over_maybe + math.sqrt(over_maybe) + 1
                _range(numbers, 5, over + infinite, over_sure + infinite, over_maybe, half, n)
                doubt = small_maybe + zero_maybe
                half = 0.15 * small_maybe + math.sqrt(small_maybe) + (stray if zero_maybe > 0 else 1.0)
                _range(numbers, 10, small, small_sure, doubt, half, n)
                half = 0.0
                if square > 0 and (spread > 0 or most > least or guessed):
                    half = math.sqrt((2 * _DECIBEL * math.sqrt(max(spread, 0.0)) / square) ** 2 + _UNKNOWN**2)
                half += 1.0 if guessed else 0.0
                middle = _decibel(signal, square)
                worst, best = _decibel(signal, most), _decibel(signal, least)
                if guessed:
                    worst, best = worst - 4.0, best + 3.0
                # To nearest, zero being a value of the format: no error is larger than what is cast.
                middle, worst = max(middle, 0.0), max(worst, 0.0)
                numbers[15], numbers[18], numbers[19] = middle, worst, best
                numbers[16] = max(middle - half, worst) if middle < np.inf else middle
                numbers[17] = min(middle + half, best) if middle < np.inf else middle
                for i in range(20):
                    out[i, r, j] = numbers[i]

    return predict


predict = _predict((VERSION, OF_MOMENTS, *SLOPES.tolist(), *MEAN_SQUARES.tolist(), FIELDS, SMOOTH, STEPS_OF_SLOPE))
