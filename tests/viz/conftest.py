"""What every picture has to be: nothing cut off, nothing on top of something else."""

import numpy as np
import pytest
from matplotlib.image import AxesImage
from matplotlib.text import Text
from matplotlib.transforms import Bbox


def _texts(figure) -> list[tuple[str, Bbox, object]]:
    """Return every text that can be seen, its box, and the Axes it belongs to (None for the figure)."""
    renderer = figure.canvas.get_renderer()
    found = []

    def add(text: Text, owner: object) -> None:
        if text.get_visible() and text.get_text().strip():
            found.append((text.get_text(), Text.get_window_extent(text, renderer), owner))

    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis) if ax.axison else ():
            low, high = sorted(axis.get_view_interval())
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if low <= tick.get_loc() <= high:
                    add(tick.label1, ax)
            add(axis.label, ax)
            add(axis.get_offset_text(), ax)
        for text in (ax.title, ax._left_title, ax._right_title, *ax.texts):
            add(text, ax)
        for text in ax.get_legend().findobj(Text) if ax.get_legend() is not None else ():
            add(text, ax)
    for part in _figures(figure):
        for text in [*part.texts, *(t for legend in part.legends for t in legend.findobj(Text))]:
            add(text, None)
    return found


def _figures(figure):
    return [figure, *(part for below in figure.subfigs for part in _figures(below))]


def _meet(one: Bbox, other: Bbox) -> tuple[float, float]:
    """Return how far two boxes overlap, in pixels."""
    return min(one.x1, other.x1) - max(one.x0, other.x0), min(one.y1, other.y1) - max(one.y0, other.y0)


def _faults(figure) -> list[str]:
    """Return the texts that are cut off, overlap another, or lie over another panel or the key of its colours."""
    figure.canvas.draw()
    page, texts, found = figure.bbox, _texts(figure), []
    if not texts:
        return []
    box = np.array([b.extents for _, b, _ in texts])
    out = (box[:, :2] < np.array([page.x0, page.y0]) - 1).any(1) | (box[:, 2:] > np.array([page.x1, page.y1]) + 1).any(
        1
    )
    found += [f"{texts[i][0]!r} is cut off" for i in np.flatnonzero(out)]
    over = np.minimum(box[:, None, 2:], box[None, :, 2:]) - np.maximum(box[:, None, :2], box[None, :, :2])
    for i, j in zip(*np.nonzero(np.triu((over[..., 0] > 1) & (over[..., 1] > 2), 1)), strict=True):
        found.append(f"{texts[i][0]!r} overlaps {texts[j][0]!r}")
    for ax in figure.axes:
        keys = [image.get_window_extent() for image in ax.artists if isinstance(image, AxesImage)]
        for words, b, owner in texts:
            wide, high = _meet(b, ax.bbox)
            if ax.axison and owner is not ax and wide > 1 and high > 1:
                found.append(f"{words!r} lies over the panel {ax.get_title('left')!r}")
            if any(min(_meet(b, key)) > 1 for key in keys):
                found.append(f"{words!r} lies over the colours of {ax.get_title('left')!r}")
        if ax.axison and min(ax.bbox.width, ax.bbox.height) * 72 / figure.dpi < 8:
            found.append(f"the panel {ax.get_title('left')!r} is {ax.bbox.width:.0f} × {ax.bbox.height:.0f} pixels")
    return found


@pytest.fixture
def faults():
    """Return a function that lists what cannot be read in a figure."""
    return _faults
