"""Where the interactive figure is displayed: a live canvas of ipympl, or an image with the same controls."""

import io
import sys
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tandv.messages import missing


def canvas(figure: Figure) -> tuple[Any, Any]:
    """Return (canvas, widget that shows it) for a figure, without touching pyplot or its backend.

    In a notebook with ipympl the canvas is itself the widget; otherwise the widget is an image, and a line
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
    return still, _image(still)


def _live(figure: Figure) -> tuple[Any, Any]:
    from ipympl.backend_nbagg import Canvas, FigureManager

    live = Canvas(figure)
    FigureManager(live, 0)
    # Before its front end is ready, ipympl 0.10 stores frames in a form that no browser can read.
    live.syncing_data_url = False
    live.header_visible = live.footer_visible = False
    live.toolbar_position = "left"
    live.layout.max_width = "100%"
    return live, live


def _image(still: FigureCanvasAgg) -> Any:
    """Return an image widget that is updated whenever the figure is drawn."""
    import ipywidgets

    widget = ipywidgets.Image(format="png", layout={"max_width": "100%"})
    saving = False

    def renew(event: Any) -> None:  # not a method: matplotlib keeps only weak references to methods
        nonlocal saving
        if saving:  # saving draws too
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
