"""How sharp a transition is: how many steps it takes, and how steep the best-fitting logistic curve is.

>>> import numpy as np
>>> from tandv.analysis.transitions import find_transitions
>>> steps = np.arange(400)
>>> accuracy = pd.Series(1 / (1 + np.exp(-(steps - 200) / 10)), name="accuracy")
>>> [found] = find_transitions(accuracy)
>>> sharp = sharpness(accuracy, found)
>>> round(sharp.width, 1), round(sharp.slope, 3), round(sharp.middle)
(43.9, 0.1, 200)
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import curve_fit
from scipy.special import expit
from scipy.stats import t as student

from tandv.analysis.transitions.transition import Transition, known

_AROUND = 1.5  # the fit covers this many widths before and after the transition


class Sharpness(NamedTuple):
    """Width and slope of a transition, from a fitted logistic curve before + (after - before) / (1 + exp(-k (step -
    middle))).

    All are NaN if too few values are known or the fit fails.

    Args:
        quantity: the name of the curve.
        middle: the step at which half of the change has happened.
        width: steps from a tenth to nine tenths of the change: 2 log(9) / slope.
        slope: the rate k, per step.
        low, high: the confidence interval of the slope; high is infinite if the recorded steps are too coarse.
        unexplained: the share of the variance around the transition that the fit leaves.
    """

    quantity: str
    middle: float
    width: float
    slope: float
    low: float
    high: float
    unexplained: float


def sharpness(curve: pd.Series, transition: Transition, *, confidence: float = 0.95) -> Sharpness:
    """Fit a logistic curve to a transition and return how steep it is, with a confidence interval.

    The interval is Student's for the logarithm of the slope, with degrees of freedom reduced for the autocorrelation of
    the residuals (Bartlett 1935).

    Args:
        curve: values by step.
        transition: the transition.
        confidence: of the interval, 0 to 1.
    """
    steps, values = known(curve)
    width = max(transition.end - transition.start, 1)
    near = (steps >= transition.start - _AROUND * width) & (steps <= transition.end + _AROUND * width)
    first, last = np.flatnonzero(near)[[0, -1]] if near.any() else (0, -1)
    while last - first < 7 and (first > 0 or last < len(steps) - 1):  # a jump has no width: include its neighbours
        first, last = max(first - 1, 0), min(last + 1, len(steps) - 1)
    x, y = steps[first : last + 1], values[first : last + 1]
    nothing = Sharpness(transition.quantity, *[np.nan] * 6)
    if len(x) < 6:
        return nothing

    def logistic(step, before, after, middle, log_slope):
        return before + (after - before) * expit(np.exp(log_slope) * (step - middle))

    steepest = np.log(20 / np.diff(x).min())
    guess = np.log(2 * np.log(9) / width)
    start = (transition.before, transition.after, transition.step, min(guess, steepest - 0.1))
    bounds = ([-np.inf, -np.inf, x[0], np.log(0.1 / (x[-1] - x[0]))], [np.inf, np.inf, x[-1], steepest])
    try:
        fit, covariance = curve_fit(logistic, x, y, p0=start, bounds=bounds)
    except (RuntimeError, ValueError):
        return nothing
    residual = y - logistic(x, *fit)
    effective = _effective_count(residual)
    freedom = max(effective - len(fit), 1.0)
    # curve_fit assumes independent residuals
    error = (
        float(np.sqrt(covariance[3, 3] * (len(x) - len(fit)) / freedom)) if np.isfinite(covariance[3, 3]) else np.inf
    )
    reach = student.ppf(0.5 + confidence / 2, freedom) * error
    slope = float(np.exp(fit[3]))
    unbounded = fit[3] > steepest - 0.7 or not np.isfinite(reach)  # steeper than the recorded steps can show
    low = float(np.exp(fit[3] - reach)) if np.isfinite(reach) else 0.0
    high = np.inf if unbounded else float(np.exp(min(fit[3] + reach, 700.0)))
    unexplained = float(residual.var() / y.var()) if y.var() > 0 else np.nan
    return Sharpness(transition.quantity, float(fit[2]), float(2 * np.log(9) / slope), slope, low, high, unexplained)


def _effective_count(residual: np.ndarray) -> float:
    """Return the effective number of independent residuals, from their lag-1 autocorrelation."""
    power = float(residual @ residual)
    correlation = float(residual[1:] @ residual[:-1]) / power if power > 0 else 0.0
    correlation = min(max(correlation, 0.0), 0.99)
    return len(residual) * (1 - correlation) / (1 + correlation)
