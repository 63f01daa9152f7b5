"""Where the interactive figure is displayed: a live canvas of ipympl, or an image with the same controls."""

import functools
import io
import sys
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import matplotlib
import numpy as np
from matplotlib.backend_bases import ResizeEvent
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imsave

from tandv.messages import missing

P = ParamSpec("P")
R = TypeVar("R")
_drawing = threading.RLock()


def in_turn(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function wait until no other one that is marked so runs in another thread.

    JupyterLab has messages of widgets handled in a thread of their own, while cells run; matplotlib would then send
    figures that are half drawn.
    """

    @functools.wraps(function)
    def turn(*arguments: P.args, **named: P.kwargs) -> R:
        with _drawing:
            return function(*arguments, **named)

    return turn


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
    backend = matplotlib.get_backend(auto_select=False)
    from ipympl.backend_nbagg import Canvas, FigureManager

    if backend is not None:  # importing ipympl makes it the backend of the user's own figures
        matplotlib.use(backend)

    class Live(Canvas):
        """Sends whole frames: ipympl 0.10 loses some that hold only what has changed (its issues 472, 483)."""

        def get_diff_image(self) -> bytes | None:
            if not self._png_is_old:
                return None
            self._png_is_old = False
            return _png(self)

        _handle_message = in_turn(Canvas._handle_message)

    live = Live(figure)
    manager = FigureManager(live, 0)
    # Else matplotlib's keys (s, l, g, k, p, o, h, c, v, f, q) save files and change the axes.
    for handler in (manager.key_press_handler_id, manager.button_press_handler_id):
        if handler is not None:
            live.mpl_disconnect(handler)
    # Before its front end is ready, ipympl 0.10 stores frames in a form that no browser can read.
    live.syncing_data_url = False
    live.header_visible = live.footer_visible = False
    live.toolbar_visible = False  # it would lie over title and labels whenever the mouse is there
    live.layout.max_width = "100%"
    return live, live


def _image(still: FigureCanvasAgg) -> Any:
    """Return an image widget that is updated whenever the figure is drawn."""
    import ipywidgets

    widget = ipywidgets.Image(format="png", layout={"max_width": "100%"})

    def renew(event: Any) -> None:  # not a method: matplotlib keeps only weak references to methods
        if event.canvas is still and in_notebook():  # drawing for a file has a canvas of its own
            widget.value = _png(still)

    still.mpl_connect("draw_event", renew)
    return widget


def _png(drawn: FigureCanvasAgg) -> bytes:
    """Return what a canvas shows as PNG; packing it tighter would take longer than drawing it."""
    file = io.BytesIO()
    imsave(file, np.asarray(drawn.buffer_rgba()), format="png", origin="upper", pil_kwargs={"compress_level": 1})
    return file.getvalue()


def is_live(canvas: Any) -> bool:
    """Tell whether a canvas answers mouse and keys."""
    return hasattr(canvas, "handle_resize")


def resize(canvas: Any, width: float, height: float) -> None:
    """Give the figure a size in pixels of the page, as if its corner had been pulled there."""
    if is_live(canvas):
        canvas.handle_resize({"width": width, "height": height})
        return
    dpi = canvas.figure.dpi
    canvas.figure.set_size_inches(width / dpi, height / dpi, forward=False)
    canvas.callbacks.process("resize_event", ResizeEvent("resize_event", canvas))


def size(canvas: Any) -> tuple[float, float]:
    """Return width and height of the figure in pixels of the page."""
    width, height = canvas.get_width_height()
    return width, height


def in_notebook() -> bool:
    """Tell whether this runs in a Jupyter kernel, which can show widgets."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


def cell_number() -> int | None:
    """Return how many cells this kernel has run, the running one included; None outside of Jupyter."""
    return sys.modules["IPython"].get_ipython().execution_count if in_notebook() else None
