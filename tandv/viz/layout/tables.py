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

from tandv.viz.layout.ticks import share_text


class Place(NamedTuple):
    """One tensor at one step in a plot, and its value.

    >>> Place("embed", "Activation", 7, 1.5).step
    7

    Args:
        layer: the name of the layer, None if it is not known.
        tt: the tensor type, None if it is not known.
        step: the step, None if it is not known.
        value: the value that is drawn there, NaN if there is none.
        nans: the share of the tensor's values that are NaN, 0 to 1.
        infs: the share of its values that are infinite.
        logged: whether the log has this tensor at this step.
    """

    layer: str | None
    tt: str | None
    step: int | None
    value: float
    nans: float = 0.0
    infs: float = 0.0
    logged: bool = True


def not_finite_text(nans: float, infs: float) -> str:
    """Return how much of a tensor is NaN and how much infinite, "" for nothing.

    >>> not_finite_text(0.125, 1e-6)
    '12.5% NaN, <0.001% infinite'

    Args:
        nans: the share of its values that are NaN, 0 to 1.
        infs: the share of its values that are infinite.
    """
    return ", ".join(f"{share_text(share)} {word}" for share, word in ((nans, "NaN"), (infs, "infinite")) if share > 0)


def value_words(place: Place) -> str:
    """Return the value of a place as text, never without how much of its tensor is not finite.

    >>> value_words(Place("fc", "Weight", 3, 0.5, nans=0.125))
    '0.5 · 12.5% NaN'

    Args:
        place: a place in a plot.
    """
    if not place.logged:
        return "not logged"
    value = f"{place.value:.4g}" if not np.isnan(place.value) else "" if place.nans or place.infs else "NaN"
    return " · ".join(part for part in (value, not_finite_text(place.nans, place.infs)) if part)


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
        not_finite: the shares of a tensor's values that are NaN and that are infinite: [2, layers, steps] of a heat map
            of layers, [2, steps] of plots of one tensor; None if the plot has none or does not know.
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
    not_finite: np.ndarray | None = None

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
            there = value != -np.inf or self.y == "exponent"
            value = np.nan if value == -np.inf else value
            if self.x != "step":  # a matrix: its rows and columns are numbered
                parts = (*self.layers, f"{self.y} {self.names[row]}", f"{self.x} {int(self.steps[column])}")
                return Place(" · ".join(part for part in parts if part), kind, None, value)
            name = self.layers[row] if self.y == "layer" else layer
            return Place(name, kind, int(self.steps[column]), value, *self._not_finite(row, column), there)
        if self.x == "step" and len(self.steps):
            return Place(layer, kind, self.nearest(x), np.nan, *self.not_finite_at(x))
        return Place(layer, kind, int(self.steps[0]) if len(self.steps) == 1 else None, np.nan)

    def _not_finite(self, row: int, column: int) -> tuple[float, float]:
        if self.not_finite is None:
            return 0.0, 0.0
        nans, infs = self.not_finite[..., row, column] if self.not_finite.ndim == 3 else self.not_finite[:, column]
        return float(nans), float(infs)

    def not_finite_at(self, x: float) -> tuple[float, float]:
        """Return the shares of NaN and of infinity of the one tensor that is shown, at the step nearest to `x`."""
        return self._not_finite(0, int(np.abs(self.steps - x).argmin()))

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


def choose(figure: Any, **arguments: Any) -> None:
    """Attach to a figure the arguments that a plot has chosen itself, since none were given.

    >>> from tandv import viz
    >>> from tandv.log.logframe import example_log
    >>> chosen(viz.overview(example_log()))["tt"]
    'Activation'

    Args:
        figure: the figure or sub-figure that is drawn into; what was chosen in it before is forgotten.
        **arguments: the names of arguments and what was chosen for them.
    """
    figure._tandv_chosen = arguments


def chosen(figure: Any) -> dict[str, Any]:
    """Return the arguments that the plot in a figure has chosen itself."""
    return getattr(figure, "_tandv_chosen", {})


def table(ax: Axes) -> Drawn:
    """Return the table of Axes that tandv has drawn."""
    found = drawn(ax)
    assert found is not None, "these Axes show no table"
    return found
