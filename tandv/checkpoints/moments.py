"""Central moments of values, joined exactly from those of blocks and of tensors.

Values of float64 may be so large that their squares overflow, or so small that they vanish. Mean and powers are
therefore kept in a unit: a power of two, by which values are divided without rounding.
"""

import math
from typing import NamedTuple

import numpy as np

NAN = math.nan
_EXTREME = 1e60  # beyond this, or below its inverse, sums of fourth powers come near the ends of float64


class Moments(NamedTuple):
    """Number of values, extremes, mean, and Σ(w − mean)ᵏ; NaN unless all are finite.

    `mean` and the powers are of values divided by `unit`.
    """

    size: int
    low: float = NAN
    high: float = NAN
    mean: float = NAN
    power2: float = NAN
    power3: float = NAN
    power4: float = NAN
    unit: float = 1.0

    @property
    def is_finite(self) -> bool:
        return not math.isnan(self.mean)

    @property
    def squares(self) -> float:
        """Σ(w/unit)²."""
        return self.power2 + self.size * self.mean * self.mean

    @property
    def fourth_powers(self) -> float:
        """Σ(w/unit)⁴."""
        mean, square = self.mean, self.mean * self.mean
        return self.power4 + 4 * mean * self.power3 + 6 * square * self.power2 + self.size * square * square


def unit_of(values: np.ndarray) -> float:
    """Return what values are divided by before they are squared: 1 unless they are float64 of extreme size.

    >>> unit_of(np.array([3.0])), unit_of(np.array([2.0**700, 1.0])) == 2.0**700
    (1.0, True)

    Args:
        values: any array of floating-point numbers.
    """
    if values.dtype != np.float64:  # fourth powers of float32 are far from the ends of float64
        return 1.0
    peak = max(abs(float(values.min())), abs(float(values.max())))
    if not math.isfinite(peak) or peak == 0 or 1 / _EXTREME <= peak <= _EXTREME:
        return 1.0
    return math.ldexp(1.0, math.frexp(peak)[1] - 1)


def moments_of(block: np.ndarray, unit: float = 1.0) -> Moments:
    """Return the moments of values that have been divided by a unit.

    >>> moments_of(np.array([1.0, 3.0]))[1:5]
    (1.0, 3.0, 2.0, 2.0)

    Args:
        block: float64 values of any shape, in one piece of memory.
        unit: what they were divided by.
    """
    line = block.reshape(-1)
    size, low, high = line.size, float(line.min()), float(line.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        return Moments(size)
    if low == high:  # exact: a rounded mean would leave a variance
        return Moments(size, low * unit, high * unit, low, 0.0, 0.0, 0.0, unit)
    mean = float(line.sum()) / size
    deviation = line - mean
    squares = deviation * deviation
    powers = float(deviation @ deviation), float(squares @ deviation), float(squares @ squares)
    return Moments(size, low * unit, high * unit, mean, *powers, unit)


def join(a: Moments, b: Moments) -> Moments:
    """Join central moments: Pébay, Formulas for robust, one-pass parallel computation, 2008, equations 3.1.

    >>> join(moments_of(np.array([1.0])), moments_of(np.array([3.0]))) == moments_of(np.array([1.0, 3.0]))
    True

    Args:
        a: moments of some values.
        b: moments of others.
    """
    unit = max(a.unit, b.unit)
    a, b = _in(a, unit), _in(b, unit)
    size = a.size + b.size
    low, high = min(a.low, b.low), max(a.high, b.high)
    if low == high:
        return Moments(size, low, high, a.mean, 0.0, 0.0, 0.0, unit)
    delta = b.mean - a.mean
    part, both = delta / size, a.size * b.size
    return Moments(
        size,
        low,
        high,
        a.mean + part * b.size,
        a.power2 + b.power2 + delta * part * both,
        a.power3
        + b.power3
        + delta * part * part * both * (a.size - b.size)
        + 3 * part * (a.size * b.power2 - b.size * a.power2),
        a.power4
        + b.power4
        + delta * part * part * part * both * (a.size * a.size - both + b.size * b.size)
        + 6 * part * part * (a.size * a.size * b.power2 + b.size * b.size * a.power2)
        + 4 * part * (a.size * b.power3 - b.size * a.power3),
        unit,
    )


def _in(m: Moments, unit: float) -> Moments:
    """Return moments in a larger unit; what vanishes there is below the rounding of what it is joined with."""
    if m.unit == unit:
        return m
    ratio = m.unit / unit
    return m._replace(
        mean=m.mean * ratio,
        power2=m.power2 * ratio**2,
        power3=m.power3 * ratio**3,
        power4=m.power4 * ratio**4,
        unit=unit,
    )
