"""From sums of what casts do to what is said of them: values, their 95 % ranges, their least and their most.

Sums of many casts lie in one flat array, each kind `CELLS` numbers after the one before, and so do the results: the
loops over them become vectors.
"""

# pyright: reportCallIssue=false

import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from tandv.analysis.whatif._elementary import COMPILED, log2
from tandv.analysis.whatif._elementary import VERSION as OF_ELEMENTARY

LOOSE = 0.15  # of the values of a power of two that a limit may lie between: how far their share is off
CELLS = 248  # casts that are written together; not a power of two, or all kinds of sums would share few cache lines
_UNKNOWN = 0.5  # dB that values of real tensors stray, besides where they happen to lie
_DECIBEL = 10 * math.log10(2)
_SHARES, _NUMBERS = 3, 20
# Kinds of sums: four of each share (values predicted; for sure; how many more may be; how far the first may be off),
# then those of the errors. `GUESSED` is 1 where the sum of squares, of which `SIGNAL` is the logarithm, is a guess.
UNDERFLOW, OVERFLOW, OF_SUBNORMAL = 4 * np.arange(_SHARES)
SIGNAL, SQUARE, MOST, LEAST, UP, DOWN, GUESSED, PER_VALUE = np.arange(4 * _SHARES, 4 * _SHARES + 8)
_KINDS = int(PER_VALUE) + 1
ROOM = (_KINDS + _NUMBERS) * CELLS  # numbers of the flat array
VERSION = zlib.crc32(Path(__file__).read_bytes()) ^ OF_ELEMENTARY  # for programs that numba keeps on disk


# Without branches, not even those of `min`, `and` and `or`, and with places that are known when they are compiled, so
# that what is read and what is written do not overlap, the loops of both become vectors.


def _share_writer(of: int, to: int) -> Any:
    @njit(**COMPILED)
    def write_share(sums, n):
        for i in range(n):
            per = sums[PER_VALUE * CELLS + i]
            least, doubtful = sums[of + CELLS + i] * per, sums[of + 2 * CELLS + i] * per
            most = least + doubtful
            most = 1.0 if most > 1 else most
            value = sums[of + i] * per
            value = least if value < least else value
            value = most if value > most else value
            half = sums[of + 3 * CELLS + i] * per if doubtful > 0 else 0.0
            low, high = value - half, value + half
            sums[to + i] = value
            sums[to + CELLS + i] = least if low < least else low
            sums[to + 2 * CELLS + i] = most if high > most else high
            sums[to + 3 * CELLS + i], sums[to + 4 * CELLS + i] = least, most

    return write_share


@njit(**COMPILED)
def _decibels(signal, square, nothing):
    """Return the SQNR of a logarithm of a sum of squares and a sum of squared errors, `nothing` where this is 0."""
    found = _DECIBEL * (signal - log2(square if square > 0 else 1.0))
    return found if square > 0 else nothing


@njit(**COMPILED)
def _above_zero(x):
    return 0.0 if x < 0 else x  # NaN remains


@njit(**COMPILED)
def _write_sqnr(sums, n):
    to = (_KINDS + 5 * _SHARES) * CELLS
    for i in range(n):
        signal, square = sums[SIGNAL * CELLS + i], sums[SQUARE * CELLS + i]
        most, least = sums[MOST * CELLS + i], sums[LEAST * CELLS + i]
        up, down, guessed = sums[UP * CELLS + i], sums[DOWN * CELLS + i], sums[GUESSED * CELLS + i]
        nothing = np.inf + 0 * signal  # NaN where there is no value to be cast
        middle, worst = _decibels(signal, square, nothing), _decibels(signal, most, nothing)
        best = _decibels(signal, least, nothing)
        per = 1 / (square if square > 0 else np.inf)
        more, less = 1 + math.sqrt(up if up > 0 else 0.0) * per, 1 - math.sqrt(down if down > 0 else 0.0) * per
        a, b = _DECIBEL * log2(more), _DECIBEL * log2(less if less > 1e-300 else 1.0)
        lower, higher = math.sqrt(a * a + _UNKNOWN**2), math.sqrt(b * b + _UNKNOWN**2)
        higher = higher if less > 0 else np.inf
        unknown = (square > 0) & ((up > 0) | (most > least) | (guessed > 0))
        lower, higher = (lower if unknown else 0.0) + guessed, (higher if unknown else 0.0) + guessed
        worst, best = worst - 4.0 * guessed, best + 3.0 * guessed
        # To nearest, zero being a value of the format: no error is larger than what is cast.
        middle, worst, best = _above_zero(middle), _above_zero(worst), _above_zero(best)
        low, high = middle - lower, middle + higher
        low, high = worst if worst > low else low, best if best < high else high
        sums[to + i] = middle
        sums[to + CELLS + i] = low if middle < np.inf else middle
        sums[to + 2 * CELLS + i] = high if middle < np.inf else middle
        sums[to + 3 * CELLS + i], sums[to + 4 * CELLS + i] = worst, best


_write_underflow, _write_overflow, _write_subnormal = (
    _share_writer(4 * share * CELLS, (_KINDS + 5 * share) * CELLS) for share in range(_SHARES)
)


@njit(**COMPILED)
def widen(sums, power2, few):
    """Widen the range of a cast that keeps all mantissa bits of the values: few errors may be most of their sum.

    Args:
        sums: `SQUARE` to `DOWN` of the cast, changed.
        power2: whether the scale is a power of two, so that subnormal values alone err: 3 dB each way.
        few: whether few distinct values may hold most of the squares, each with an error of its own: to the bounds.
    """
    up, down, squared = UP - SQUARE, DOWN - SQUARE, sums[0] * sums[0]
    if power2:
        sums[up], sums[down] = max(sums[up], squared), max(sums[down], squared / 4)
    elif few:
        sums[up] = sums[down] = np.inf


@njit(**COMPILED)
def write(sums, n, out, places):
    """Write what is said of casts: of each share and of the SQNR the value, its 95 % range, its least and most.

    Args:
        sums: [ROOM] of so many casts, see above; results are kept in it, too.
        n: how many casts.
        out: [20, all casts] floats, written at their places.
        places: which of all casts they are.
    """
    _write_underflow(sums, n)
    _write_overflow(sums, n)
    _write_subnormal(sums, n)
    _write_sqnr(sums, n)
    for number in range(_NUMBERS):
        at = (_KINDS + number) * CELLS
        for i in range(n):
            out[number, places[i]] = sums[at + i]
