"""Draw what only the overview has: cursor, outlines, marks of layers, the table of casts and what is read out."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation, Text
from matplotlib.transforms import ScaledTranslation

from tandv.formats import Format, cast_shares
from tandv.viz.layout.heat import buckets, edges
from tandv.viz.layout.legends import fitted
from tandv.viz.layout.measuring import measure, points, renderer_of
from tandv.viz.layout.style import Style
from tandv.viz.layout.tables import Drawn, not_finite_text, table
from tandv.viz.layout.ticks import step_text, value_text
from tandv.viz.layout.titles import shorten
from tandv.viz.of_log.not_finite import not_finite
from tandv.viz.of_log.opening import OUTLINED_SHARE

CURSOR = 5  # the zorder of what stands at a step; that which stays is below it, or drawn again


def draw_cursor(ax: Axes, step: float, style: Style, on_map: bool) -> list[Line2D]:
    """Draw the vertical line at a step; on a map a pair of lines, between which the step itself stays visible."""
    if not on_map:
        return [ax.axvline(step, color=style.ink, linewidth=1.3, zorder=CURSOR)]
    pair = []
    for points_away in (-1.9, 1.9):
        line = ax.axvline(step, color=style.ink, linewidth=0.9, zorder=CURSOR)
        line.set_transform(line.get_transform() + ScaledTranslation(points_away / 72, 0, ax.figure.dpi_scale_trans))
        line.set_path_effects([patheffects.withStroke(linewidth=2.0, foreground=style.paper)])
        pair.append(line)
    return pair


def draw_outlines(mask: np.ndarray, steps: np.ndarray, ax: Axes, colour: str, style: Style) -> None:
    """Outline the regions of cells that are true, as one artist; columns are joined where they are many."""
    if not mask.any():
        return
    x = edges(steps)
    if len(steps) > 600:
        pixels = np.linspace(x[0], x[-1], 601)
        first, _ = buckets(x, pixels)
        first = np.unique(first)
        mask, x = np.logical_or.reduceat(mask, first, axis=1), np.append(x[first], x[-1])
    y = np.arange(len(mask) + 1) - 0.5
    framed = np.pad(mask, 1)
    across = np.argwhere(framed[1:, 1:-1] != framed[:-1, 1:-1])
    down = np.argwhere(framed[1:-1, 1:] != framed[1:-1, :-1])
    segments = [((x[c], y[r]), (x[c + 1], y[r])) for r, c in across]
    segments += [((x[c], y[r]), (x[c], y[r + 1])) for r, c in down]
    lines = LineCollection(segments, colors=colour, linewidths=1.3, zorder=3)
    lines.set_path_effects([patheffects.withStroke(linewidth=2.8, foreground=style.paper)])  # it may lie on its colour
    ax.add_collection(lines, autolim=False)


def draw_casts(here: pd.DataFrame, formats: Sequence[Format], ax: Axes, style: Style) -> None:
    """Write what share of the tensor's values a cast to each format would lose, as intervals."""
    ax.set_axis_off()
    wide, high = ax.bbox.width, ax.bbox.height
    bad = not_finite_text(*map(float, not_finite(here).max(axis=1)))
    formats = formats[: int(high / points(ax.figure, style.text * 1.35)) - 2]
    if not formats:
        return
    line = min(points(ax.figure, style.text * 1.9), high / (len(formats) + 2))
    columns = {"": 0.0, "overflow": 0.17, "to zero": 0.52, "subnormal": 0.77}
    if wide < 20 * points(ax.figure, style.text):
        columns = {"": 0.0, "overflow": 0.29, "to zero": 0.72}
    if wide < 15 * points(ax.figure, style.text):
        columns = {"": 0.0, "overflow": 0.42}

    def write(x: float, row: float, words: str, colour: str, **look: Any) -> Text:
        return ax.text(x, 1 - row * line / high, words, transform=ax.transAxes, color=colour, va="center", **look)

    head = write(0.0, 0.4, f"if this tensor{f' ({bad})' if bad else ''} were cast to …", style.muted, size=style.text)
    if measure(head, ax.figure) > wide:
        head.set_text(f"cast to … ({bad})" if bad else "cast to …")
        shorten(head, ax.figure, wide)
    for name, x in columns.items():
        write(x, 1.35, name, style.muted, size=style.small)
    for i, to in enumerate(formats):
        shares = cast_shares(here, to.name)
        row = 2.35 + i
        if i % 2 == 0:
            bottom, tall = 1 - (row + 0.5) * line / high, line / high
            ax.add_patch(Rectangle((0, bottom), 1, tall, transform=ax.transAxes, color=style.grid, alpha=0.55, lw=0))
        write(0.012, row, to.short, style.format_colour(to.name), size=style.text, weight="bold")
        for (name, x), interval in zip(list(columns.items())[1:], _ordered(shares), strict=False):
            words = interval_text(*interval)
            lost = name != "subnormal" and interval[1] > OUTLINED_SHARE
            write(
                x,
                row,
                words,
                style.inf if lost else style.ink,
                size=style.text,
                weight="bold" if lost else "normal",
            )


def _ordered(shares: Any) -> list[np.ndarray]:
    return [shares.overflow[0], shares.to_zero[0], shares.subnormal[0]]


def interval_text(low: float, high: float) -> str:
    """Return an interval of shares in percent.

    >>> interval_text(0.127, 0.443), interval_text(0.0, 0.0), interval_text(1e-6, 1e-6), interval_text(0, 0.01)
    ('12.7–44.3%', '0', '<0.001%', '0–1%')
    """

    def one(share: float) -> str:
        if share == 0:
            return "0"
        return "<0.001" if share < 1e-5 else f"{100 * share:.3g}"

    a, b = one(low), one(high)
    if a == b:
        return a if a == "0" else a + "%"
    return f"{a}–{b}%" if not b.startswith("<") else b + "%"


def mark_layer(ax: Axes, row: int, style: Style) -> None:
    """Mark a layer from both sides and frame its row, without covering it."""
    high = abs(ax.transData.transform((0, row + 0.5))[1] - ax.transData.transform((0, row - 0.5))[1])
    for edge in (row - 0.5, row + 0.5) if high > points(ax.figure, 4) else ():  # a lower row would be covered
        ax.axhline(edge, color=style.ink, linewidth=0.9, linestyle=(0, (1, 1.5)), zorder=4)
    mark_beside(ax, row, style)
    mark_beside(ax, row, style, 1.0, "<")


def mark_beside(ax: Axes, row: int, style: Style, x: float = 0.0, mark: str = ">") -> None:
    """Mark a layer from one side of Axes."""
    ax.plot(
        [x], [row], mark, transform=ax.get_yaxis_transform(), color=style.ink, markersize=7, clip_on=False,
        markeredgewidth=0, zorder=6,
    )  # fmt: skip


def second_title(ax: Axes, words: str, colour: str, style: Style) -> None:
    """Write a second title right of the first, if it fits before the key."""
    title = ax._left_title  # type: ignore[attr-defined]
    box = title.get_window_extent(renderer_of(ax.figure))
    start = (box.x1 - ax.bbox.x0 + points(ax.figure, 12)) / ax.bbox.width
    text = ax.text(
        start, 1 + points(ax.figure, 5) / ax.bbox.height, words, transform=ax.transAxes, color=colour,
        size=style.text, va="baseline",
    )  # fmt: skip
    room = getattr(ax, "_tandv_key_left", 1.0) - start
    if text.get_window_extent(renderer_of(ax.figure)).width > room * ax.bbox.width - 6:
        text.remove()


def legend_beside_title(ax: Axes, style: Style) -> None:
    """Put a legend above the panel, at its right end."""
    handles, labels = ax.get_legend_handles_labels()
    if labels:
        entries = dict(zip(*reversed(_table_order(ax, handles, labels)), strict=True))
        title = ax._left_title  # type: ignore[attr-defined]
        shorten(title, ax.figure, 0.4 * ax.bbox.width)
        room = 0.95 * (ax.bbox.width - measure(title, ax.figure)) - points(ax.figure, 8)
        handles, labels, columns = fitted(entries, room, 1, style, ax.figure)
        ax.legend(
            handles, labels, loc="lower right", bbox_to_anchor=(1, 1), ncols=columns,
            frameon=False, fontsize=style.text, labelcolor=style.ink, borderpad=0, borderaxespad=0.2, handlelength=1.4,
            columnspacing=1.3,
        )  # fmt: skip


def _table_order(ax: Axes, handles: list, labels: list[str]) -> tuple[list, list[str]]:
    """Return legend entries in the order of the table, whatever was drawn first."""
    names = list(table(ax).names)
    order = sorted(range(len(labels)), key=lambda i: names.index(labels[i]) if labels[i] in names else len(names))
    return [handles[i] for i in order], [labels[i] for i in order]


def read_out(ax: Axes, step: int, style: Style) -> list[Artist]:
    """Write the values at the cursor next to it, on the side where there is room; return what was drawn."""
    found = table(ax)
    if not len(found.steps):
        return []
    out: list[Artist] = []
    at = found.nearest(step)
    values = {name: value for name, value in found.read(step).items() if not math.isnan(value)}
    words = [f"{name} {value_text(value, 4)}" for name, value in values.items()]
    bad = not_finite_text(*found.not_finite_at(step))
    there = f"step {step_text(at)}\n"
    label = ax.annotate(
        there, (step, 0), xycoords=ax.get_xaxis_transform(), textcoords="offset points", xytext=(9, 0),
        size=style.small, color=style.ink, zorder=5.5,
    )  # fmt: skip
    label.set_bbox({"facecolor": style.panel, "edgecolor": style.grid, "boxstyle": "round,pad=0.35", "alpha": 0.95})
    for count in (3, 2, 1, 0):  # as many values as take half of the panel
        shown = "  ".join([*words[:count], *([bad] if bad else [])])
        label.set_text(there + shown if shown else there.strip())
        box = label.get_window_extent(renderer_of(ax.figure)).padded(points(ax.figure, 4))
        if box.width < 0.5 * ax.bbox.width and box.height < ax.bbox.height:
            _where_least_is_covered(label, ax, found, step)
            out.append(label)
            break
    else:
        label.remove()
    value = next((v for v in found.read(step).values() if math.isfinite(v)), None)
    if value is not None and (ax.get_yscale() == "linear" or value > 0):
        out += ax.plot([at], [value], "o", color=style.ink, markersize=6, zorder=6, markeredgecolor=style.panel)
    return out


def _where_least_is_covered(label: Annotation, ax: Axes, found: Drawn, step: int) -> None:
    """Move a label beside the cursor to the side and height at which it lies over the fewest points of lines."""
    values = np.atleast_2d(found.values)
    points_of = [ax.transData.transform(np.column_stack([found.steps, line])) for line in values]
    points_of = np.concatenate(points_of)
    points_of = points_of[np.isfinite(points_of).all(axis=1)]
    best = None
    for height, high in ((0.08, "bottom"), (0.84, "top"), (0.46, "center")):
        for away, side in ((9, "left"), (-9, "right")):
            label.xy = (step, height)
            label.set(position=(away, 0), horizontalalignment=side, verticalalignment=high)
            box = label.get_window_extent(renderer_of(ax.figure)).padded(4)
            inside = (points_of >= box.min).all(axis=1) & (points_of <= box.max).all(axis=1)
            cost = (not (ax.bbox.x0 < box.x0 and box.x1 < ax.bbox.x1), int(inside.sum()))
            if best is None or cost < best[0]:
                best = cost, height, high, away, side
    assert best is not None
    _, height, high, away, side = best
    label.xy = (step, height)
    label.set(position=(away, 0), horizontalalignment=side, verticalalignment=high)
