"""Teeth: a curve that jumps with a period, such as a loss at each epoch. Five cycles or more are a season, not events.

The season is taken out and the rest is searched. Stairs have a period as well; what they gain stays, so they are none.
"""

import numpy as np
from scipy.ndimage import maximum_filter1d

from tandv.analysis.transitions.median import median
from tandv.analysis.transitions.pace import differences

CYCLES = 5  # from which jumps with a period are a season
_JUMP, _CLIP = 3.5, 6.0  # standard deviations: a difference that may be a jump; how much of it counts
_SHORTEST = 6  # points of a period, in widths
_WIDTHS = (1, 3, 6, 12)  # points on each side of a jump
_OFF = 2.0  # points that a jump may be off
_MANY = 500  # jumps that are looked at
_STAYS = 0.6  # of the jump: what a curve gains in a period of stairs


def season(values: np.ndarray, sigma: np.ndarray) -> tuple[int, np.ndarray]:
    """Return the period of the teeth of a curve in points, 0 for none, and the part of the curve that repeats.

    >>> steps = np.arange(300)
    >>> period, part = season(0.01 * np.sin(steps**2.0) + (steps % 30) / 30, np.full(300, 0.01))
    >>> period, round(float(np.ptp(part)), 1)
    (30, 1.0)

    Args:
        values: the curve.
        sigma: standard deviation of its fast noise at each point.
    """
    none = 0, np.zeros(len(values))
    period = _period(values, sigma)
    if not period or len(values) // period < CYCLES:
        return none
    part = _repeating(values, period)
    if _staircase(values, part, period) or np.ptp(part) <= 4 * median(sigma):
        return none
    return period, part


def _period(values: np.ndarray, sigma: np.ndarray) -> int:
    """Return the period of the jumps; small ones are seen between means of several points."""
    if len(values) < 10 * _SHORTEST:
        return 0
    return next((period for width in _WIDTHS if (period := _period_of(_jumps(values, sigma, width), width))), 0)


def _jumps(values: np.ndarray, sigma: np.ndarray, width: int) -> np.ndarray:
    """Return the jumps between means of so many points before and after each place, in standard deviations, else 0."""
    if width == 1:
        change = np.diff(values) / np.hypot(sigma[1:], sigma[:-1])
        change -= median(change)
        return np.where(np.abs(change) > _JUMP, np.clip(change, -_CLIP, _CLIP), 0.0)
    change = differences(values, np.array([width]))[0] / np.hypot(sigma[1:], sigma[:-1]) * np.sqrt(width)
    change -= median(change)
    change /= max(1.0, 1.4826 * median(np.abs(change)))  # the noise may remember
    size = np.abs(change)
    if (size > _JUMP).sum() < CYCLES:
        return np.zeros(len(change))
    largest = size >= maximum_filter1d(size, 2 * width + 1)
    return np.where((size > _JUMP) & largest, np.clip(change, -_CLIP, _CLIP), 0.0)


def _period_of(jumps: np.ndarray, width: int) -> int:
    """Return the period of jumps that may be off by their width, 0 if there is none."""
    n = len(jumps) + 1
    if max((jumps > 0).sum(), (jumps < 0).sum()) < CYCLES:  # fewer restarts are transitions
        return 0
    shortest = _SHORTEST * width
    blurred = np.convolve(jumps, np.ones(width), "same")
    spectrum = np.fft.rfft(blurred, 1 << int(np.ceil(np.log2(2 * n))))
    alike = np.fft.irfft(spectrum * np.conj(spectrum))[: n // 2]
    if len(alike) < 8 or not alike[0] > 0:
        return 0
    alike = alike / alike[0]
    near = maximum_filter1d(alike, 3)  # a period need not be whole
    near[[0, -1]] = alike[[0, -1]]
    alike[:shortest] = 0
    alike[n // CYCLES + 2 :] = 0
    best = int(np.argmax(alike))
    if not best:
        return 0
    height = float(alike[best])
    for parts in (4, 3, 2):  # the shortest period of which it is a multiple
        short = best // parts
        if short >= shortest and near[short] > 0.6 * height:
            best = short + int(np.argmax(alike[short - 1 : short + 2])) - 1
            break
    again = [float(near[k * best]) * n / (n - k * best) for k in (1, 2) if k * best < len(near)]
    regular = alike[best] * n / (n - best) >= 0.3 and len(again) == 2 and min(again) >= 0.25
    return best if regular and _cycles(jumps, best, _OFF + (width - 1) / 2) >= CYCLES else 0


def _cycles(jumps: np.ndarray, period: int, off: float) -> int:
    """Return how many jumps of one sign lie whole periods from one of them."""
    most = 0
    for sign in (1, -1):
        at = np.flatnonzero(sign * jumps > 0)[:_MANY]
        apart = (at[:, None] - at) / period
        on = np.abs(apart - np.round(apart)) * period <= off
        most = max([most, *(len(np.unique(np.round(row[hit]))) for row, hit in zip(apart, on, strict=True))])
    return most


def _repeating(values: np.ndarray, period: int) -> np.ndarray:
    """Return the median over cycles of what a moving average over a period leaves."""
    n = len(values)
    sums = np.concatenate([[0.0], np.cumsum(np.pad(values, (period // 2, period - period // 2), mode="edge"))])
    rest = values - (sums[period:] - sums[:-period])[:n] / period
    inside = rest[period // 2 : n - period // 2]
    cycles = len(inside) // period
    profile = np.median(inside[: cycles * period].reshape(cycles, period), axis=0)
    profile = np.roll(profile, period // 2)
    return (profile - profile.mean())[np.arange(n) % period]


def _staircase(values: np.ndarray, part: np.ndarray, period: int) -> bool:
    """Whether the level changes from one period to the next by about what the jump of the season brings."""
    n = len(values)
    turn = np.diff(np.append(part[:period], part[0]))
    wide = max(1, period // 20)
    at = int(np.argmax(np.abs(turn))) + 1
    jumps, gains = [], []
    for k in range(at + (n // 2 // period) * period, n - wide - 1, period):
        jumps.append(np.median(values[k + 1 : k + 1 + wide]) - np.median(values[max(0, k - 1 - wide) : k - 1]))
        if k + period <= n:
            gains.append(np.median(values[k + period - wide : k + period]) - np.median(values[k - wide : k]))
    return bool(gains and np.median(gains) * np.median(jumps) > _STAYS * np.median(jumps) ** 2)
