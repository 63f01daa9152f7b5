"""What becomes of the values of one power of two when they are cast, averaged over their density, as tables.

Inside a power of two, with u = |x| / 2^e in [1, 2), the density is taken as u^a; a is the slope of the densities of the
neighbouring powers of two. Values are averaged over points: all that the values' own type has, where those are few, or
points spread so that they do not fall in step with the grid of the format.
"""

from functools import lru_cache

import numpy as np

from tandv.formats import Format, exponent

GRID = 7  # mantissa bits up to which values are listed if a format keeps nearly as many
FEW = 4  # up to which they always are
STEEPEST, STEPS_OF_SLOPE = 6.0, 4  # of the density's power, and tabulated powers for each 1
SLOPES = np.arange(-STEEPEST, STEEPEST + 0.01, 1 / STEPS_OF_SLOPE)
SQUARE, SPREAD, MOST, LEAST, ZERO, SUBNORMAL = range(6)  # fields of an entry; the spread is that of squared errors
FIELDS = 6
FRACTIONS = 128  # places within a power of two to which scales are rounded, where there are more scales
LISTED = 10  # mantissa bits up to which every value of a type is a point
POINTS = 512
SMOOTH = 6  # mantissa bits of a format from which many of its steps lie between two points
_GOLDEN = (5**0.5 - 1) / 2


def points(bits: int) -> np.ndarray:
    """Return points in [1, 2) that stand for values with so many mantissa bits."""
    if bits <= LISTED:
        return 1 + np.arange(2**bits) / 2**bits
    at = np.arange(POINTS)
    return 1 + (at + (at * _GOLDEN + 0.5) % 1) / POINTS


def weights(u: np.ndarray) -> np.ndarray:
    """Return the share of each of some points at each slope, [slopes, points]."""
    found = u[None] ** SLOPES[:, None]
    return found / found.sum(1, keepdims=True)


POWERS = (1, 2, 4, 8)
MEANS = np.stack([weights(points(LISTED + 1)) @ points(LISTED + 1) ** p for p in POWERS], axis=1)  # of u, by slope
MEAN_SQUARES = np.ascontiguousarray(MEANS[:, 1])


@lru_cache(256)
def table(to: Format, bits: int, scales: tuple[float, ...]) -> np.ndarray:
    """Return what becomes of the values of a power of two, [scales, places, slopes, fields] as one flat array.

    The place is how far the power of two of the scaled values lies below that of the smallest normal value, from 0 (not
    at all) to `mantissa_bits + 3` (all go to zero). Errors are relative to the power of two of the values, squared.

    Args:
        to: the format; values that it cannot hold are left to the caller.
        bits: mantissa bits of the values.
        scales: scales within a power of two, from 1 to 2; the first is 1.
    """
    m, u, factors = to.mantissa_bits, points(bits), np.array(scales)[:, None]
    out = np.empty((len(scales), m + 4, len(SLOPES), FIELDS), np.float32)  # small: it is looked up a lot
    shares, y = weights(u).T, factors * u  # [points, slopes], [scales, points]
    below_2 = y < 2
    for place in range(m + 4):
        step = np.where(below_2, 2.0 ** (place - m), 2.0 ** (max(place, 1) - m))
        q = np.rint(y / step) * step
        square = (q / factors - u) ** 2
        fourth, most, least = square * square, square, square
        if bits > LISTED and m - place >= SMOOTH:
            whole = (step / factors) ** 2
            square, fourth, most, least = whole / 12, whole**2 / 80, whole / 4, whole * 0
        if bits <= m - place:  # the values as they are have no more bits than the format keeps
            for one in (square, fourth, most, least):
                one[0] = 0
        here = out[:, place]
        mean = square @ shares
        here[..., SQUARE], here[..., SPREAD] = mean, np.sqrt(np.maximum(fourth @ shares - mean * mean, 0))
        here[..., MOST], here[..., LEAST] = most.max(1)[:, None], least.min(1)[:, None]
        here[..., ZERO] = (q == 0).astype(np.float64) @ shares if place > m else 0.0
        here[..., SUBNORMAL] = (y < 2.0**place).astype(np.float64) @ shares - here[..., ZERO] if place else 0.0
    out.flags.writeable = False
    return out.ravel()


def limits(to: Format) -> tuple[int, int, float, float]:
    """Return mantissa bits, the exponent of the smallest normal value, the largest value, above which it overflows."""
    return to.mantissa_bits, exponent(to.smallest_normal), to.max, to.overflows_above
