"""What stays of the viewer in a saved notebook: a picture with a sentence in it, and what shows it where."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tandv.viz.layout.style import Style, theme

AGAIN = "A still picture: run this cell again to click, hover and use the keys"
ELSEWHERE = "A still picture: clicks, the mouse and keys need Jupyter with ipympl"
_WIDGET = "application/vnd.jupyter.widget-view+json"
# A trusted notebook that is opened without its kernel shows "Loading widget…" although the output has a picture. In
# Jupyter's pages this row then stands for the one before; beside a live viewer or a picture it takes no room.
_ROW = ".jp-OutputArea-child"
_STYLE = f"""
.tandv-again {{ display: none; }}
{_ROW} .tandv-again {{ display: block; animation: tandv-again 0s 2s backwards; }}
@keyframes tandv-again {{ from {{ visibility: hidden; }} }}
{_ROW}:has(img, .tandv-viewer, .tandv) + {_ROW}:has(.tandv-again) {{ display: none; }}
{_ROW}:not(:has(img, .tandv-viewer, .tandv)):has(+ {_ROW} .tandv-again) {{ display: none; }}
"""


def picture(canvas: FigureCanvasAgg, words: str, style: Style) -> bytes:
    """Return what a canvas shows as PNG, under a strip with some words."""
    pixels = np.asarray(canvas.buffer_rgba())
    high, wide = pixels.shape[:2]
    dpi = canvas.figure.dpi
    strip = round(0.28 * dpi)
    page = Figure(figsize=(wide / dpi, (high + strip) / dpi), dpi=dpi, facecolor=style.grid)
    page.figimage(pixels, 0, 0, origin="upper")
    drawn = FigureCanvasAgg(page)
    text = page.text(0.5, 1 - strip / 2 / (high + strip), words, ha="center", va="center", color=style.ink, size=9.5)
    room = wide / text.get_window_extent(drawn.get_renderer()).width
    text.set_fontsize(9.5 * min(1, 0.96 * room))
    return png(drawn)


def of_figure(figure: Figure, words: str) -> bytes:
    """Return a figure as PNG, under a strip with some words.

    Args:
        figure: the figure.
        words: what stands above it.
    """
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return picture(canvas, words, theme("light"))


def png(canvas: FigureCanvasAgg) -> bytes:
    """Draw a figure and return it as PNG, without the margins that `savefig` may cut."""
    file = io.BytesIO()
    canvas.print_png(file)
    return file.getvalue()


def outputs(still: bytes, name: str, model_id: str, width: float) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return the outputs of a cell, (data, metadata) each: the viewer with its picture, and what stands in for it."""
    encoded = base64.b64encode(still).decode()
    view = {"version_major": 2, "version_minor": 0, "model_id": model_id}
    first = {_WIDGET: view, "image/png": encoded, "text/plain": name}
    wide, high = np.frombuffer(still[16:24], ">u4")  # of the PNG's header
    shape = f"width: {width:.0f}px; max-width: 100%; aspect-ratio: {wide} / {high}"
    image = f"background: url(data:image/png;base64,{encoded}) top left / contain no-repeat"
    again = f'<style>{_STYLE}</style><div class="tandv-again" style="{shape}; {image}"></div>'
    return [(first, {"image/png": {"width": round(width)}}), ({"text/html": again}, {})]


def show(made: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    """Put outputs into the cell that runs.

    Args:
        made: what `outputs` returns.
    """
    from IPython.display import display

    for data, metadata in made:
        display(data, metadata=metadata, raw=True)
