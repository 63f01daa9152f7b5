"""Tick positions and labels of logarithmic axes: powers of two, decades, and decades of shares.

>>> from matplotlib.figure import Figure
>>> ax = Figure().subplots()
>>> _ = ax.set(yscale="log", ylim=(0.5, 50))
>>> decimal_ticks(ax.yaxis)
>>> [label.get_text() for label in ax.get_yticklabels()]
['0.5', '1', '2', '5', '10', '20', '50']
"""

import math
from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from matplotlib.axis import Axis

from tandv.viz.layout.ticks import (
    DistinctText,
    Fitted,
    Text,
    multiples,
    nice,
    no_ticks,
    power,
    room,
    stride_of_powers,
    value_text,
)


def log2_ticks(axis: Axis) -> None:
    """Tick a log-scaled axis at powers of two, or at plain numbers if less than two of these are in view."""
    axis.set_major_locator(Fitted(_powers_of_two))
    axis.set_major_formatter(DistinctText(_power_text))
    axis.set_minor_locator(Fitted(no_ticks))


def _powers_of_two(low: float, high: float, axis: Axis) -> Iterable[float]:
    if low <= 0:
        return []
    a, b = math.log2(low), math.log2(high)
    if b - a < 2:
        return multiples(low, high, nice(high - low, min(room(axis, 6), 6)))
    return np.exp2(multiples(a, b, stride_of_powers(b - a, min(room(axis, 4), 10))))


def _power_text(x: float, digits: int = 3) -> str:
    """Return a power of two as such and any other number in few digits."""
    if x == 0:
        return "0"
    mantissa, exponent = math.frexp(abs(x))
    sign = "−" if x < 0 else ""
    return sign + power(exponent - 1) if mantissa == 0.5 else value_text(abs(x), digits)


def decimal_ticks(axis: Axis) -> None:
    """Tick a log-scaled axis at powers of ten, between them at 2 and 5 times these, or at 1 to 9 times if few fit."""
    axis.set_major_locator(Fitted(_decades))
    axis.set_major_formatter(DistinctText(value_text))
    axis.set_minor_locator(Fitted(no_ticks))


def _decades(low: float, high: float, axis: Axis) -> Iterable[float]:
    if low <= 0:
        return []
    count = max(room(axis, 5), 2)
    a, b = math.log10(low), math.log10(high)
    for parts in ((1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 5), (1, 3), (1,)):
        decades = range(math.floor(a), math.ceil(b) + 1)
        ticks = [m * 10.0**k for k in decades for m in parts if low <= m * 10.0**k * (1 + 1e-9) and m * 10.0**k <= high]
        # 8 and 9 stand closest to each other: labels must fit there, too
        closest = min((math.log10(y / x) for x, y in pairwise(ticks)), default=b - a)
        if 2 <= len(ticks) <= count + 1 and closest >= 0.9 * (b - a) / max(room(axis, 5), 1):
            return ticks
    if b - a < 1:
        return multiples(low, high, nice(high - low, min(count, 6)))
    stride = max(math.ceil((b - a) / count - 1e-9), 1)
    return 10.0 ** np.arange(math.ceil(a - 1e-9), math.floor(b + 1e-9) + 1, stride)


def decade_ticks(axis: Axis) -> None:
    """Tick a log-scaled axis of shares at powers of ten, as percentages."""
    axis.set_major_locator(Fitted(_decades_of_shares))
    axis.set_minor_locator(Fitted(no_ticks))
    axis.set_major_formatter(Text(_decade_text))


def _decades_of_shares(low: float, high: float, axis: Axis) -> Iterable[float]:
    a, b = math.log10(max(low, 1e-300)), math.log10(max(high, 1e-300))
    stride = math.ceil((b - a) / max(room(axis, 5), 1) - 1e-9)
    return 10.0 ** np.arange(math.floor(b + 1e-9), math.ceil(a - 1e-9) - 1, -max(stride, 1))


def _decade_text(share: float) -> str:
    return f"{100 * share:.6g}%" if share > 1e-6 else power(round(math.log10(share)), 10)
