"""The scale on which the noise of a curve is even, so that one threshold serves all of it.

A loss over decades and a gradient norm have noise in proportion to their value: logarithms make it even. A share of m
examples has the standard deviation √(p (1 − p) / m): its arcsine has 1 / (2 √m) everywhere (Anscombe 1948). A decay
that slows down has no transition on any of these scales: logarithms keep it straight or slowing down, as arcsines keep
a share that approaches 1.
"""

from typing import Literal, NamedTuple

import numpy as np
from scipy.ndimage import median_filter

from tandv.analysis.transitions.pace import FLOOR, rounding
from tandv.curves.outcomes import in_percent

Values = Literal["auto", "linear", "log", "share"]

_SHAPE = 1e-7  # of the range of a curve: less is no shape that it has
_FEWEST = 40  # values, below which the scale is the linear one
_PARTS = 13  # of the smallest difference that is seen: how fine a lattice may be
_CLEAR = 2.0  # times as even as on the linear scale
_NOISY = 0.9  # third over second differences: 1.8 for white noise, far less where a curve is smooth


class Scaled(NamedTuple):
    """A curve on a scale, and the standard deviation of its rounding there, one for each value."""

    scale: str
    values: np.ndarray
    floor: np.ndarray


def scaled(values: np.ndarray, scale: Values = "auto", name: str = "value") -> Scaled:
    """Return a curve on a scale: "linear", "log", "share" (the arcsine of its root), or the one its noise asks for.

    >>> noise = np.random.default_rng(0).standard_normal(500)
    >>> scaled(np.exp(-np.arange(500) / 100 + 0.1 * noise)).scale
    'log'
    >>> scaled(np.exp(-np.arange(500) / 100) + 0.1 * noise).scale
    'linear'

    Args:
        values: the curve.
        scale: of these.
        name: of the curve, for the error.

    Raises ValueError if its values do not fit the scale that was asked for.
    """
    if scale == "log" and not values.min() > 0:
        raise ValueError(f"values='log' is for positive values; {name} has {values.min():.4g}; choose values='linear'")
    if scale == "share" and not (values.min() >= 0 and values.max() <= _whole(values) * (1 + FLOOR)):
        raise ValueError(
            f"values='share' is for values from 0 to 1, or to 100 %; {name} has {values.min():.4g} to "
            f"{values.max():.4g}; choose values='linear'"
        )
    if scale != "auto":
        return _ON[scale](values)
    options = [_ON["linear"](values)]
    if values.min() > 0 and values.max() > 1.2 * values.min():
        options.append(_ON["log"](values))
    if _is_share(values):
        options.append(_ON["share"](values))
    if len(values) < _FEWEST:
        return options[-1] if options[-1].scale == "share" else options[0]
    return options[0] if len(options) == 1 else _most_even(options)


def _linear(values: np.ndarray) -> Scaled:
    floor = np.maximum(rounding(values) * np.abs(values), _SHAPE * np.ptp(values))
    return Scaled("linear", values, np.maximum(floor, 0.3 * _quantum(values)))


def _log(values: np.ndarray) -> Scaled:
    logs = np.log(values)
    return Scaled("log", logs, np.full(len(values), max(rounding(values), _SHAPE * np.ptp(logs))))


def _share(values: np.ndarray) -> Scaled:
    top = _whole(values)
    floor = max(FLOOR, 0.4 * np.sqrt(_quantum(values) / top))
    return Scaled("share", np.arcsin(np.sqrt(np.minimum(values / top, 1.0))), np.full(len(values), floor))


def _whole(values: np.ndarray) -> float:
    """Return what all of the examples are: 1, or 100 of shares in percent."""
    return 100.0 if in_percent(float(values.max())) else 1.0


_ON = {"linear": _linear, "log": _log, "share": _share}


def _quantum(values: np.ndarray) -> float:
    """Return the smallest difference of values that were rounded to a few digits or are shares; 0 of others."""
    ordered = np.sort(values)
    if (ordered[1:] > ordered[:-1]).all():  # no value comes twice
        return 0.0
    different = np.unique(ordered)
    if len(different) < 8:
        return 0.0
    least = float(np.diff(different).min())
    if least > 0.05 * float(different[-1] - different[0]):
        return 0.0
    for parts in range(1, _PARTS):  # few of the multiples may have come
        multiples = (different - different[0]) * (parts / least)
        if np.abs(multiples - np.round(multiples)).max() < 0.01:
            return least / parts
    return 0.0


def _is_share(values: np.ndarray) -> bool:
    """Whether values are multiples of 1 / m from 0 to 1, or to 100: shares of m examples."""
    top, quantum = _whole(values), _quantum(values)
    if not (values.min() >= 0 and values.max() <= top * (1 + FLOOR)):
        return False
    multiples = values / quantum if quantum > 1e-5 * top else values
    return bool(quantum > 1e-5 * top and np.abs(multiples - np.round(multiples)).max() < 0.01)


def _most_even(options: list[Scaled]) -> Scaled:
    """Return the scale on which noise differs least between levels; another than the first for a clear gain only."""
    values = options[0].values
    level = median_filter(values, size=11 if len(values) > 60 else 7, mode="nearest")[1:-2]
    moving = np.flatnonzero((np.diff(values, 2)[:-1] != 0) | (np.diff(values, 3) != 0))  # not arrived at 1 for good
    if len(moving) < _FEWEST:
        return options[-1] if options[-1].scale == "share" else options[0]
    order = moving[np.argsort(level[moving], kind="stable")]
    parts = int(np.clip(len(order) // 16, 3, 16))
    spreads = [_unevenness(option, order, parts) for option in options]
    best = int(np.argmin(spreads))
    # by chance: the logarithm of a mean of so many second differences varies by this
    chance = 1.35 * parts / len(order) * 3 * np.sqrt(2 / parts)
    clear = spreads[0] > _CLEAR * spreads[best] and spreads[0] - spreads[best] > chance
    if options[best].scale == "share":  # which is what theory asks for
        return options[best]
    return options[best] if clear else options[0]


def _unevenness(option: Scaled, order: np.ndarray, parts: int) -> float:
    """Return the variance, over parts of increasing level, of the logarithm of the noise; infinite if it is unknown."""
    second, third = np.abs(np.diff(option.values, 2))[:-1], np.abs(np.diff(option.values, 3))
    size = len(order) // parts
    picked = order[: parts * size].reshape(parts, size)
    second, third = second[picked], third[picked]
    middle = np.median(second, axis=1)
    noisy = (np.median(third, axis=1) > _NOISY * middle) & (middle > 0)
    if noisy.sum() < max(3, parts // 2):
        return 0.0 if option.scale == "linear" else np.inf
    clipped = np.minimum(second, 3 * middle[:, None]).mean(axis=1)
    return float(np.log(clipped[noisy]).var())
