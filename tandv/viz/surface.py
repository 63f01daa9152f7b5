"""Where the interactive figure is shown: a live canvas of ipympl, or a still picture with the same controls."""

import contextlib
import io
import sys
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INSTALL = "pip install 'tandv[viz]'"


def canvas(figure: Figure) -> tuple[Any, Any]:
    """Return (canvas, widget that shows it) for a figure, without touching pyplot or its backend.

    In a notebook with ipympl the canvas is itself the widget; otherwise the widget is a picture, and a line
    on stderr says what to install.
    """
    if in_notebook():
        try:
            return _live(figure)
        except ImportError:
            print(f"tandv: mouse and keys need ipympl; install it by `{INSTALL}`, then restart", file=sys.stderr)
    still = FigureCanvasAgg(figure)
    return still, _Picture(still).widget


def _live(figure: Figure) -> tuple[Any, Any]:
    from ipympl.backend_nbagg import Canvas, FigureManager

    live = Canvas(figure)
    FigureManager(live, 0)
    # Before its front end is there, ipympl 0.10 keeps frames as a picture that no browser can read.
    live.syncing_data_url = False
    live.header_visible = live.footer_visible = False
    live.toolbar_position = "left"
    live.layout.max_width = "100%"
    return live, live


class _Picture:
    """A PNG of the figure that is renewed whenever the figure is drawn."""

    def __init__(self, still: FigureCanvasAgg):
        import ipywidgets

        self.widget = ipywidgets.Image(format="png", layout={"max_width": "100%"})
        self._busy = False
        still.mpl_connect("draw_event", self._renew)

    def _renew(self, event: Any) -> None:
        if not self._busy:
            self._busy = True  # saving draws, too
            with contextlib.ExitStack() as stack:
                stack.callback(setattr, self, "_busy", False)
                file = io.BytesIO()
                event.canvas.figure.savefig(file, format="png", facecolor=event.canvas.figure.get_facecolor())
                self.widget.value = file.getvalue()


def in_notebook() -> bool:
    """Tell whether this runs in a Jupyter kernel, which can show widgets."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None
