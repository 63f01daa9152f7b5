"""Map a statistic to colours: log2 by default, with separate colours for NaN, zero, infinity and missing cells.

>>> scale = colour_scale(np.array([[0.5, 8.0]]), "log2")
>>> scale.low, scale.high, [text for _, text in scale.ticks(5)]
(-1.0, 3.0, ['2⁻¹', '2⁰', '2¹', '2²', '2³'])
"""

import math
from typing import Literal, NamedTuple

import matplotlib
import numpy as np
from matplotlib.colors import to_rgba

from tandv.viz.layout.heat import MISSING
from tandv.viz.layout.style import Style
from tandv.viz.layout.ticks import multiples, percent_text, power, value_text

FAR = 3.0  # times the distance between the quartiles: what lies further beyond them may be clipped
MOST = 0.1  # the share of values that may be clipped at each end
STRIDES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 32, 64, 128, 256, 512)  # exponents between two numbers of a key

Colour = Literal["log2", "linear", "change"]


class Scale(NamedTuple):
    """How values map to positions on a colour map; low and high are in the unit of `kind`.

    kinds: "log2" (of a positive value), "linear", "signed" (log2 of the magnitude on both sides of zero, from `floor`
    on) and "change" (log2 of a ratio). `below` and `above` tell whether there are values beyond the ends; they have the
    colour of the end.
    """

    kind: Literal["log2", "linear", "signed", "change"]
    low: float
    high: float
    floor: float = 0.0
    shares: bool = False  # written as per cent
    below: bool = False
    above: bool = False

    @property
    def diverging(self) -> bool:
        return self.kind in ("signed", "change")

    def position(self, values: np.ndarray) -> np.ndarray:
        """Return the positions of values from low (0) to high (1)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.kind in ("log2", "change"):
                values = np.log2(values)
            elif self.kind == "signed":
                values = np.sign(values) * np.maximum(np.log2(np.abs(values)) - self.floor, 0)
            return np.clip((values - self.low) / (self.high - self.low), 0, 1)

    def ticks(self, most: int = 5) -> list[tuple[float, str]]:
        """Return positions (0 to 1) and texts of at most about `most` ticks: both ends, and what fits between them."""
        span = self.high - self.low
        ends = [("<" * self.below) + self._text(self.low), (">" * self.above) + self._text(self.high)]
        if self.kind == "linear":
            inner = [(self.low + self.high) / 2] if most > 2 else []
        elif self.kind == "signed":
            inner = [0.0] if most > 2 else []
        else:
            strides = [s for s in STRIDES if len(multiples(self.low, self.high, s)) <= most] if most > 2 else []
            inner = [float(v) for v in multiples(self.low, self.high, strides[0])] if strides else []
        apart = 0.7 / max(most - 1, 1)
        between = [(v - self.low) / span for v in inner]
        shown = [(at, self._text(v)) for at, v in zip(between, inner, strict=True) if apart < at < 1 - apart]
        return [(0.0, ends[0]), *shown, (1.0, ends[1])]

    def _text(self, value: float) -> str:
        """Return a value in the unit of `kind` as the number that it stands for."""
        if self.kind == "linear":
            return (percent_text if self.shares else value_text)(value)
        if self.kind == "signed":
            return "0" if value == 0 else ("−" if value < 0 else "") + _power(abs(value) + self.floor)
        return ("×" if self.kind == "change" else "") + _power(value)


def _power(exponent: float) -> str:
    """Return 2 to the power of a number: as a power if it is whole, else plainly."""
    return power(round(exponent)) if abs(exponent - round(exponent)) < 1e-9 else value_text(2.0**exponent, 2)


def colour_scale(values: np.ndarray, colour: Colour = "log2") -> Scale:
    """Return a scale that suits finite `values`; signed values get a diverging one on both sides of zero.

    An end is clipped to a quantile where few values lie far beyond all others, so that one hot layer leaves the others
    their contrast: at most a tenth of the values, or one row of a table.
    """
    finite = values[np.isfinite(values)]
    share = max(MOST, 1.001 / len(values)) if values.ndim == 2 and len(values) > 4 else MOST
    if colour == "linear":
        if not finite.size:
            return Scale("linear", 0.0, 1.0)
        low, high = _ends(finite, share, least=0.0)
        ends = (low, high) if high > low else (low, low + (abs(low) or 1.0))
        return Scale("linear", *ends, below=bool(finite.min() < low), above=bool(finite.max() > high))
    sizes = np.log2(np.abs(finite[finite != 0]).astype(np.float64))
    if not sizes.size:
        return Scale("log2", 0.0, 1.0)
    if colour == "change":
        low, high = _ends(sizes, share)
        reach = max(-low, high, 0.5)
        reach = math.ceil(reach) if reach > 2 else reach
        return Scale("change", -reach, reach, below=bool(sizes.min() < -reach), above=bool(sizes.max() > reach))
    low, high = _ends(sizes, share)
    if (finite < 0).any():
        floor = float(math.floor(max(float(np.quantile(sizes, 0.05)), high - 24)))
        reach = float(max(math.ceil(high - floor), 1))
        top = floor + reach
        negative, positive = (np.log2(np.abs(part).max(initial=0) or 1e-300) for part in (finite[finite < 0], finite))
        return Scale("signed", -reach, reach, floor, below=bool(negative > top), above=bool(positive > top))
    if high - low < 1:
        low, high = (high + low) / 2 - 0.5, (high + low) / 2 + 0.5
    elif high - low > 3:
        low, high = float(math.floor(low)), float(math.ceil(high))
    return Scale("log2", low, high, below=bool(sizes.min() < low), above=bool(sizes.max() > high))


def _ends(values: np.ndarray, share: float, least: float = 0.5) -> tuple[float, float]:
    """Return the ends of a scale: the extremes, or quantiles where that shows the other values much better.

    `share` is how many values may lie beyond each end; `least` is the smallest distance of the quartiles that counts.
    """
    low, high = float(values.min()), float(values.max())
    first, third = (float(v) for v in np.quantile(values, (0.25, 0.75)))
    far = FAR * max(third - first, least)
    if not far:
        return low, high
    near = values[(values >= first - far) & (values <= third + far)]
    few_below, few_above = ((beyond <= share * values.size) for beyond in (
        (values < first - far).sum(), (values > third + far).sum(),
    ))  # fmt: skip
    inner_low = float(near.min()) if few_below else low
    inner_high = float(near.max()) if few_above else high
    inside = max(inner_high - inner_low, 2 * least)
    if inner_low - low < 0.3 * inside:
        inner_low = low
    if high - inner_high < 0.3 * inside:
        inner_high = high
    return inner_low, inner_high


def paint(values: np.ndarray, scale: Scale, style: Style) -> np.ndarray:
    """Return the RGBA bytes of a table of values; a missing cell is transparent."""
    table = lookup(style.diverging if scale.diverging else style.colours)
    with np.errstate(invalid="ignore"):
        at = np.nan_to_num(scale.position(values), nan=0.0, posinf=1.0, neginf=0.0)
    rgba = table[np.clip(at * len(table), 0, len(table) - 1).astype(np.intp)]
    if scale.kind != "linear":
        rgba[values == 0] = _bytes(style.zero)
    rgba[np.isnan(values)] = _bytes(style.nan)
    rgba[values == np.inf] = _bytes(style.inf)
    rgba[values == MISSING] = 0
    return rgba


def specials(values: np.ndarray, scale: Scale, style: Style) -> list[tuple[str, str]]:
    """Return name and colour of the special cells that occur ("" for missing cells)."""
    zero = scale.kind != "linear" and bool((values == 0).any())
    present = {
        ("zero", style.zero): zero,
        ("NaN", style.nan): bool(np.isnan(values).any()),
        ("infinite", style.inf): bool((values == np.inf).any()),
        ("not logged", ""): bool((values == MISSING).any()),
    }
    return [pair for pair, found in present.items() if found]


def lookup(name: str) -> np.ndarray:
    """Return a colour map as a table of 256 RGBA bytes."""
    return matplotlib.colormaps[name](np.linspace(0, 1, 256), bytes=True)


def _bytes(colour: str) -> np.ndarray:
    return (np.array(to_rgba(colour)) * 255).round().astype(np.uint8)
