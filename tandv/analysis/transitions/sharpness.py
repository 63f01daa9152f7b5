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
from scipy.linalg import matmul_toeplitz
from scipy.optimize import least_squares
from scipy.special import expit
from scipy.stats import norm
from scipy.stats import t as student

from tandv.analysis.transitions.transition import Transition, known

_AROUND = 1.5  # the fit covers this many widths before and after the transition
_NARROW = (1.0, 1.25)  # the same, where the shape is not logistic
_FEWEST_SLOPED = 12  # values from which flanks may have slopes
_GOES_ON = 0.03  # of the change, in a width beyond it: a logistic curve has 0.01
_ROUGH = (
    1.5  # mean squared second over first differences: 2 for noise with a long memory, 3 for white, near 0 if smooth
)
_STRONG = 0.95  # memory that is assumed for the noise on a misfit, which hides its own


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

    @property
    def width_interval(self) -> tuple[float, float]:
        """The confidence interval of the width, in steps: 2 log(9) over that of the slope."""
        low = 0.0 if np.isinf(self.high) else 2 * np.log(9) / self.high
        return float(low), float(2 * np.log(9) / self.low) if self.low > 0 else np.inf if self.low == 0 else np.nan


class _Fit(NamedTuple):
    """A logistic curve with level flanks (4 parameters) or sloped ones (6), fitted to a piece of a curve."""

    middle: float
    log_slope: float
    residual: np.ndarray
    gradient: np.ndarray  # [values, parameters] of the curve; the last one is the logarithm of the slope
    steepest: float  # logarithm of the slope, that the recorded steps can show


def sharpness(curve: pd.Series, transition: Transition, *, confidence: float = 0.95) -> Sharpness:
    """Fit a logistic curve to a transition and return how steep it is, with a confidence interval.

    It is fitted with level flanks and with flanks that have slopes of their own, and the logarithms of both slopes are
    averaged by their Akaike weights (Buckland, Burnham & Augustin 1997). The interval is Student's, with degrees of
    freedom reduced for the autocorrelation of the residuals (Bartlett 1935), plus what the two differ. Where residuals
    are smooth, the shape is not logistic, and they are no noise: the interval is then twice the difference between fits
    to a narrower and a wider piece of the curve, plus what roughness there is.

    Args:
        curve: values by step.
        transition: the transition.
        confidence: of the interval, 0 to 1.
    """
    steps, values = known(curve)
    x, y = _around(steps, values, transition, _AROUND)
    fits = _fits(x, y, transition)
    if not fits:
        return Sharpness(transition.quantity, *[np.nan] * 6)
    best = fits[int(_akaike(fits).argmin())]
    if _is_rough(best.residual):
        middle, log_slope, reach = _averaged(fits, confidence)
    else:
        best, log_slope, reach = _without_shape(steps, values, transition, confidence) or (best, best.log_slope, np.inf)
        middle = best.middle
    slope = float(np.exp(log_slope))
    unbounded = log_slope > best.steepest - 0.7 or not np.isfinite(reach)  # steeper than the recorded steps can show
    low = float(np.exp(log_slope - reach)) if np.isfinite(reach) else 0.0
    high = np.inf if unbounded else float(np.exp(min(log_slope + reach, 700.0)))
    unexplained = float(best.residual.var() / y.var()) if y.var() > 0 else np.nan
    return Sharpness(transition.quantity, middle, float(2 * np.log(9) / slope), slope, low, high, unexplained)


def _around(
    steps: np.ndarray, values: np.ndarray, transition: Transition, widths: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return a transition with so many of its widths before and after it, at least 8 values if there are so many."""
    width = max(transition.end - transition.start, np.finfo(float).tiny)
    near = (steps >= transition.start - widths * width) & (steps <= transition.end + widths * width)
    first, last = np.flatnonzero(near)[[0, -1]] if near.any() else (0, -1)
    while last - first < 7 and (first > 0 or last < len(steps) - 1):  # a jump has no width: include its neighbours
        first, last = max(first - 1, 0), min(last + 1, len(steps) - 1)
    return steps[first : last + 1], values[first : last + 1]


def _fits(x: np.ndarray, y: np.ndarray, transition: Transition) -> list[_Fit]:
    """Return the fit with level flanks, and from 12 values on that with sloped ones; none for fewer than 6 values."""
    if len(x) < 6 or x[0] == x[-1]:
        return []
    sloped = (False, True) if len(x) >= _FEWEST_SLOPED else (False,)
    try:
        return [_fit(x, y, transition, flanks) for flanks in sloped]
    except (np.linalg.LinAlgError, ValueError):
        return []


def _fit(x: np.ndarray, y: np.ndarray, transition: Transition, sloped: bool) -> _Fit:
    between = np.diff(x)
    steepest, flattest = np.log(20 / between[between > 0].min()), np.log(2 * np.log(9) / (x[-1] - x[0]))
    guess = np.log(2 * np.log(9) / max(transition.end - transition.start, between[between > 0].min()))
    start = [np.clip(transition.step, x[0], x[-1]), np.clip(guess, flattest + 0.1, steepest - 0.1)]
    scale = float(np.ptp(y)) or 1.0

    def flanks(middle: float, log_slope: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the curves of which the best sum is fitted, and the share of the change that has happened."""
        share = expit(np.exp(log_slope) * (x - middle))
        along = (x - middle) / (x[-1] - x[0])
        curves = [1 - share, share, along * (1 - share), along * share]
        return np.stack(curves if sloped else curves[:2], axis=1), share

    def best(parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        curves, _ = flanks(*parameters)
        weights = np.linalg.lstsq(curves, y, rcond=None)[0]  # levels and slopes of the flanks are linear
        return weights, y - curves @ weights

    found = least_squares(
        lambda parameters: best(parameters)[1] / scale, start, bounds=([x[0], flattest], [x[-1], steepest]),
        x_scale=[np.exp(-start[1]), 1.0],
    ).x  # fmt: skip
    middle, log_slope = map(float, found)
    (weights, residual), (curves, share) = best(found), flanks(middle, log_slope)
    height = weights[1] - weights[0] + (0 if not sloped else (weights[3] - weights[2]) * (x - middle) / (x[-1] - x[0]))
    steep = np.exp(log_slope) * share * (1 - share) * height
    return _Fit(middle, log_slope, residual, np.column_stack([curves, -steep, steep * (x - middle)]), float(steepest))


def _averaged(fits: list[_Fit], confidence: float) -> tuple[float, float, float]:
    """Return middle and logarithm of the slope, averaged over fits, and how far its interval reaches either way."""
    akaike = _akaike(fits)
    weight = np.exp((akaike.min() - akaike) / 2)
    weight /= weight.sum()
    logs, middles = np.array([fit.log_slope for fit in fits]), np.array([fit.middle for fit in fits])
    reaches = np.array([_reach(fit, confidence) for fit in fits])
    mean = float(weight @ logs)
    squares = reaches[weight > 0] ** 2 + (norm.ppf(0.5 + confidence / 2) * (logs - mean)[weight > 0]) ** 2
    return float(weight @ middles), mean, float(np.sqrt(weight[weight > 0] @ squares))


def _without_shape(
    steps: np.ndarray, values: np.ndarray, transition: Transition, confidence: float
) -> tuple[_Fit, float, float] | None:
    """Return a fit to a piece of the curve, its slope and how far it may be off, where no logistic curve fits."""
    narrow, wide = [_fits(*_around(steps, values, transition, widths), transition) for widths in _NARROW]
    if not narrow or len(narrow) != len(wide):
        return None
    k = 1 if len(narrow) > 1 and _is_sloped(*_around(steps, values, transition, _AROUND), transition) else 0
    others = [wide[k]] if k else [wide[0], *narrow[1:]]  # slopes that are not there may still be what fits best
    off = 2 * max(abs(fit.log_slope - narrow[k].log_slope) for fit in others)
    rough = np.diff(narrow[k].residual, 2)
    variance = float(rough @ rough) / len(rough) / (2 * (1 - _STRONG) * (3 - _STRONG))
    remembered = _STRONG ** np.arange(len(narrow[k].residual))
    inverse = np.linalg.pinv(narrow[k].gradient)
    covariance = variance * inverse @ matmul_toeplitz((remembered, remembered), inverse.T)
    return (
        narrow[k],
        narrow[k].log_slope,
        float(np.hypot(off, norm.ppf(0.5 + confidence / 2) * np.sqrt(covariance[-1, -1]))),
    )


def _is_sloped(x: np.ndarray, y: np.ndarray, transition: Transition) -> bool:
    """Return whether a flank, from a width from the middle on, goes on by a share of the change in a further width."""
    width = transition.end - transition.start
    flanks = [(x[there], y[there]) for there in (x < transition.step - width, x > transition.step + width)]
    slopes = [float(np.polyfit(at - at.mean(), level, 1)[0]) for at, level in flanks if len(at) >= 4]
    height = abs(np.median(flanks[1][1]) - np.median(flanks[0][1])) if len(slopes) == 2 else np.ptp(y)
    return max(map(abs, slopes), default=0.0) * width > _GOES_ON * float(height)


def _reach(fit: _Fit, confidence: float) -> float:
    """Return Student's interval of the logarithm of the slope, for as many values as the residuals are worth."""
    freedom = max(_effective_count(fit.residual) - fit.gradient.shape[1], 1.0)
    inverse = np.linalg.pinv(fit.gradient)
    error = np.sqrt((inverse[-1] @ inverse[-1]) * (fit.residual @ fit.residual) / freedom)
    return float(student.ppf(0.5 + confidence / 2, freedom) * error)


def _akaike(fits: list[_Fit]) -> np.ndarray:
    """Return Akaike's criterion for small samples (Hurvich & Tsai 1989) of each fit to the same values.

    There are as many values as the residuals with level flanks are worth.
    """
    count = _effective_count(fits[0].residual)
    parameters = np.array([fit.gradient.shape[1] for fit in fits])
    power = np.array([max(float(fit.residual @ fit.residual), np.finfo(float).tiny) for fit in fits])
    few = 2 * parameters * (parameters + 1) / np.maximum(count - parameters - 1, 1.0)
    return count * np.log(power) + 2 * parameters + few


def _is_rough(residual: np.ndarray) -> bool:
    """Return whether residuals go up and down like noise, with whatever memory, rather than smoothly."""
    first, second = np.diff(residual), np.diff(residual, 2)
    return float(second @ second) / len(second) >= _ROUGH * float(first @ first) / len(first)


def _effective_count(residual: np.ndarray) -> float:
    """Return the effective number of independent residuals, from their lag-1 autocorrelation."""
    power = float(residual @ residual)
    correlation = float(residual[1:] @ residual[:-1]) / power if power > 0 else 0.0
    correlation = min(max(correlation, 0.0), 0.99)
    return len(residual) * (1 - correlation) / (1 + correlation)
