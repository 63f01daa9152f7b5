"""Titles and legend around the panels, measured before they are positioned."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from matplotlib.transforms import Bbox, ScaledTranslation

from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.legends import cut, figure_legend
from tandv.viz.layout.measuring import measure, points, renderer_of
from tandv.viz.layout.style import Style
from tandv.viz.layout.written import as_written, readable

PAD = 7.0  # points of space at the border of a figure
GAP = 12.0  # points of space between panels


def around(ax: Axes, renderer: RendererAgg) -> np.ndarray:
    """Return how far labels, titles and keys reach beyond Axes: left, right, bottom, top, in pixels.

    It measures only texts: measuring all artists with matplotlib takes many times as long.
    """
    inner = ax.bbox
    boxes = [inner]
    if ax.axison:
        boxes += [box for axis in (ax.xaxis, ax.yaxis) for box in _labels(axis, renderer)]
    boxes += [text.get_window_extent(renderer) for text in ax.texts if text.get_text() and text.get_in_layout()]
    if ax.get_title("left"):  # it is cut to the width of the Axes, so that only its height counts
        top = ax._left_title.get_window_extent(renderer).y1  # type: ignore[attr-defined]
        boxes.append(Bbox([[inner.x0, inner.y0], [inner.x1, max(top, inner.y1)]]))
    if (legend := ax.get_legend()) is not None:
        boxes.append(legend.get_window_extent(renderer))
    sides = np.array([(b.x0, b.x1, b.y0, b.y1) for b in boxes])
    low, high = sides[:, (0, 2)].min(axis=0), sides[:, (1, 3)].max(axis=0)
    return np.maximum([inner.x0 - low[0], high[0] - inner.x1, inner.y0 - low[1], high[1] - inner.y1], 0)


def above_data(ax: Axes, renderer: RendererAgg) -> float:
    """Return how far texts of a draw function reach above the Axes, in pixels."""
    tops = [text.get_window_extent(renderer).y1 for text in ax.texts if text.get_text()]
    return max(max(tops, default=0.0) - ax.bbox.y1, 0.0)


def _labels(axis: Axis, renderer: RendererAgg) -> list[Bbox]:
    """Return the boxes of the tick labels at the ends of an axis, of the widest, and of the axis label."""
    settings, inner, horizontal = axis.get_tick_params(), axis.axes.bbox, axis is axis.axes.xaxis
    pixel = renderer.points_to_pixels(1.0)
    if _rotated(settings):
        box = axis.get_tightbbox(renderer)
        return [box] if box is not None else []
    out, reach = [], 0.0
    if settings.get("labelbottom" if horizontal else "labelleft", True):
        low, high = sorted(axis.get_view_interval())
        positions = np.asarray(axis.get_majorticklocs(), float)
        labels = axis.get_major_formatter().format_ticks(positions.tolist())
        font = FontProperties(size=settings.get("labelsize", 9.0))
        gap = (settings.get("length", 3.0) + settings.get("pad", 3.5)) * pixel
        shown = [(p, t) for p, t in zip(positions, labels, strict=True) if t and low <= p <= high]
        sizes = [renderer.get_text_width_height_descent(t, font, False)[:2] for _, t in shown]
        at = axis.get_transform().transform(np.array([p for p, _ in shown])) if shown else np.array([])
        ends = axis.get_transform().transform(np.array(axis.get_view_interval()))
        share = (at - ends[0]) / (ends[1] - ends[0])
        for where, (wide, high) in zip(share, sizes, strict=True):
            if horizontal:
                x, y = inner.x0 + where * inner.width, inner.y0 - gap
                out.append(Bbox([[x - wide / 2, y - 1.15 * high], [x + wide / 2, y]]))
                reach = max(reach, inner.y0 - y + 1.15 * high)
            else:
                x, y = inner.x0 - gap, inner.y0 + where * inner.height
                out.append(Bbox([[x - wide, y - 0.6 * high], [x, y + 0.6 * high]]))
                reach = max(reach, inner.x0 - x + wide)
    if words := axis.label.get_text():
        # Across its axis a label is as high as its font; along it, it is centred.
        size = float(axis.label.get_fontsize())
        thick, away = 1.35 * size * pixel, reach + axis.labelpad * pixel
        wide = renderer.get_text_width_height_descent(words, FontProperties(size=size), False)[0]
        if horizontal:
            middle = (inner.x0 + inner.x1) / 2
            out.append(Bbox([[middle - wide / 2, inner.y0 - away - thick], [middle + wide / 2, inner.y0]]))
        else:
            middle = (inner.y0 + inner.y1) / 2
            out.append(Bbox([[inner.x0 - away - thick, middle - wide / 2], [inner.x0, middle + wide / 2]]))
    return out


def _rotated(settings: Mapping[str, Any]) -> bool:
    """Tell whether tick labels are not horizontal; matplotlib gives the same setting one of two names."""
    return bool(settings.get("labelrotation") or settings.get("rotation"))


def settle_labels(ax: Axes) -> None:
    """Fix the position of axis labels where it is known, so that matplotlib need not measure all ticks again."""
    settings = ax.xaxis.get_tick_params()
    if not _rotated(settings):
        ticks = float(settings.get("labelsize", 9.0)) * 1.3 if settings.get("labelbottom", True) else 0.0
        down = float(settings.get("length", 3.0)) + settings.get("pad", 3.5) + ticks + ax.xaxis.labelpad
        below = ax.transAxes + ScaledTranslation(0, -down / 72, ax.figure.dpi_scale_trans)
        ax.xaxis.set_label_coords(0.5, 0, below)
    if not ax.get_ylabel():
        ax.yaxis.set_label_coords(0, 0.5)


def header(
    fig: AnyFigure,
    title: str,
    subtitle: str | Sequence[str],
    entries: Mapping[str, Any],
    style: Style,
    down: int = 1,
    formulas: tuple[bool, bool] = (False, False),
) -> float:
    """Write title and subtitle at the top left, the legend at the right of them; return the height in pixels.

    Of several subtitles the first that fits is written. The legend leaves room for `down` rows of panels. `formulas`
    tells whether there may be some in the title and in names.
    """
    height, width, pad = fig.bbox.height, fig.bbox.width, points(fig, PAD)
    used, below = 0.0, [readable(words) for words in ([subtitle] if isinstance(subtitle, str) else subtitle)]
    room = 0.97 * (width - 2 * pad)  # the width of a text depends a little on the resolution
    for given, size, weight, colour, formula in (
        (title, style.title, "bold", style.ink, formulas[0]),
        (below, style.text, "normal", style.muted, formulas[1]),
    ):
        first, *shorter = [given] if isinstance(given, str) else given
        if first:
            y = 1 - (pad + used) / height
            text = fig.text(pad / width, y, first, size=size, weight=weight, color=colour, ha="left", va="top")
            as_written(text, formulas=formula)
            for words in shorter:
                if measure(text, fig) > room:
                    text.set_text(words)
                    as_written(text, formulas=formula)
            shorten(text, fig, room)
            used += points(fig, size * 1.5)
    if entries:
        free = min(height / 3 - used / 2, height - used - points(fig, 60 * down))
        legend = figure_legend(fig, entries, free, style, formulas[1])
        renderer = renderer_of(fig)
        box = legend.get_window_extent(renderer)
        # Right of the title if it fits there, else on separate lines.
        around_it = box.padded(points(fig, 4) + 0.03 * box.width)  # widths of text depend a little on the resolution
        if any(Bbox.intersection(around_it, text.get_window_extent(renderer)) for text in fig.texts):
            legend.set_bbox_to_anchor((1 - pad / width, 1 - (pad + used) / height), fig.transSubfigure)
            used += box.height + points(fig, 4)
        else:
            used = max(used, box.height)
    return used + (points(fig, 4) if used else 0)


def check_title(title: object) -> None:
    """Raise a TypeError unless the title of a figure is a string, or None.

    >>> check_title("")
    """
    if title is not None and not isinstance(title, str):
        raise TypeError(f'title is a string, "" for none, or None for one that says what is drawn, not {title!r}')


def shorten(text: Text, fig: AnyFigure, room: float) -> None:
    """Cut a text in the middle until it is at most `room` pixels wide; leave it out where not even that fits.

    The numbers in the names of layers are kept where they fit.
    """
    words = text.get_text()
    wide, most = measure(text, fig), len(words)
    while wide > room and most > 3:
        most = max(min(int(most * room / wide), most - 1), 3)
        text.set_text(cut(words, most))
        as_written(text)  # half of a formula is none
        wide = measure(text, fig)
    if wide > room:
        text.set_text("")


def clear_title(ax: Axes, across: int = 1) -> None:
    """Move the title of a panel above the key if they would overlap, and shorten it to so many panels' width."""
    title = ax._left_title  # type: ignore[attr-defined]
    if not title.get_text():
        return
    lines = getattr(ax, "_tandv_key_lines", 0.0)  # in points, above the key
    if lines or measure(title, ax.figure) > getattr(ax, "_tandv_key_left", math.inf) * ax.bbox.width - 4:
        size, colour = title.get_fontsize(), title.get_color()
        ax.set_title(title.get_text(), loc="left", pad=size + 19 + lines, size=size, color=colour)
    shorten(title, ax.figure, across * ax.bbox.width)
