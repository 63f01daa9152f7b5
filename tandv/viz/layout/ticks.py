"""Tick positions and labels that suit the available space, also after zooming and resizing.

What locators and formatters call are functions of this file, so that a figure can be pickled.

>>> power(-9), step_text(12000), value_text(0.000123)
('2⁻⁹', '12,000', '1.23e-4')
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import Formatter, Locator

from tandv.viz.layout.written import escaped, readable

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
CHARACTER = 0.62  # mean width of a character, in font sizes


def power(n: int, base: int | str = 2) -> str:
    """Return `base` to the power n in plain text, which is measured and drawn far faster than mathtext."""
    return f"{base}{str(n).translate(_RAISED)}"


def step_text(step: float) -> str:
    """Return a step with thousands separators."""
    return f"{round(step):,}" if float(step).is_integer() or abs(step) >= 1000 else f"{step:.3g}"


def value_text(value: float, digits: int = 3) -> str:
    """Return a number in at most `digits` significant digits."""
    if not math.isfinite(value):
        return str(value)
    if value == 0 or 1e-3 <= abs(value) < 10 ** max(digits, 5):
        text = f"{value:,.{digits}g}"
        return f"{value:,.0f}" if "e" in text else text
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}e{int(exponent)}"


def limit_text(value: float) -> str:
    """Return the limit of a number format: a power of two as such, small numbers plainly, others as 1.75·2ⁿ.

    >>> limit_text(448.0), limit_text(2.0**-14), limit_text(3.3895313892515355e38)
    ('448', '2⁻¹⁴', '2¹²⁸')
    """
    mantissa, exponent = math.frexp(value)
    if mantissa == 0.5:
        return power(exponent - 1) if exponent not in (1, 2, 3, 4) else f"{value:g}"
    if value < 1e5:
        return f"{value:,.0f}" if value == round(value) else f"{value:g}"
    return power(exponent) if mantissa > 0.99 else f"{2 * mantissa:g}·{power(exponent - 1)}"


def length_in_points(axis: Axis) -> float:
    """Return how long an axis is now, in points."""
    box, figure = axis.axes.bbox, axis.axes.figure
    pixels = box.width if _name(axis) == "x" else box.height
    return pixels * 72 / figure.dpi


def _name(axis: Axis) -> str:
    return axis.axis_name  # type: ignore[attr-defined]


def room(axis: Axis, characters: int) -> int:
    """Return how many labels of so many characters fit on an axis, with space between them."""
    return min(max(int(length_in_points(axis) / _each(axis, characters)), 1), 9)


def _each(axis: Axis, characters: int) -> float:
    """Return how many points a label of so many characters takes along an axis, with the space to the next."""
    size = axis.get_tick_params().get("labelsize", 8.0)
    size = size if isinstance(size, int | float) else 8.0
    return size * (CHARACTER * characters + 1.6) if _name(axis) == "x" else size * 2.2


class Fitted(Locator):
    """A locator whose ticks depend on the view limits and on how many labels fit: choose(low, high, axis)."""

    def __init__(self, choose: Callable[[float, float, Axis], Iterable[float]]):
        self.choose = choose

    def __call__(self) -> Sequence[float]:
        low, high = sorted(self.axis.get_view_interval())  # type: ignore[union-attr]
        return self.tick_values(low, high)

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        return np.asarray(list(self.choose(vmin, vmax, self.axis)), float).tolist()  # type: ignore[arg-type]


class Text(Formatter):
    """A formatter that gives a tick's value to a function of this file."""

    def __init__(self, text: Callable[[float], str]):
        self.text = text

    def __call__(self, x: float, pos: int | None = None) -> str:
        return self.text(x)


class DistinctText(Text):
    """A formatter of plain numbers, text(value, digits=3): with as many digits as tell the ticks of an axis apart."""

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        return distinct(values, self.text)


def distinct(values: Sequence[float], text: Callable[..., str]) -> list[str]:
    """Return numbers as text, with more digits where three would make several of them look the same.

    >>> distinct([1.5102, 1.5104], value_text)
    ['1.5102', '1.5104']
    """
    words = [text(value) for value in values]
    for digits in range(4, 13):
        if len(set(words)) == len(set(values)):
            break
        words = [text(value, digits) for value in values]
    return words


def no_ticks(low: float, high: float, axis: Axis) -> list[float]:
    """Return no ticks, for `Fitted`."""
    return []


def nice(span: float, count: int, whole: bool = False) -> float:
    """Return the smallest of 1, 2, 5 times a power of ten that makes at most `count` steps of `span`."""
    least = span / max(count, 1)
    if whole:
        least = max(least, 1)
    if least <= 0:
        return 1.0
    ten = 10.0 ** math.floor(math.log10(least))
    return next(ten * m for m in (1, 2, 5, 10, 20) if ten * m >= least * (1 - 1e-9))


def multiples(low: float, high: float, stride: float) -> np.ndarray:
    """Return the multiples of `stride` from low to high, both included."""
    slack = 1e-9 * max(abs(low), abs(high), stride)
    return np.arange(math.ceil((low - slack) / stride), math.floor((high + slack) / stride) + 1) * stride + 0.0  # no -0


def step_ticks(axis: Axis) -> None:
    """Tick an axis of training steps: whole numbers with thousands separators."""
    axis.set_major_locator(Fitted(_steps))
    axis.set_major_formatter(Text(step_text))


def _steps(low: float, high: float, axis: Axis) -> Iterable[float]:
    return multiples(low, high, nice(high - low, room(axis, len(step_text(high))), whole=True))


def show_steps(ax: Axes, low: float, high: float) -> None:
    """Show the steps from low to high on the x axis, and those of the panels that share it, which may have others."""
    if not ax.get_autoscalex_on():  # it was set for another panel
        before = ax.get_xlim()
        low, high = min(low, *before), max(high, *before)
    ax.set_xlim(low, high)


def stride_of_powers(span: float, count: int) -> int:
    """Return the smallest power of two as the distance of at most `count` labels over `span` exponents."""
    return max(1, 2 ** math.ceil(math.log2(max(span / max(count, 1), 1))))


def exponent_ticks(
    axis: Axis, low: float = -math.inf, high: float = math.inf, named: Mapping[float, str] | None = None
) -> None:
    """Tick an axis of exponents with powers of two between low and high, and some positions with names."""
    names = dict(named or {})
    axis.set_major_locator(Fitted(partial(_exponents, lowest=low, highest=high, names=names)))
    axis.set_major_formatter(Text(partial(_exponent_text, names=names)))


def _exponents(
    low: float, high: float, axis: Axis, *, lowest: float, highest: float, names: Mapping[float, str]
) -> Iterable[float]:
    low, high = max(low, lowest), min(high, highest)
    if high < low:
        return list(names)
    span = abs(np.subtract(*axis.get_view_interval()))
    apart = 0.7 * _each(axis, 4) * span / max(length_in_points(axis), 1)
    ticks = multiples(low, high, stride_of_powers(high - low, room(axis, 4)))
    named: list[float] = []
    for at in names:
        if all(abs(at - other) >= 0.75 * apart for other in named):  # lanes have no number that could be misread
            named.append(at)
    return [*(at for at in ticks if all(abs(at - other) >= apart for other in named)), *named]


def _exponent_text(at: float, *, names: Mapping[float, str]) -> str:
    return names.get(at) or power(round(at))


def linear_ticks(axis: Axis, text: Callable[..., str] = value_text, most: int = 6) -> None:
    """Tick an axis of plain numbers; text(value, digits) are its labels."""
    axis.set_major_locator(Fitted(partial(_plain_numbers, most=most)))
    axis.set_major_formatter(DistinctText(text))


def _plain_numbers(low: float, high: float, axis: Axis, *, most: int) -> Iterable[float]:
    ticks = multiples(low, high, nice(high - low, min(room(axis, 6), most)))
    longest = max(map(len, distinct(ticks.tolist(), value_text)), default=0)
    return ticks if longest <= 6 else multiples(low, high, nice(high - low, min(room(axis, longest), most)))


def percent_text(share: float, digits: int = 3) -> str:
    """Return a share as a percentage.

    >>> percent_text(0.125), percent_text(0.00001), percent_text(0)
    ('12.5%', '0.001%', '0')
    """
    return "0" if share == 0 else f"{value_text(100 * share, digits)}%"


def word_ticks(axis: Axis, words: Sequence[str] | None, count: int) -> None:
    """Tick the whole numbers below `count`, with `words` as labels if given, as many as there is room for."""
    labels = [readable(str(word)) for word in words] if words is not None else [f"{i:,}" for i in range(count)]
    size = float(axis.get_tick_params().get("labelsize", 9.0))
    longest = max(map(len, labels), default=1)
    each, flat = 1.35 * size, size * (CHARACTER * longest + 0.9)  # the height and the width of a label
    if _name(axis) == "x":
        if words is not None and longest > 1 and flat * count > length_in_points(axis):
            axis.set_tick_params(labelrotation=90)  # vertical labels take only their height
        else:
            each = flat
    axis.set_major_locator(Fitted(partial(_whole_numbers, count=count, each=each, rounded=words is None)))
    axis.set_major_formatter(Text(partial(_word, list(map(escaped, labels)))))


def _whole_numbers(low: float, high: float, axis: Axis, *, count: int, each: float, rounded: bool) -> Iterable[float]:
    low, high = max(math.ceil(low), 0), min(math.floor(high), count - 1)
    stride = each * (high - low + 1) / max(length_in_points(axis), 1.0)
    stride = nice(stride, 1, whole=True) if rounded else math.ceil(max(stride, 1))
    return np.arange(low + -low % int(stride), high + 1, int(stride))


def _word(labels: Sequence[str], at: float) -> str:
    return labels[round(at)] if 0 <= round(at) < len(labels) else ""


def share_text(share: float) -> str:
    """Return a share as a percentage of three digits, of which less than 0.001% and not quite all can be told.

    >>> share_text(0.125), share_text(1e-7), share_text(0.9999), share_text(1)
    ('12.5%', '<0.001%', '>99.9%', '100%')
    """
    if 0 < share < 1e-5:
        return "<0.001%"
    return ">99.9%" if 0.9995 <= share < 1 else percent_text(share)
