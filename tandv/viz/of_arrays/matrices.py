"""Draw matrices side by side: rows downwards, one colour scale for all panels, labels where there is room."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.viz.layout.colours import Scale, lookup
from tandv.viz.layout.facet import facet
from tandv.viz.layout.heat import Heat
from tandv.viz.layout.style import Style
from tandv.viz.layout.tables import Drawn, remember
from tandv.viz.layout.ticks import word_ticks
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
