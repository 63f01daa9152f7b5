"""What casts of the values of many rows would do, from tables, compiled by numba."""

# pyright: reportCallIssue=false

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from tandv.analysis.whatif._bulk import NONE
from tandv.analysis.whatif._elementary import ALLOCATING, COMPILED
from tandv.analysis.whatif._peaks import LAW
from tandv.analysis.whatif._ranges import (
    CELLS,
    GUESSED,
    OF_SUBNORMAL,
    OVERFLOW,
    PER_VALUE,
    ROOM,
    SIGNAL,
    SQUARE,
    UNDERFLOW,
    widen,
    write,
)
from tandv.analysis.whatif._ranges import VERSION as OF_RANGES
from tandv.analysis.whatif._sums import SUMS, add, entry, of_one
from tandv.analysis.whatif._sums import VERSION as OF_SUMS
from tandv.analysis.whatif._sums import power_of_two as power
from tandv.analysis.whatif._tables import (
    FIELDS,
    LISTED,
    MEANS,
    SLOPES,
    SMOOTH,
    SPREAD,
    STEPS_OF_SLOPE,
    SUBNORMAL,
    ZERO,
)
from tandv.analysis.whatif._values import ANY, BULK, LOW, NEXT, TOP, UNDER, a_of, learn
from tandv.analysis.whatif._values import VERSION as OF_VALUES
from tandv.analysis.whatif._within import MOST_POINTS, VERSION, errors, fill, listed_errors

_SMALL = 30  # powers of two below the highest from which errors are nothing beside those at the top
_NEGLIGIBLE = 1e-5  # part of the squares below which the errors of normal values are not looked up
_AT_POINTS = 7  # numbers that `errors` writes
_GONE = SUMS + 1
NOWHERE, START = np.int64(-1), np.int64(0)


class Casts(NamedTuple):
    """Formats and scales, each of which is a job, and what is looked up of them.

    Args:
        levels: which entry of the tables is about so many mantissa bits, [64].
        listed: 1 if some format keeps nearly so many bits, so that the values themselves matter, [64].
        factors: each scale's fraction from 1 to 2, [these rows, jobs].
        shifts: its exponent, [these rows, jobs].
        places: which entry of the tables is about that fraction, [these rows, jobs].
        tables: entries of all formats, one after the other.
        jobs: where a format's entries begin, how many fractions they have, its mantissa bits, the exponents of its
            smallest normal and of its largest value, and a number that it shares with others of as many mantissa bits
            and the same fractions: values that are normal in both have the same errors; [jobs, 6].
        limits: the largest value, and above which it overflows, [jobs, 2].
    """

    levels: np.ndarray
    listed: np.ndarray
    factors: np.ndarray
    shifts: np.ndarray
    places: np.ndarray
    tables: np.ndarray
    jobs: np.ndarray
    limits: np.ndarray


@njit(**COMPILED)
def _at_points(u, w, points, kind, slope, own, f, m, place, limit, end, listed, out):
    """Write what a cast does to the values of a power of two with points of its own, as in a table: see `errors`."""
    if kind == ANY:
        points[ANY] = fill(1.0, 2.0, a_of(slope), own, listed[own] == 1, u, w, ANY)
    exact = f == 1.0 and own <= m - place
    step, step_from_2, edge = power(place - m), power(max(place, 1) - m), power(place)
    if points[kind]:
        listed_errors(u, w, kind, points[kind], f, step, step_from_2, limit, end, edge, exact, out)
    else:
        errors(u, w, kind, f, step, step_from_2, limit, end, edge, m - place >= SMOOTH, exact, out)
    out[SPREAD] = math.sqrt(max(out[SPREAD] - out[0] * out[0], 0.0))


def _predict(made_of: tuple[Any, ...]) -> Any:
    """Return `predict`, which encloses the constants that are compiled in, so that numba finds no older program."""

    @njit(cache=True, **ALLOCATING)
    def predict(counts, which, lowest, of, whole, casts, out):
        """Write what casts do to each row: of underflow, overflow, subnormal, SQNR five numbers each.

        Args:
            counts: [some rows, exponents].
            which: the numbers of these rows among all.
            lowest: the exponent of the first of them.
            of: [rows, 12]: largest, smallest, squares, numel, infinite, finite, unsure, total, and the power means of
                1, 2, 4 and 8; see `Values`.
            whole: [rows, 3] integers: mantissa bits, exponent of the smallest value of the type, 1 if all are equal.
            casts: the jobs.
            out: [20, all rows · jobs].
        """
        _ = made_of
        levels, listed, factors, shifts = casts.levels, casts.listed, casts.factors, casts.shifts
        places, tables, jobs, limits = casts.places, casts.tables, casts.jobs, casts.limits
        bins = counts.shape[1]
        wide, logs, apart, square = np.empty(bins), np.empty(bins), np.empty(bins), np.empty(bins)
        few, loose, known, law = np.empty(bins), np.empty(bins), np.empty((2, 3)), np.empty((2, LAW))
        slope, level, points = np.zeros(bins, np.int64), np.zeros(bins, np.int64), np.zeros(ANY + 1, np.int64)
        u, w, work = np.empty((ANY + 1, MOST_POINTS)), np.empty((ANY + 1, MOST_POINTS)), np.empty(max(bins, 32))
        vectors, matrices = np.empty((6, 4)), np.empty((2, 4, 4))
        alike = START
        for j in range(len(jobs)):
            alike = max(alike, jobs[j, 5] + 1)
        # Sums over the powers of two below each, if all go to zero, and how many values these are.
        gone = np.empty((bins + 1) * _GONE)
        # Of each number that jobs share: sums from the highest power of two down to each; errors of what has points,
        # and last these of jobs in which all such values go to zero.
        normals, down_to = np.empty(alike * (bins + 1) * SUMS), np.empty(alike, np.int64)
        at_points, has_points = np.empty((alike + 1) * ANY * _AT_POINTS), np.empty((alike + 1, ANY), np.bool_)
        sums, errors_of, room, n = np.empty(SUMS), np.empty(_AT_POINTS), np.empty(ROOM), START
        places_of = np.empty(CELLS, np.int64)  # in `out`, of the casts in the room
        for row in range(len(which)):
            own, first, last = which[row], NOWHERE, NOWHERE
            for b in range(bins):
                wide[b] = counts[row, b]
                if wide[b] > 0:
                    first = b if first < 0 else first
                    last = b
            bits, infinite, unsure, per = whole[row, 0], of[row, 4], of[row, 6], 1 / max(of[row, 3], 1.0)
            number, top, tops, bottoms, bulk, guessed = 0, 2.0, 0, 0, NONE, 0.0
            signal = 1.0 if of[row, 5] > 0 else np.nan
            lowest_listed, highest_listed, deepest = 0, 0, 0  # of those between, tables tell
            if last < 0:
                first = 0
            else:
                number, top, tops, bottoms, bulk, signal, guessed = learn(
                    wide, logs, slope, level, apart, square, few, loose, known, u, w, points, law, work, vectors,
                    matrices, first, last, lowest, of[row], bits, whole[row, 1], whole[row, 2] == 1, listed,
                )  # fmt: skip
                lowest_listed, highest_listed = first + bottoms, last - tops + 1
                gone[lowest_listed * _GONE : (lowest_listed + 1) * _GONE] = 0.0
                for b in range(lowest_listed, highest_listed):
                    at = jobs[0, 0] + entry(levels[level[b]], jobs[0, 1], START, jobs[0, 2] + 3, jobs[0, 2], slope[b])
                    add(gone, b * _GONE, (b + 1) * _GONE, wide[b], square[b], few[b], tables, at)
                    gone[(b + 1) * _GONE + SUMS] = gone[b * _GONE + SUMS] + wide[b]
                # Below this one the errors of normal values are nothing beside those above.
                deepest = max(lowest_listed, last - _SMALL + 1)
                negligible = _NEGLIGIBLE * gone[max(highest_listed, lowest_listed) * _GONE]
                while deepest + 1 < highest_listed and gone[(deepest + 1) * _GONE] <= negligible:
                    deepest += 1
                has_points[:, :] = False
                for g in range(alike):
                    down_to[g] = highest_listed
                    for i in range(SUMS):
                        normals[(g * (bins + 1) + highest_listed) * SUMS + i] = 0.0

            for j in range(len(jobs)):
                begins, fractions, m = jobs[j, 0], jobs[j, 1], jobs[j, 2]
                normal, highest, g = jobs[j, 3], jobs[j, 4], jobs[j, 5]
                f, shift, place_of_f = factors[row, j], shifts[row, j], places[row, j]
                largest, overflows, from_g = limits[j, 0], limits[j, 1], g * (bins + 1)
                for i in range(SUMS):
                    sums[i] = 0.0
                zero, zero_sure, zero_maybe, zero_loose = 0.0, 0.0, 0.0, 0.0
                over, over_sure, over_maybe, over_loose = 0.0, 0.0, 0.0, 0.0
                small, small_sure, small_maybe, small_loose = 0.0, 0.0, 0.0, 0.0
                tie, power2 = False, f == 1.0
                lowest_normal = normal - lowest - shift
                highest_gone = lowest_normal - m - (2 if power2 else 3)
                b = last + 1
                while b > first:
                    b -= 1
                    k = lowest + b + shift
                    direct = b >= highest_listed or b < lowest_listed
                    fits = k < highest - 1 or 2 * f * power(k) <= largest
                    if fits and not direct and b >= lowest_normal:
                        stop = max(lowest_normal, lowest_listed)
                        low = max(stop, deepest) if deepest <= b else stop
                        while down_to[g] > low:
                            d = down_to[g] = down_to[g] - 1
                            at = begins + entry(levels[level[d]], fractions, place_of_f, START, m, slope[d])
                            to = (from_g + d) * SUMS
                            add(normals, to + SUMS, to, wide[d], square[d], few[d], tables, at)
                        above, down = (from_g + b + 1) * SUMS, (from_g + low) * SUMS
                        if normals[down + 1] > normals[above + 1]:  # not exact: of each half a step is the most
                            sums[1] += (gone[low * _GONE] - gone[stop * _GONE]) * power(-2 * m)
                        for i in range(SUMS):
                            sums[i] += normals[down + i] - normals[above + i]
                        b = stop
                        continue
                    if fits and not direct and b <= highest_gone:
                        for i in range(SUMS):
                            sums[i] += gone[(b + 1) * _GONE + i]
                        zero += gone[(b + 1) * _GONE + SUMS]
                        zero_sure += gone[(b + 1) * _GONE + SUMS]
                        b = lowest_listed
                        continue
                    c = wide[b]
                    if c <= 0:
                        continue
                    place = min(max(lowest_normal - b, 0), m + 3)
                    if fits and not direct:
                        at = begins + entry(levels[level[b]], fractions, place_of_f, place, m, slope[b])
                        add(sums, START, START, c, square[b], few[b], tables, at)
                        zero += c * tables[at + ZERO]
                        small += c * tables[at + SUBNORMAL]
                    else:
                        here = power(-k)
                        end = overflows * here
                        kind = TOP if b == last else NEXT if b >= highest_listed else ANY
                        if b < lowest_listed:
                            kind = BULK if b == bulk else UNDER if b == bulk - 1 else LOW if b == first else ANY
                        upper = top if kind == TOP else 2.0
                        normal_here = place == 0 and f * upper <= largest * here * (1 + 1e-6)
                        slot = g if normal_here else alike if b <= highest_gone else -1
                        if kind == ANY or slot < 0 or not has_points[slot, kind]:
                            _at_points(
                                u, w, points, kind, slope[b], level[b], f, m, place, largest * here, end, listed,
                                errors_of,
                            )  # fmt: skip
                            if kind != ANY and slot >= 0:
                                has_points[slot, kind] = True
                                for i in range(_AT_POINTS):
                                    at_points[(ANY * slot + kind) * _AT_POINTS + i] = errors_of[i]
                        else:
                            for i in range(_AT_POINTS):
                                errors_of[i] = at_points[(ANY * slot + kind) * _AT_POINTS + i]
                        add(sums, START, START, c, square[b], few[b], errors_of, START)
                        zero += c * errors_of[4]
                        small += c * errors_of[5]
                        over += c * errors_of[6]
                        if f > end:
                            over_sure += c
                        elif 2 * f > end and errors_of[6] > 0:
                            over_maybe += c
                            over_loose += loose[b]
                    if b <= highest_gone:
                        zero_sure += c
                    elif place >= m + 2 or (power2 and place == m + 1):
                        zero_maybe += c
                        zero_loose += loose[b]
                        tie = power2
                    elif place >= 1 and (power2 or place >= 2):
                        small_sure += c
                    elif place == 1:
                        small_maybe += c
                        small_loose += loose[b]
                for i in range(number):
                    c, b = known[i, 1], int(known[i, 2])
                    here, place = power(-lowest - b - shift), lowest_normal - b
                    exact = power2 and level[b] <= m - max(place, 0)
                    error, is_zero, is_small, is_over = of_one(
                        known[i, 0], f, place, m, largest * here, overflows * here, exact
                    )
                    error *= c * square[b]
                    sums[0], sums[1], sums[2] = sums[0] + error, sums[1] + error, sums[2] + error
                    zero, zero_sure = zero + c * is_zero, zero_sure + c * is_zero
                    small, small_sure = small + c * is_small, small_sure + c * is_small
                    over, over_sure = over + c * is_over, over_sure + c * is_over

                if bits <= m:
                    widen(sums, power2, tops == 2 or first == last)
                stray = zero_loose + math.sqrt(zero_maybe) + 1
                if tie:  # only values of exactly half the smallest one go to zero
                    stray = 2 * zero + 2 * math.sqrt(zero) + 1 + (zero_maybe / 64 if bits > LISTED else 0.0)
                half = small_loose + math.sqrt(small_maybe) + (stray if zero_maybe > 0 else 1.0)
                _keep(room, n, UNDERFLOW, zero, zero_sure, zero_maybe + unsure, stray + unsure)
                over, over_sure = over + infinite, over_sure + infinite
                _keep(room, n, OVERFLOW, over, over_sure, over_maybe, over_loose + math.sqrt(over_maybe) + 1)
                _keep(room, n, OF_SUBNORMAL, small, small_sure, small_maybe + zero_maybe, half)
                for i in range(SUMS):
                    room[(SQUARE + i) * CELLS + n] = sums[i]
                _keep(room, n, SIGNAL, signal, sums[0], sums[1], sums[2])
                room[GUESSED * CELLS + n], room[PER_VALUE * CELLS + n] = guessed, per
                places_of[n] = own * len(jobs) + j
                n += 1
                if n == CELLS:
                    write(room, n, out, places_of)
                    n = START
        write(room, n, out, places_of)

    return predict


@njit(**COMPILED)
def _keep(room, n, kind, a, b, c, d):
    at = kind * CELLS + n
    room[at], room[at + CELLS], room[at + 2 * CELLS], room[at + 3 * CELLS] = a, b, c, d


_CONSTANTS = (*SLOPES.tolist(), *MEANS.ravel().tolist(), FIELDS, SMOOTH, STEPS_OF_SLOPE)
predict = _predict((VERSION, OF_VALUES, OF_RANGES, OF_SUMS, *_CONSTANTS))
