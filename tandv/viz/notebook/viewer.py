"""The viewer: an interactive figure with controls, drill-down, a cursor, and the loss next to it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.messages import missing
from tandv.viz.layout.style import theme
from tandv.viz.layout.tables import choose, drawn
from tandv.viz.notebook import still, surface, views
from tandv.viz.notebook.cursor import Cursor, later
from tandv.viz.notebook.readout import describe, draw_loss, is_lines, nearest, place_loss, shown_data, values_at
from tandv.viz.notebook.surface import in_turn
from tandv.viz.notebook.views import View, Views
from tandv.viz.of_log.plots import exp_hist

_CONTROLS_DELAY = 0.03  # seconds: the controls are updated after the new image has been sent
_KEYS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}


class Viewer:
    """An interactive figure: `figure`, `state` (what is shown), `select`, `back`, `save`, `close`.

    >>> from tandv import viz
    >>> from tandv.log.logframe import example_log
    >>> view = View(viz.exp_hist, {"df": example_log(), "layer": "embed", "tt": "Weight", "step": 0})
    >>> Viewer(view, curves=None, width=800).state.arguments["step"]
    0

    Args:
        view: the plot and its arguments.
        curves: training curves to show next to the plot, if any.
        width: the largest width in pixels; in a notebook None is the width of the cell.
    """

    @in_turn
    def __init__(self, view: View, curves: pd.DataFrame | None, width: int | None):
        try:
            from tandv.viz.notebook.frame import Frame
        except ModuleNotFoundError as error:
            raise missing("ipywidgets", "viz", "an interactive plot") from error
        self._views: Views = (view,)
        self._curves = curves
        self._style = theme(view.arguments.get("theme", "light"))
        self._widest = width
        self.figure = Figure(figsize=((width or 1000) / 100, views.height(view)), dpi=100, facecolor=self._style.paper)
        self.canvas, shown = surface.canvas(self.figure)
        self._main: Any = self.figure
        self._loss: Axes | None = None
        if curves is not None:
            self._main, side = self.figure.subfigures(1, 2, width_ratios=(2.6, 1))  # type: ignore[misc]
            self._loss = draw_loss(side, curves, self._style)
        self._cursor: Cursor | None = None
        self.controls: dict[str, Any] = {}
        self.controls_of: Callable[..., Any] | None = None  # the plot that the controls belong to
        self._resting_step: float | None = None  # the step of the cursor while the mouse is outside
        self._steps: tuple[Any, np.ndarray] | None = None  # the data that is shown, and its steps
        self._whole: views.Limits = ()  # the limits of all Axes before any zoom
        self._laid_out = (0, 0)  # width and height in pixels for which the figure was laid out
        self._shown_in: int | None = None  # the number of the cell that showed the viewer last
        self._frame = Frame(shown, surface.is_live(self.canvas))
        self.widget = self._frame.widget
        for name, action in {"back": self.back, "zoom": self._zoom, "reset": self._reset}.items():
            self._frame.on_click(name, self._safely(action))
        for kind in ("png", "svg", "csv"):
            self._frame.on_click(kind, self._safely(lambda kind=kind: self._save_here(kind)))
        self._frame.on_width(self._safely(self._fit))
        self._connections = [
            self.canvas.mpl_connect(name, self._safely(action))
            for name, action in (
                ("button_press_event", self._on_press),
                ("motion_notify_event", self._on_move),
                ("key_press_event", self._on_key),
                ("resize_event", self._on_resize),
            )
        ]
        self._draw()
        rows = views.rows_of_panels(self._axes())
        if rows > 2 and view.plot.__name__ not in views.HEIGHTS and "figsize" not in view.arguments:
            surface.resize(self.canvas, surface.size(self.canvas)[0], 240 * rows + 70)

    # What users and tests call.

    @property
    def state(self) -> View:
        """The view that is shown: `plot` and `arguments`."""
        return self._views[-1]

    @property
    def readout(self) -> str:
        """The text under the figure: the values under the mouse."""
        return self._frame.text("readout")

    @property
    def error(self) -> str:
        """The error of the last action, "" if there was none."""
        return self._frame.text("error")

    @property
    def notice(self) -> str:
        """Where the last file was saved, "" if none was."""
        return self._frame.text("notice")

    @in_turn
    def select(self, **arguments: Any) -> "Viewer":
        """Change some `arguments` of the plot that is shown, for example `layer=` and `step=`."""
        self._go(views.change(self._views, **arguments))
        return self

    @in_turn
    def back(self) -> "Viewer":
        """Return from a histogram to the heat map it was opened from, at the same zoom."""
        if len(self._views) > 1:
            self._go(views.back(self._views))
        return self

    def data(self) -> pd.DataFrame:
        """Return what is drawn as a table: a row for each step (or exponent), a column for each curve or layer."""
        return shown_data(self._axes())

    @in_turn
    def save(self, path: str | Path) -> Path:
        """Write the figure as PNG, SVG or PDF, or the shown data as CSV, by the ending of `path`; return the path."""
        path = Path(path).expanduser().resolve()
        if path.suffix == ".csv":
            self.data().to_csv(path)
        else:
            assert self._cursor is not None
            with self._cursor.hidden():
                self.figure.savefig(path, dpi=200, facecolor=self.figure.get_facecolor())
            self.canvas.draw()
        self._frame.say("notice", f"saved {path}")
        return path

    @in_turn
    def display(self) -> None:
        """Show the widget in the notebook's output, with a picture for when it has no kernel; elsewhere do nothing."""
        if not surface.in_notebook():
            return
        from IPython.display import display

        self._shown_in = surface.cell_number()
        image = still.picture(self.canvas, still.AGAIN, self._style)
        width = surface.size(self.canvas)[0]
        for data, metadata in still.outputs(image, repr(self), self.widget.model_id, width):
            display(data, metadata=metadata, raw=True)

    @in_turn
    def close(self) -> None:
        """Disconnect mouse and keys, and close the widgets."""
        if self._cursor is not None:
            self._cursor.close()
        for connection in self._connections:
            self.canvas.mpl_disconnect(connection)
        self._frame.close()

    # What shows the viewer as the value of a cell.

    def __repr__(self) -> str:
        names = [f"{k}={v!r}" for k, v in self.state.arguments.items() if isinstance(v, str | int | list)]
        return f"interactive({', '.join([self.state.plot.__name__, *names])})"

    def _ipython_display_(self) -> None:
        """Show the viewer, once in each cell: `interactive` has shown it already in its own."""
        if not surface.in_notebook():
            raise NotImplementedError  # IPython goes on to the repr
        if self._shown_in != surface.cell_number():
            self.display()

    @in_turn
    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """Return a still picture, for pages that show no ipympl, such as marimo."""
        return {"text/plain": repr(self), "image/png": still.picture(self.canvas, still.ELSEWHERE, self._style)}

    # From one view to the next.

    def _go(self, target: Views) -> None:
        """Draw another state; if that fails, return to this one and raise the error."""
        before, self._views = self._views, target
        try:
            self._draw()
        except Exception:
            self._views = before
            self._draw()
            raise
        self._frame.say("error", "")

    def _draw(self) -> None:
        view = self.state
        if self._cursor is not None:
            self._cursor.close()
        if self._loss is not None:
            self._main.clear()
            place_loss(self.figure.subfigs[1], self._loss)
        choose(self._main)
        view.plot(**view.arguments, fig=self._main)
        self._whole = views.limits_of(self._axes())
        for ax, (x, y) in zip(self._axes(), view.limits, strict=False):
            ax.set_xlim(x)
            ax.set_ylim(y)
        lines = [ax for ax in self._axes() if is_lines(ax)]
        self._cursor = Cursor(self.canvas, lines + ([self._loss] if self._loss else []), self._style.alarm)
        self._laid_out = surface.size(self.canvas)
        step = self._shown["step"] if views.takes(view.plot, "step") else None
        marked = self._curves is not None and isinstance(step, int | np.integer)
        self._resting_step = nearest(self._curves.index, step) if marked else None  # type: ignore[union-attr, arg-type]
        self._cursor.step = self._resting_step
        self.canvas.draw()  # now: asking the front end first whether it is ready would cost a round trip
        if self.controls_of is None:
            self._set_toolbar()
        else:
            later(_CONTROLS_DELAY, self._set_toolbar)

    @property
    def _shown(self) -> dict[str, Any]:
        return views.shown(self.state, self._main)

    @in_turn
    def _set_toolbar(self) -> None:
        """Set the controls to what is drawn; new ones are made only for another plot or another kind of value."""
        from tandv.viz.notebook import toolbar

        shown = self._shown
        if self.controls_of is self.state.plot and toolbar.show(self._controls, shown):
            return
        self._controls = toolbar.controls(self.state, shown, self._on_control)
        self.controls, self.controls_of = {k: one.choice for k, one in self._controls.items()}, self.state.plot
        self._frame.put(toolbar.boxes(self._controls), len(self._views) > 1)

    def _save_here(self, kind: str) -> None:
        name, taken = f"tandv-{self.state.plot.__name__}", {path.name for path in Path.cwd().glob(f"tandv-*.{kind}")}
        self.save(next(path for i in range(1, 10_000) if (path := f"{name}-{i}.{kind}") not in taken))

    def _zoom(self) -> None:
        """Let the mouse draw the part to zoom into, until it is pressed again."""
        self.canvas.toolbar.zoom()

    def _reset(self) -> None:
        """Show the whole plot again."""
        self._go((*self._views[:-1], self.state._replace(limits=())))

    # Events of the page and of the figure.

    def _safely(self, action: Callable[..., Any]) -> Callable[..., None]:
        """Wrap a callback so that its exceptions are shown in the widget: nobody else would see them."""

        @in_turn
        def act(*arguments: Any, **named: Any) -> None:
            try:
                action(*arguments, **named)
            except Exception as error:
                self._frame.say("error", f"{type(error).__name__}: {error}")

        return act

    def _on_control(self, **arguments: Any) -> None:
        self._safely(self._go)(views.change(self._views, **arguments))

    def _on_press(self, event: Any) -> None:
        if getattr(getattr(self.canvas, "toolbar", None), "mode", ""):  # zooming or panning
            return
        if event.button == 3:
            self.back()
        elif event.inaxes is not None and (event.inaxes is self._loss or is_lines(event.inaxes)):
            self._select_step(event.xdata)
        elif event.inaxes is not None and (table := drawn(event.inaxes)) is not None and table.pick is not None:
            place, limits = table.at(event.xdata, event.ydata), views.limits_of(self._axes())
            target = views.opened(self._views, place, exp_hist, limits)
            if target is not self._views:
                self._go(target)

    def _fit(self, width: float) -> None:
        """Make the figure as wide as the cell, but not wider than asked for."""
        wanted = min(width, self._widest or width)
        present, height = surface.size(self.canvas)
        if abs(wanted - present) >= 2:
            surface.resize(self.canvas, wanted, height)

    def _on_resize(self, event: Any) -> None:
        """Lay out again for a new size of the figure, at the same zoom."""
        if surface.size(self.canvas) != self._laid_out:
            if (limits := views.limits_of(self._axes())) != self._whole:
                self._views = (*self._views[:-1], self.state._replace(limits=limits))
            self._draw()

    def _on_key(self, event: Any) -> None:
        if event.key == "escape":
            self.back()
        elif event.key in _KEYS:
            steps, layers = _KEYS[event.key]
            if changed := views.moved(self.state, steps, layers, self._shown):
                self.select(**changed)

    def _on_move(self, event: Any) -> None:
        ax, cursor = event.inaxes, self._cursor
        if cursor is None:
            return
        table = drawn(ax)
        if table is not None and table.pick is not None:
            place = table.at(event.xdata, event.ydata)
            self._frame.say("readout", "" if place is None else describe(place))
            cursor.move(None if place is None or place.step is None else place.step)
        elif ax is not None and (ax is self._loss or is_lines(ax)):
            self._frame.say("readout", self._values_at(event.xdata))
            cursor.move(float(self._nearest(event.xdata)))
        else:
            cursor.move(self._resting_step)

    def _select_step(self, x: float) -> None:
        if views.takes(self.state.plot, "step"):
            self.select(step=self._nearest(x))
        self._frame.say("readout", self._values_at(x))

    # Steps and values.

    def _axes(self) -> list[Axes]:
        return [ax for ax in self._main.axes if ax is not self._loss]

    def _nearest(self, x: float) -> int:
        data = self.state.arguments["df" if "df" in self.state.arguments else "history"]
        if self._steps is None or self._steps[0] is not data:
            self._steps = data, np.asarray(self.state.steps)
        return int(nearest(self._steps[1], x))

    def _values_at(self, x: float) -> str:
        return values_at(self._nearest(x), self._axes(), self._curves)
