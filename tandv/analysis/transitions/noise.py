"""How much of the pace of a curve may be noise, at every width of the windows.

Noise is measured by scale: white, autocorrelated and wandering noise differ only in how it grows with the width, and
none of them has to be named. What is known of it is limited: a curve holds few wide windows, so that each estimate has
degrees of freedom, and its distribution may have heavy tails.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from tandv.analysis.transitions.fastest_noise import CLIPPED, local_sigma
from tandv.analysis.transitions.pace import Windows, averages, differences

LOWER_QUARTER = 0.3186  # quantile 0.25 of abs(x)
SHORT = 24  # points, below which noise is taken as white: its memory cannot be told from a transition
FEW = 80  # points, below which each width has too few windows of its own to say how well noise is known
KNOWN = 0.5  # degrees of freedom for each point there
_OF_FEW = 0.9  # of the logarithm of how noise grows there: one change is a large share of so few points
SHARED = 0.35  # of the larger of two measurements
_SHARED = 0.4  # of what neighbouring widths say is their own
_NEAR_SLOPE = 0.95  # the same for the power
_NEAR = 0.8  # natural logarithms of the width over which noise grows as a power of the width
_APART = 1.25  # widths between the differences that are compared
_CONTRASTS = ((1, -4, 6, -4, 1), (1, -3, 3, -1), (1, -2, 1))  # small where a curve is smooth
_NEXT = {len(w) - 1: sum(a * b for a, b in pairwise(w)) / sum(a * a for a in w) for w in _CONTRASTS}
_SMOOTH = 0.3  # median of fourth differences over second ones, in that of white noise: below, there is no noise
_MANY = 40  # windows that a curve has of widths at which one contrast is enough
_TAIL = 0.99  # the quantile that measures the tail
_NORMAL_TAIL = 2.576  # of abs(x) of a standard normal x
_FREEDOM_OF_TAIL = 1.8  # Student's t of v degrees of freedom has about 1 + 1.8 / v times that
_LIGHTER = 0.84  # from one width to the next: the tail of a sum of more values
_FINE = 8  # points, up to which noise may be smooth
_HEAVY = 22.0  # degrees of freedom of noise that remembers: few of its values are independent, so its tail is not known
_ENOUGH = 40  # windows from which the tail is measured


class Noise(NamedTuple):
    """The noise of a curve at each width h."""

    sigma: np.ndarray  # standard deviation of the fastest noise at each point
    error: np.ndarray  # standard error of the pace, shape (H, n - 1)
    growth: np.ndarray  # standard deviation of the difference of means, in units of that of white noise
    freedom: np.ndarray  # degrees of freedom of its estimate and its tail, as of Student's t
    level: np.ndarray  # standard deviation of the level of the curve over a window, in units of sigma
    pace: np.ndarray  # of the curve without its transitions, shape (H, n - 1)
    memory: bool  # whether it was measured how noise grows: not where the curve is short, or has none


class Measured(NamedTuple):
    """Contrasts of a curve at each width h over what white noise of `sigma` has, from which noise is judged."""

    sigma: np.ndarray
    rise: np.ndarray  # the differences of the curve without its transitions, shape (H, n - 1)
    expected: np.ndarray  # standard deviation of a difference of means of white noise, shape (H, n - 1)
    size: np.ndarray  # shape (H,); NaN where a curve is too short
    quiet: np.ndarray  # the same of the quieter parts, where transitions may be in the curve
    windows: np.ndarray  # how many this is from
    tail: np.ndarray  # quantile _TAIL over size
    remembered: np.ndarray  # variance of white noise over that of a random walk of equal differences
    smooth: bool  # there is no noise


def measure(
    background: np.ndarray,
    removed: np.ndarray,
    bank: Windows,
    floor: np.ndarray | float,
    sigma: np.ndarray | None = None,
) -> Measured:
    """Measure the contrasts of a curve.

    Args:
        background: the curve without its transitions.
        removed: points that were interpolated and do not count.
        bank: the windows on the curve itself.
        floor: standard deviation of its rounding.
        sigma: standard deviation of its fastest noise, if nothing was taken from the curve and it is known.
    """
    rise = bank.rise if sigma is not None else differences(background, bank.widths)
    sigma = np.hypot(local_sigma(background, removed), floor) if sigma is None else sigma
    spread = np.sqrt(np.maximum(averages(sigma**2, bank.widths), 0.0))
    np.maximum(spread, 0.5 * np.maximum(sigma[1:], sigma[:-1]), out=spread)
    expected = spread * np.sqrt(2 / bank.widths)[:, None]
    if len(background) < SHORT:
        nothing = np.full(len(expected), np.nan)
        return Measured(sigma, rise, expected, nothing, nothing, nothing, nothing, nothing, False)
    return _contrasts(rise, sigma, expected, removed, bank)


def noise_of(measured: Measured, bank: Windows, *, loose: bool = False) -> Noise:
    """Return the noise at each width.

    Args:
        measured: what `measure` returns.
        bank: the windows on the curve.
        loose: transitions may still be in it: trust the quieter parts and the fine widths.
    """
    n, white = len(measured.sigma), np.sqrt(2 / bank.widths)
    if n < SHORT:
        growth, freedom = np.ones(len(white)), np.full(len(white), n * KNOWN)
    else:
        growth, freedom = _growth(measured, bank, loose)
        if n < FEW:
            freedom = np.maximum(freedom, n * KNOWN)
            growth = growth ** (0.5 if loose else _OF_FEW)
    error = growth[:, None] * measured.expected * bank.ends / bank.run
    level = np.maximum.accumulate(np.maximum(1.0, growth * white / np.sqrt(2)))
    usual = level[max(0, int(np.searchsorted(bank.widths, n / 12, "right")) - 1)]
    memory = n >= SHORT and not measured.smooth
    return Noise(measured.sigma, error, growth, freedom, np.maximum(level, usual), measured.rise / bank.run, memory)


def between(one: Noise, other: Noise) -> Noise:
    """Return a weighted geometric mean of two measurements of the noise of a curve."""
    ratio = np.maximum(other.growth / one.growth, 1.0) ** SHARED
    level = one.level * np.maximum(other.level / one.level, 1.0) ** SHARED
    return one._replace(error=one.error * ratio[:, None], growth=one.growth * ratio, level=level)


def _contrasts(
    rise: np.ndarray, sigma: np.ndarray, expected: np.ndarray, removed: np.ndarray, bank: Windows
) -> Measured:
    n, heights = len(removed), len(bank.widths)
    size, quiet, count, tail = np.full(heights, np.nan), np.full(heights, np.nan), np.zeros(heights), np.zeros(heights)
    remembered, smooth = np.ones(heights), False
    kept = ~(removed[1:] | removed[:-1]) if removed.any() else None
    for k, h in enumerate(bank.widths.tolist()):
        each = max(1, h // 8)  # neighbouring windows are nearly equal
        for weights in _CONTRASTS if h > n // _MANY else _CONTRASTS[:1]:
            span = len(weights) - 1
            # away from the ends, and so far apart that no values are shared, where there is room for it
            apart = 2 * h if n - 2 * h - 2 * h * span >= 0.5 * n else max(round(_APART * h), 2)
            first = h if n - 2 * h - apart * span >= 0.3 * n else 0
            left = n - 1 - 2 * first - span * apart
            if left < 10 or n - apart * span < (0.6 if span > 2 else 0.4) * n:
                continue
            white, walking = _shared(apart / h)
            norm = 1 + white * _NEXT[span]
            at = [slice(first + i * apart, first + i * apart + left, each) for i in range(span + 1)]
            contrast = sum(w * rise[k, here] for w, here in zip(weights, at, strict=True))
            if first:
                variance = norm * sum(w * w for w in weights)
            else:
                variance = norm * sum((w * bank.ends[k, here]) ** 2 for w, here in zip(weights, at, strict=True))
            middle = slice((n - 1 - left) // 2, (n - 1 - left) // 2 + left, each)
            ratio = np.abs(contrast) / (np.sqrt(variance) * expected[k, middle])
            if kept is not None and 8 <= kept[middle].sum() < len(ratio):
                ratio = ratio[kept[middle]]
            ratio.partition((len(ratio) // 4, len(ratio) // 2))
            half = float(ratio[len(ratio) // 2])
            here = float(np.minimum(ratio, 3 * half).sum()) / len(ratio) / CLIPPED
            quiet[k] = np.fmin(quiet[k], ratio[len(ratio) // 4] / LOWER_QUARTER)
            smooth |= k == 0 and half < _SMOOTH
            if not here >= size[k]:
                size[k], count[k] = here, max(1.0, each * len(ratio) / (2 * h))
                remembered[k] = norm / (1 + walking * _NEXT[span])
        if count[k] >= _ENOUGH:
            tail[k] = _tail(rise[k], expected[k], h, kept)
    return Measured(sigma, rise, expected, size, quiet, count, tail, remembered, bool(smooth))


def _tail(rise: np.ndarray, expected: np.ndarray, h: int, kept: np.ndarray | None) -> float:
    """Return the quantile _TAIL of second differences over their clipped mean."""
    inner = slice(3 * h, len(rise) - 3 * h)
    contrast = np.abs(rise[h : len(rise) - 5 * h] - 2 * rise[inner] + rise[5 * h : len(rise) - h]) / expected[inner]
    if kept is not None and kept[inner].any():
        contrast = contrast[kept[inner]]
    half, far = len(contrast) // 2, int(_TAIL * (len(contrast) - 1))
    contrast.partition((half, far))
    clipped = float(np.minimum(contrast, 3 * contrast[half]).sum()) / len(contrast) / CLIPPED
    return float(contrast[far]) / max(clipped, 1e-300)


def _growth(measured: Measured, bank: Windows, loose: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return noise over white noise at each width, and degrees of freedom."""
    size, n = measured.quiet if loose else measured.size, len(measured.sigma)
    known = np.isfinite(size)
    if not known.any():
        return np.ones(len(size)), np.full(len(size), 4.0)
    count = np.where(known, measured.windows, 0.0)
    # the mean logarithm of an estimate with few degrees of freedom is too low
    logs = np.where(known, np.log(np.maximum(np.where(known, size, 1.0), 0.5)) + 0.5 / np.maximum(count, 1), 0.0)
    x = np.log(bank.widths)
    slope = _over_widths(x, logs, count)[2]
    # contrasts of noise that remembers are smaller than those of white noise where they share values
    logs += 0.5 * np.log(1 + (measured.remembered - 1) * np.clip(slope, 0, 1))
    growth, freedom, _ = _over_widths(x, logs, count)
    if loose:
        few = np.where(bank.widths <= max(4, n // 24), count, 0.0)
        if few.any():
            growth = np.minimum(growth, _over_widths(x, logs, few)[0])
        return growth, np.full(len(size), np.inf)
    if measured.smooth:  # what differs along the curve is its shape
        return growth, freedom
    fine = max(int(np.searchsorted(bank.widths, max(4, n / 100), "right")) - 1, 1)
    remembers = np.clip(np.log(growth[fine] / growth[0]) / (x[fine] - x[0]), 0, 1) if len(x) > fine else 0.0
    return growth, 1 / (1 / freedom + 1 / _tail_freedom(measured.tail, count) + remembers / _HEAVY)


def _shared(apart: float) -> tuple[float, float]:
    """Return the correlation of differences of means so many widths apart: of white noise, and of a random walk."""
    white = -max(2 - apart, 0.0) / 2
    walking = max(2 - apart, 0.0) ** 3 / 4 if apart >= 1 else 1 - 1.5 * apart**2 + 0.75 * apart**3
    return 2 * white, 2 * walking


def _over_widths(x: np.ndarray, logs: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return noise as a power of the width near each width, the degrees of freedom of that estimate, and the power."""
    last = float(x[count > 0][-1])
    centre = np.minimum(x, last)
    apart = (x[None, :] - centre[:, None]) ** 2
    slope = _line(x, logs, count * _SHARED * np.exp(-0.5 * apart / _NEAR_SLOPE**2))[2]
    weight = count * _SHARED * np.exp(-0.5 * apart / _NEAR**2)  # widths share data
    total, mean_x, _, across = _line(x, logs, weight)
    slope = np.clip(slope, -0.1, np.where(x <= np.log(_FINE), 1.4, 1.0))
    mean_y = (weight @ logs) / total
    reach = x - mean_x
    freedom = 1 / (1 / total + reach**2 / (across + 0.5 / 0.35**2))
    return np.exp(np.maximum(mean_y + slope * reach, 0.0)), freedom, slope


def _line(x: np.ndarray, logs: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return for each row of weights their sum, the mean of x, the slope of a line, and the spread of x."""
    total = weight.sum(axis=1)
    mean = (weight @ x) / total
    away = x[None, :] - mean[:, None]
    across = (weight * away**2).sum(axis=1)
    prior = 0.5 / 0.7**2  # of a slope of 0.5 +- 0.7: white noise has 0, a random walk 1
    return total, mean, ((weight * away) @ logs + prior * 0.5) / (across + prior), across


def _tail_freedom(tail: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Return Student's degrees of freedom at which noise has the tail that was measured at each width."""
    weight = np.where(tail > 0, np.minimum(count, 400.0), 0.0)
    excess = np.maximum(tail / _NORMAL_TAIL - 1, 0.0)
    out, carried = np.empty(len(tail)), 0.0
    for k in range(len(tail)):
        near = slice(max(k - 1, 0), k + 2)
        total = float(weight[near].sum())
        carried *= _LIGHTER
        if total > 0:  # less of what chance makes
            carried = max(carried, float((excess[near] * weight[near]).sum()) / total - 1 / total**0.5)
        out[k] = _FREEDOM_OF_TAIL / max(carried, 1e-3)
    return np.maximum(out, 2.5)
