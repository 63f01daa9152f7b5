"""Shorten texts to the room that panels have, once their size is known."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from tandv.viz.layout.measuring import points, renderer_of
from tandv.viz.layout.titles import shorten


def fit_texts(panel: Axes) -> None:
    """Shorten the texts within a panel that reach beyond its left or right side, where the labels of axes are."""
    renderer = renderer_of(panel.figure)
    for text in panel.texts:
        box, inner = text.get_window_extent(renderer), panel.bbox
        within = inner.y0 < (box.y0 + box.y1) / 2 < inner.y1 and "\n" not in text.get_text()
        if panel.axison and within and (box.x0 < inner.x0 - 1 or box.x1 > inner.x1 + points(panel.figure, 9)):
            shorten(text, panel.figure, inner.width - points(panel.figure, 4))


def fit_labels(labels: Sequence[tuple[Axes, str, str]], final: bool = True) -> None:
    """Shorten the labels of axes, (panel, label of x, label of y), to the size of their panels."""
    for panel, x, y in labels:
        for label, words, room in ((panel.xaxis.label, x, panel.bbox.width), (panel.yaxis.label, y, panel.bbox.height)):
            if words:
                label.set_text(words)
                shorten(label, panel.figure, room)
                if len(label.get_text()) < 5 < len(words):  # what is left says nothing
                    label.set_text("" if final else "…")
