"""Draw heat maps over the steps: a statistic of all layers, or the exponents of one."""

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle
from matplotlib.transforms import Bbox

from tandv.formats import Format
from tandv.glossary import is_share
from tandv.log.grid import Grid
from tandv.viz.layout.colours import Colour, Scale, colour_scale, lookup, paint, specials
from tandv.viz.layout.heat import MISSING, SOME_INF, SOME_NAN, Hatched, Heat, edges
from tandv.viz.layout.layer_axis import layer_axis
from tandv.viz.layout.measuring import renderer_of
from tandv.viz.layout.style import Style
from tandv.viz.layout.tables import Drawn, remember
from tandv.viz.layout.ticks import exponent_ticks, length_in_points, limit_text, power, show_steps, step_ticks
from tandv.viz.layout.titles import Key
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
            'for example df[df[("metadata", "phase")] == "rollout"]'
        )
    shape = len(names), len(steps)
    return Cells([str(name) for name in names], steps, table.reshape(shape), bad.reshape(2, *shape))


def cells_at(found: Grid, steps: np.ndarray) -> Cells:
    """Return a grid of a log as cells, at some of its steps."""
    kept: slice | np.ndarray = np.isin(found.steps, steps)
    kept = slice(None) if kept.all() else kept  # a slice copies nothing
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


class ExponentShares(NamedTuple):
    """The shares of a tensor's values at each exponent and step, and of those that have none.

    `inside` is [exponents, steps]; `zeros`, `larger` (finite, beyond the counted exponents), `infinities` and `nans`
    are [steps]. With all of them a step adds up to 1. `beyond` is the exponent at which `larger` begins.
    """

    exponents: np.ndarray
    steps: np.ndarray
    inside: np.ndarray
    zeros: np.ndarray
    larger: np.ndarray
    infinities: np.ndarray
    nans: np.ndarray
    beyond: int


def exponent_table(rows: pd.DataFrame) -> ExponentShares:
    """Return the shares of one tensor's values over the steps; several rows of a step add up."""
    steps, at = np.unique(rows[("metadata", "step")].to_numpy(), return_inverse=True)
    counts = rows["exponent_counts"]
    bins = sorted(int(n) for n in counts.columns if not math.isinf(n))

    def over_steps(values: np.ndarray) -> np.ndarray:
        out = np.zeros((values.shape[1], len(steps)))
        np.add.at(out.T, at, values)
        return out

    inside, ends = over_steps(counts[bins].to_numpy(float)), over_steps(counts[[-math.inf, math.inf]].to_numpy(float))
    tally = {
        name: over_steps(rows[label].to_numpy(float, na_value=0.0)[:, None])[0]
        for name in ("nans", "infs", "numel")
        if (label := ("scalar_stats", name)) in rows.columns
    }
    nans, infinities = tally.get("nans", np.zeros(len(steps))), tally.get("infs", ends[1])
    larger = np.maximum(ends[1] - infinities, 0)
    total = np.maximum(tally.get("numel", inside.sum(0) + ends[0] + larger + infinities + nans), 1)
    used = np.flatnonzero(inside.any(axis=1))
    if len(used):
        low, high = bins[used[0]], bins[used[-1]]
        full = np.zeros((high - low + 1, len(steps)))
        full[np.array(bins)[used] - low] = inside[used]
        exponents = np.arange(low, high + 1)
    else:
        exponents, full = np.arange(0, 1), np.zeros((1, len(steps)))
    zeros, larger, infinities, nans = (of / total for of in (ends[0], larger, infinities, nans))
    beyond = bins[-1] + 1 if bins else 0
    return ExponentShares(exponents, steps, full / total, zeros, larger, infinities, nans, beyond)


def draw_exponent_map(
    rows: pd.DataFrame,
    ax: Axes,
    *,
    formats: Sequence[Format] = (),
    dtype_info: tuple[bool, bool, bool] = (True, True, True),
    style: Style,
) -> Key:
    """Draw how the exponents of one tensor change over the steps; return the key of the colours.

    Colour is the share of values, in powers of two. Zeros are a lane below, infinities and NaN lanes above, in colours
    of their own; exponents that a format cannot represent are shaded.
    """
    found = exponent_table(rows)
    exponents, steps = found.exponents, found.steps
    low, high = float(exponents[0]), float(exponents[-1] + 1)
    limits = [math.log2(v) for to in formats for v in (to.max, to.smallest_normal, to.vanishes_at)]
    reach = max(6, (high - low) / 2)
    low = min([low, *(math.floor(v) for v in limits if low - reach <= v <= high)])
    high = max([high, *(math.ceil(v) for v in limits if low <= v <= high + reach)])
    size = max(1.0, round((high - low) / 14))

    bands, borders, named = [found.inside], [exponents.astype(float), np.array([exponents[-1] + 1.0])], {}
    names = [power(n) for n in exponents]
    gap = np.zeros((1, len(steps)))
    bottom, top = low, high
    if found.zeros.any():
        bottom = low - 1.6 * size
        bands, borders = [found.zeros[None], gap, *bands], [np.array([bottom, bottom + size]), *borders]
        named[bottom + size / 2] = "zero"
        names = ["zero", "", *names]
    beyond = f"≥{power(found.beyond)}"
    for name, shares in ((beyond, found.larger), ("inf", found.infinities), ("NaN", found.nans)):
        if shares.any():
            top += 1.6 * size
            bands, borders = [*bands, gap, shares[None]], [*borders, np.array([top - size, top])]
            named[top - size / 2] = name
            names = [*names, "", name]
    table = np.concatenate(bands)
    table = np.where(table > 0, table, MISSING)
    least = float(table[table > 0].min(initial=1.0))
    scale = Scale("log2", float(np.clip(math.floor(math.log2(least)), -20, -1)), 0.0)

    table_of_colours = lookup(style.shares)
    heat = draw_table(ax, table, steps, np.concatenate(borders), scale, style, ("step", "exponent"))
    heat.paint = partial(_paint_shares, scale=scale, colours=table_of_colours)
    for patch in list(ax.patches):  # here an empty cell means that no value has this exponent
        patch.remove()
    for name, colour in (("inf", style.inf), ("NaN", style.nan)):
        if name in names:
            row = names.index(name)
            full, pale = (np.array(to_rgba(one)) * 255 for one in (colour, style.panel))
            painted = partial(_paint_lane, full=full, pale=pale, scale=scale)
            lane = Heat(ax, table[row : row + 1], heat.x, heat.y[row : row + 2], painted)
            lane.set_zorder(heat.get_zorder() + 0.1)
    if not found.inside.any():
        words = "no finite value but zeros" if found.zeros.any() else "no finite value"
        ax.text(
            0.5, (0.5 * (low + high) - bottom) / max(top - bottom, 1), words, transform=ax.transAxes, ha="center",
            va="center", color=style.muted, size=style.text,
        )  # fmt: skip
    ax.set_ylim(bottom - 0.3 * size * bool(found.zeros.any()), top + 0.3 * size * (top > high))
    exponent_ticks(ax.yaxis, low, high, named)
    ax.set_xlabel("step")
    ax.set_ylabel("|x|")
    draw_bands(formats, ax, dtype_info, style, low, high)
    kinds, layers = (tuple(dict.fromkeys(rows[("metadata", c)])) for c in ("tensor_type", "name"))
    remember(
        ax,
        Drawn(
            "exp_heatmap", "step", "exponent", layers, kinds, steps, table, tuple(names), heat.cell_at,
            np.stack([found.nans, found.infinities]),
        ),
    )  # fmt: skip
    return Key(scale, style.shares, (), "share of values")


def _paint_lane(part: np.ndarray, full: np.ndarray, pale: np.ndarray, scale: Scale) -> np.ndarray:
    """Paint shares in one colour, `full` on the background `pale`, paler the smaller they are."""
    at = np.nan_to_num(scale.position(np.where(part == MISSING, np.nan, part)), nan=0.0)
    weight = np.where(part == MISSING, 0.0, 0.4 + 0.6 * np.clip(at, 0, 1))[..., None]
    return (weight * full + (1 - weight) * pale).round().astype(np.uint8)


def _paint_shares(part: np.ndarray, scale: Scale, colours: np.ndarray) -> np.ndarray:
    at = np.nan_to_num(scale.position(np.where(part == MISSING, np.nan, part)), nan=0.0)
    rgba = colours[np.clip(at * len(colours), 0, len(colours) - 1).astype(np.intp)]
    rgba[part == MISSING] = 0
    return rgba


_LIMIT = "limit"


def part_limits(ax: Axes) -> None:
    """Remove labels of limits that lie over others, once the Axes have their final height; a largest value stays."""
    renderer = renderer_of(ax.figure)
    kept: list[Bbox] = []
    for label in [text for text in ax.texts if text.get_gid() == _LIMIT]:
        box = label.get_window_extent(renderer)
        if any(box.overlaps(other) for other in kept):
            label.remove()
        else:
            kept.append(box)


def draw_bands(
    formats: Sequence[Format],
    ax: Axes,
    dtype_info: tuple[bool, bool, bool],
    style: Style,
    low: float,
    high: float,
    named: bool = True,
) -> None:
    """Draw the limits of formats across an axis of exponents, and shade what a single format cannot represent."""
    apart = 1.7 * style.small * (high - low) / max(length_in_points(ax.yaxis), 1)
    labelled: list[float] = []
    for to in formats:
        colour = style.format_colour(to.name)
        limits = (math.log2(to.max), math.log2(to.smallest_normal), math.log2(to.vanishes_at))
        words = (f"max {limit_text(to.max)}", f"normal ≥ {limit_text(to.smallest_normal)}")
        words = (*words, f"to zero below {limit_text(to.vanishes_at)}")
        drawn = list(zip(limits, dtype_info, words, ("-", "--", ":"), strict=True))
        for at, shown, text, dashes in (drawn[0], drawn[2], drawn[1]):
            if not shown or not low <= at <= high:
                continue
            ax.axhline(at, color=colour, linestyle=dashes, linewidth=1.2, zorder=3)
            centre = at + (0.5 if high - at > apart else -0.5) * apart
            if named and low < centre and all(abs(centre - other) > apart for other in labelled):
                labelled.append(centre)
                limit_label = text if len(formats) == 1 else f"{to.short} {text}"
                above = high - at > apart
                label = ax.annotate(
                    limit_label, (0, at), (4, 2 if above else -2), xycoords=("axes fraction", "data"), zorder=5.2,
                    textcoords="offset points", ha="left", va="bottom" if above else "top", size=style.small,
                    color=style.ink if len(formats) == 1 else colour,
                )  # fmt: skip
                label.set_bbox({"facecolor": style.paper, "edgecolor": "none", "alpha": 0.8, "pad": 1.5})
                label.set_gid(_LIMIT)
        if len(formats) == 1:
            for a, b in ((limits[0], high + 9), (low - 9, limits[2])):
                if a < b:
                    ax.axhspan(a, b, color=colour, alpha=0.13, linewidth=0, zorder=-2)
