"""Map a statistic to colours: log2 by default, with separate colours for NaN, zero, infinity and missing cells.

>>> scale = colour_scale(np.array([[0.5, 8.0]]), "log2")
>>> scale.low, scale.high, [text for _, text in scale.ticks(3)]
(-1.0, 3.0, ['2⁰', '2²'])
"""

import math
from typing import Any, Literal, NamedTuple

import matplotlib
import numpy as np
from matplotlib.colors import to_rgba

from tandv.viz.layout.heat import MISSING
from tandv.viz.layout.style import Style
from tandv.viz.layout.ticks import multiples, percent_text, power, value_text

BEND = 0.82  # the share of the colour map below the knee

Colour = Literal["log2", "linear", "change"]


class Scale(NamedTuple):
    """How values map to positions on a colour map; low and high are in the unit of `kind`.

    kinds: "log2" (of a positive value), "linear", "signed" (log2 of the magnitude on both sides of zero, from `floor`
    on) and "change" (log2 of a ratio). Above the `knee` colours change more slowly: the few values there keep their
    order, and all others their contrast.
    """

    kind: Literal["log2", "linear", "signed", "change"]
    low: float
    high: float
    floor: float = 0.0
    knee: float = math.inf
    shares: bool = False  # written as per cent

    @property
    def diverging(self) -> bool:
        return self.kind in ("signed", "change")

    def position(self, values: np.ndarray) -> np.ndarray:
        """Return the positions of values between low (0) and high (1), not clipped."""
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.kind in ("log2", "change"):
                values = np.log2(values)
            elif self.kind == "signed":
                values = np.sign(values) * np.maximum(np.log2(np.abs(values)) - self.floor, 0)
            return self._bend(values)

    def _bend(self, values: Any) -> Any:
        if self.knee >= self.high:
            return (values - self.low) / (self.high - self.low)
        if self.diverging:
            sizes = np.abs(values)
            below, above = sizes / self.knee, (sizes - self.knee) / (self.high - self.knee)
            return 0.5 + 0.5 * np.sign(values) * np.where(sizes <= self.knee, BEND * below, BEND + (1 - BEND) * above)
        below = BEND * (values - self.low) / (self.knee - self.low)
        above = BEND + (1 - BEND) * (values - self.knee) / (self.high - self.knee)
        return np.where(values <= self.knee, below, above)

    def ticks(self, most: int = 5) -> list[tuple[float, str]]:
        """Return positions (0 to 1) and texts of at most about `most` ticks."""
        span = self.high - self.low
        if self.kind == "linear":
            at = np.linspace(self.low, self.high, min(most, 3))
            return [((v - self.low) / span, (percent_text if self.shares else value_text)(v)) for v in at]
        if self.kind == "signed":
            ends = [self.knee, self.high] if self.knee < self.high and most > 4 else [self.high]
            names = [(float(v), power(v + round(self.floor))) for v in map(math.floor, ends)]
            both = [(-v, "−" + t) for v, t in reversed(names)] + [(0.0, "0")] + names
            return [(float(self._bend(np.float64(v))), t) for v, t in both]
        strides = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 32, 64, 128, 256, 512)
        stride = next(s for s in strides if len(multiples(self.low, self.high, s)) <= max(most, 2))
        times = "×" if self.kind == "change" else ""
        at = list(multiples(self.low, self.high, stride))
        if self.knee < self.high and self.diverging:
            stride = next(s for s in strides if len(multiples(-self.knee, self.knee, s)) <= max(most - 2, 1))
            ends = float(math.floor(self.high))
            at = [-ends, *multiples(-self.knee, self.knee, stride), ends]
        elif self.knee < self.high:
            stride = next(s for s in strides if len(multiples(self.low, self.knee, s)) <= max(most - 1, 1))
            at = [*multiples(self.low, self.knee, stride), float(math.floor(self.high))]
        if len(at) < 2 or at[-1] == at[0]:
            return [(0.0, times + value_text(2.0**self.low, 2)), (1.0, times + value_text(2.0**self.high, 2))]
        return [(float(self._bend(np.float64(v))), times + power(round(v))) for v in at]


def colour_scale(values: np.ndarray, colour: Colour = "log2") -> Scale:
    """Return a scale that suits finite `values`; signed values get a diverging one on both sides of zero.

    The lowest half percent of a logarithmic scale may be clipped, so that one tiny value does not reduce the
    contrast of all others; the highest value never is.
    """
    finite = values[np.isfinite(values)]
    if colour == "linear":
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        return Scale("linear", low, high if high > low else low + (abs(low) or 1.0))
    sizes = np.log2(np.abs(finite[finite != 0]).astype(np.float64))
    if not sizes.size:
        return Scale("log2", 0.0, 1.0)
    high, low = float(sizes.max()), float(np.quantile(sizes, 0.005, method="lower"))
    if colour == "change":
        reach = max(float(np.abs(sizes).max()), 0.5)
        knee = max(float(np.quantile(np.abs(sizes), 0.99)), 0.25)
        return Scale("change", -reach, reach, knee=knee if reach > 1.6 * knee else math.inf)
    if (finite < 0).any():
        floor = float(math.floor(max(float(np.quantile(sizes, 0.05)), high - 24)))
        reach, knee = max(high - floor, 1.0), max(float(np.quantile(sizes, 0.99)) - floor, 0.5)
        return Scale("signed", -reach, reach, floor, knee if reach > 1.6 * knee else math.inf)
    if high - low < 1:
        low, high = (high + low) / 2 - 0.5, (high + low) / 2 + 0.5
    # Where a few values are far above all others, the others would have nearly one colour: bend the scale.
    knee = float(np.quantile(sizes, 0.99))
    knee = max(knee, low + 0.5)
    return Scale("log2", low, high, knee=knee if high - knee > 0.6 * (knee - low) else math.inf)


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
