"""Sums of what a cast does to the values of one power of two, or to a single value."""

import zlib
from pathlib import Path

import numpy as np
from numba import njit

from tandv.analysis.whatif._tables import FIELDS, FOURTH, LEAST, MOST, SLOPES, SQUARE

SUMS = 5
_SLOPES = len(SLOPES)
_REACH = 1022
_POWERS = np.ldexp(1.0, np.arange(-_REACH, _REACH + 1))  # read, as math.ldexp is a call of a library
VERSION = zlib.crc32(Path(__file__).read_bytes())  # for programs that numba keeps on disk: this is compiled into them


@njit(nogil=True)
def power_of_two(k):
    """Return 2^k, as far as a float holds it with all its digits."""
    return _POWERS[max(min(k, _REACH), -_REACH) + _REACH]


@njit(nogil=True)
def entry(level, fractions, place_of_f, place, m, slope):
    """Return where an entry of a format's tables begins."""
    return (((level * fractions + place_of_f) * (m + 4) + place) * _SLOPES + slope) * FIELDS


@njit(nogil=True)
def add(before, after, c, power, few, errors, at):
    """Write sums with the errors of c values: their squares, the most, the least, how far they may be off, squared.

    Args:
        before, after: [5] sums without and with them; the last two are how far up and down.
        c: how many values.
        power: of errors, the square of the values' power of two.
        few: two deviations, squared, of a mean over the groups that the values fall into, in units of their variance.
        errors: where the mean squared error, that of its square, the largest and the least are.
        at: from which of these on.
    """
    square, fourth, most, least = errors[at + SQUARE], errors[at + FOURTH], errors[at + MOST], errors[at + LEAST]
    together, c = few * max(fourth - square * square, 0.0), c * power
    after[0] = before[0] + c * square
    after[1] = before[1] + c * most
    after[2] = before[2] + c * least
    after[3] = before[3] + min(together, (most - square) ** 2) * c * c
    after[4] = before[4] + min(together, (square - least) ** 2) * c * c


@njit(nogil=True)
def of_one(x, f, place, m, largest, end, fits):
    """Return the squared error of a single value, and 1 where it goes to zero, becomes subnormal and overflows.

    Args:
        x: the value, in units of its power of two.
        f: what it is scaled by, from 1 to 2.
        place: how far its power of two lies below that of the smallest normal value.
        m: mantissa bits of the format.
        largest, end: the format's largest value, and above which it overflows, in the same units.
        fits: whether the format has as many digits as the value and the scale is a power of two.
    """
    y = f * x
    step = power_of_two(max(1 if y >= 2 else 0, place) - m)
    q = min(np.rint(y / step) * step, largest)
    error = q / f - x
    if fits and y <= largest:
        error = 0.0  # also where a log keeps extremes with fewer digits than values have
    zero = 1.0 if q == 0 else 0.0
    small = 1.0 if q != 0 and y < power_of_two(place) else 0.0
    return error * error, zero, small, 1.0 if y > end else 0.0
