"""Measure texts before a figure is drawn, in pixels."""

from functools import lru_cache

from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.text import Text

from tandv.viz.layout.figures import AnyFigure


def points(fig: AnyFigure, length: float) -> float:
    """Return a length in points as pixels."""
    return length * fig.dpi / 72


def measure(text: Text, fig: AnyFigure) -> float:
    """Return the width of a text in pixels; the height if it is vertical."""
    box = text.get_window_extent(renderer_of(fig))
    return box.height if text.get_rotation() == 90 else box.width


def renderer_of(fig: AnyFigure) -> RendererAgg:
    """Return a renderer that measures text as it will be drawn, whatever the canvas of the figure is."""
    return _renderer(fig.dpi)


@lru_cache(8)
def _renderer(dpi: float) -> RendererAgg:
    return RendererAgg(8, 8, dpi)
