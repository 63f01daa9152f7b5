"""Draw a slice of a map beside it: the values of one step in all layers, or their exponents."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from tandv.formats import Format
from tandv.glossary import unit
from tandv.viz.layout.log_ticks import decade_ticks, log2_ticks
from tandv.viz.layout.style import Style
from tandv.viz.layout.tables import Drawn, remember, table
from tandv.viz.layout.ticks import limit_text, linear_ticks, power
from tandv.viz.of_log.exponent_map import draw_bands
from tandv.viz.of_log.histogram import draw_bars, exponents_of, log_shares
from tandv.viz.of_log.maps import Cells

_LOWEST, _HIGHEST = -1074, 1023.9  # where an axis of powers of two may end: what float64 holds


def draw_slice(cells: Cells, column: int, chosen: int, ax: Axes, to: Format, style: Style, metric: str) -> None:
    """Draw a statistic of all layers at one step as bars next to their rows, and the first step, if another, as a line.

    Layers with NaN or infinities there are marked at the left.
    """
    names, table = cells.names, cells.values
    values, first = table[:, column], table[:, 0] if column else np.full(len(names), np.nan)
    rows = np.arange(len(names) + 1) - 0.5
    signed = bool((values[np.isfinite(values)] < 0).any())
    both = np.concatenate([values, first])
    positive = both[np.isfinite(both) & (both > 0)]
    base = 0.0
    if not signed and positive.size:
        ax.set_xscale("log", base=2)
        base = 2.0 ** max(math.floor(math.log2(positive.min()) - 0.3), _LOWEST)
        top = draw_limit(ax, float(positive.max()), base, to, style) if _is_size(metric) else float(positive.max())
        ax.set_xlim(base, 2.0 ** min(1.06 * math.log2(top) - 0.06 * math.log2(base), _HIGHEST))
        log2_ticks(ax.xaxis)
    else:
        linear_ticks(ax.xaxis)
    shown = np.where(np.isfinite(values), values, base)
    shown = shown if signed else np.maximum(shown, base)
    ax.stairs(shown, rows, baseline=base, orientation="horizontal", fill=True, color=style.bar, linewidth=0)
    ax.stairs(
        shown[chosen : chosen + 1], rows[chosen : chosen + 2], baseline=base, orientation="horizontal", fill=True,
        color=style.ink, linewidth=0,
    )  # fmt: skip
    before = np.where(np.isfinite(first) & ((first > 0) | signed), first, np.nan)
    ax.plot(before, np.arange(len(names)), color=style.ink, linewidth=0.8, alpha=0.75)
    nans, infs = cells.not_finite[..., column]
    for x, special, mark in ((0.02, np.isnan(values) | (nans > 0), style.nan), (0.05, infs > 0, style.inf)):
        at = np.flatnonzero(special)
        if len(at):
            ax.plot(
                np.full(len(at), x), at, "s", transform=ax.get_yaxis_transform(), color=mark, markersize=4,
                markeredgecolor=style.panel, markeredgewidth=0.6, zorder=6,
            )  # fmt: skip
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.tick_params(axis="y", left=False, labelleft=False)
    ax.grid(False, axis="y")


def _is_size(metric: str) -> bool:
    """Tell whether a statistic is of the size of single values, which a format's limit can be compared with."""
    return unit(metric) == "value" and metric != "mean"


def draw_limit(ax: Axes, top: float, base: float, to: Format, style: Style) -> float:
    """Draw the largest value of a format, or write that it is beyond; return where the axis ends."""
    colour, words = style.format_colour(to.name), f"max {limit_text(to.max)}"
    near = to.max <= top * 2**10
    x, side = (to.max, "right") if base < to.max else (base, "left")
    if near and base < to.max:
        top = max(top, to.max)
        ax.axvline(to.max, color=colour, linewidth=1.4, zorder=3)
    label = ax.annotate(
        words if near else f"{words} →", (x, 1) if near else (1, 1), (-3 if side == "right" else 3, -3),
        xycoords=ax.get_xaxis_transform() if near else "axes fraction", textcoords="offset points", ha=side, va="top",
        size=style.small, color=colour, zorder=5,
    )  # fmt: skip
    label.set_bbox({"facecolor": style.panel, "edgecolor": "none", "alpha": 0.8, "pad": 1.0})
    return top


def draw_slice_of_exponents(here: pd.DataFrame, ax: Axes, neighbour: Axes, to: Format, style: Style) -> None:
    """Draw the histogram of one step sideways, on the exponents of the map next to it."""
    found = exponents_of(here)
    low, high = neighbour.get_ylim()
    draw_bars(found, ax, "bar", [to], style, orientation="horizontal")
    log_shares(ax, "x", found)
    for name, count, colour in (
        ("zero", found.zeros, style.zero), (f"≥{power(found.beyond)}", found.larger, style.zero),
        ("inf", found.infinities, style.inf), ("NaN", found.nans, style.nan),
    ):  # fmt: skip
        if count and (lane := _lane(neighbour, name)) is not None:
            ax.stairs(
                [count / max(found.total, 1)], lane, orientation="horizontal", fill=True, color=colour,
                baseline=ax.get_xlim()[0] / 10,
            )  # fmt: skip
    ax.set_ylim(low, high)
    span = math.floor(low), math.ceil(high)
    draw_bands([to], ax, (True, True, True), style, float(span[0]), float(span[1]), named=False)
    ax.tick_params(axis="y", left=False, labelleft=False)
    decade_ticks(ax.xaxis)
    ax.grid(True, axis="x", color=style.grid, linewidth=0.8)
    kinds, names = (tuple(dict.fromkeys(here[("metadata", c)])) for c in ("tensor_type", "name"))
    step = np.unique(here[("metadata", "step")].to_numpy())
    shares = np.array([[found.nans], [found.infinities]]) / max(found.total, 1)
    remember(ax, Drawn("exp_hist", "value", "exponent", names, kinds, step, found.shares, not_finite=shares))


def _lane(neighbour: Axes, name: str) -> list[float] | None:
    """Return where the neighbouring map has a lane, None if it has none."""
    names = table(neighbour).names
    borders = neighbour.images[0].y  # type: ignore[attr-defined]
    return borders[names.index(name) : names.index(name) + 2].tolist() if name in names else None
