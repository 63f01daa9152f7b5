"""Divergence: a curve that rises beyond all it did before and still rises at its last record, or ends non-finite.

It has no "after", so that no comparison of the pace before and after finds it; it is looked for first, on the values as
they were recorded, and cut off before anything else is measured.
"""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import median_filter
from scipy.special import comb, stdtr

from tandv.analysis.transitions.median import median
from tandv.analysis.transitions.transition import P

FEWEST = 30  # values that are needed to know what a curve did before
_BEFORE = 15  # of them at least before it rises
_TAILS = (0.15, 0.3, 0.5, 0.7)  # share of the curve over which it may have risen; the shortest that fits
_AGAIN = 2.0  # times the largest earlier rise
_NOISES = 6.0  # and this many standard deviations of the noise
_UPPER = 1.4826  # standard deviations of a normal distribution over its quantile 0.75
_UNFILLED = 2  # rows at the end that may be without a value for other reasons
_DOUBTFUL = 0.01  # the least p of a divergence that only so few NaNs tell of


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
    p: float  # NaN of infinities: they are no matter of chance


def diverging(
    steps: np.ndarray,
    values: np.ndarray,
    broken: float | None,
    last: float = np.nan,
    missing: tuple[int, int] = (1, 0),
    *,
    rises: bool = True,
) -> Divergence | None:
    """Return the divergence at the end of a curve, or None.

    Args:
        steps: of its finite values, ascending.
        values: its finite values.
        broken: the first of the steps after them at which it is not finite, if it ends so.
        last: what it is there.
        missing: how many values are not finite there, and how many before.
        rises: whether a rise counts; not of an accuracy, for which it is what is wanted.
    """
    n = len(values)
    rising = _rising(steps, values, broken is not None) if rises and n >= FEWEST and last != -np.inf else None
    if broken is None:
        return rising
    if rising is not None:
        return rising._replace(end=broken, after=last, effect=np.inf)
    p = np.nan if np.isinf(last) else unfilled(n, *missing)
    if not n or p > P:
        return None
    noise = 1.4826 * median(np.abs(np.diff(values, 2))) / np.sqrt(6) if n > 2 else np.nan
    return Divergence(n, float(steps[-1]), broken, broken, float(values[-1]), last, np.inf, noise, p)


def unfilled(known: int, missing: int, elsewhere: int = 0) -> float:
    """Return the chance that the last values of a curve are missing, were its missing values anywhere by chance.

    One or two may be a last row that was not filled; their p is at least 0.01.

    >>> unfilled(3, 2), unfilled(1000, 1)  # 2 of 5 values: 10 pairs of places
    (0.1, 0.01)

    Args:
        known: values before.
        missing: values at the end.
        elsewhere: values that are missing before.
    """
    chance = comb(known + elsewhere, elsewhere) / comb(known + elsewhere + missing, elsewhere + missing)
    return max(float(chance), _DOUBTFUL if missing <= _UNFILLED else 1e-300)


def _rising(steps: np.ndarray, values: np.ndarray, broken: bool) -> Divergence | None:
    n = len(values)
    smooth = median_filter(values, size=5, mode="nearest")
    for share in _TAILS:
        longest = max(5, int(share * n))
        if n - longest < _BEFORE:
            return None
        found = _rising_over(steps, values, smooth, longest, broken)
        if found is not None:
            return found
    return None


def _rising_over(
    steps: np.ndarray, values: np.ndarray, smooth: np.ndarray, longest: int, broken: bool
) -> Divergence | None:
    """Return a divergence that has lasted at most so many values."""
    n = len(values)
    last = median(values[-3:])
    recent = smooth[: n - longest - 2][-4 * longest :]
    if not (last > recent.max() and values[-1] > recent.max()):
        return None
    near = values[: n - longest][-min(2 * longest, max(_BEFORE, (n - longest) // 3)) :]
    level = median(near)
    spread = 1.4826 * median(np.abs(near - level))
    noise = max(1.4826 * median(np.abs(np.diff(near, 2))) / np.sqrt(6), 1e-6 * abs(level), 1e-300)
    wander = max(float(np.ptp(recent)), 3 * spread, _NOISES * noise)
    if last - level <= wander or last - float(recent.max()) <= 0.5 * wander:
        return None
    above = values > level + 4 * max(spread, noise)
    first = n - int((~above[::-1]).argmax())
    rise = values[first:]
    count = len(rise)
    if not 2 <= count <= longest + 2:
        return None
    smooth = smooth[: max(first - 2, n - longest - 2)]  # all that was before it
    if last - level <= _AGAIN * float((smooth - np.minimum.accumulate(smooth)).max()):  # the largest rise
        return None
    third = max(1, count // 3)
    late = float(np.median(rise[-max(1, third // 2) :]) - np.median(rise[: len(rise) - third][-max(1, third // 2) :]))
    half = int(np.argmax(rise >= level + 0.5 * (float(rise.max()) - level)))
    explodes = half >= 0.85 * count and int(np.argmax(rise)) == count - 1  # nearly all of it in its last values
    arrived = half < 0.5 * count  # long before the curve ends, be it in NaNs
    if (
        (arrived or not broken)
        and not explodes
        and late <= 0.18 * (last - level) + 3 * noise / np.sqrt(max(1, third // 2))
    ):
        return None  # it has arrived: a step or a ramp
    p = _chance(smooth, last - level, count, max(spread, noise))
    if smooth.min() > 0 and level > 0:  # a growth that is as steady as before is a trend
        p = max(p, _chance(np.log(smooth), float(np.log(last / level)), count, max(spread, noise) / level))
    if p > P:
        return None
    effect, begin = (last - level) / noise, float(steps[max(first - 1, 0)])
    return Divergence(
        first, begin, float(steps[first + half]), float(steps[-1]), level, float(values[-1]), effect, float(noise), p
    )


def _chance(smooth: np.ndarray, rise: float, count: int, least: float) -> float:
    """Return the p of a rise within so many values, from how far a curve rose before within as many."""
    over = min(count, max(1, len(smooth) // 2))  # had it gone on for longer, it had gone further by as much
    usual = _UPPER * float(np.quantile(smooth[over:] - smooth[:-over], 0.75)) * count / over
    return float(min(1.0, 2 * stdtr(max(len(smooth) / count - 1, 1.0), -rise / max(usual, least))))
