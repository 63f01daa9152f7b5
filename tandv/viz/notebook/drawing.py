"""The figure of the viewer: a plot, the loss beside it, and a cursor over both."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.viz.layout.style import Style
from tandv.viz.layout.tables import choose, chosen
from tandv.viz.notebook import surface, views
from tandv.viz.notebook.backdrop import Backdrop
from tandv.viz.notebook.cursor import Cursor
from tandv.viz.notebook.readout import draw_loss, is_lines, nearest, place_loss
from tandv.viz.notebook.views import View
from tandv.viz.of_log.overview import overview, show_step, steady

_WIDTH = 1000  # pixels, until the width of the cell is known
_PANEL = 240  # pixels, the height of one of several panels below each other


class Drawing:
    """A figure in which one view after the other is drawn.

    Args:
        view: the first view; the figure is as high as it needs.
        curves: training curves to show next to the plot, if any.
        style: the colours.
        widest: the largest width in pixels, if there is one.
    """

    def __init__(self, view: View, curves: pd.DataFrame | None, style: Style, widest: int | None):
        self.figure = Figure(figsize=((widest or _WIDTH) / 100, views.height(view)), dpi=100, facecolor=style.paper)
        self.canvas, self.widget = surface.canvas(self.figure)
        self.cursor: Cursor | None = None
        self.resting_step: float | None = None  # the step of the cursor while the mouse is outside
        self.shown: dict[str, Any] = {}  # the arguments as they are drawn
        self.loss: Axes | None = None
        self._main: Any = self.figure
        self._curves, self._style, self._widest = curves, style, widest
        if curves is not None:
            self._main, self._side = self.figure.subfigures(1, 2, width_ratios=(2.6, 1))  # type: ignore[misc]
            self.loss = draw_loss(self._side, curves, style)
        self._backdrop: Backdrop | None = None  # while only the step of an overview changes
        self._view: View | None = None  # the one that is drawn
        self._whole: views.Limits = ()  # the limits of all Axes before any zoom
        self._laid_out = (0.0, 0.0)  # width and height in pixels for which the figure was laid out

    @property
    def axes(self) -> list[Axes]:
        """The Axes of the plot."""
        return [ax for ax in self._main.axes if ax is not self.loss]

    @property
    def limits(self) -> views.Limits:
        """What part of the data each of the Axes shows."""
        return tuple((ax.get_xlim(), ax.get_ylim()) for ax in self.axes)

    @property
    def chosen(self) -> dict[str, Any]:
        """The layer, tensor type, step and so on that the plot chose itself."""
        return {name: value for name, value in chosen(self._main).items() if name != "dtype_annotation"}

    def draw(self, view: View) -> None:
        """Draw a view in place of the last one."""
        self.close()
        before, self._view = self._view, None
        if before is not None and self._moves(before, view):
            self._draw_backdrop()
        else:
            self._backdrop = None
            if self.loss is not None:
                self._main.clear()
                place_loss(self._side, self.loss, self._style)
            choose(self._main)
            view.plot(**view.arguments, fig=self._main)
        self._view = view
        self._whole = self.limits
        for ax, (x, y) in zip(self.axes, view.limits, strict=False):
            ax.set_xlim(x)
            ax.set_ylim(y)
        self._laid_out = surface.size(self.canvas)
        self.shown = views.shown(view, self._main)
        lines = [ax for ax in self.axes if is_lines(ax)]
        self.cursor = Cursor(self.canvas, lines + ([self.loss] if self.loss else []), self._style.alarm)
        step = self.shown.get("step")
        marked = self._curves is not None and isinstance(step, int | np.integer)
        self.resting_step = nearest(self._curves.index, step) if marked else None  # type: ignore[union-attr, arg-type]
        self.cursor.step = self.resting_step
        draw = self.canvas.draw if self._backdrop is None else self._backdrop.draw_over
        draw()  # now: asking the front end first whether it is ready would cost a round trip

    def _moves(self, before: View, view: View) -> bool:
        """Show another step where that is all that changes; False if the view is to be drawn as a whole."""
        if view.plot is not overview or not views.only_step(before, view, self.chosen):
            return False
        if view.limits or self.limits != self._whole or self._laid_out != surface.size(self.canvas):
            return False
        arguments = view.arguments
        return show_step(self._main, arguments["step"], arguments["df"], arguments.get("train_stats"))

    def _draw_backdrop(self) -> None:
        """Draw what stays at other steps, before the cursor is there, unless it has been drawn at this size."""
        if self._backdrop is None or self._backdrop.key != (self.figure.dpi, *self.figure.bbox.size):
            aside = [] if self.loss is None else [self._side]
            self._backdrop = Backdrop(self.figure, steady(self._main), aside)

    def follows(self, ax: Axes | None) -> bool:
        """Tell whether the cursor stands at the x of Axes."""
        return ax is not None and (ax is self.loss or is_lines(ax))

    def grow(self, view: View) -> None:
        """Make room for many panels below each other, unless a height was asked for."""
        rows = views.rows_of_panels(self.axes)
        if rows > 2 and view.plot.__name__ not in views.HEIGHTS and "figsize" not in view.arguments:
            surface.resize(self.canvas, surface.size(self.canvas)[0], _PANEL * rows + 70)

    def fit(self, width: float) -> None:
        """Make the figure as wide as the cell, in pixels, but not wider than asked for."""
        wanted = min(width, self._widest or width)
        present, height = surface.size(self.canvas)
        if abs(wanted - present) >= 2:
            surface.resize(self.canvas, wanted, height)

    def resized(self, view: View) -> View | None:
        """Return the view to draw again, at the same zoom, if the figure has another size than it was laid out for."""
        if surface.size(self.canvas) == self._laid_out:
            return None
        return view if self.limits == self._whole else view._replace(limits=self.limits)

    def close(self) -> None:
        """Remove the cursor."""
        if self.cursor is not None:
            self.cursor.close()
