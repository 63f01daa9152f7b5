"""Draw matrices side by side: rows downwards, one colour scale for all panels, labels where there is room."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from tandv.viz.layout.colours import Scale, lookup
from tandv.viz.layout.facet import facet
from tandv.viz.layout.heat import Heat
from tandv.viz.layout.keys import Key
from tandv.viz.layout.style import Style
from tandv.viz.layout.tables import Drawn, remember
from tandv.viz.layout.ticks import share_text, word_ticks

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
    """Return the colours of a table of values on a linear scale, clipped at its ends; NaN and infinity have theirs."""
    table = lookup(colours)
    at = np.nan_to_num(scale.position(np.asarray(values, float)), nan=0.0, posinf=1.0, neginf=0.0)
    rgba = table[np.clip(at * len(table), 0, len(table) - 1).astype(np.intp)]
    return with_not_finite(rgba, values, style)


def with_not_finite(rgba: np.ndarray, values: np.ndarray, style: Style) -> np.ndarray:
    """Return RGBA bytes with NaN and infinities of the values in their own colours, in place."""
    for found, colour in ((np.isnan(values), style.nan), (np.isinf(values), style.inf)):
        rgba[found] = (np.array(to_rgba(colour)) * 255).round().astype(np.uint8)
    return rgba


def largest(values: np.ndarray) -> float:
    """Return the largest magnitude among the finite values; 1 if all of these are zero, or there are none.

    >>> largest(np.array([-2.0, np.inf, np.nan]))
    2.0
    """
    return float(np.abs(values).max(initial=0.0, where=np.isfinite(values))) or 1.0


def with_not_finite_words(notes: Sequence[str], values: np.ndarray) -> list[str]:
    """Return lines below a title: notes, and how much is not finite; of shorter lines the notes are left out.

    >>> with_not_finite_words(["step 5", "3 × 3"], np.array([1.0, np.nan, np.inf, -np.inf]))
    ['step 5  |  3 × 3  |  25% NaN  |  50% infinite', 'step 5  |  25% NaN  |  50% infinite', '25% NaN  |  50% infinite']
    """
    found = {"NaN": np.isnan(values), "infinite": np.isinf(values)}
    words = [f"{share_text(float(there.mean()))} {word}" for word, there in found.items() if there.any()]
    fewest = 0 if words else len(notes)
    return ["  |  ".join([*notes[:kept], *words]) for kept in range(len(notes), fewest - 1, -1)]


def special_colours(values: np.ndarray, style: Style) -> list[tuple[str, str]]:
    """Return the names and colours of NaN and of infinities, as far as there are any, for the key of colours."""
    found = {("NaN", style.nan): np.isnan(values), ("infinite", style.inf): np.isinf(values)}
    return [special for special, there in found.items() if there.any()]


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
