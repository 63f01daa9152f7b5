"""The viewer: an interactive figure with controls, drill-down, a cursor, and the loss next to it."""

import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.messages import missing
from tandv.viz.layout.style import theme
from tandv.viz.layout.tables import Place, drawn
from tandv.viz.notebook import views
from tandv.viz.notebook.cursor import Cursor, later
from tandv.viz.notebook.readout import describe, draw_loss, is_lines, nearest, shown_data, values_at
from tandv.viz.notebook.surface import canvas
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
        width: the width in pixels.
    """

    def __init__(self, view: View, curves: pd.DataFrame | None, width: int | None):
        try:
            import ipywidgets
        except ModuleNotFoundError as error:
            raise missing("ipywidgets", "viz", "an interactive plot") from error
        self._views: Views = (view,)
        self._curves = curves
        self._style = theme(view.arguments.get("theme", "light"))
        self.figure = Figure(figsize=((width or 1000) / 100, 5.2), dpi=100, facecolor=self._style.paper)
        self.canvas, self._surface = canvas(self.figure)
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
        self._syncing = False
        self._laid_out = (0, 0)  # width and height in pixels for which the figure was laid out
        self._readout = ipywidgets.HTML().add_class("tandv-readout")
        self._error = ipywidgets.HTML().add_class("tandv-error")
        self._bar = ipywidgets.HBox(layout={"flex_flow": "row wrap"})
        self.widget = ipywidgets.VBox([self._bar, self._error, self._surface, self._readout])
        self._buttons = [self._button(kind) for kind in ("png", "svg", "csv")]
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

    # What users and tests call.

    @property
    def state(self) -> View:
        """The view that is shown: `plot` and `arguments`."""
        return self._views[-1]

    @property
    def readout(self) -> str:
        """The text under the figure: the values under the mouse."""
        return html.unescape(self._readout.value)

    @property
    def error(self) -> str:
        """The error of the last action, "" if there was none."""
        return html.unescape(self._error.value)

    def select(self, **arguments: Any) -> "Viewer":
        """Change some `arguments` of the plot that is shown, for example `layer=` and `step=`."""
        self._go(views.change(self._views, **arguments))
        return self

    def back(self) -> "Viewer":
        """Return from a histogram to the heat map it was opened from, at the same zoom."""
        if len(self._views) > 1:
            self._go(views.back(self._views))
        return self

    def data(self) -> pd.DataFrame:
        """Return what is drawn as a table: a row for each step (or exponent), a column for each curve or layer."""
        return shown_data(self._axes())

    def save(self, path: str | Path) -> Path:
        """Write the figure as PNG, SVG or PDF, or the shown data as CSV, by the ending of `path`."""
        path = Path(path)
        if path.suffix == ".csv":
            self.data().to_csv(path)
        else:
            assert self._cursor is not None
            with self._cursor.hidden():
                self.figure.savefig(path, dpi=200, facecolor=self.figure.get_facecolor())
            self._refresh()
        return path

    def display(self) -> None:
        """Show the widget in the notebook's output; elsewhere nothing happens."""
        from tandv.viz.notebook.surface import in_notebook

        if in_notebook():
            from IPython.display import display

            display(self.widget)

    def close(self) -> None:
        """Disconnect mouse and keys, and close the widgets."""
        if self._cursor is not None:
            self._cursor.close()
        for connection in self._connections:
            self.canvas.mpl_disconnect(connection)
        for widget in (*self._bar.children, self._surface, self.widget):
            widget.close()

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
        self._error.value = ""

    def _draw(self) -> None:
        view = self.state
        if self._cursor is not None:
            self._cursor.close()
        if self._main is not self.figure:
            self._main.clear()
        view.plot(**view.arguments, fig=self._main)
        for ax, (x, y) in zip(self._axes(), view.limits, strict=False):
            ax.set_xlim(x)
            ax.set_ylim(y)
        lines = [ax for ax in self._axes() if is_lines(ax)]
        self._cursor = Cursor(self.canvas, lines + ([self._loss] if self._loss else []), self._style.alarm)
        self._laid_out = self.canvas.get_width_height()
        step = view.arguments.get("step")
        marked = self._curves is not None and isinstance(step, int)
        self._resting_step = nearest(self._curves.index, step) if marked else None  # type: ignore[union-attr, arg-type]
        self._cursor.step = self._resting_step
        self._refresh()
        if self.controls_of is None:
            self._set_toolbar()
        else:
            later(_CONTROLS_DELAY, self._set_toolbar)

    def _refresh(self) -> None:
        """Draw now: asking the front end first whether it is ready would cost a round trip."""
        if hasattr(self.canvas, "_force_full"):
            self.canvas._force_full = True
        self.canvas.draw()

    def _set_toolbar(self) -> None:
        """Set the controls to the view's arguments; new ones are made only for another plot."""
        from tandv.viz.notebook.toolbar import controls, show

        self._syncing = True
        try:
            if self.controls_of is self.state.plot and show(self.controls, self.state):
                return
            self.controls, self.controls_of = controls(self.state, self._on_control), self.state.plot
            self._bar.children = (*self.controls.values(), *self._buttons)
        finally:
            self._syncing = False

    def _button(self, kind: str) -> Any:
        import ipywidgets

        button = ipywidgets.Button(description=kind.upper(), tooltip=f"Save as {kind}", layout={"width": "60px"})
        button.on_click(lambda _: self._safely(self._save_here)(kind))
        return button

    def _save_here(self, kind: str) -> None:
        name = f"tandv-{self.state.plot.__name__}"
        taken = {path.stem for path in Path.cwd().glob(f"{name}*.{kind}")}
        path = self.save(next(n for i in range(1, 10_000) if (n := f"{name}-{i}") not in taken) + f".{kind}")
        self._readout.value = f"saved {html.escape(str(path.resolve()))}"

    # Events of the figure.

    def _safely(self, action: Callable[..., None]) -> Callable[..., None]:
        """Wrap a callback so that its exceptions are shown in the widget: nobody else would see them."""

        def act(*arguments: Any, **named: Any) -> None:
            try:
                action(*arguments, **named)
            except Exception as error:
                self._error.value = f'<b style="color:#c02020">{html.escape(f"{type(error).__name__}: {error}")}</b>'

        return act

    def _on_control(self, **arguments: Any) -> None:
        if not self._syncing:
            self._safely(self._go)(views.change(self._views, **arguments))

    def _on_press(self, event: Any) -> None:
        if getattr(getattr(self.canvas, "toolbar", None), "mode", ""):  # zooming or panning
            return
        if event.button == 3:
            self.back()
        elif event.inaxes is not None and (event.inaxes is self._loss or is_lines(event.inaxes)):
            self._select_step(event.xdata)
        elif event.inaxes is not None and (table := drawn(event.inaxes)) is not None and table.pick is not None:
            self._open(table.at(event.xdata, event.ydata))

    def _open(self, place: Place | None) -> None:
        """Show a clicked cell: in a plot with the arguments layer and step in itself, else as a histogram."""
        plot = self.state.plot
        if place is not None and place.step is None:
            return
        if place is not None and views.takes(plot, "layer") and views.takes(plot, "step"):
            layer = {} if place.layer is None else {"layer": place.layer}
            self.select(step=place.step, **layer)
        elif (deeper := views.drilled(self.state, place, exp_hist)) is not None:
            limits = tuple((ax.get_xlim(), ax.get_ylim()) for ax in self._axes())
            self._go(views.push(self._views, deeper, limits))

    def _on_resize(self, event: Any) -> None:
        """Lay out again for a new size of the figure."""
        if (event.width, event.height) != self._laid_out:
            self._draw()

    def _on_key(self, event: Any) -> None:
        if event.key == "escape":
            self.back()
        elif event.key in _KEYS:
            steps, layers = _KEYS[event.key]
            if changed := views.moved(self.state, steps, layers):
                self.select(**changed)

    def _on_move(self, event: Any) -> None:
        ax, cursor = event.inaxes, self._cursor
        if cursor is None:
            return
        table = drawn(ax)
        if table is not None and table.pick is not None:
            place = table.at(event.xdata, event.ydata)
            self._readout.value = "" if place is None else html.escape(describe(place))
            cursor.move(None if place is None or place.step is None else place.step)
        elif ax is not None and (ax is self._loss or is_lines(ax)):
            self._readout.value = html.escape(self._values_at(event.xdata))
            cursor.move(float(self._nearest(event.xdata)))
        else:
            cursor.move(self._resting_step)

    def _select_step(self, x: float) -> None:
        if views.takes(self.state.plot, "step"):
            self.select(step=self._nearest(x))
        self._readout.value = html.escape(self._values_at(x))

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
