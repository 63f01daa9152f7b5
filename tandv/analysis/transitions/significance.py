"""How likely noise alone is to look like a transition.

A bump of the pace that exceeds its surroundings by z standard errors, which were estimated with some degrees of
freedom, has the tail of Student's t; a curve has as many places for it as windows fit.
"""

import numpy as np
from scipy.special import log_ndtr, ndtri_exp, stdtr


def log_tail(z, freedom):
    """Return the logarithm of the chance that Student's t exceeds z.

    >>> bool(np.isclose(log_tail(2.0, np.inf), np.log(0.02275), atol=1e-3))
    True
    """
    z, freedom = np.asarray(z, float), np.asarray(freedom, float)
    with np.errstate(divide="ignore"):
        exact = np.log(np.maximum(stdtr(np.minimum(freedom, 1e6), -np.minimum(z, 1e8)), 1e-300))
    return np.where(freedom > 1e5, log_ndtr(-z), exact)


def surety(z, freedom):
    """Return the z of a normal distribution that is as unlikely as this z of Student's t."""
    return np.where(np.asarray(z) > 0, -ndtri_exp(np.minimum(log_tail(z, freedom), np.log(0.5))), z)


def looks(points: int, widths: np.ndarray) -> np.ndarray:
    """Return the logarithm of the number of places of windows of each width, both ways."""
    return np.log(np.maximum(2.0 * points / widths, 2.0))
