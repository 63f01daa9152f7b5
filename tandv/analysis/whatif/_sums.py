"""Sums of what a cast does to the values of one power of two, or to a single value."""

import zlib
from pathlib import Path

import numpy as np
from numba import njit

from tandv.analysis.whatif._elementary import COMPILED
from tandv.analysis.whatif._tables import FIELDS, LEAST, MOST, SLOPES, SPREAD, SQUARE

SUMS = 5
_SLOPES = len(SLOPES)
_REACH = 1022
_POWERS = np.ldexp(1.0, np.arange(-_REACH, _REACH + 1))  # read, as math.ldexp is a call of a library
VERSION = zlib.crc32(Path(__file__).read_bytes())  # for programs that numba keeps on disk: this is compiled into them


@njit(**COMPILED)
def power_of_two(k):
    """Return 2^k, as far as a float holds it with all its digits."""
    return _POWERS[max(min(k, _REACH), -_REACH) + _REACH]


@njit(**COMPILED)
def entry(level, fractions, place_of_f, place, m, slope):
    """Return where an entry of a format's tables begins."""
    return (((level * fractions + place_of_f) * (m + 4) + place) * _SLOPES + slope) * FIELDS


@njit(**COMPILED)
def add(sums, before, after, c, power, few, errors, at):
    """Write sums with the errors of c values: their squares, the most, the least, how far they may be off, squared.

    Args:
        sums: flat; the last two of five are how far up and down.
        before, after: where sums without and with these values begin.
        c: how many values.
        power: of errors, the square of the values' power of two.
        few: two deviations, squared, of a mean over the groups that the values fall into, in units of their variance.
        errors: where the mean squared error, its spread, the largest and the least are.
        at: from which of these on.
    """
    square, spread = np.float64(errors[at + SQUARE]), np.float64(errors[at + SPREAD])
    most, least = np.float64(errors[at + MOST]), np.float64(errors[at + LEAST])
    together, c, up, down = few * spread * spread, c * power, most - square, square - least
    sums[after] = sums[before] + c * square
    sums[after + 1] = sums[before + 1] + c * most
    sums[after + 2] = sums[before + 2] + c * least
    sums[after + 3] = sums[before + 3] + min(together, up * up) * c * c
    sums[after + 4] = sums[before + 4] + min(together, down * down) * c * c


@njit(**COMPILED)
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
    q = min(np.rint(y * power_of_two(m - max(1 if y >= 2 else 0, place))) * step, largest)
    error = q / f - x
    if fits and y <= largest:
        error = 0.0  # also where a log keeps extremes with fewer digits than values have
    zero = 1.0 if q == 0 else 0.0
    small = 1.0 if q != 0 and y < power_of_two(place) else 0.0
    return error * error, zero, small, 1.0 if y > end else 0.0
