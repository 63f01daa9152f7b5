"""Where everything stands: panels, titles, legends and colour keys, with nothing cut off or overlapping.

This is the only file that makes Axes or places text around them. A plot hands `facet` its rows and a draw
function; everything else (how many panels, how large, which labels) follows from these.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure, FigureBase
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from tandv.viz.colours import Scale, lookup
from tandv.viz.style import Style, dress

PAD = 7.0  # points of air at the border of a figure
GAP = 12.0  # points of air between panels


class Key(NamedTuple):
    """What a colour means: placed by `facet` above the panel, never over the data."""

    scale: Scale
    colours: str
    specials: Sequence[tuple[str, str]] = ()
    label: str = ""


class Picture(Figure):
    """A figure that a notebook shows even where no plotting backend has been chosen."""

    def _repr_png_(self) -> bytes:
        out = BytesIO()
        self.savefig(out, format="png")
        return out.getvalue()


def canvas(fig: FigureBase | None, figsize: tuple[float, float], style: Style) -> Any:
    """Return an empty figure in the colours of the theme: a new one, or `fig` emptied."""
    if fig is None:
        fig = Picture(figsize=figsize, dpi=100)
        FigureCanvasAgg(fig)
    else:
        fig.clear()
    fig.set_facecolor(style.paper)
    return fig


def groups(rows: pd.DataFrame, by: Sequence[str]) -> list[tuple[dict[str, Any], pd.DataFrame]]:
    """Return the rows of each combination of some metadata, in order of first appearance.

    The first of `by` varies slowest. Only what differs between the groups names them.
    """
    if not by:
        return [({}, rows)]
    codes, values = zip(*(pd.factorize(_plain(rows[("metadata", name)])) for name in by), strict=True)
    varying = [name for name, found in zip(by, values, strict=True) if len(found) > 1]
    if not varying:
        return [({}, rows)]
    place = np.zeros(len(rows), np.int64)
    for code, found in zip(codes, values, strict=True):
        place = place * len(found) + code
    out = []
    for one in np.unique(place):
        at = np.flatnonzero(place == one)
        names = {n: found[code[at[0]]] for n, code, found in zip(by, codes, values, strict=True) if n in varying}
        out.append((names, rows.take(at)))
    return out


def _plain(column: pd.Series) -> Any:
    return column.array if isinstance(column.dtype, pd.CategoricalDtype) else column.to_numpy()


def columns_for(panels: int, col_wrap: int | None) -> int:
    """Return how many panels stand side by side."""
    if col_wrap is not None:
        if col_wrap < 1:
            raise ValueError(f"col_wrap is the number of panels side by side, at least 1, not {col_wrap}")
        return min(col_wrap, panels)
    return panels if panels <= 3 else 2 if panels == 4 else 3


def facet(
    rows: pd.DataFrame,
    draw: Callable[[pd.DataFrame, Axes], Key | None],
    by: Sequence[str] = (),
    *,
    fig: FigureBase | None = None,
    figsize: tuple[float, float] | None = None,
    panel_size: tuple[float, float] = (4.0, 2.6),
    single_size: tuple[float, float] = (9.0, 4.2),
    col_wrap: int | None = None,
    sharex: bool = True,
    sharey: bool = True,
    title: str = "",
    subtitle: str = "",
    panel_title: Callable[[dict[str, Any]], str] | None = None,
    style: Style,
) -> Any:
    """Draw one panel for each group of `rows` and lay them out; return the figure.

    `draw(rows, ax)` fills one panel and may return the key of its colours. Sizes are in inches:
    `panel_size` of one of several panels, `single_size` of a figure with one; `figsize` overrules both.
    """
    parts = groups(rows, by)
    across = columns_for(len(parts), col_wrap)
    down = math.ceil(len(parts) / across)
    wanted = single_size if len(parts) == 1 else (max(panel_size[0] * across, 5.0), panel_size[1] * down + 0.7)
    fig = canvas(fig, figsize or wanted, style)

    grid = fig.subplots(down, across, squeeze=False, sharex=sharex and "all", sharey=sharey and "all")
    panels = list(grid.ravel()[: len(parts)])
    for spare in grid.ravel()[len(parts) :]:
        spare.remove()
    # A first guess at the layout, so that draw functions and ticks see about the size they will have.
    _place(fig, panels, across, np.array([60.0, 8.0, 30.0, 12.0]), (70.0, 60.0), 30.0)

    keys = []
    for (names, part), ax in zip(parts, panels, strict=True):
        dress(ax, style)
        keys.append(draw(part, ax))
        if names:
            told = panel_title(names) if panel_title else " · ".join(map(str, names.values()))
            ax.set_title(told, loc="left", color=style.ink, size=style.text, pad=5)
    for i, ax in enumerate(panels):
        below = i + across < len(panels)
        if sharex and below:
            ax.tick_params(axis="x", labelbottom=False)
        elif sharex:
            ax.tick_params(axis="x", labelbottom=True)
        if below and (sharex or ax.get_xlabel() == panels[i + across].get_xlabel()):
            ax.set_xlabel("")
        if sharey and i % across:
            ax.tick_params(axis="y", labelleft=False)
        if i % across and (sharey or ax.get_ylabel() == panels[0].get_ylabel()):
            ax.set_ylabel("")
    head = header(fig, title, subtitle, legend_entries(panels), style)
    arrange(fig, panels, across, head)
    for ax, key in zip(panels, keys, strict=True):
        if key is not None:
            colour_key(ax, key, style)
    if any(keys):
        arrange(fig, panels, across, head)
        for ax in panels:
            clear_title(ax)
    return fig


# ----------------------------------------------------------------------------------------- measuring


def points(fig: FigureBase, length: float) -> float:
    """Return a length in points as pixels."""
    return length * fig.dpi / 72  # type: ignore[attr-defined]


def measure(text: Text, fig: FigureBase) -> float:
    """Return the width of a text in pixels."""
    return text.get_window_extent(renderer_of(fig)).width


def renderer_of(fig: FigureBase) -> RendererAgg:
    """Return something that measures text as it will be drawn, whatever the canvas of the figure is."""
    return RendererAgg(8, 8, fig.dpi)  # type: ignore[attr-defined]


def around(ax: Axes, renderer: RendererAgg) -> np.ndarray:
    """Return how far labels, titles and keys reach beyond Axes: left, right, bottom, top, in pixels."""
    outer, inner = ax.get_tightbbox(renderer, for_layout_only=True), ax.bbox
    if outer is None:
        return np.zeros(4)
    reach = [inner.x0 - outer.x0, outer.x1 - inner.x1, inner.y0 - outer.y0, outer.y1 - inner.y1]
    return np.maximum(reach, 0)


def arrange(fig: FigureBase, panels: Sequence[Axes], across: int, head: float) -> None:
    """Give the panels the largest equal size at which everything around them still fits."""
    renderer = renderer_of(fig)
    for _ in range(2 if len(panels) <= 2 else 1):
        reach = np.array([around(ax, renderer) for ax in panels])
        column, row = np.arange(len(panels)) % across, np.arange(len(panels)) // across
        left, right = reach[column == 0, 0].max(), reach[column == column.max(), 1].max()
        bottom, top = reach[row == row.max(), 2].max(), reach[row == 0, 3].max()
        # The last row may be short: what hangs below the row above it counts as well.
        inner_x = [reach[column == c, 0].max() + reach[column == c - 1, 1].max() for c in range(1, column.max() + 1)]
        inner_y = [reach[row == r, 3].max() + reach[row == r - 1, 2].max() for r in range(1, row.max() + 1)]
        gaps = max(inner_x, default=0.0), max(inner_y, default=0.0)
        _place(fig, panels, across, np.array([left, right, bottom, top]), gaps, head)


def _place(
    fig: FigureBase, panels: Sequence[Axes], across: int, margins: np.ndarray, gaps: tuple[float, float], head: float
) -> None:
    pad, gap = points(fig, PAD), points(fig, GAP)
    down = math.ceil(len(panels) / across)
    width, height = fig.bbox.width, fig.bbox.height
    left, right, bottom, top = margins + [pad, pad * 1.4, pad, pad + head]
    wide = (width - left - right - (across - 1) * (gaps[0] + gap)) / across
    high = (height - bottom - top - (down - 1) * (gaps[1] + gap)) / down
    wide, high = max(wide, points(fig, 20)), max(high, points(fig, 15))
    for i, ax in enumerate(panels):
        x = left + (i % across) * (wide + gaps[0] + gap)
        y = height - top - high - (i // across) * (high + gaps[1] + gap)
        ax.set_position((x / width, y / height, wide / width, high / height))


# ------------------------------------------------------------------------------ titles, legends, keys


def legend_entries(panels: Sequence[Axes]) -> dict[str, Any]:
    """Return every labelled artist of the panels once."""
    found: dict[str, Any] = {}
    for ax in panels:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return found


def header(fig: FigureBase, title: str, subtitle: str, entries: Mapping[str, Any], style: Style) -> float:
    """Write title and subtitle at the top left, the legend at the right of them; return the height in pixels."""
    height, width, pad = fig.bbox.height, fig.bbox.width, points(fig, PAD)
    used = 0.0
    room = width - 2 * pad
    for words, size, weight, colour in (
        (title, style.title, "bold", style.ink),
        (subtitle, style.text, "normal", style.muted),
    ):
        if words:
            y = 1 - (pad + used) / height
            text = fig.text(pad / width, y, words, size=size, weight=weight, color=colour, ha="left", va="top")
            shorten(text, fig, room)
            used += points(fig, size * 1.5)
    if entries:
        used = _legend(fig, entries, style, used)
    return used + (points(fig, 4) if used else 0)


def _legend(fig: FigureBase, entries: Mapping[str, Any], style: Style, used: float) -> float:
    height, width, pad = fig.bbox.height, fig.bbox.width, points(fig, PAD)
    longest = max(map(len, entries)) * style.text * 0.6 + 34
    columns = max(1, min(len(entries), int((width - 2 * pad) * 72 / fig.dpi / longest)))  # type: ignore[attr-defined]
    legend = fig.legend(
        list(entries.values()),
        list(entries),
        loc="upper right",
        bbox_to_anchor=(1 - pad / width, 1 - pad / height),
        bbox_transform=fig.transSubfigure,
        ncols=columns,
        frameon=False,
        fontsize=style.text,
        labelcolor=style.ink,
        borderpad=0,
        borderaxespad=0,
        handlelength=1.4,
        handletextpad=0.5,
        columnspacing=1.3,
    )
    renderer = renderer_of(fig)
    box = legend.get_window_extent(renderer)
    words = [t.get_window_extent(renderer) for t in fig.texts]
    # Beside the title if it fits there, else on lines of its own.
    if any(Bbox.intersection(box.padded(points(fig, 4)), w) for w in words):
        legend.set_bbox_to_anchor((1 - pad / width, 1 - (pad + used) / height), fig.transSubfigure)
        return used + box.height + points(fig, 4)
    return max(used, box.height)


def shorten(text: Text, fig: FigureBase, room: float) -> None:
    """Cut a text in the middle until it is at most `room` pixels wide."""
    words = text.get_text()
    wide = measure(text, fig)
    while wide > room and len(words) > 8:
        keep = max(int(len(words) * room / wide) - 2, 6)
        words = words[: math.ceil(keep / 2)] + "…" + words[len(words) - keep // 2 :]
        text.set_text(words)
        wide = measure(text, fig)


def colour_key(ax: Axes, key: Key, style: Style) -> None:
    """Draw the colour bar and the swatches of special cells above the Axes, at their right end."""
    fig = ax.figure
    pixel_w, pixel_h = ax.bbox.width, ax.bbox.height
    renderer = renderer_of(fig)

    def x(pixels: float) -> float:
        return 1 - pixels / pixel_w

    def y(length: float) -> float:
        return 1 + points(fig, length) / pixel_h

    bar = min(points(fig, 130), 0.45 * pixel_w)
    low, high = y(5), y(12)
    anchor = points(fig, 6)
    image = AxesImage(ax, transform=ax.transAxes, extent=(x(anchor + bar), x(anchor), low, high))
    image.set_data(lookup(key.colours)[None, :, :])
    image.set_clip_on(False)
    image.set_extent((x(anchor + bar), x(anchor), low, high))
    image.set_in_layout(True)
    ax.add_artist(image)
    end = -math.inf
    ticks = key.scale.ticks(max(2, min(5, int(bar / points(fig, 30)))))
    for at, words in ticks:
        where = x(anchor + bar * (1 - at))
        text = ax.text(
            where, y(14), words, transform=ax.transAxes, size=style.small, color=style.muted, ha="center", va="bottom"
        )
        box = text.get_window_extent(renderer)
        if box.x0 < end + 3:
            text.remove()
            continue
        end = box.x1
        ax.plot([where, where], [high, y(14)], transform=ax.transAxes, color=style.muted, lw=0.7, clip_on=False)
    at = anchor + bar + points(fig, 10)
    for words, colour in [("", ""), *reversed(key.specials)] if key.label else reversed(key.specials):
        words = words or key.label
        text = ax.text(
            x(at), y(4.5), words, transform=ax.transAxes, size=style.small, color=style.muted, ha="right", va="bottom"
        )
        at += text.get_window_extent(renderer).width + points(fig, 4)
        if words == key.label:
            at += points(fig, 6)
            continue
        side = points(fig, 7)
        swatch = Rectangle(
            (x(at + side), low),
            side / pixel_w,
            points(fig, 7) / pixel_h,
            transform=ax.transAxes,
            facecolor=colour or style.panel,
            edgecolor=style.edge if not colour else "none",
            hatch=None if colour else "//////",
            linewidth=0.0 if colour else 0.5,
            clip_on=False,
        )
        ax.add_patch(swatch)
        at += side + points(fig, 9)
    ax._tandv_key_left = x(at)  # type: ignore[attr-defined]


def clear_title(ax: Axes) -> None:
    """Shorten the title of a panel until it does not run into the key beside it."""
    title = ax._left_title  # type: ignore[attr-defined]
    if title.get_text() and hasattr(ax, "_tandv_key_left"):
        shorten(title, ax.figure, max(ax._tandv_key_left * ax.bbox.width - 4, 30))  # type: ignore[attr-defined]
