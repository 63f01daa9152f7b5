"""Draw heat maps over the steps: a statistic of all layers."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from tandv.glossary import is_share
from tandv.log.grid import Grid
from tandv.viz.layout.colours import Colour, Scale, colour_scale, paint, specials
from tandv.viz.layout.hatched import Hatched
from tandv.viz.layout.heat import MISSING, SOME_INF, SOME_NAN, Heat, edges
from tandv.viz.layout.keys import Key
from tandv.viz.layout.layer_axis import layer_axis
from tandv.viz.layout.style import Style
from tandv.viz.layout.tables import Drawn, remember
from tandv.viz.layout.ticks import show_steps, step_ticks
from tandv.viz.of_log.not_finite import marks_of, not_finite


class Cells(NamedTuple):
    """A statistic of names at steps, and how much of each tensor is not finite.

    `values` is [names, steps], MISSING where there is no row and infinite where nothing but infinities is there;
    `not_finite` is [2, names, steps]: the shares of NaN and of infinity.
    """

    names: list[str]
    steps: np.ndarray
    values: np.ndarray
    not_finite: np.ndarray


def cells_of(rows: pd.DataFrame, metric: str, x: str = "step", y: str = "name") -> Cells:
    """Return a statistic of rows as a table of cells.

    Raises ValueError if a cell has several rows, as with several tensor types.
    """
    column = rows[("metadata", y)]
    row, names = pd.factorize(column.array if isinstance(column.dtype, pd.CategoricalDtype) else column.to_numpy())
    steps, at = np.unique(rows[("metadata", x)].to_numpy(), return_inverse=True)
    values = rows[("scalar_stats", metric)].to_numpy(dtype=np.float64, na_value=np.nan)
    shares = not_finite(rows)
    infinite = np.isneginf(values) | (np.isnan(values) & (shares[0] == 0) & (shares[1] > 0))
    cell = row * len(steps) + at
    table, bad = np.full(len(names) * len(steps), MISSING), np.zeros((2, len(names) * len(steps)))
    table[cell], bad[:, cell] = np.where(infinite, np.inf, values), shares
    if len(rows) > table.size or np.bincount(cell).max(initial=0) > 1:
        raise ValueError(
            f"several rows have the same {y} and {x}; select the rows of one tensor type, phase, ... first, "
            'for example df[df[("metadata", "phase")] == "rollout"], or keep one of rows that are there twice'
        )
    shape = len(names), len(steps)
    return Cells([str(name) for name in names], steps, table.reshape(shape), bad.reshape(2, *shape))


def cells_at(found: Grid, steps: np.ndarray) -> Cells:
    """Return a grid of a log as cells, at some of its steps."""
    there = np.isin(found.steps, steps)
    kept = slice(None) if there.all() else there  # a slice copies nothing
    values, nans, infs, numel, logged = (table[:, kept] for table in found[2:])
    bad = (nans > 0) | (infs > 0)
    shares = np.zeros((2, *values.shape))
    shares[:, bad] = np.stack([nans[bad], infs[bad]]) / np.maximum(numel[bad], nans[bad] + infs[bad])
    table = np.where(logged, values, MISSING)
    table[np.isneginf(values)] = np.inf
    table[bad & np.isnan(values) & (nans == 0)] = np.inf
    return Cells(found.layers, found.steps[kept], table, shares)


def draw_layers(
    rows: pd.DataFrame,
    ax: Axes,
    *,
    metric: str,
    x: str = "step",
    y: str = "name",
    colour: Colour = "log2",
    style: Style,
) -> Key:
    """Draw a statistic as colours, a row per layer and a column per step; return the key of the colours."""
    kinds = tuple(dict.fromkeys(rows[("metadata", "tensor_type")]))
    return draw_cells(cells_of(rows, metric, x, y), ax, kinds, metric=metric, x=x, colour=colour, style=style)


def draw_cells(
    cells: Cells,
    ax: Axes,
    tensor_types: Sequence[str],
    *,
    metric: str,
    x: str = "step",
    colour: Colour = "log2",
    style: Style,
) -> Key:
    """Draw cells of some tensor types as colours; return the key of the colours."""
    names, steps, table, shares = cells
    if colour == "change":
        table = _change(table)
    scale = colour_scale(table, colour)._replace(shares=colour == "linear" and is_share(metric))
    marks = marks_of(shares)
    marks[np.isnan(table)] &= ~np.uint8(SOME_NAN)  # the cell has the colour of NaN already
    marks[table == np.inf] &= ~np.uint8(SOME_INF)
    heat = draw_table(ax, table, steps, np.arange(len(names) + 1) - 0.5, scale, style, ("step", "layer"), marks)
    layer_axis(ax, names, style)
    ax.set_xlabel(x)
    places = steps if steps.dtype.kind in "iu" else np.arange(len(steps))
    remember(
        ax,
        Drawn(
            "scalar_global_heatmap", "step", "layer", tuple(names), tuple(tensor_types), places, table,
            pick=heat.cell_at, not_finite=shares,
        ),
    )  # fmt: skip
    label = {"change": "× the first step"}.get(colour, "")
    named = [*specials(table, scale, style), *hatches(marks, style)]
    return Key(scale, style.diverging if scale.diverging else style.colours, named, label)


def hatches(marks: np.ndarray, style: Style) -> list[tuple[str, ...]]:
    """Return name, colour and hatch of the marks over cells that occur."""
    # the last one stays where a key has no room for both
    kinds = ((SOME_INF, "some infinite", style.inf, "////"), (SOME_NAN, "some NaN", style.nan, "\\\\\\\\"))
    return [(name, colour, lines) for bit, name, colour, lines in kinds if (marks & bit).any()]


def draw_table(
    ax: Axes,
    table: np.ndarray,
    steps: np.ndarray,
    borders: np.ndarray,
    scale: Scale,
    style: Style,
    words: tuple[str, str],
    marks: np.ndarray | None = None,
) -> Heat:
    """Draw a table of values with the ticks and the note that all maps over steps have; `marks` hatch cells."""
    x = edges(steps)
    if (table == MISSING).any():
        hatched = Rectangle(
            (0, 0), 1, 1, transform=ax.transAxes, facecolor=style.panel, edgecolor=style.edge, hatch="//////",
            linewidth=0, alpha=0.5, zorder=-1,
        )  # fmt: skip
        ax.add_patch(hatched)
    heat = Heat(ax, table, x, borders, partial(paint, scale=scale, style=style), signed=scale.diverging, marks=marks)
    if heat.marks is not None:
        Hatched(heat, (style.nan, style.inf, style.paper))
    heat.note = (ax.xaxis.label, words[1])
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set_visible(True)
    show_steps(ax, float(x[0]), float(x[-1]))
    step_ticks(ax.xaxis)
    return heat


def _change(table: np.ndarray) -> np.ndarray:
    """Return each row divided by its first finite value that is not zero."""
    good = np.isfinite(table) & (table != 0)
    first = np.argmax(good, axis=1)
    base = np.abs(table[np.arange(len(table)), first])[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.isfinite(table), np.abs(table) / np.where(base > 0, base, np.nan), table)
