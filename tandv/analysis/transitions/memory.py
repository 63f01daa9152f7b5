"""Whether few values tell a change from noise that remembers: too few windows of any width are left to measure it."""

import numpy as np

from tandv.analysis.transitions.significance import log_tail

_MEMORIES = np.array([0.0, 0.15, 0.3, 0.45, 0.6, 0.7, 0.8, 0.88, 0.95])  # correlations of neighbours
_RAMPS = (1, 2, 3, 5)  # values that a ramp takes
_CURVED = 30  # values from which the trend is a parabola, else a line
_ROUNDING = 1e-9  # of the range of a curve: less is no noise
_RAISED, _EXPONENT = 7.0, 0.64  # what simulated AR(0.8) noise asks for, of 30 to 80 values
_FEWER = 2.0  # less of it for each halving of the values below so many


def log_p_of_few(values: np.ndarray, left: int, right: int) -> float:
    """Return the logarithm of the chance that a trend with autocorrelated noise makes as clear a ramp anywhere.

    The curve is fitted as a trend with AR(1) noise, without a ramp and with the best of those that lie between two
    places, each with the correlation that makes it most likely (generalised least squares; Cochrane & Orcutt 1949). A
    jump is large beside what such noise brings from one value to the next, even where it wanders as far as that.

    >>> noise = np.random.default_rng(0).standard_normal(25)
    >>> round(log_p_of_few(noise, 9, 15), 1), round(log_p_of_few(noise + 10 * (np.arange(25) > 11), 9, 15), 1)
    (-0.7, -8.2)

    Args:
        values: the curve.
        left: the last value before the change.
        right: the first after it.
    """
    n = len(values)
    trend = np.vander(np.linspace(-1, 1, n), 3 if n >= _CURVED else 2)
    freedom = n - trend.shape[1] - 2
    if freedom < 1:
        return 0.0
    ends = [(at, at + wide) for wide in {*_RAMPS, right - left} for at in range(left, right + 1 - wide)]
    first, last = np.array(ends).T
    ramps = np.clip((np.arange(n)[:, None] - first) / (last - first), 0, 1)
    rest = _orthogonal(_independent(np.column_stack([values, ramps])), _independent(trend))
    y, x = rest[:, :, :1], rest[:, :, 1:]
    squares = (y**2).sum(axis=1)
    gained = (x * y).sum(axis=1) ** 2 / np.maximum((x**2).sum(axis=1), 1e-300)
    least = n * (_ROUNDING * float(np.ptp(values))) ** 2
    constant = np.log(1 - _MEMORIES**2)[:, None]
    without, best = [
        float((n * np.log(np.maximum(misfit, least)) - constant).min()) for misfit in (squares, squares - gained)
    ]
    t = np.sqrt(max(np.expm1((without - best) / n), 0.0) * freedom)
    raised = _RAISED - _FEWER * max(float(np.log2(_CURVED / n)), 0.0)
    return min(_EXPONENT * (log_tail(float(t), freedom) + raised), 0.0) - float(np.log(2))


def _independent(columns: np.ndarray) -> np.ndarray:
    """Return columns less what AR(1) noise remembers of the value before, shape (memories, n, columns)."""
    rho = _MEMORIES[:, None, None]
    return np.concatenate([np.sqrt(1 - rho**2) * columns[:1], columns[1:] - rho * columns[:-1]], axis=1)


def _orthogonal(columns: np.ndarray, trend: np.ndarray) -> np.ndarray:
    """Return what least squares leave of columns without a trend."""
    basis = np.linalg.qr(trend)[0]
    return columns - basis @ (basis.transpose(0, 2, 1) @ columns)
