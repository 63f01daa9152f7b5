"""The panels of an overview: those at the left are drawn once, the others again for each step that is shown."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from tandv.curves.of_run import is_loss
from tandv.formats import Format
from tandv.log import logframe
from tandv.viz.layout.colours import Colour
from tandv.viz.layout.heat import edges
from tandv.viz.layout.keys import Key, colour_key
from tandv.viz.layout.layer_axis import draw_kinds
from tandv.viz.layout.legends import cut
from tandv.viz.layout.measuring import measure, points, renderer_of
from tandv.viz.layout.style import Style, dress
from tandv.viz.layout.tables import choose, chosen, not_finite_text
from tandv.viz.layout.ticks import CHARACTER, step_text
from tandv.viz.layout.titles import GAP, PAD, around, header, settle_labels, shorten
from tandv.viz.layout.written import as_written, readable
from tandv.viz.of_log.exponent_map import draw_exponent_map, part_limits
from tandv.viz.of_log.lines import draw_curves, draw_lines, wants_log2
from tandv.viz.of_log.maps import Cells, draw_cells
from tandv.viz.of_log.opening import OUTLINED_SHARE
from tandv.viz.of_log.panels import (
    draw_casts,
    draw_cursor,
    draw_outlines,
    legend_beside_title,
    mark_beside,
    mark_layer,
    read_out,
    second_title,
)
from tandv.viz.of_log.slices import draw_slice, draw_slice_of_exponents

LEFT, RIGHT = (0.11, 0.62), (0.75, 0.23)  # where panels begin and how wide they are, until they are laid out
HEIGHTS, NARROW_HEIGHTS = (0.13, 0.36, 0.24), (0.1, 0.14, 0.12)
NARROW = 5.0  # inches: in a figure less wide the panels at the right are left out


@dataclass
class Page:
    """What an overview shows, and its Axes: those at the left stay as they are when only the step changes."""

    figure: Any
    style: Style
    cells: Cells
    overflow: np.ndarray
    own: pd.DataFrame  # the rows of the layer
    tt: str
    metric: str
    layer: str
    to: Format
    formats: Sequence[Format]
    title: str | None
    within: str
    beside: pd.DataFrame | None
    left: tuple[Axes, ...] = ()
    right: tuple[Axes, ...] = ()
    entries: dict[str, Any] = field(default_factory=dict)  # of the legend of kinds of modules
    cursors: list[Line2D] = field(default_factory=list)
    read: list[Artist] = field(default_factory=list)  # the values beside the cursor
    reaches: list[dict[Axes, np.ndarray]] = field(default_factory=list)  # of the left Axes, each time they were placed
    places: list[list[tuple[float, ...]]] = field(default_factory=list)  # where the left Axes were then

    @property
    def row(self) -> int:
        return self.cells.names.index(self.layer)


def draw(page: Page, colour: Colour, kinds: Sequence[str], step: int) -> None:
    """Draw all of an overview into its empty figure."""
    narrow = page.figure.bbox.width / page.figure.dpi < NARROW
    heights = NARROW_HEIGHTS if narrow else HEIGHTS
    page.left = top, layers_ax, map_ax = _axes(page.figure, page.style, LEFT, heights)
    keys = _draw_left(page, colour, kinds, step)
    head = _draw_right(page, step, heights, narrow)
    for again in (False, True):
        page.reaches.append(_lay_out(page.figure, page.left, page.right, head))
        page.places.append([ax.get_position().bounds for ax in page.left])
        for ax, key in () if again else keys.items():
            colour_key(ax, key, page.style)
    if (page.overflow > OUTLINED_SHARE).any():
        note = f"outlined: over 0.1% would overflow {page.to.short}"
        second_title(layers_ax, note, page.style.format_colour(page.to.name), page.style)
    free = getattr(layers_ax, "_tandv_key_left", 1.0) * layers_ax.bbox.width - 6
    if measure(layers_ax._left_title, page.figure) > free:  # type: ignore[attr-defined]
        layers_ax._left_title.set_text(page.metric)  # type: ignore[attr-defined]
    free = getattr(map_ax, "_tandv_key_left", 1.0) * map_ax.bbox.width - 6
    if measure(map_ax._left_title, page.figure) > free:  # type: ignore[attr-defined]
        map_ax._left_title.set_text(readable(page.layer))  # type: ignore[attr-defined]
    for ax in (layers_ax, map_ax):
        shorten(ax._left_title, page.figure, (getattr(ax, "_tandv_key_left", 1.0)) * ax.bbox.width - 6)  # type: ignore[attr-defined]
    legend_beside_title(top, page.style)
    part_limits(map_ax)
    _finish_right(page, step)


def move(page: Page, step: int) -> bool:
    """Show another step in a figure that has been drawn; False if other things would have to move, too."""
    for ax in page.right:
        page.figure.delaxes(ax)
    for one in [*page.figure.texts, *page.figure.legends, *page.read]:
        one.remove()
    for line in page.cursors:
        line.set_xdata([step, step])
    head = _draw_right(page, step, HEIGHTS, False)
    for ax, place in zip(page.left, _first_places(LEFT, HEIGHTS), strict=True):
        ax.set_position(place)
    for reach, places in zip(page.reaches, page.places, strict=True):
        _lay_out(page.figure, page.left, page.right, head, reach)
        if [ax.get_position().bounds for ax in page.left] != places:
            return False
    choose(page.figure, **{**chosen(page.figure), "step": step})
    _finish_right(page, step)
    return True


def _draw_left(page: Page, colour: Colour, kinds: Sequence[str], step: int) -> dict[Axes, Key]:
    """Draw loss, layers and exponents over the steps; return the keys of the colours."""
    (top, layers_ax, map_ax), cells, style, own = page.left, page.cells, page.style, page.own
    if page.beside is not None:
        draw_curves(page.beside, top, style=style, label="loss" if all(map(is_loss, page.beside.columns)) else "")
    else:
        both = [m for m in dict.fromkeys((page.metric, "max_abs")) if ("scalar_stats", m) in own.columns]
        values = own[[("scalar_stats", m) for m in both]].to_numpy(float, na_value=np.nan)
        draw_lines(own, top, metrics=both, log2=wants_log2(values), style=style)
    keys = {
        layers_ax: draw_cells(cells, layers_ax, (page.tt,), metric=page.metric, colour=colour, style=style),
        map_ax: draw_exponent_map(own, map_ax, formats=[page.to], style=style),
    }
    limits = edges(cells.steps)
    for ax in page.left:
        ax.set_xlim(limits[0], limits[-1])
        page.cursors += draw_cursor(ax, step, style, on_map=ax is not top)
    page.entries = draw_kinds(layers_ax, kinds, style)
    outlined = page.overflow > OUTLINED_SHARE
    draw_outlines(outlined, cells.steps, layers_ax, style.format_colour(page.to.name), style)
    mark_layer(layers_ax, page.row, style)
    for ax in (top, layers_ax):
        ax.set_xlabel("")
        ax.tick_params(axis="x", labelbottom=False)
    alone = page.beside is None
    named = "loss" if top.get_ylabel() == "loss" else page.layer if alone else "training"
    _panel(top, named, style)
    top.set_ylabel("loss" if named == "loss" else "value" if alone else "")
    legend_beside_title(top, style)
    _panel(layers_ax, f"{page.metric} of all layers", style)
    _panel(map_ax, f"exponents of {page.layer}", style)
    for ax in page.left:
        settle_labels(ax)
    return keys


def _draw_right(page: Page, step: int, heights: Sequence[float], narrow: bool) -> float:
    """Draw titles, all layers at a step and the histogram there; return the height of the titles in pixels."""
    cells, style, figure = page.cells, page.style, page.figure
    column = int(np.searchsorted(cells.steps, step))
    size = f"{len(cells.names):,} layers × {len(cells.steps):,} logged steps"
    bad = not_finite_text(*map(float, cells.not_finite[:, page.row, column]))
    parts = [f"{page.tt} · {page.metric}", page.within, f"step {step_text(step)}", page.layer, bad, size]
    parts = [part for part in parts if part]
    room = int(figure.bbox.width * 72 / figure.dpi / (CHARACTER * style.text))
    if len("  |  ".join(parts)) > room:
        parts.pop()  # the cursor's place rather than the size of the log
        over = len("  |  ".join(parts)) - int(0.95 * room)
        parts = [cut(part, max(len(part) - max(over, 0), 12)) if part == page.layer else part for part in parts]
    run = str(page.own.attrs.get("run", "")).rstrip("/").rpartition("/")[2]
    named = (run or "overview") if page.title is None else page.title
    words = "  |  ".join(parts) if named and style.subtitle else ""
    head = header(figure, named, words, {} if narrow else page.entries, style)
    if narrow:
        return head
    page.right = _, slice_ax, bars_ax = _axes(figure, style, RIGHT, heights)
    draw_slice(cells, column, page.row, slice_ax, page.to, style, page.metric)
    draw_slice_of_exponents(logframe.select(page.own, step=step), bars_ax, page.left[2], page.to, style)
    mark_beside(slice_ax, page.row, style)
    before = f" (line: step {step_text(cells.steps[0])})" if column else ""
    _panel(slice_ax, f"all layers at step {step_text(step)}{before}", style)
    slice_ax.set_xlabel(page.metric)
    _panel(bars_ax, f"exponents at step {step_text(step)}", style)
    bars_ax.set_xlabel("share of values")
    for ax in page.right:
        settle_labels(ax)
    return head


def _finish_right(page: Page, step: int) -> None:
    """Write what needs the final places: titles at their lengths, values beside the cursor, and the table of casts."""
    for ax in page.right[1:]:
        title = page.right[1]._left_title  # type: ignore[attr-defined]
        if measure(title, page.figure) > page.right[1].bbox.width:
            title.set_text(f"all layers at step {step_text(step)}")
        shorten(ax._left_title, page.figure, ax.bbox.width)  # type: ignore[attr-defined]
    page.read = read_out(page.left[0], step, page.style)
    if page.right:
        draw_casts(logframe.select(page.own, step=step), page.formats, page.right[0], page.style)


def _axes(fig: Any, style: Style, side: tuple[float, float], heights: Sequence[float]) -> tuple[Axes, Axes, Axes]:
    """Return the Axes of one side, near their final places: loss, layers, exponents; or table, slice, bars."""
    top, middle, bottom = (fig.add_axes(place) for place in _first_places(side, heights))
    for ax in (top, middle, bottom):
        dress(ax, style)
    return top, middle, bottom


def _first_places(side: tuple[float, float], heights: Sequence[float]) -> list[tuple[float, float, float, float]]:
    return [(side[0], y, side[1], high) for y, high in zip((0.78, 0.36, 0.06), heights, strict=True)]


def _panel(ax: Axes, words: str, style: Style) -> None:
    # With `y` matplotlib need not measure all ticks to see whether the title is above them.
    as_written(ax.set_title(readable(words), loc="left", color=style.muted, size=style.text, y=1.0, pad=5))


def _lay_out(
    fig: Any,
    left: tuple[Axes, ...],
    right: tuple[Axes, ...],
    head: float,
    known_reach: Mapping[Axes, np.ndarray] | None = None,
) -> dict[Axes, np.ndarray]:
    """Place the panels: three rows, the left ones on the same steps; a narrow figure has only these.

    Returns how far labels of the left ones reach beyond them, which is measured if it is not known.
    """
    renderer, axes = renderer_of(fig), (*left, *right)
    width, height, pad, gap = fig.bbox.width, fig.bbox.height, points(fig, PAD), points(fig, GAP)
    reach = dict(known_reach or {ax: around(ax, renderer) for ax in left})
    reach |= {ax: around(ax, renderer) if i else np.zeros(4) for i, ax in enumerate(right)}
    margin = max(reach[ax][0] for ax in left)
    ends = max(max(reach[ax][1] for ax in left), points(fig, 10))
    # In wide strides: the panels stay where they are when labels at the right differ a little at another step.
    right_end = points(fig, 12) * max([0.5, *(math.ceil(reach[ax][1] / points(fig, 12)) for ax in right)])
    free = width - margin - ends - right_end - 2 * pad - gap
    share = 0.26 if width > points(fig, 650) else 0.33
    wide = (free * (1 - share), free * share) if right else (width - margin - ends - 2 * pad, 0.0)
    rows = list(zip(left, right, strict=True)) if right else [(ax,) for ax in left]
    over, under = ([max(reach[ax][side] for ax in row) for row in rows] for side in (3, 2))
    high = height - head - sum(over) - sum(under) - 2 * pad - 2 * gap * 0.4
    y = height - pad - head
    least = min(points(fig, 15), max(high / 3, points(fig, 8)))  # in a low figure three alike rather than one cut off
    spread = high - 3 * least
    for i, share in enumerate((0.2, 0.46, 0.34)):
        tall = max(high * share, least) if 0.2 * high >= least else least + max(spread, 0) * (0.0, 0.6, 0.4)[i]
        y -= over[i] + tall
        left[i].set_position((pad + margin, y, wide[0], tall))
        if right:
            right[i].set_position((pad + margin + wide[0] + ends + gap, y, wide[1], tall))
        y -= under[i] + gap * 0.4
    for ax in axes:
        box = ax.get_position().bounds
        ax.set_position((box[0] / width, box[1] / height, box[2] / width, box[3] / height))
    if right:  # the table may also use the height above the loss
        box = axes[3].get_position()
        axes[3].set_position((box.x0, box.y0, box.width, box.height + over[0] / height))
    return {ax: reach[ax] for ax in left}
