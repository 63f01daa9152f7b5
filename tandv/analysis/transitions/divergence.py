"""Divergence: a curve that rises beyond all it did before and still rises at its last record, or ends non-finite.

It has no "after", so that no comparison of the pace before and after finds it; it is looked for first, on the values as
they were recorded, and cut off before anything else is measured.
"""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import median_filter
from scipy.special import stdtr

from tandv.analysis.transitions.transition import P

FEWEST = 30  # values that are needed to know what a curve did before
_TAILS = {0.15: 1.0, 0.3: 10.0, 0.45: 10.0}  # shares of the curve over which it may have risen; how clear it must be
_AGAIN = 2.0  # times the largest earlier rise
_SLOW_HALF = 0.1  # of the rise, that half of its values are below: it becomes ever faster
_NOISES = 6.0  # and this many standard deviations of the noise


class Divergence(NamedTuple):
    """Where a curve diverges: the number of values before, its steps, levels and statistics."""

    first: int  # of its values; the curve before it ends here
    start: float
    middle: float
    end: float
    before: float
    after: float
    effect: float  # rise in standard deviations of the noise before; infinite if it ends non-finite
    noise: float
    p: float


def diverging(steps: np.ndarray, values: np.ndarray, broken: float | None, last: float = np.nan) -> Divergence | None:
    """Return the divergence at the end of a curve, or None.

    Args:
        steps: of its finite values, ascending.
        values: its finite values.
        broken: the first of the steps after them at which it is not finite, if it ends so.
        last: what it is there.
    """
    n = len(values)
    rising = None
    if n >= FEWEST:
        found = (_rising(steps, values, broken is not None, tail, clear) for tail, clear in _TAILS.items())
        rising = next((one for one in found if one is not None), None)
    if broken is None:
        return rising
    if rising is not None:
        return rising._replace(end=broken, after=last, effect=np.inf, p=0.0)
    if not n:
        return None
    noise = 1.4826 * float(np.median(np.abs(np.diff(values, 2)))) / np.sqrt(6) if n > 2 else np.nan
    return Divergence(n, float(steps[-1]), broken, broken, float(values[-1]), last, np.inf, noise, 0.0)


def _rising(steps: np.ndarray, values: np.ndarray, broken: bool, tail: float, clear: float) -> Divergence | None:
    """Return the rise within the last share of a curve; `clear` multiplies what it must exceed."""
    n = len(values)
    longest = max(5, int(tail * n))
    last = float(np.median(values[-3:]))
    body = values[: n - longest]
    smooth = median_filter(body, size=5, mode="nearest")
    recent = smooth[-4 * longest :]
    if not (last > recent.max() and values[-1] > recent.max()):
        return None
    near = body[-2 * longest :]
    level = float(np.median(near))
    spread = 1.4826 * float(np.median(np.abs(near - level)))
    noise = max(1.4826 * float(np.median(np.abs(np.diff(near, 2)))) / np.sqrt(6), 1e-6 * abs(level), 1e-300)
    earlier = float((smooth - np.minimum.accumulate(smooth)).max())  # the largest rise
    wander = max(clear * _AGAIN * earlier, clear * _NOISES * noise, 3 * spread, float(np.ptp(recent)))
    if last - level <= wander or last - float(recent.max()) <= 0.5 * wander:
        return None
    low = level + 4 * max(spread, noise)
    above = values > low
    first = n - int((~above[::-1]).argmax())
    rise = values[first:]
    count = len(rise)
    if not 2 <= count <= longest + 2:
        return None
    third = max(1, count // 3)
    late = float(np.median(rise[-max(1, third // 2) :]) - np.median(rise[: len(rise) - third][-max(1, third // 2) :]))
    faster = float(np.median(rise)) - level < _SLOW_HALF * (last - level)
    if not (broken or faster) and late <= 0.18 * (last - level) + 3 * noise / np.sqrt(max(1, third // 2)):
        return None  # it has arrived: a step or a ramp
    # rises over as many values before: how far they go, and how many there are
    before = smooth[count:] - smooth[:-count] if len(smooth) > 2 * count else np.diff(smooth)
    usual = max(1.4826 * float(np.median(np.abs(before))), spread, noise)
    p = float(min(1.0, 2 * stdtr(max(len(smooth) / count - 1, 1.0), -(last - level) / usual)))
    if not broken and p > P:
        return None
    half = first + int(np.argmax(rise >= level + 0.5 * (float(rise.max()) - level)))
    effect, begin = (last - level) / noise, float(steps[max(first - 1, 0)])
    return Divergence(
        first, begin, float(steps[half]), float(steps[-1]), level, float(values[-1]), effect, float(noise), p
    )
