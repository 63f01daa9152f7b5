"""The table behind each plot, so that a click is looked up in the data that was drawn.

Every Axes of a plot has the table that it shows as a `Drawn`; nothing is read from tick labels.

>>> from tandv import viz
>>> from tandv.log.logframe import example_log
>>> ax = viz.scalar_global_heatmap(example_log(), "Activation", "rm2").axes[0]
>>> drawn(ax).at(x=7.2, y=0.1)[:3]      # the y axis counts layers from 0 at the top
('embed', 'Activation', 7)
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes


class Place(NamedTuple):
    """One tensor at one step in a plot, and its value.

    >>> Place("embed", "Activation", 7, 1.5).step
    7

    Args:
        layer: the name of the layer, None if it is not known.
        tt: the tensor type, None if it is not known.
        step: the step, None if it is not known.
        value: the value that is drawn there, NaN if there is none.
    """

    layer: str | None
    tt: str | None
    step: int | None
    value: float


class Drawn(NamedTuple):
    """The table behind one Axes.

    >>> table = Drawn("curves", "step", "value", (), (), np.array([0, 10]), np.array([[2.0, 1.0]]), ("loss",))
    >>> table.read(x=9)
    {'loss': 1.0}

    Args:
        plot: the name of the plot.
        x: what the x axis is: "step", "layer", "exponent" or "value"; of a matrix, what its columns are.
        y: the same of the y axis; row i of a table of layers is drawn at y = i.
        layers: the layers that are shown.
        tt: their tensor types.
        steps: the steps, [steps]; of a matrix, the numbers of its columns.
        values: [layers, steps] for a heat map of layers, [exponents, steps] for one of exponents, [curves, steps] for
            lines, and [exponents] for a histogram; missing cells are -inf in heat maps.
        names: of the curves, or of the rows of exponents.
        pick: returns row and column of the cell at data coordinates; None for plots without cells.
    """

    plot: str
    x: str
    y: str
    layers: tuple[str, ...]
    tt: tuple[str, ...]
    steps: np.ndarray
    values: np.ndarray
    names: tuple[str, ...] = ()
    pick: Callable[[float, float], tuple[int, int] | None] | None = None

    def at(self, x: float, y: float) -> Place | None:
        """Return what is drawn at data coordinates `x` and `y`, None outside the table.

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
            if self.x != "step":  # a matrix: its rows and columns are numbered
                parts = (*self.layers, f"{self.y} {self.names[row]}", f"{self.x} {int(self.steps[column])}")
                return Place(" · ".join(part for part in parts if part), kind, None, value)
            return Place(self.layers[row] if self.y == "layer" else layer, kind, int(self.steps[column]), value)
        if self.x == "step" and len(self.steps):
            return Place(layer, kind, self.nearest(x), np.nan)
        return Place(layer, kind, int(self.steps[0]) if len(self.steps) == 1 else None, np.nan)

    def nearest(self, x: float) -> int:
        """Return the step of the table that is nearest to `x`."""
        return int(self.steps[np.abs(self.steps - x).argmin()])

    def read(self, x: float) -> dict[str, float]:
        """Return the value of every curve at the step nearest to `x`."""
        column = np.abs(self.steps - x).argmin()
        return {name: float(value) for name, value in zip(self.names, self.values[..., column], strict=True)}


def remember(ax: Axes, table: Drawn) -> None:
    """Attach to Axes the table that they show."""
    ax._tandv_drawn = table  # type: ignore[attr-defined]


def drawn(ax: Any) -> Drawn | None:
    """Return the table that Axes show, None for Axes that tandv has not drawn.

    >>> from tandv import viz
    >>> fig = viz.metric_curves({"loss": [2.0, 1.0]})
    >>> drawn(fig.axes[0]).names
    ('loss',)

    Args:
        ax: Axes, or None.
    """
    return getattr(ax, "_tandv_drawn", None)


def table(ax: Axes) -> Drawn:
    """Return the table of Axes that tandv has drawn."""
    found = drawn(ax)
    assert found is not None, "these Axes show no table"
    return found
