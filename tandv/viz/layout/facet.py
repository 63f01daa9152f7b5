"""Lay out panels side by side and below each other, with nothing cut off or overlapping.

Only this file creates the Axes of a plot and, with `titles`, positions what surrounds them. A plot passes `facet` its
rows and a draw function; the number of panels, their sizes and labels follow from these.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.messages import listed
from tandv.viz.layout.figures import AnyFigure, canvas
from tandv.viz.layout.keys import Key, colour_key, keys_with_legend, words_above
from tandv.viz.layout.legends import legend_entries, own_legend, shortened
from tandv.viz.layout.measuring import measure, points, renderer_of
from tandv.viz.layout.room import fit_labels, fit_texts
from tandv.viz.layout.style import Style, dress
from tandv.viz.layout.titles import GAP, PAD, above_data, around, check_title, clear_title, header, settle_labels
from tandv.viz.layout.written import as_written, axes_as_written, readable

Draw = Callable[[pd.DataFrame, Axes], Key | None]


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
    group = np.zeros(len(rows), np.int64)
    for code, found in zip(codes, values, strict=True):
        group = group * len(found) + code
    out = []
    for one in np.unique(group):
        at = np.flatnonzero(group == one)
        names = {n: found[code[at[0]]] for n, code, found in zip(by, codes, values, strict=True) if n in varying}
        out.append((names, rows.take(at)))
    return out


def _plain(column: pd.Series) -> Any:
    return column.array if isinstance(column.dtype, pd.CategoricalDtype) else column.to_numpy()


MOST_PANELS = 100  # more take minutes to draw, in a figure of many feet


def columns_for(panels: int, col_wrap: int | None) -> int:
    """Return how many panels stand side by side."""
    if col_wrap is not None:
        if col_wrap < 1:
            raise ValueError(f"col_wrap is the number of panels side by side, at least 1, not {col_wrap}")
        return min(col_wrap, panels)
    return panels if panels <= 3 else 2 if panels == 4 else 3


def facet(
    rows: pd.DataFrame,
    draw: Draw,
    by: Sequence[str] = (),
    *,
    fig: AnyFigure | None = None,
    figsize: tuple[float, float] | None = None,
    panel_size: tuple[float, float] = (4.0, 2.6),
    single_size: tuple[float, float] = (9.0, 4.2),
    col_wrap: int | None = None,
    sharex: bool = True,
    sharey: bool = True,
    title: str | None = None,
    named: str = "",
    subtitle: str | Sequence[str] = "",
    panel_title: Callable[[dict[str, Any]], str] | None = None,
    ax: Axes | None = None,
    fewer: str = "choose some of them",
    formulas: bool = False,
    style: Style,
) -> Figure:
    """Draw one panel for each group of `rows` and lay them out; return the figure.

    `draw(rows, ax)` fills one panel and may return the key of its colours. Sizes are in inches:
    `panel_size` of one of several panels, `single_size` of a figure with one; `figsize` overrides both.
    `title` is what the caller asked for: None is the plot's own, `named`, and "" is none, nor a `subtitle`.
    Of several subtitles, the longest first, the first that fits is written.
    With `ax`, the one panel is drawn there. With `formulas`, names are the caller's words, in which $x^2$ is a formula,
    as it is in a title of theirs; names of layers are drawn as they are written.

    Raises ValueError for more than 100 panels; `fewer` says how to ask for less.
    """
    check_title(title)
    parts = groups(rows, by)
    if len(parts) > MOST_PANELS:
        raise ValueError(f"this plot would have {len(parts):,} panels, and {MOST_PANELS} is the most: {fewer}")
    words, allowed = readable(named) if title is None else title, (formulas or title is not None, formulas)
    if ax is not None:
        _check_single(ax, fig, [names for names, _ in parts])
        return _fill(ax, parts[0][1], draw, words, style, allowed)
    across = columns_for(len(parts), col_wrap)
    down = math.ceil(len(parts) / across)
    wanted = single_size if len(parts) == 1 else (max(panel_size[0] * across, 5.0), panel_size[1] * down + 0.7)
    figure = canvas(fig, figsize or printed(wanted, across, style), style)

    grid = figure.subplots(down, across, squeeze=False, sharex=sharex and "all", sharey=sharey and "all")
    panels = list(grid.ravel()[: len(parts)])
    for spare in grid.ravel()[len(parts) :]:
        spare.remove()
    # A first estimate of the layout, so that draw functions and ticks see about the final size.
    slot = figure.bbox.width / across, figure.bbox.height / down
    margins = np.array([min(60.0, 0.3 * slot[0]), 8.0, min(30.0, 0.2 * slot[1]), 12.0])
    inner = [min(40.0, 0.35 * slot[0])] * (across - 1), [min(30.0, 0.25 * slot[1])] * (down - 1)
    _place(figure, panels, across, margins, inner, min(30.0, 0.15 * figure.bbox.height))

    labels = [readable(_label(names, panel_title)) for names, _ in parts]
    most = max(int(panels[0].bbox.width / points(figure, 0.54 * style.text)), 4)
    edges = (
        _at_edges([[readable(str(one)) for one in names.values()] for names, _ in parts], across)
        if panel_title is None
        else None
    )
    if edges and max(map(len, labels)) > most:
        labels = [*shortened(edges[:across], most), *edges[across:]]  # beside those of rows there is room
    else:
        labels, edges = shortened(labels, most), None
    keys = []
    for (_, part), label, panel in zip(parts, labels, panels, strict=True):
        dress(panel, style)
        keys.append(key := draw(part, panel))
        axes_as_written(panel, formulas)
        for text in [text for text in panel.texts if measure(text, figure) > 0.9 * slot[0]]:
            text.remove()  # it would take the room of the panel beside this one
        if label:
            above = 0.0 if key is not None else above_data(panel, renderer_of(figure))
            panel.set_title(label, loc="left", color=style.ink, size=style.text, pad=5 + above * 72 / figure.dpi)
            as_written(panel._left_title, formulas=formulas)  # type: ignore[attr-defined]
    for i, panel in enumerate(panels):
        below = i + across < len(panels)
        if sharex and below:
            panel.tick_params(axis="x", labelbottom=False)
        elif sharex:
            panel.tick_params(axis="x", labelbottom=True)
        if below and (sharex or panel.get_xlabel() == panels[i + across].get_xlabel()):
            panel.set_xlabel("")
        if sharey and i % across:
            panel.tick_params(axis="y", labelleft=False)
        if i % across and (sharey or panel.get_ylabel() == panels[0].get_ylabel()):
            panel.set_ylabel("")
        settle_labels(panel)
    axis_labels = [(panel, panel.get_xlabel(), panel.get_ylabel()) for panel in panels]
    fit_labels(axis_labels, final=False)
    below = subtitle if words and style.subtitle else ""
    head = header(figure, words, below, legend_entries(panels), style, down, allowed)
    arrange(figure, panels, across, head, 2 if len(panels) <= 4 or any(keys) else 1)
    with_key = {panel: key for panel, key in zip(panels, keys, strict=True) if key is not None}
    head = keys_with_legend(figure, with_key, head, lambda below: arrange(figure, panels, across, below, 1), style)
    for i, panel in enumerate(panels):
        clear_title(panel, across if edges and i >= across else 1)
    if any(keys):
        arrange(figure, panels, across, head, 1)
    fit_labels(axis_labels)  # to the final size of the panels
    for panel in panels:
        fit_texts(panel)
    return figure


def _label(names: dict[str, Any], panel_title: Callable[[dict[str, Any]], str] | None) -> str:
    if not names:
        return ""
    return panel_title(names) if panel_title else " · ".join(map(str, names.values()))


def _at_edges(names: Sequence[Sequence[str]], across: int) -> list[str] | None:
    """Return labels that name each row of panels once and each column once; None if they are no rows and columns."""
    of_grid = all(
        len(one) == 2 and one[0] == names[i - i % across][0] and one[1] == names[i % across][1]
        for i, one in enumerate(names)
    )
    if not of_grid or across == 1:
        return None
    return [
        " · ".join(one) if i == 0 else one[1] if i < across else "" if i % across else one[0]
        for i, one in enumerate(names)
    ]


def _check_single(ax: Any, fig: AnyFigure | None, panels: Sequence[dict[str, Any]]) -> None:
    """Raise an error if a plot cannot be drawn into `ax`."""
    if not isinstance(ax, Axes):
        raise TypeError(f"ax is one Axes of a matplotlib figure, such as fig.add_subplot(), not {type(ax).__name__}")
    if fig is not None:
        raise ValueError("give either fig= or ax=: a figure is cleared and laid out, Axes are only drawn into")
    if len(panels) > 1:
        each = [" · ".join(map(str, names.values())) for names in panels]
        raise ValueError(
            f"ax= takes a single panel, and this plot has {len(panels)}: {listed(each)}; choose one of them, or give "
            "fig=, a figure or sub-figure that holds them all"
        )


def _fill(ax: Axes, rows: pd.DataFrame, draw: Draw, title: str, style: Style, allowed: tuple[bool, bool]) -> Figure:
    """Draw a panel into Axes of the caller's figure, whose layout stays as it is."""
    ax.clear()
    dress(ax, style)
    key = draw(rows, ax)
    above = 0.0 if key is not None else above_data(ax, renderer_of(ax.figure))
    if title:
        text = ax.set_title(title, loc="left", color=style.ink, size=style.text, pad=5 + above * 72 / ax.figure.dpi)
        as_written(text, formulas=allowed[0])
    axes_as_written(ax, allowed[1])
    own_legend(ax, style, allowed[1])
    if key is not None:
        words_above(ax, key, colour_key(ax, key, style), style)
    clear_title(ax)
    return ax.get_figure(root=True)  # type: ignore[return-value]


def printed(size: tuple[float, float], across: int, style: Style) -> tuple[float, float]:
    """Return the size of a figure in inches: in a theme for print it fills one column, or two with several panels."""
    if not style.column:
        return size
    width = style.column if across == 1 else 2 * style.column + 0.3
    return width, width * min(max(size[1] / size[0], 0.4), 1.5)


def arrange(fig: AnyFigure, panels: Sequence[Axes], across: int, head: float, rounds: int) -> None:
    """Give the panels the largest equal size at which everything around them fits."""
    renderer = renderer_of(fig)
    for _ in range(rounds):  # labels may change with the available room, so that one round is not enough
        reach = np.array([around(ax, renderer) for ax in panels])
        column, row = np.arange(len(panels)) % across, np.arange(len(panels)) // across
        left, right = reach[column == 0, 0].max(), reach[column == column.max(), 1].max()
        bottom, top = reach[row == row.max(), 2].max(), reach[row == 0, 3].max()
        # The last row may be short: labels below the row above it count as well.
        inner_x = [reach[column == c, 0].max() + reach[column == c - 1, 1].max() for c in range(1, column.max() + 1)]
        inner_y = [reach[row == r, 3].max() + reach[row == r - 1, 2].max() for r in range(1, row.max() + 1)]
        _place(fig, panels, across, np.array([left, right, bottom, top]), (inner_x, inner_y), head)


def _place(
    fig: AnyFigure,
    panels: Sequence[Axes],
    across: int,
    margins: np.ndarray,
    gaps: tuple[Sequence[float], Sequence[float]],
    head: float,
) -> None:
    """Set the positions of panels for the margins around all and the gaps between columns and rows, in pixels."""
    pad, gap, close = points(fig, PAD), points(fig, GAP), points(fig, 3)
    down = math.ceil(len(panels) / across)
    width, height = fig.bbox.width, fig.bbox.height
    left, right, bottom, top = margins + [pad, pad * 1.4, pad, pad + head]
    wide, gap_x = _share(width - left - right - sum(gaps[0]), across, gap, close, points(fig, 40))
    high, gap_y = _share(height - bottom - top - sum(gaps[1]), down, gap, close, points(fig, 30))
    for i, ax in enumerate(panels):
        column, row = i % across, i // across
        x = left + column * (wide + gap_x) + sum(gaps[0][:column])
        y = height - top - high - row * (high + gap_y) - sum(gaps[1][:row])
        ax.set_position((x / width, y / height, wide / width, high / height))


def _share(free: float, count: int, gap: float, close: float, usual: float) -> tuple[float, float]:
    """Return the length of each of `count` panels and the gap between them, which is smaller where panels are small."""
    length = (free - (count - 1) * gap) / count
    if length >= usual:
        return length, gap
    return max((free - (count - 1) * close) / count, usual / 4), close
