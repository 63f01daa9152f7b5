"""Draw matrices side by side: rows downwards, one colour scale for all panels, labels where there is room."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from tandv.viz.layout.colours import Scale, lookup
from tandv.viz.layout.facet import facet
from tandv.viz.layout.heat import Heat
from tandv.viz.layout.style import Style
from tandv.viz.layout.tables import Drawn, remember
from tandv.viz.layout.ticks import CHARACTER, length_in_points
from tandv.viz.layout.titles import Key

Panel = Callable[[int, Axes], Key | None]


def side_by_side(titles: Sequence[str], draw: Panel, **layout: Any) -> Figure:
    """Lay out panels 0, 1, ..., each filled by `draw(number, ax)`; `layout` is what `facet` takes."""
    rows = pd.DataFrame({("metadata", "panel"): np.arange(len(titles))})
    return facet(
        rows,
        lambda part, ax: draw(int(part[("metadata", "panel")].iloc[0]), ax),
        ("panel",),
        panel_title=lambda names: str(titles[names["panel"]]),
        **layout,
    )


def paint(values: np.ndarray, scale: Scale, colours: str, style: Style) -> np.ndarray:
    """Return the colours of a table of values on a linear scale, clipped at its ends; NaN has its own colour."""
    table = lookup(colours)
    at = np.nan_to_num(scale.position(np.asarray(values, float)), nan=0.0, posinf=1.0, neginf=0.0)
    rgba = table[np.clip(at * len(table), 0, len(table) - 1).astype(np.intp)]
    nan = np.round(np.array([int(style.nan[i : i + 2], 16) for i in (1, 3, 5)] + [255])).astype(np.uint8)
    rgba[np.isnan(values)] = nan
    return rgba


def draw_matrix(
    ax: Axes,
    values: np.ndarray,
    scale: Scale,
    colours: str,
    style: Style,
    *,
    plot: str,
    what: str = "",
    axes: tuple[str, str] = ("column", "row"),
    columns: Sequence[str] | None = None,
    rows: Sequence[str] | None = None,
) -> None:
    """Draw a matrix with its first row at the top; `columns` and `rows` are words for its ticks."""
    down, across = values.shape
    x, y = np.arange(across + 1) - 0.5, np.arange(down + 1) - 0.5
    heat = Heat(ax, values, x, y, partial(paint, scale=scale, colours=colours, style=style), signed=scale.low < 0)
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set_visible(True)
    ax.set_xlim(x[0], x[-1])
    ax.set_ylim(y[-1], y[0])
    ax.set_xlabel(axes[0])
    ax.set_ylabel(axes[1])
    heat.note = (ax.xaxis.label, axes[1])
    word_ticks(ax.xaxis, columns, across)
    word_ticks(ax.yaxis, rows, down)
    names = tuple(rows) if rows is not None else tuple(map(str, range(down)))
    remember(ax, Drawn(plot, axes[0], axes[1], (what,), (), np.arange(across), values, names, heat.cell_at))


def word_ticks(axis: Axis, words: Sequence[str] | None, count: int) -> None:
    """Tick the whole numbers below `count`, with `words` as labels if given, as many as there is room for."""
    labels = [str(word).replace("\n", "⏎") for word in words] if words is not None else [f"{i:,}" for i in range(count)]
    size = float(axis.get_tick_params().get("labelsize", 9.0))
    horizontal = axis is axis.axes.xaxis
    longest = max(map(len, labels), default=1)
    each, length = 1.35 * size, max(length_in_points(axis), 1.0)
    if horizontal:
        flat = size * (CHARACTER * longest + 0.9)
        if words is not None and flat * count > length and longest > 1:  # vertical labels take only their height
            axis.set_tick_params(labelrotation=90)
        else:
            each = flat
    stride = max(1, int(np.ceil(each * count / length)))
    if words is None:
        stride = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10**9) if s >= stride)
    axis.set_ticks(np.arange(0, count, stride))
    axis.set_major_formatter(FuncFormatter(partial(_word, labels)))


def _word(labels: Sequence[str], at: float, position: int | None = None) -> str:
    return labels[round(at)] if 0 <= round(at) < len(labels) else ""
