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

from tandv.analysis.whatif._elementary import COMPILED, REORDERED, exp2, log2
from tandv.analysis.whatif._tables import FEW, GRID, SLOPES, STEEPEST, STEPS_OF_SLOPE

NODES = 32  # parts in which the share of values below a point is tabulated
_MANY = 16  # steps of a format over which errors are taken as spread evenly
_PIECES = 8  # within which a density is taken as constant, where many values round to the same one
MOST_POINTS = 2**GRID
_SLOPES = len(SLOPES)
VERSION = zlib.crc32(Path(__file__).read_bytes())  # for programs that numba keeps on disk: this is compiled into them


@njit(**COMPILED)
def log_densities(c, first, last, width, out):
    """Write the logarithm to base 2 of the density in each power of two, in units of its own, -1 where none lie.

    Args:
        c: how many values lie in each power of two.
        first, last: the first and the last of these.
        width: the part of the last one that values lie in.
        out: [exponents], written.
    """
    for b in range(first, last + 1):
        out[b] = log2(max(c[b], 0.5))
    out[last] -= log2(width)


@njit(**COMPILED)
def slope_indices(logs, first, last, at):
    """Write the number of the slope in each power of two, from the densities of its neighbours: see `log_densities`."""
    if first == last:
        at[first] = _SLOPES // 2
        return
    for b in range(first + 1, last):
        at[b] = _nearest_slope((logs[b + 1] - logs[b - 1]) / 2 - 1)
    at[first] = _nearest_slope(logs[first + 1] - logs[first] - 1)
    at[last] = _nearest_slope(logs[last] - logs[last - 1] - 1)


@njit(**COMPILED)
def _nearest_slope(slope):
    slope = min(max(slope, -STEEPEST), STEEPEST)
    return math.floor((slope + STEEPEST) * STEPS_OF_SLOPE + 0.5)


@njit(**COMPILED)
def listed_values(start, stop, bits, listed, u, kind):
    """Write the values between two that have so many mantissa bits; return how many, 0 where these are too many."""
    n = 0
    if bits <= FEW or (listed and bits <= GRID):
        cells = 1 << bits
        a, b = math.ceil((start - 1) * cells - 1e-9), math.floor((stop - 1) * cells + 1e-9)
        for i in range(max(a, 0), min(b, cells - 1) + 1):
            u[kind, n] = 1 + i / cells
            n += 1
    return n


@njit(**COMPILED)
def fill(start, stop, slope, bits, listed, u, w, kind):
    """Write the values between two, and the share of each; return how many there are, 0 where a density is taken.

    They are written into rows of `u` and `w`, of which `kind` is the number. Of a density u[0] and u[1] are the first
    and the last value, and `w` is the share of values below each of 33 points from u[2] to the last.
    """
    n = listed_values(start, stop, bits, listed, u, kind)
    parts = n if n else NODES
    weight = 1.0
    growth = exp2(log2(u[kind, n - 1] / u[kind, 0] if n > 1 else stop / start) * slope / (n - 1 if n > 1 else NODES))
    for i in range(parts):
        w[kind, i] = weight
        weight *= growth
    shares(n, start, stop, start, u, w, kind)
    return n


@njit(**COMPILED)
def shares(n, start, stop, begin, u, w, kind):
    """Make weights to shares of all, or of a density to shares below points; return whether there are any.

    Args:
        n: of how many values there are weights; 0 for `NODES` parts of a density.
        start, stop: the first and the last value of the density; `begin`, from where on most lie.
        u, w, kind: as in `fill`.
    """
    parts, total = n if n else NODES, 0.0
    for i in range(parts):
        total += w[kind, i]
    if not total > 0:
        return False
    for i in range(parts):
        w[kind, i] /= total
    if n == 0:
        u[kind, 0], u[kind, 1], u[kind, 2] = start, stop, begin
        below = 0.0
        for i in range(NODES):
            here = w[kind, i]
            w[kind, i] = below
            below += here
        w[kind, NODES] = 1.0
    return True


@njit(**REORDERED)
def listed_errors(u, w, kind, n, f, step, step_from_2, largest, end, edge, exact, out):
    """Write what a cast does to listed values: see `errors`."""
    back = 1 / f
    to1, to2 = 1 / step, 1 / step_from_2
    e1, e2, hi, lo, zeros, small, over = 0.0, 0.0, 0.0, np.inf, 0.0, 0.0, 0.0
    for i in range(n):
        y = f * u[kind, i]
        low = y < 2
        q = np.rint(y * (to1 if low else to2)) * (step if low else step_from_2)
        q = min(q, largest)
        d = q * back - u[kind, i]
        d *= d
        if exact and y <= largest:
            d = 0.0
        e1 += w[kind, i] * d
        e2 += w[kind, i] * d * d
        hi, lo = max(hi, d), min(lo, d)
        zeros += w[kind, i] if q == 0 else 0.0
        small += w[kind, i] if y < edge else 0.0
        over += w[kind, i] if y > end else 0.0
    out[0], out[1], out[2], out[3], out[4], out[5], out[6] = e1, e2, hi, lo, zeros, small - zeros, over


@njit(**COMPILED)
def _below(u, w, kind, y, back, per):
    """Return the share of values below y · back, of a density with so many nodes per unit of u."""
    at = (y * back - u[kind, 2]) * per if per > 0 else float(NODES) * (y * back >= u[kind, 2])
    at = min(max(at, 0.0), float(NODES))
    i = min(int(at), NODES - 1)
    return w[kind, i] + (at - i) * (w[kind, i + 1] - w[kind, i])


@njit(**COMPILED)
def errors(u, w, kind, f, step, step_from_2, largest, end, edge, smooth, exact, out):
    """Write what a cast does to values of a density.

    These are the means of the squared error and of its square, the largest and the least squared error, and the shares
    that go to zero, become subnormal and overflow.

    Args:
        u: the first and the last value, and from where on most lie.
        w: shares of values below points from there to the last, see `fill`.
        kind: the row of both.
        f: what values are scaled by, from 1 to 2.
        step: between values of the format, below 2; `step_from_2` from there on.
        largest: value of the format; `end`, above which values overflow; `edge`, below which they are subnormal.
        smooth: whether so many values of the format lie there that the mean over their steps will do.
        exact: whether the format has all of the values.
    """
    back, per = 1 / f, NODES / (u[kind, 1] - u[kind, 2]) if u[kind, 1] > u[kind, 2] else 0.0
    first, last, most = f * u[kind, 0], f * u[kind, 1], f * u[kind, 2]
    small, over = _below(u, w, kind, edge, back, per), 1 - _below(u, w, kind, end, back, per) if last > end else 0.0
    smooth = smooth and last - most > _MANY * step
    if (smooth or exact) and last <= largest * (1 + 1e-6):  # the scale "max" is a float32
        low = 1.0 if last <= 2 else _below(u, w, kind, 2.0, back, per)
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
    for part in range(2):  # below 2 and from there on steps differ
        here, until = (step, min(last, 2.0)) if part == 0 else (step_from_2, last)
        if (part == 0) != (start < 2) or before >= 1:
            continue
        value = math.floor(start / here + 0.5) * here
        if value + here / 2 <= start:  # the start is half way: values above it round up
            value += here
        while True:
            full = value >= largest
            to, edge = largest if full else value, until if full else min(value + here / 2, until)
            stop = min(edge, start + widest if start >= most else most)
            after = 1.0 if stop >= last else _below(u, w, kind, stop, back, per)
            a, b = start - to, stop - to
            share = after - before
            aa, ab, bb = a * a, a * b, b * b
            e1 += share * (aa + ab + bb)  # of thirds and of fifths: means of x² and x⁴ from a to b
            e2 += share * (aa * aa + bb * bb + ab * (aa + ab + bb))
            hi = max(hi, aa, bb)
            lo = 0.0 if ab <= 0 else min(lo, aa, bb)
            zeros += share if to == 0 else 0.0
            value += here if stop >= edge else 0.0
            start, before = stop, after
            if stop >= until:
                break
    square = back * back
    out[0], out[1], out[2], out[3] = e1 / 3 * square, e2 / 5 * square * square, hi * square, lo * square
    out[4], out[5], out[6] = zeros, max(small - zeros, 0.0), over
