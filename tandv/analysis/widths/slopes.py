"""Lines through sizes over widths in logarithms: each slope with an interval that few runs suffice for."""

from typing import NamedTuple

import numpy as np
from scipy import special, stats

LEVEL = 0.95  # of the intervals
_EXACT = 1e-4  # deviation in log2 below which a size does not vary at all, as behind a norm


class Slopes(NamedTuple):
    """Slopes of lines, and the intervals that have them.

    >>> Slopes(np.array([0.5]), np.array([0.4]), np.array([0.6])).slope.tolist()
    [0.5]

    Args:
        slope: of each line; NaN where it has fewer than two widths.
        low: where its interval begins; NaN where there is no estimate of the deviation.
        high: where it ends.
    """

    slope: np.ndarray
    low: np.ndarray
    high: np.ndarray


def slopes(widths: np.ndarray, sizes: np.ndarray, kinds: np.ndarray) -> Slopes:
    """Return the slope of log2(size) over log2(width) for each row of sizes, with its 95 % interval.

    Least squares; Student's t with the variance of a line moderated by those of the other lines of its kind (Smyth
    2004, "Linear models and empirical Bayes methods"), since three widths alone have one degree of freedom.

    >>> widths = np.array([64.0, 128.0, 256.0])
    >>> slopes(widths, np.array([[1.0, 2.0, 4.0]]), np.array([0])).slope.tolist()
    [1.0]

    Args:
        widths: the width of each run, [runs].
        sizes: [lines, runs], above 0; NaN where there is none.
        kinds: of each line which lines are like it, [lines] of any type.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        y = np.log2(sizes)
    there = np.isfinite(y)
    x = np.where(there, np.log2(widths)[None], 0.0)
    y = np.where(there, y, 0.0)
    n = there.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        x = np.where(there, x - (x.sum(axis=1) / n)[:, None], 0.0)
        y = np.where(there, y - (y.sum(axis=1) / n)[:, None], 0.0)
        spread = (x**2).sum(axis=1)
        slope = np.where(spread > 1e-12, (x * y).sum(axis=1) / spread, np.nan)
        free = np.where(np.isnan(slope), 0, np.maximum(n - 2, 0))
        variance = ((y - slope[:, None] * x) ** 2).sum(axis=1) / free
    variance = np.where(free > 0, variance, np.nan)
    reach = np.full(len(slope), np.nan)
    for kind in set(kinds.tolist()):
        of = (kinds == kind) & (free > 0)
        if of.any():
            moderated, degrees = _moderated(variance[of], free[of].astype(float))
            reach[of] = stats.t.ppf(0.5 + LEVEL / 2, degrees) * np.sqrt(moderated / spread[of])
    return Slopes(slope, slope - reach, slope + reach)


def _moderated(variance: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return variances drawn towards what they have in common, and the degrees of freedom that they then have.

    The prior, a scaled inverse chi-square, is fitted to the logarithms of the variances (Smyth 2004, section 6.2).
    """
    varies = variance > _EXACT**2
    if varies.sum() < 3:
        return variance, free
    d = free[varies]
    e = np.log(variance[varies]) - special.digamma(d / 2) + np.log(d / 2)
    excess = e.var(ddof=1) - special.polygamma(1, d / 2).mean()
    if excess <= 0:  # they vary no more than equal variances would
        prior, common = np.inf, float(np.exp(e.mean()))
    else:
        prior = 2 * _inverse_trigamma(float(excess))
        common = float(np.exp(e.mean() + special.digamma(prior / 2) - np.log(prior / 2)))
    whole = np.full(len(variance), common) if np.isinf(prior) else (prior * common + free * variance) / (prior + free)
    degrees = np.minimum(free + prior, free.sum())  # all lines together have no more
    return np.where(varies, whole, variance), np.where(varies, degrees, free)


def _inverse_trigamma(value: float) -> float:
    """Return the x whose trigamma function is `value`, by Newton's method (Smyth 2004, appendix)."""
    x = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(special.polygamma(1, x))
        change = trigamma * (1 - trigamma / value) / float(special.polygamma(2, x))
        x += change
        if -change / x < 1e-10:
            break
    return x
