"""How much of the pace of a curve may be noise, at every width of the windows.

Noise is measured by scale: white, autocorrelated and wandering noise differ only in how it grows with the width, and
none of them has to be named. What is known of it is limited: a curve holds few wide windows, so that each estimate has
degrees of freedom, and its distribution may have heavy tails.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from tandv.analysis.transitions.pace import Windows, averages, differences

CLIPPED = 0.766  # mean of min(abs(x), 3 medians of abs(x)) of a standard normal x
LOWER_QUARTER = 0.3186  # quantile 0.25 of abs(x)
_WINDOW = 61  # points over which the standard deviation of the noise is taken as constant
_FEW = 17  # points, the fewest that are asked for it
_SHORT = 60  # points, below which noise is taken as white
_SHARED = 0.4  # of what neighbouring widths say is their own
_NEAR = 0.8  # natural logarithms of the width over which noise grows as a power of the width
_APART = 1.25  # widths between the differences that are compared
_CONTRASTS = ((1, -4, 6, -4, 1), (1, -3, 3, -1), (1, -2, 1))  # small where a curve is smooth
_NEXT = {len(w): -sum(a * b for a, b in pairwise(w)) / sum(a * a for a in w) for w in _CONTRASTS}
_TAIL = 0.98  # the quantile that measures the tail


class Noise(NamedTuple):
    """The noise of a curve at each width h."""

    sigma: np.ndarray  # standard deviation of the fastest noise at each point
    error: np.ndarray  # standard error of the pace, shape (H, n - 1)
    growth: np.ndarray  # standard deviation of the difference of means, in units of that of white noise
    freedom: np.ndarray  # degrees of freedom of its estimate and its tail, as of Student's t
    level: np.ndarray  # standard deviation of the level of the curve over a window, in units of sigma


def measure(
    background: np.ndarray, removed: np.ndarray, bank: Windows, floor: np.ndarray | float, *, loose: bool = False
) -> Noise:
    """Measure the noise of a curve of which transitions are taken out.

    Args:
        background: the curve without its transitions.
        removed: points that were interpolated and do not count.
        bank: the windows on the curve itself.
        floor: standard deviation of its rounding.
        loose: transitions may still be in it: trust the quieter parts.
    """
    n = len(background)
    sigma = np.hypot(local_sigma(background, removed), floor)
    spread = np.sqrt(np.maximum(averages(sigma**2, bank.widths), 0.0))
    np.maximum(spread, 0.5 * np.maximum(sigma[1:], sigma[:-1]), out=spread)
    white = np.sqrt(2 / bank.widths)
    expected = spread * white[:, None]
    if n < _SHORT:  # its memory cannot be told from a transition
        growth, freedom = np.ones(len(white)), np.full(len(white), n / 2)
    else:
        growth, freedom = _growth(differences(background, bank.widths), expected, removed, bank, loose)
    error = growth[:, None] * expected * bank.ends / bank.run
    level = np.maximum.accumulate(np.maximum(1.0, growth * white / np.sqrt(2)))
    usual = level[max(0, int(np.searchsorted(bank.widths, n / 12, "right")) - 1)]
    return Noise(sigma, error, growth, freedom, np.maximum(level, usual))


def local_sigma(values: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """Return the standard deviation of white noise at each point, from second differences, which remove a trend."""
    n = len(values)
    error = np.full(n, np.inf)
    error[1:-1] = np.abs(np.diff(values, 2)) / np.sqrt(6)
    error[1:-1][removed[:-2] | removed[1:-1] | removed[2:]] = np.inf
    known = error[np.isfinite(error)]
    if len(known) < 5:
        error[1:-1] = np.abs(np.diff(values, 2)) / np.sqrt(6)
        known = error[1:-1]
    overall = float(np.minimum(known, np.quantile(known, 0.95)).mean()) / 0.75
    if n < _WINDOW:
        return np.full(n, float(np.minimum(known, 3 * np.median(known)).mean()) / CLIPPED)
    wide = _in_windows(error, min(max(_WINDOW, n // 10), n), overall)
    # noise may fall faster than that, as at the start of a run; few points are less sure
    return np.maximum(np.maximum(wide, 0.8 * _in_windows(error, _FEW, overall)), 0.05 * overall)


def _in_windows(error: np.ndarray, width: int, overall: float) -> np.ndarray:
    """Return clipped means of the finite ones of windows, as standard deviations, linear between knots."""
    n = len(error)
    knots = np.unique(np.append(np.arange(0, n, max(width // 4, 1)), n - 1))
    first = np.clip(knots - width // 2, 0, n - width)
    ordered = np.sort(error[first[:, None] + np.arange(width)], axis=1)
    count = np.isfinite(ordered).sum(axis=1)
    rows = np.arange(len(knots))
    # in a mostly constant curve, such as an accuracy, the rare changes are the noise
    bound = np.maximum(3 * ordered[rows, count // 2], ordered[rows, (0.8 * count).astype(int)])
    clipped = np.where(np.isfinite(ordered), np.minimum(ordered, bound[:, None]), 0.0).sum(axis=1)
    good = count >= min(12, 0.7 * width)
    if not good.any():
        return np.full(n, overall)
    return np.interp(np.arange(n), knots[good], clipped[good] / count[good] / CLIPPED)


def _growth(
    rise: np.ndarray, expected: np.ndarray, removed: np.ndarray, bank: Windows, loose: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return noise over white noise at each width, and degrees of freedom."""
    n, heights = len(removed), len(bank.widths)
    factor, count, tail = np.full(heights, np.nan), np.zeros(heights), np.zeros(heights)
    kept = ~(removed[1:] | removed[:-1])
    for k, h in enumerate(bank.widths.tolist()):
        apart, best = max(round(_APART * h), 2), np.inf
        for weights in _CONTRASTS:
            left = n - 1 - (len(weights) - 1) * apart
            if left < (0.6 if len(weights) > 3 else 0.4) * n or left < 10:
                continue
            contrast, variance = np.zeros(left), np.zeros(left)
            for i, w in enumerate(weights):
                contrast += w * rise[k, i * apart : i * apart + left]
                variance += (w * bank.ends[k, i * apart : i * apart + left]) ** 2
            # neighbours share values: their correlation is -(2 h - apart) / 2 h for white noise
            shared = max(2 * h - apart, 0) / (2 * h)
            variance *= 1 + 2 * shared * _NEXT[len(weights)]
            middle = slice((n - 1 - left) // 2, (n - 1 - left) // 2 + left)
            ratio = np.abs(contrast) / np.sqrt(variance) / expected[k, middle]
            if 8 <= kept[middle].sum() < left:
                ratio = ratio[kept[middle]]
            places = len(ratio) // 4, len(ratio) // 2, int(_TAIL * (len(ratio) - 1))
            ordered = np.partition(ratio, places)
            if loose:
                here = ordered[places[0]] / LOWER_QUARTER
            else:
                here = np.minimum(ratio, 3 * ordered[places[1]]).mean() / CLIPPED
            if here < best:
                best, count[k] = here, max(1.0, len(ratio) / (2 * h))
                tail[k] = ordered[places[2]] / max(here, 1e-300)
        if np.isfinite(best):
            factor[k] = max(best, 0.5)
    known = np.isfinite(factor) & (count > 0)
    if not known.any():
        return np.ones(heights), np.full(heights, 4.0)
    logs, count = np.log(np.where(known, factor, 1.0)), np.where(known, count, 0.0)
    x = np.log(bank.widths)
    growth, freedom, slope = _over_widths(x, logs, count)
    # contrasts of noise that remembers are smaller than white noise would have them
    growth *= np.sqrt(1 + 0.75 * np.clip(slope, 0, 1))
    if loose:
        few = np.where(bank.widths <= max(4, n // 24), count, 0.0)
        if few.any():
            extended, _, slope = _over_widths(x, logs, few)
            growth = np.minimum(growth, extended * np.sqrt(1 + 0.75 * np.clip(slope, 0, 1)))
        return growth, np.full(heights, np.inf)
    return growth, 1 / (1 / freedom + 1 / _tail_freedom(tail, count))


def _over_widths(x: np.ndarray, logs: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return noise as a power of the width near each width, the degrees of freedom of that estimate, and the power."""
    last = float(x[count > 0][-1])
    centre = np.minimum(x, last)
    weight = count * _SHARED * np.exp(-0.5 * ((x[None, :] - centre[:, None]) / _NEAR) ** 2)  # widths share data
    total = weight.sum(axis=1)
    mean_x, mean_y = (weight @ x) / total, (weight @ logs) / total
    away = x[None, :] - mean_x[:, None]
    across = (weight * away**2).sum(axis=1)
    # a prior of slope 0.25 +- 0.35: white noise has 0, a random walk 1
    prior = 0.5 / 0.35**2
    slope = np.clip(((weight * away) @ logs + prior * 0.25) / (across + prior), -0.1, 1.0)
    reach = x - mean_x
    freedom = 1 / (1 / total + reach**2 / (across + prior))
    return np.exp(np.maximum(mean_y + slope * reach, np.log(0.8))), freedom, slope


def _tail_freedom(tail: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Return Student's degrees of freedom at which noise has the tail that was measured at each width."""
    normal = 2.33  # quantile 0.98 of abs(x) of a standard normal x, in robust standard deviations
    excess = np.where(count >= 40, np.maximum(tail / normal - 1, 0.0), 0.0)
    # of t with v degrees of freedom the quantile is about 1 + 1.6 / v as large
    weight = np.minimum(count, 400.0) * (count >= 40)
    out, carried = np.empty(len(tail)), 0.0
    for k in range(len(tail)):
        near = slice(max(k - 1, 0), k + 2)
        if weight[near].sum() > 0:
            carried = float((excess[near] * weight[near]).sum() / weight[near].sum()) - 1.0 / np.sqrt(weight[near].sum())
        out[k] = 1.6 / max(carried, 1e-3)
    return np.maximum(out, 2.5)
