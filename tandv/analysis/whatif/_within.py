"""Casts of the values of one power of two, u = |x| / 2^e from one value to another in [1, 2), compiled by numba.

Where the values' own type has few values there, these are taken one by one, else a density u^a: then the errors are
integrated over the values that round to the same one, between which the error is a parabola.
"""

# pyright: reportCallIssue=false

import math
import zlib
from pathlib import Path

import numpy as np
from numba import njit

from tandv.analysis.whatif._tables import SLOPES, STEEPEST, STEPS_OF_SLOPE

GRID = 7  # mantissa bits up to which values are listed if a format keeps nearly as many
_FEW = 4  # up to which they always are
NODES = 32  # parts in which the share of values below a point is tabulated
_MANY = 16  # steps of a format over which errors are taken as spread evenly
_PIECES = 8  # within which a density is taken as constant, where many values round to the same one
MOST_POINTS = 2**GRID
_SLOPES = len(SLOPES)
_FAST = {"reassoc", "contract", "nsz"}  # sums may be reordered, which makes them vectors; infinity keeps its meaning
VERSION = zlib.crc32(Path(__file__).read_bytes())  # for programs that numba keeps on disk: this is compiled into them


@njit(nogil=True)
def slope_indices(c, first, last, width, at):
    """Write the number of the slope in each power of two, from the densities of its neighbours."""
    before, here = 0.0, math.log2(max(c[first], 0.5)) - first
    if first == last:
        at[first] = _SLOPES // 2
        return
    if first + 1 == last:
        after = math.log2(max(c[last], 0.5)) - last - math.log2(width)
        at[first] = at[last] = _nearest_slope(after - here)
        return
    for b in range(first, last + 1):
        after = here
        if b < last:
            after = math.log2(max(c[b + 1], 0.5)) - (b + 1)
            if b + 1 == last:
                after -= math.log2(width)
        if b == first:
            slope = after - here
        elif b == last:
            slope = here - before
        else:
            slope = (after - before) / 2
        at[b] = _nearest_slope(slope)
        before, here = here, after


@njit(nogil=True)
def _nearest_slope(slope):
    slope = min(max(slope, -STEEPEST), STEEPEST)
    return math.floor((slope + STEEPEST) * STEPS_OF_SLOPE + 0.5)


@njit(nogil=True)
def listed_values(start, stop, bits, listed, u):
    """Write the values between two that have so many mantissa bits; return how many, 0 where these are too many."""
    n = 0
    if bits <= _FEW or (listed and bits <= GRID):
        cells = 1 << bits
        a, b = math.ceil((start - 1) * cells - 1e-9), math.floor((stop - 1) * cells + 1e-9)
        for i in range(max(a, 0), min(b, cells - 1) + 1):
            u[n] = 1 + i / cells
            n += 1
    return n


@njit(nogil=True)
def fill(start, stop, slope, bits, listed, u, w):
    """Write the values between two, and the share of each; return how many there are, 0 where a density is taken.

    Then u[0] and u[1] are the first and the last, and `w` is the share of values below each of 33 points from u[2] to
    the last.
    """
    n = listed_values(start, stop, bits, listed, u)
    parts = n if n else NODES
    total, weight = 0.0, 1.0
    growth = (u[n - 1] / u[0]) ** (slope / (n - 1)) if n > 1 else (stop / start) ** (slope / NODES)
    for i in range(parts):
        w[i] = weight
        total += weight
        weight *= growth
    for i in range(parts):
        w[i] /= total
    if n == 0:
        u[0], u[1], u[2] = start, stop, start
        below = 0.0
        for i in range(NODES):
            here = w[i]
            w[i] = below
            below += here
        w[NODES] = 1.0
    return n


@njit(nogil=True, fastmath=_FAST)
def listed_errors(u, w, n, f, step, step_from_2, largest, end, edge, exact, out):
    """Write what a cast does to listed values: see `errors`."""
    back = 1 / f
    to1, to2 = 1 / step, 1 / step_from_2
    e1, e2, hi, lo, zeros, small, over = 0.0, 0.0, 0.0, np.inf, 0.0, 0.0, 0.0
    for i in range(n):
        y = f * u[i]
        low = y < 2
        q = np.rint(y * (to1 if low else to2)) * (step if low else step_from_2)
        q = min(q, largest)
        d = q * back - u[i]
        d *= d
        if exact and y <= largest:
            d = 0.0
        e1 += w[i] * d
        e2 += w[i] * d * d
        hi, lo = max(hi, d), min(lo, d)
        zeros += w[i] if q == 0 else 0.0
        small += w[i] if y < edge else 0.0
        over += w[i] if y > end else 0.0
    out[0], out[1], out[2], out[3], out[4], out[5], out[6] = e1, e2, hi, lo, zeros, small - zeros, over


@njit(nogil=True)
def _below(u, w, y, back, per):
    """Return the share of values below y · back, of a density with so many nodes per unit of u."""
    at = (y * back - u[2]) * per if per > 0 else float(NODES) * (y * back >= u[2])
    at = min(max(at, 0.0), float(NODES))
    i = min(int(at), NODES - 1)
    return w[i] + (at - i) * (w[i + 1] - w[i])


@njit(nogil=True)
def errors(u, w, f, step, step_from_2, largest, end, edge, smooth, exact, out):
    """Write what a cast does to values of a density.

    These are the means of the squared error and of its square, the largest and the least squared error, and the shares
    that go to zero, become subnormal and overflow.

    Args:
        u: the first and the last value, and from where on most lie.
        w: shares of values below points from there to the last, see `fill`.
        f: what values are scaled by, from 1 to 2.
        step: between values of the format, below 2; `step_from_2` from there on.
        largest: value of the format; `end`, above which values overflow; `edge`, below which they are subnormal.
        smooth: whether so many values of the format lie there that the mean over their steps will do.
        exact: whether the format has all of the values.
    """
    back, per = 1 / f, NODES / (u[1] - u[2]) if u[1] > u[2] else 0.0
    first, last, most = f * u[0], f * u[1], f * u[2]
    small, over = _below(u, w, edge, back, per), 1 - _below(u, w, end, back, per) if last > end else 0.0
    smooth = smooth and last - most > _MANY * step
    if (smooth or exact) and last <= largest * (1 + 1e-6):  # the scale "max" is a float32
        low = 1.0 if last <= 2 else _below(u, w, 2.0, back, per)
        a, b = (back * step) ** 2, (back * step_from_2) ** 2
        out[0], out[1] = (low * a + (1 - low) * b) / 12, (low * a * a + (1 - low) * b * b) / 80
        out[2], out[3] = (a if last <= 2 else b) / 4, 0.0
        out[4], out[5], out[6] = 0.0, small, over
        if exact:
            out[0] = out[1] = out[2] = 0.0
        return
    e1, e2, hi, lo, zeros = 0.0, 0.0, 0.0, np.inf, 0.0
    widest = (last - most) / _PIECES
    start, before = first, 0.0
    if most - first > 2 * step_from_2:
        start, hi, lo = most, 0.25 * (step if most <= 2 else step_from_2) ** 2, 0.0
    while True:
        here = step if start < 2 else step_from_2
        value = math.floor(start / here + 0.5) * here
        stop = value + here / 2
        if stop <= start:  # the start is half way: values above it round up
            value += here
            stop = value + here / 2
        if start < 2 < stop:
            stop = 2.0
        if value >= largest:
            value, stop = largest, last
        stop = min(stop, start + widest, last) if start >= most else min(stop, most)
        after = 1.0 if stop >= last else _below(u, w, stop, back, per)
        a, b = start - value, stop - value
        share = after - before
        aa, ab, bb = a * a, a * b, b * b
        e1 += share * (aa + ab + bb)  # of thirds and of fifths: means of x² and x⁴ from a to b
        e2 += share * (aa * aa + bb * bb + ab * (aa + ab + bb))
        hi = max(hi, aa, bb)
        lo = 0.0 if ab <= 0 else min(lo, aa, bb)
        if value == 0:
            zeros += share
        if stop >= last:
            break
        start, before = stop, after
    square = back * back
    out[0], out[1], out[2], out[3] = e1 / 3 * square, e2 / 5 * square * square, hi * square, lo * square
    out[4], out[5], out[6] = zeros, max(small - zeros, 0.0), over
