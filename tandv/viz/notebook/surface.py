"""Where the interactive figure is shown: a live canvas of ipympl, or a still picture with the same controls."""

import io
import sys
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tandv.messages import missing


def canvas(figure: Figure) -> tuple[Any, Any]:
    """Return (canvas, widget that shows it) for a figure, without touching pyplot or its backend.

    In a notebook with ipympl the canvas is itself the widget; otherwise the widget is a picture, and a line
    on stderr says what to install.
    """
    if in_notebook():
        try:
            return _live(figure)
        except ImportError:
            print(
                f"tandv: {missing('ipympl', 'viz', 'a plot that answers mouse and keys')}; then restart",
                file=sys.stderr,
            )
    still = FigureCanvasAgg(figure)
    return still, _picture(still)


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


def _picture(still: FigureCanvasAgg) -> Any:
    """Return a PNG of the figure that is renewed whenever the figure is drawn."""
    import ipywidgets

    widget = ipywidgets.Image(format="png", layout={"max_width": "100%"})
    saving = False

    def renew(event: Any) -> None:  # not a method: matplotlib would forget it together with its object
        nonlocal saving
        if saving:  # which draws, too
            return
        saving = True
        try:
            file = io.BytesIO()
            event.canvas.figure.savefig(file, format="png", facecolor=event.canvas.figure.get_facecolor())
            widget.value = file.getvalue()
        finally:
            saving = False

    still.mpl_connect("draw_event", renew)
    return widget


def in_notebook() -> bool:
    """Tell whether this runs in a Jupyter kernel, which can show widgets."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None
