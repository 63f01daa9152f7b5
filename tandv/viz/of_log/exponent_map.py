"""Draw how the exponents of one tensor change over the steps, beside the limits of number formats."""

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.transforms import Bbox

from tandv.formats import Format
from tandv.log.sound import counts_of
from tandv.viz.layout.colours import Scale, lookup
from tandv.viz.layout.heat import MISSING, Heat
from tandv.viz.layout.keys import Key
from tandv.viz.layout.measuring import renderer_of
from tandv.viz.layout.style import Style
from tandv.viz.layout.tables import Drawn, remember
from tandv.viz.layout.ticks import exponent_ticks, length_in_points, limit_text, power
from tandv.viz.of_log.maps import draw_table


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
    counts = counts_of(rows)
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
