"""From sums of what casts do to what is said of it: a value, its 95 % range, its least and its most."""

# pyright: reportCallIssue=false

import math
import zlib
from pathlib import Path

import numpy as np
from numba import njit

LOOSE = 0.15  # of the values of a power of two that a limit may lie between: how far their share is off
_UNKNOWN = 0.5  # dB that values of real tensors stray, besides where they happen to lie
_DECIBEL = 10 / math.log(10)
VERSION = zlib.crc32(Path(__file__).read_bytes())  # for programs that numba keeps on disk: this is compiled into them


@njit(nogil=True)
def write_share(out, at, value, sure, doubtful, half, n):
    """Write a share: as predicted, its 95 % range, and its least and most.

    Args:
        out: numbers, of which five are written from number `at` on.
        value: how many values are predicted.
        sure, doubtful: how many are for sure, and how many more may be.
        half: how far the value may be off, where any are doubtful.
        n: how many values there are.
    """
    least, most = sure / n, min((sure + doubtful) / n, 1.0)
    value = min(max(value / n, least), most)
    half = half / n if doubtful > 0 else 0.0
    out[at], out[at + 1], out[at + 2] = value, max(value - half, least), min(value + half, most)
    out[at + 3], out[at + 4] = least, most


@njit(nogil=True)
def write_sqnr(out, at, signal, square, most, least, up, down, guessed):
    """Write an SQNR in dB: as predicted, its 95 % range, and its least and most.

    Args:
        out: numbers, of which five are written from number `at` on.
        signal: the sum of squares.
        square, most, least: the sum of squared errors, and what it is at most and at least.
        up, down: how far it may be off, squared.
        guessed: whether the sum of squares is a guess.
    """
    if not signal > 0:
        middle = worst = best = -np.inf if square > 0 else np.inf
    else:
        of = math.log(signal)
        middle = _DECIBEL * (of - math.log(square)) if square > 0 else np.inf
        worst = _DECIBEL * (of - math.log(most)) if most > 0 else np.inf
        best = _DECIBEL * (of - math.log(least)) if least > 0 else np.inf
    lower = higher = 0.0
    if square > 0 and (up > 0 or most > least or guessed):
        more, less = math.sqrt(max(up, 0.0)) / square, math.sqrt(max(down, 0.0)) / square
        a = _DECIBEL * math.log(1 + more)
        lower, higher = math.sqrt(a * a + _UNKNOWN**2), np.inf
        if less < 1:
            a = _DECIBEL * math.log(1 - less)
            higher = math.sqrt(a * a + _UNKNOWN**2)
    if guessed:
        lower, higher, worst, best = lower + 1.0, higher + 1.0, worst - 4.0, best + 3.0
    # To nearest, zero being a value of the format: no error is larger than what is cast.
    middle, worst = max(middle, 0.0), max(worst, 0.0)
    out[at], out[at + 3], out[at + 4] = middle, worst, best
    out[at + 1] = max(middle - lower, worst) if middle < np.inf else middle
    out[at + 2] = min(middle + higher, best) if middle < np.inf else middle
