"""What stands where in a picture, so that a click is looked up in the table that was drawn.

Every Axes of a plot remembers the table it shows as a `Drawn`; nothing is read from tick labels.

>>> from tandv import viz
>>> from tandv.logframe import example_log
>>> ax = viz.scalar_global_heatmap(example_log(), "Activation", "rm2").axes[0]
>>> drawn(ax).at(x=7.2, y=0.1)[:3]      # the y axis counts layers from 0 at the top
('embed', 'Activation', 7)
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes


class Place(NamedTuple):
    """One tensor at one step in a picture, and the number that is drawn there (NaN if there is none)."""

    layer: str | None
    tt: str | None
    step: int | None
    value: float


class Drawn(NamedTuple):
    """The table behind one Axes.

    `x` and `y` say what the axes mean: "step", "layer" (row i is drawn at y = i), "exponent" or "value"; of a matrix
    what its columns and rows are, `steps` then being the numbers of its columns.
    `values` is [layers, steps] for a heat map of layers, [exponents, steps] for one of exponents,
    [curves, steps] for lines, and [exponents] for a histogram; missing cells are -inf in heat maps.
    """

    plot: str
    x: str
    y: str
    layers: tuple[str, ...]
    tt: tuple[str, ...]
    steps: np.ndarray
    values: np.ndarray
    names: tuple[str, ...] = ()  # of the curves, or of the rows of exponents
    pick: Callable[[float, float], tuple[int, int] | None] | None = None

    def at(self, x: float, y: float) -> Place | None:
        """Return what is drawn at data coordinates, None beside the table.

        In a heat map with more steps than pixels it is the cell that gave the pixel its colour.
        """
        layer = self.layers[0] if len(self.layers) == 1 else None
        kind = self.tt[0] if len(self.tt) == 1 else None
        if self.pick is not None:
            if (cell := self.pick(x, y)) is None:
                return None
            row, column = cell
            value = float(self.values[row, column])
            value = np.nan if value == -np.inf else value
            if self.x != "step":  # a matrix: its rows and columns have no name but their number
                told = (*self.layers, f"{self.y} {self.names[row]}", f"{self.x} {int(self.steps[column])}")
                return Place(" · ".join(part for part in told if part), kind, None, value)
            return Place(self.layers[row] if self.y == "layer" else layer, kind, int(self.steps[column]), value)
        if self.x == "step" and len(self.steps):
            return Place(layer, kind, self.nearest(x), np.nan)
        return Place(layer, kind, int(self.steps[0]) if len(self.steps) == 1 else None, np.nan)

    def nearest(self, x: float) -> int:
        """Return the step of the table that is nearest to x."""
        return int(self.steps[np.abs(self.steps - x).argmin()])

    def read(self, x: float) -> dict[str, float]:
        """Return the value of every curve at the step nearest to x."""
        column = np.abs(self.steps - x).argmin()
        return {name: float(value) for name, value in zip(self.names, self.values[..., column], strict=True)}


def remember(ax: Axes, table: Drawn) -> None:
    """Attach to Axes the table that they show."""
    ax._tandv_drawn = table  # type: ignore[attr-defined]


def drawn(ax: Any) -> Drawn | None:
    """Return the table that Axes show, None for Axes that tandv has not drawn (or for no Axes at all)."""
    return getattr(ax, "_tandv_drawn", None)


def table(ax: Axes) -> Drawn:
    """Return the table of Axes that tandv has drawn."""
    found = drawn(ax)
    assert found is not None, "these Axes show no table"
    return found
