"""How likely noise alone is to look like a transition.

A bump of the pace that exceeds its surroundings by z standard errors, which were estimated with some degrees of
freedom, has the tail of Student's t; a curve has as many places for it as windows fit.
"""

from math import log

import numpy as np
from scipy.special import log_ndtr, ndtri_exp, stdtr

_NORMAL = 1e5  # degrees of freedom from which Student's t is normal
_LEAST = 1e-300
_REMEMBERS, _WANDERS = 1.0, 1.3  # of the exponent of growth at fine and at wide windows
_FEWER = 0.6  # what the shape of a transition leaves of the places
_SHORT, _LONG = 0.6, 400  # for each halving of the points below so many


def log_tail(z: float, freedom: float) -> float:
    """Return the logarithm of the chance that Student's t exceeds z.

    >>> round(log_tail(2.0, 1e9), 2), round(log_tail(2.0, 5), 2)
    (-3.78, -2.98)
    """
    if z <= 0:
        return log(0.5)
    return float(log_ndtr(-z)) if freedom > _NORMAL else log(max(float(stdtr(freedom, -z)), _LEAST))


def log_tails(z: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """Return `log_tail` of arrays."""
    exact = np.log(np.maximum(stdtr(np.minimum(freedom, _NORMAL), -np.maximum(z, 0)), _LEAST))
    return np.where(freedom > _NORMAL, log_ndtr(-np.maximum(z, 0)), exact)


def surety(z: float, freedom: float) -> float:
    """Return the z of a normal distribution that is as unlikely as this z of Student's t.

    >>> round(surety(10.0, 4), 1), surety(3.0, 1e9)
    (3.4, 3.0)
    """
    return z if z <= 0 or freedom > _NORMAL else -float(ndtri_exp(log_tail(z, freedom)))


def looks(points: int, widths: np.ndarray) -> np.ndarray:
    """Return the logarithm of the number of places of windows of each width, both ways."""
    return np.log(np.maximum(2.0 * points / widths, 2.0))


def correction(points: int, widths: np.ndarray, growth: np.ndarray) -> float:
    """Return what the logarithm of p is to be raised by, as measured on simulated noise without a transition.

    Neighbouring windows and widths are not independent looks, the less so the longer noise remembers; where noise still
    grows at the widest windows, as that of a random walk, it is known less well than it seems; short curves have little
    room for the shape of a transition.

    Args:
        points: of the curve.
        widths: of the windows.
        growth: standard deviation of the difference of means at each, over that of white noise.
    """
    logs, x = np.log(growth), np.log(widths)
    fine = max(int(np.searchsorted(widths, max(4, points / 100), "right")) - 1, 1)
    wide = max(int(np.searchsorted(widths, points / 24, "right")) - 1, 0)
    if len(widths) < 3 or wide == len(widths) - 1:
        return 0.0
    remembers = (logs[fine] - logs[0]) / (x[fine] - x[0])
    wanders = (logs[-1] - logs[wide]) / (x[-1] - x[wide])
    return float(-_FEWER + _WANDERS * wanders - _REMEMBERS * remembers - _SHORT * max(np.log2(_LONG / points), 0.0))
