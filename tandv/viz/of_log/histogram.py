"""Draw the exponents of one tensor at one step, with the ranges of number formats above them."""

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox, TransformedBbox

from tandv.formats import Format
from tandv.log.sound import counts_of
from tandv.viz.layout.measuring import renderer_of
from tandv.viz.layout.style import Style
from tandv.viz.layout.tables import Drawn, remember
from tandv.viz.layout.ticks import exponent_ticks, limit_text, linear_ticks, percent_text, power, share_text

Kind = Literal["bar", "line", "kde"]


class Exponents(NamedTuple):
    """How many values of one tensor have each exponent, from `low` up, and how many are zero, infinite or NaN.

    `larger` are finite ones beyond the counted exponents, which end below `beyond`; `numel` is 0 where it is not known.
    """

    low: int
    counts: np.ndarray
    zeros: int
    infinities: int
    nans: int
    larger: int = 0
    beyond: int = 0
    numel: int = 0

    @property
    def total(self) -> int:
        return self.numel or int(self.counts.sum()) + self.zeros + self.larger + self.infinities + self.nans

    @property
    def shares(self) -> np.ndarray:
        return self.counts / max(self.total, 1)


def exponents_of(rows: pd.DataFrame) -> Exponents:
    """Return the exponent counts of `rows` added up (one row, or one per rank), from first to last that is used."""
    counts = counts_of(rows)
    added = dict(zip(counts.columns, counts.to_numpy().sum(axis=0, dtype=np.int64).tolist(), strict=True))
    used = sorted(int(n) for n, count in added.items() if count and not math.isinf(n))
    low, high = (used[0], used[-1]) if used else (0, -1)
    tally = {
        name: int(rows[label].fillna(0).sum())
        for name in ("nans", "infs", "numel")
        if (label := ("scalar_stats", name)) in rows.columns
    }
    infinities = tally["infs"] if "infs" in tally else int(added[math.inf])
    counted = [int(n) for n in counts.columns if not math.isinf(n)]
    values = np.array([added.get(n, 0) for n in range(low, high + 1)], np.int64)
    return Exponents(
        low, values, added[-math.inf], infinities, tally.get("nans", 0), max(added[math.inf] - infinities, 0),
        max(counted) + 1 if counted else 0, tally.get("numel", 0),
    )  # fmt: skip


def smooth(found: Exponents, points: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Return a density per power of two: a Gaussian around each bin's middle, weighted by its count.

    The width follows Scott's rule for the number of values, but is at least the spread within a bin.
    """
    shares = found.counts / max(found.counts.sum(), 1)
    middle = found.low + np.arange(len(shares)) + 0.5
    mean = float((shares * middle).sum())
    spread = math.sqrt(float((shares * (middle - mean) ** 2).sum()))
    width = max(spread * max(found.counts.sum(), 1) ** -0.2, 0.45)
    x = np.linspace(middle[0] - 3.5 * width, middle[-1] + 3.5 * width, points)
    bells = np.exp(-0.5 * ((x[:, None] - middle) / width) ** 2) / (width * math.sqrt(2 * math.pi))
    return x, bells @ found.shares


def draw_exponents(
    rows: pd.DataFrame,
    ax: Axes,
    *,
    kind: Kind = "bar",
    formats: Sequence[Format] = (),
    dtype_info: tuple[bool, bool, bool] = (True, True, True),
    span: tuple[float, float] | None = None,
    log: bool = False,
    style: Style,
) -> None:
    """Draw the share of values at each power of two: 2^n <= |x| < 2^(n+1) between n and n + 1.

    Zeros (with values below the counted range) and infinities are separate bars at either end. `formats` are
    drawn as ranges above, and the limits chosen by `dtype_info` as lines through the plot.
    """
    found = exponents_of(rows)
    low, high = span or span_of([found], formats)
    top = draw_bars(found, ax, kind, formats, style)
    named = _ends(found, ax, low, high, style)
    sides = [count / max(found.total, 1) for count in (found.zeros, found.larger + found.infinities) if count]
    top = max([top, *sides])
    exponent_ticks(ax.xaxis, low, high, named)
    left, right = low - 0.5, high + 0.5
    left, right = min([left, *(n - 1.2 for n in named)]), max([right, *(n + 1.2 for n in named)])
    ax.set_xlim(left, right)
    ax.set_ylim(0, top * 1.06 if top else 1)
    linear_ticks(ax.yaxis, percent_text)
    if log:
        log_shares(ax, "y", found)
    ax.grid(False, axis="x")
    ax.set_xlabel("|x|")
    ax.set_ylabel("share of values")
    draw_ranges(formats, ax, dtype_info, style)
    if not found.total - found.nans:
        words = "all values are NaN" if found.nans else "no values"
        ax.text(
            0.5, 0.5, words, transform=ax.transAxes, ha="center", va="center", color=style.nan, size=style.text,
        )  # fmt: skip
    else:
        say_not_finite(ax, found, style)
    names, kinds = (tuple(dict.fromkeys(rows[("metadata", c)])) for c in ("name", "tensor_type"))
    step = np.unique(rows[("metadata", "step")].to_numpy())
    bins = tuple(range(found.low, found.low + len(found.counts)))
    shares = np.array([[found.nans], [found.infinities]]) / max(found.total, 1)
    bad = np.repeat(shares, len(step), axis=1)
    labels = tuple(map(str, bins))
    remember(ax, Drawn("exp_hist", "exponent", "value", names, kinds, step, found.shares, labels, None, bad))


def say_not_finite(ax: Axes, found: Exponents, style: Style) -> None:
    """Write which share of the values is NaN and which infinite, at the top right."""
    for i, (count, words, colour) in enumerate(
        pair for pair in ((found.nans, "are NaN", style.nan), (found.infinities, "are infinite", style.inf)) if pair[0]
    ):
        text = ax.annotate(
            f"{share_text(count / found.total)} {words}", (0.99, 0.97), (0, -i * style.small * 1.5),
            xycoords="axes fraction", textcoords="offset points", ha="right", va="top", color=colour,
            size=style.small, weight="bold", zorder=5,
        )  # fmt: skip
        text.set_bbox({"facecolor": style.panel, "edgecolor": "none", "alpha": 0.85, "pad": 1.5})


def span_of(some: Sequence[Exponents], formats: Sequence[Format]) -> tuple[float, float]:
    """Return the exponents that a plot of `some` spans: all that occur, and the limits of formats near them."""
    lows = [f.low for f in some if len(f.counts)]
    highs = [f.low + len(f.counts) for f in some if len(f.counts)]
    low, high = (min(lows), max(highs)) if lows else (-8, 8)
    reach = max(6, (high - low) // 2)
    for to in formats:
        for limit in (math.log2(to.max), math.log2(to.smallest_normal), math.log2(to.smallest_subnormal)):
            if low - reach <= limit <= high + reach:
                low, high = min(low, math.floor(limit)), max(high, math.ceil(limit))
    return float(low), float(high)


def draw_bars(
    found: Exponents,
    ax: Axes,
    kind: Kind,
    formats: Sequence[Format],
    style: Style,
    orientation: Literal["vertical", "horizontal"] = "vertical",
) -> float:
    """Draw the shares as one artist, and those outside a single format's range in its colour."""
    if not len(found.counts):
        return 0.0
    if kind == "kde":
        x, y = smooth(found)
        ax.fill_between(x, y, color=style.bar, alpha=0.3, linewidth=0)
        ax.plot(x, y, color=style.bar, linewidth=1.6)
        return float(y.max())
    borders = np.arange(found.low, found.low + len(found.counts) + 1)
    if kind == "line":
        ax.plot(borders[:-1] + 0.5, found.shares, "o-", color=style.bar, linewidth=1.6, markersize=4)
        return float(found.shares.max())
    look: dict[str, Any] = {"fill": True, "linewidth": 0.6, "edgecolor": style.bar_edge, "orientation": orientation}
    ax.stairs(found.shares, borders, facecolor=style.bar, **look)
    if len(formats) == 1:
        out = outside(borders[:-1], formats[0])
        if (found.counts[out] > 0).any():
            hot = np.where(out, found.shares, 0)
            ax.stairs(hot, borders, facecolor=style.format_colour(formats[0].name), **look)
    inner = borders[1:-1]  # thin gaps between the bars: one artist, whatever their number
    least = np.minimum(found.shares[:-1], found.shares[1:])
    lines = ax.hlines if orientation == "horizontal" else ax.vlines
    lines(inner, 0, least, colors=style.bar_edge, linewidth=0.6)
    return float(found.shares.max())


def outside(bins: np.ndarray, to: Format) -> np.ndarray:
    """Tell which bins a format cannot represent: above its largest value, or rounding to zero."""
    return (np.exp2(bins.astype(float)) > to.overflows_above) | (np.exp2(bins + 1.0) <= to.vanishes_at)


def log_shares(ax: Axes, axis: str, found: Exponents) -> None:
    """Make the axis of shares logarithmic, down to a single value."""
    smallest = 10.0 ** math.floor(math.log10(1 / max(found.total, 2)))
    smallest = max(smallest, 1e-7)
    if axis == "x":
        ax.set_xscale("log")
        ax.set_xlim(smallest, 1)
    else:
        ax.set_yscale("log")
        ax.set_ylim(smallest, 1)


def _ends(found: Exponents, ax: Axes, low: float, high: float, style: Style) -> dict[float, str]:
    """Draw zeros and infinities, if there are any, as separate bars; return their positions and names.

    Finite values beyond the counted exponents are in one bar with infinities, which has their lower end as its name.
    """
    named = {}
    beyond = (style.zero, f"≥{power(found.beyond)}") if found.larger else (style.inf, "inf")
    for count, at, colour, words in (
        (found.zeros, low - 2.5, style.zero, "zero"),
        (found.larger + found.infinities, high + 2.5, *beyond),
    ):
        if count:
            share = count / found.total
            ax.stairs([share], [at - 0.5, at + 0.5], fill=True, facecolor=colour, edgecolor=style.bar_edge)
            named[at] = words
    return named


def draw_ranges(formats: Sequence[Format], ax: Axes, dtype_info: tuple[bool, bool, bool], style: Style) -> None:
    """Draw the range of each format as a bar above the Axes: normal numbers solid, subnormal ones pale.

    A limit within view is also a line through the plot: the largest value solid, the smallest normal
    dashed, the smallest subnormal dotted.
    """
    if not formats or not any(dtype_info):
        return
    pixel = ax.figure.dpi / 72 / ax.bbox.height  # type: ignore[attr-defined]
    left, right = ax.get_xlim()
    single = len(formats) == 1
    each = (22 if single else 13.5) * pixel
    clip = TransformedBbox(Bbox([[0, -0.01], [1, 1 + each * len(formats) + 30 * pixel]]), ax.transAxes)
    where = ax.get_xaxis_transform()
    for i, to in enumerate(formats):
        colour = style.format_colour(to.name)
        top, normal, subnormal = (math.log2(v) for v in (to.max, to.smallest_normal, to.smallest_subnormal))
        y = 1 + 4 * pixel + i * each
        middle, height = y + 3.5 * pixel, 7 * pixel
        bar = {"transform": where, "linewidth": height / pixel, "solid_capstyle": "butt", "clip_on": True}
        for a, b, alpha in ((normal, top, 0.85), (subnormal, normal, 0.35)):
            line = ax.plot([max(a, left), min(max(b, left), right)], [middle, middle], color=colour, alpha=alpha, **bar)
            line[0].set_clip_box(clip)
            line[0].set_clip_path(None)
        for limit, drawn, dashes in zip((top, normal, subnormal), dtype_info, ("-", "--", ":"), strict=True):
            if drawn and left < limit < right:
                ax.axvline(limit, color=colour, linestyle=dashes, linewidth=1.2, zorder=3)
        inside = max(left, subnormal), min(right, top)
        if inside[1] <= inside[0]:
            continue
        name = to.short if not single else f"{to.name}"
        text = ax.text(
            sum(inside) / 2, middle, name, transform=where, ha="center", va="center_baseline", size=style.small - 1,
            color=colour, weight="bold",
        )  # fmt: skip
        text.set_bbox({"facecolor": style.paper, "edgecolor": "none", "pad": 0.8})
        if single:
            _numbers(ax, to, dtype_info, y + 9 * pixel, colour, style)


def _numbers(ax: Axes, to: Format, dtype_info: tuple[bool, bool, bool], y: float, colour: str, style: Style) -> None:
    """Write the limits of a single format above the ends of its bar, where they do not overlap."""
    left, right = ax.get_xlim()
    renderer, taken = renderer_of(ax.figure), []
    limits = [("max ", to.max), ("normal ≥ ", to.smallest_normal), ("subnormal ≥ ", to.smallest_subnormal)]
    for (words, value), wanted in zip(limits, dtype_info, strict=True):
        at = math.log2(value)
        if not wanted or not left < at < right:
            continue
        for label in (words + limit_text(value), limit_text(value)):
            text = ax.text(
                at, y, label, transform=ax.get_xaxis_transform(), ha="center", va="bottom", size=style.small,
                color=colour,
            )  # fmt: skip
            box = text.get_window_extent(renderer)
            if not any(box.x0 < b.x1 + 6 and box.x1 > b.x0 - 6 for b in taken):
                taken.append(box)
                break
            text.remove()
