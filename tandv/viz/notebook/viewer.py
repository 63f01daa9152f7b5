"""The viewer: an interactive figure with controls, drill-down, a cursor, and the loss next to it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tandv.messages import missing
from tandv.viz.layout.style import theme
from tandv.viz.layout.tables import drawn
from tandv.viz.notebook import still, surface, views
from tandv.viz.notebook.cursor import later
from tandv.viz.notebook.drawing import Drawing
from tandv.viz.notebook.readout import describe, nearest, shown_data, values_at
from tandv.viz.notebook.surface import in_turn
from tandv.viz.notebook.views import View, Views
from tandv.viz.of_log.exponents import exp_hist

_CONTROLS_DELAY = 0.03  # seconds: the controls are updated after the new image has been sent
_OTHER_TENSORS = {"tt", "phase", "rank", "dtype_annotation"}
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
        self._drawing = Drawing(view, curves, self._style, width)
        self.figure, self.canvas = self._drawing.figure, self._drawing.canvas
        self.controls: dict[str, Any] = {}
        self.controls_of: Callable[..., Any] | None = None  # the plot that the controls belong to
        self._steps: tuple[Any, np.ndarray] | None = (
            None  # the arguments that are shown, and the steps of the log then, which may grow
        )
        self._shown_in: int | None = None  # the number of the cell that showed the viewer last
        self._frame = Frame(self._drawing.widget, surface.is_live(self.canvas))
        self.widget = self._frame.widget
        for name, action in {"back": self.back, "zoom": self._zoom, "reset": self._reset}.items():
            self._frame.on_click(name, self._safely(action))
        for kind in ("png", "svg", "csv"):
            self._frame.on_click(kind, self._safely(lambda kind=kind: self._save_here(kind)))
        self._frame.on_width(self._safely(self._drawing.fit))
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
        self._drawing.grow(view)

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
        self._go(views.change(self._settled(**arguments), **arguments))
        return self

    @in_turn
    def back(self) -> "Viewer":
        """Return from a histogram to the heat map it was opened from, at the same zoom."""
        if len(self._views) > 1:
            self._go(views.back(self._views))
        return self

    def data(self) -> pd.DataFrame:
        """Return what is drawn as a table: a row for each step (or exponent), a column for each curve or layer."""
        return shown_data(self._drawing.axes)

    @in_turn
    def save(self, path: str | Path) -> Path:
        """Write the figure as PNG, SVG or PDF, or the shown data as CSV, by the ending of `path`; return the path."""
        path = Path(path).expanduser().resolve()
        if path.suffix == ".csv":
            self.data().to_csv(path)
        else:
            assert self._drawing.cursor is not None
            with self._drawing.cursor.hidden():
                self.figure.savefig(path, dpi=200, facecolor=self.figure.get_facecolor())
            self.canvas.draw()
        self._frame.say("notice", f"saved {path}")
        return path

    @in_turn
    def display(self) -> None:
        """Show the widget in the notebook's output, with a picture for when it has no kernel; elsewhere do nothing."""
        if not surface.in_notebook():
            return
        self._shown_in = surface.cell_number()
        image = still.picture(self.canvas, still.AGAIN, self._style)
        width = surface.size(self.canvas)[0]
        still.show(still.outputs(image, repr(self), self.widget.model_id, width))

    @in_turn
    def close(self) -> None:
        """Disconnect mouse and keys, and close the widgets."""
        self._drawing.close()
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

    def _settled(self, **changed: Any) -> Views:
        """Return the stack with what the plot chose itself as arguments, so that one change does not bring others."""
        if changed.keys() & _OTHER_TENSORS:  # of which the chosen layer and step may be unknown
            return self._views
        new = {k: v for k, v in self._drawing.chosen.items() if self.state.arguments.get(k) is None}
        return views.change(self._views, **new) if new else self._views

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
        self._drawing.draw(self.state)
        if self.controls_of is None:
            self._set_toolbar()
        else:
            later(_CONTROLS_DELAY, self._set_toolbar)

    @in_turn
    def _set_toolbar(self) -> None:
        """Set the controls to what is drawn; new ones are made only for another plot or another kind of value."""
        from tandv.viz.notebook import toolbar

        shown = self._drawing.shown
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
        """Wrap a callback so that its exceptions are shown in the widget: otherwise they would not be seen."""

        @in_turn
        def act(*arguments: Any, **named: Any) -> None:
            try:
                action(*arguments, **named)
            except Exception as error:
                self._frame.say("error", f"{type(error).__name__}: {error}")

        return act

    def _on_control(self, **arguments: Any) -> None:
        self._safely(self.select)(**arguments)

    def _on_press(self, event: Any) -> None:
        if getattr(getattr(self.canvas, "toolbar", None), "mode", ""):  # zooming or panning
            return
        if event.button == 3:
            self.back()
        elif self._drawing.follows(event.inaxes):
            self._select_step(event.xdata)
        elif (table := drawn(event.inaxes)) is not None and table.pick is not None:
            place = table.at(event.xdata, event.ydata)
            before = self._settled()
            target = views.opened(before, place, exp_hist, self._drawing.limits)
            if target is not before:
                self._go(target)

    def _on_resize(self, event: Any) -> None:
        if (view := self._drawing.resized(self.state)) is not None:
            self._go((*self._views[:-1], view))

    def _on_key(self, event: Any) -> None:
        if event.key == "escape":
            self.back()
        elif event.key in _KEYS:
            steps, layers = _KEYS[event.key]
            if changed := views.moved(self.state, steps, layers, self._drawing.shown):
                self.select(**changed)

    def _on_move(self, event: Any) -> None:
        ax, cursor = event.inaxes, self._drawing.cursor
        if cursor is None:
            return
        table = drawn(ax)
        if table is not None and table.pick is not None:
            place = table.at(event.xdata, event.ydata)
            self._frame.say("readout", "" if place is None else describe(place))
            cursor.move(None if place is None or place.step is None else place.step)
        elif self._drawing.follows(ax):
            self._frame.say("readout", self._values_at(event.xdata))
            cursor.move(float(self._nearest(event.xdata)))
        else:
            cursor.move(self._drawing.resting_step)

    def _select_step(self, x: float) -> None:
        if views.takes(self.state.plot, "step"):
            self.select(step=self._nearest(x))
        self._frame.say("readout", self._values_at(x))

    # Steps and values.

    def _nearest(self, x: float) -> int | float:
        if self._steps is None or self._steps[0] is not self.state.arguments:
            self._steps = self.state.arguments, np.asarray(self.state.steps)
        step = nearest(self._steps[1], x)
        return int(step) if step.is_integer() else step

    def _values_at(self, x: float) -> str:
        return values_at(self._nearest(x), self._drawing.axes, self._curves, self.state.unit)
