"""What casts of the values of many rows would do, from tables, compiled by numba."""

import math
from typing import Any

import numpy as np
from numba import njit

from tandv.analysis.whatif._moments import VERSION as OF_MOMENTS
from tandv.analysis.whatif._moments import tilt
from tandv.analysis.whatif._peaks import VERSION as OF_PEAKS
from tandv.analysis.whatif._peaks import fill_peak, fit, groups
from tandv.analysis.whatif._ranges import LOOSE, write_share, write_sqnr
from tandv.analysis.whatif._ranges import VERSION as OF_RANGES
from tandv.analysis.whatif._sums import SUMS, add, entry, of_one
from tandv.analysis.whatif._sums import VERSION as OF_SUMS
from tandv.analysis.whatif._sums import power_of_two as power
from tandv.analysis.whatif._tables import (
    FIELDS,
    LISTED,
    MEAN_FOURTHS,
    MEAN_SQUARES,
    SLOPES,
    SMOOTH,
    STEEPEST,
    STEPS_OF_SLOPE,
    SUBNORMAL,
    ZERO,
)
from tandv.analysis.whatif._within import MOST_POINTS, VERSION, errors, fill, listed_errors, slope_indices

TILTED = 4  # mantissa bits above which values lie densely enough to fit a density to the moments
_SMALL = 30  # powers of two below the highest from which errors are nothing beside those at the top


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
            jobs: [jobs, 6]: where a format's entries begin, how many fractions they have, its mantissa bits, the
                exponents of its smallest normal and of its largest value, and a number that it shares with others of
                as many mantissa bits and the same fractions: values that are normal in both have the same errors.
            limits: [jobs, 2]: its largest value, and above which it overflows.
        """
        _ = made_of
        slope = np.zeros(counts.shape[1], np.int64)
        p4 = 0.25 ** np.arange(400.0)
        top_u, top_w = np.empty(MOST_POINTS), np.empty(MOST_POINTS)
        low_u, low_w = np.empty(MOST_POINTS), np.empty(MOST_POINTS)
        any_u, any_w = np.empty(MOST_POINTS), np.empty(MOST_POINTS)
        wide = np.empty(counts.shape[1])
        next_u, next_w = np.empty(MOST_POINTS), np.empty(MOST_POINTS)
        known, law = np.empty((2, 3)), np.empty(5)
        apart = np.empty(counts.shape[1])
        work, targets, four, matrix = np.empty(counts.shape[1]), np.empty(4), np.empty((4, 4)), np.empty((4, 4))
        numbers, alike = np.empty(20), int(jobs[:, 5].max()) + 1
        # Of each number of a job: sums over the powers of two from the highest down to each, errors at the top.
        normals, down_to = np.empty((alike, counts.shape[1] + 1, SUMS)), np.empty(alike, np.int64)
        at_top, has_top = np.empty((alike, 7)), np.empty(alike, np.bool_)
        gone, at_points = np.empty((counts.shape[1] + 1, SUMS + 1)), np.empty(7)
        sums, squared, few = np.empty(SUMS), np.empty(counts.shape[1]), np.empty(counts.shape[1])
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
                    write_share(numbers, 0, 0.0, 0.0, unsure, unsure, n)
                    write_share(numbers, 5, infinite, infinite, 0.0, 0.0, n)
                    numbers[15:] = np.inf if of[r, 5] > 0 else np.nan
                    for i in range(20):
                        out[i, r, j] = numbers[i]
                continue

            unit = power(lowest + last)  # errors and squares are in units of its square
            top, bottom = of[r, 0] / unit, of[r, 1] / power(lowest + first)
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
            groups(wide, first, last, max(top - 1, 0.02), apart)
            if not equal:
                for i in range(4):
                    p = 1 << i
                    whole_sum = of[r, 5] * (of[r, 8 + i] / unit) ** p
                    targets[i] = whole_sum
                    for j in range(number):
                        targets[i] -= known[j, 1] * (known[j, 0] * 0.5 ** (last - known[j, 2])) ** p
                    if not targets[i] > 1e-3 * whole_sum:
                        targets[i] = np.nan  # of values that are known already, but for rounding
                if bits > TILTED:
                    tilt(wide, first, last, top, targets, slope, work, four[0], four[1], matrix, four[2], four[3])
            peak = not equal and fit(wide, first, last, top, targets, slope, apart, law)
            heavy = first < last and wide[first] > total / 64
            n_top = n_low = n_next = 0
            if peak:
                begin = bottom if first == last else 1.0
                n_top = fill_peak(begin, top, law, 1.0, top_bits, listed[top_bits] == 1, top_u, top_w)
                if last > first and wide[last - 1] > 0:
                    own = max(min(bits, lowest + last - 1 - subnormal), 0)
                    begin = bottom if first == last - 1 else 1.0
                    n_next = fill_peak(begin, 2.0, law, 0.5, own, listed[own] == 1, next_u, next_w)
            elif wide[last] > 0:
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

            bottoms = 1 if heavy else 0  # the lowest power of two is taken by itself
            tops = 2 if peak and last > first else 1
            down_to[:], has_top[:] = last - tops + 1, False
            gone[first + bottoms, :] = 0.0
            for b in range(first, last + 1):
                squared[b] = p4[min(last - b, 399)]
                few[b] = 4 / min(max(wide[b], 1.0), apart[b])  # two deviations, squared, of the mean over groups
                if b >= first + bottoms and b <= last - tops:
                    level = levels[max(min(bits, lowest + b - subnormal), 0)]
                    at = jobs[0, 0] + entry(level, jobs[0, 1], 0, jobs[0, 2] + 3, jobs[0, 2], slope[b])
                    add(gone[b], gone[b + 1], wide[b], squared[b], few[b], tables, at)
                    gone[b + 1, SUMS] = gone[b, SUMS] + wide[b]
            for g in range(alike):
                normals[g, last - tops + 1, :] = 0.0

            for j in range(len(jobs)):
                begins, fractions, m, normal, highest, g = jobs[j]
                f, shift, place_of_f = factors[j, r], shifts[j, r], places[j, r]
                sums[:] = 0.0
                zero, zero_sure, zero_maybe, zero_loose = 0.0, 0.0, 0.0, 0.0
                over, over_sure, over_maybe, over_loose = 0.0, 0.0, 0.0, 0.0
                small, small_sure, small_maybe, small_loose = 0.0, 0.0, 0.0, 0.0
                tie = False
                lowest_normal = normal - lowest - shift
                highest_gone = lowest_normal - m - (2 if f == 1.0 else 3)
                b = last + 1
                while b > first:
                    b -= 1
                    c = wide[b]
                    k = lowest + b + shift
                    direct = b > last - tops or b < first + bottoms
                    fits = k < highest - 1 or 2 * f * power(k) <= limits[j, 0]
                    if fits and not direct and b >= lowest_normal:
                        stop = max(lowest_normal, first + bottoms)
                        while down_to[g] > stop:
                            d = down_to[g] = down_to[g] - 1
                            if wide[d] > 0 and last - d < _SMALL:
                                level = levels[max(min(bits, lowest + d - subnormal), 0)]
                                at = begins + entry(level, fractions, place_of_f, 0, m, slope[d])
                                add(normals[g, d + 1], normals[g, d], wide[d], squared[d], few[d], tables, at)
                            else:
                                normals[g, d] = normals[g, d + 1]
                        for i in range(SUMS):
                            sums[i] += normals[g, stop, i] - normals[g, b + 1, i]
                        b = stop
                        continue
                    if fits and not direct and b <= highest_gone:
                        for i in range(SUMS):
                            sums[i] += gone[b + 1, i]
                        zero += gone[b + 1, SUMS]
                        zero_sure += gone[b + 1, SUMS]
                        b = first + bottoms
                        continue
                    if c <= 0:
                        continue
                    place = min(max(lowest_normal - b, 0), m + 3)
                    if fits and not direct:
                        level = levels[max(min(bits, lowest + b - subnormal), 0)]
                        at = begins + entry(level, fractions, place_of_f, place, m, slope[b])
                        add(sums, sums, c, squared[b], few[b], tables, at)
                        zeros, smalls = c * tables[at + ZERO], c * tables[at + SUBNORMAL]
                    else:
                        here = power(-k)
                        largest, end = limits[j, 0] * here, limits[j, 1] * here
                        own = max(min(bits, lowest + b - subnormal), 0)
                        shared = b == last and place == 0 and f * top <= largest * (1 + 1e-6)
                        if shared and has_top[g]:
                            at_points[:] = at_top[g]
                        else:
                            if b == last:
                                u, w, points = top_u, top_w, n_top
                            elif b > last - tops:
                                u, w, points = next_u, next_w, n_next
                            elif b < first + bottoms:
                                u, w, points = low_u, low_w, n_low
                            else:
                                u, w = any_u, any_w
                                a = (slope[b] / STEPS_OF_SLOPE) - STEEPEST
                                points = fill(1.0, 2.0, a, own, listed[own] == 1, u, w)
                            exact = f == 1.0 and own <= m - place
                            step1, step2, edge = power(place - m), power(max(place, 1) - m), power(place)
                            if points:
                                listed_errors(u, w, points, f, step1, step2, largest, end, edge, exact, at_points)
                            else:
                                smooth = m - place >= SMOOTH
                                errors(u, w, f, step1, step2, largest, end, edge, smooth, exact, at_points)
                            if shared:
                                at_top[g], has_top[g] = at_points, True
                        add(sums, sums, c, squared[b], few[b], at_points, 0)
                        zeros, smalls = c * at_points[4], c * at_points[5]
                        over += c * at_points[6]
                        if f > end:
                            over_sure += c
                        elif 2 * f > end and at_points[6] > 0:
                            over_maybe += c
                            over_loose += c * max(LOOSE, 1 / math.sqrt(apart[b]))
                    zero += zeros
                    small += smalls
                    # Where they lie within their power of two is known less well the fewer groups they fall into.
                    loose = c * max(LOOSE, 1 / math.sqrt(apart[b]))
                    if b <= highest_gone:
                        zero_sure += c
                    elif place >= m + 2 or (f == 1.0 and place == m + 1):
                        zero_maybe += c
                        zero_loose += loose
                        tie = f == 1.0
                    elif place >= 1 and (f == 1.0 or place >= 2):
                        small_sure += c
                    elif place == 1:
                        small_maybe += c
                        small_loose += loose
                for i in range(number):
                    c, b = known[i, 1], int(known[i, 2])
                    here, own = power(-lowest - b - shift), max(min(bits, lowest + b - subnormal), 0)
                    place = lowest_normal - b
                    exact = f == 1.0 and own <= m - max(place, 0)
                    largest, end = limits[j, 0] * here, limits[j, 1] * here
                    error, is_zero, is_small, is_over = of_one(known[i, 0], f, place, m, largest, end, exact)
                    for total_of in range(3):
                        sums[total_of] += c * error * squared[b]
                    zero, zero_sure = zero + c * is_zero, zero_sure + c * is_zero
                    small, small_sure = small + c * is_small, small_sure + c * is_small
                    over, over_sure = over + c * is_over, over_sure + c * is_over

                stray = zero_loose + math.sqrt(zero_maybe) + 1
                if tie:  # only values of exactly half the smallest one go to zero
                    stray = 2 * zero + 2 * math.sqrt(zero) + 1 + (zero_maybe / 64 if bits > LISTED else 0.0)
                write_share(numbers, 0, zero, zero_sure, zero_maybe + unsure, stray + unsure, n)
                half = over_loose + math.sqrt(over_maybe) + 1
                write_share(numbers, 5, over + infinite, over_sure + infinite, over_maybe, half, n)
                doubt = small_maybe + zero_maybe
                half = small_loose + math.sqrt(small_maybe) + (stray if zero_maybe > 0 else 1.0)
                write_share(numbers, 10, small, small_sure, doubt, half, n)
                write_sqnr(numbers, 15, signal, sums[0], sums[1], sums[2], sums[3], sums[4], guessed)
                for i in range(20):
                    out[i, r, j] = numbers[i]

    return predict


_CONSTANTS = (*SLOPES.tolist(), *MEAN_SQUARES.tolist(), *MEAN_FOURTHS.ravel().tolist(), FIELDS, SMOOTH, STEPS_OF_SLOPE)
predict = _predict((VERSION, OF_MOMENTS, OF_PEAKS, OF_RANGES, OF_SUMS, *_CONSTANTS))
