"""One picture of a run: the loss, all layers, one layer's exponents, and what a cast would do at a step."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle

from tandv import logframe
from tandv.curves import as_curves
from tandv.formats import Format, cast_shares, exponent, known
from tandv.viz.drawn import Drawn, remember
from tandv.viz.facet import canvas
from tandv.viz.heat import MISSING, buckets, edges
from tandv.viz.histogram import draw_bars, exponents_of, log_shares
from tandv.viz.lines import draw_curves, draw_lines, wants_log2
from tandv.viz.maps import draw_bands, draw_exponent_map, draw_layers, table_of
from tandv.viz.plots import _metrics, _narrow
from tandv.viz.style import Style, Theme, dress
from tandv.viz.style import theme as theme_named
from tandv.viz.ticks import decade_ticks, linear_ticks, log2_ticks, step_text, value_text
from tandv.viz.titles import GAP, PAD, around, colour_key, header, points, renderer_of, settle_labels, shorten

FORMATS = ("float8_e4m3fn", "float8_e5m2", "float16", "bfloat16")
WORTH_A_LINE = 0.001  # of the values: less overflow than this is not outlined


def overview(
    df: pd.DataFrame,
    layer: str | None = None,
    tt: str | None = None,
    scalar_metric: str | None = None,
    step: int | None = None,
    train_stats: Any = None,
    dtype_annotation: str = "float8_e4m3fn",
    formats: Sequence[str] = FORMATS,
    title: str = "",
    colour: Literal["log2", "linear", "change"] = "log2",
    figsize: tuple[float, float] | None = None,
    theme: Theme | Style = "light",
    fig: Any = None,
) -> Any:
    """Draw a run as a whole: loss, layers × steps, and the exponents of one layer, with a cursor at one step.

    Without a `layer` and `step` the cursor stands where most values overflow `dtype_annotation`, or where a
    layer is furthest from its usual size. At the right: what a cast to each of `formats` would do there (an
    interval where the bins cannot tell), all layers at that step, and the histogram.

    >>> from tandv.logframe import example_log
    >>> losses = {"step": range(50), "train": [1 / (1 + i) for i in range(50)]}
    >>> fig = overview(example_log(layers=30), train_stats=losses)
    """
    style = theme_named(theme)
    to, listed = known(dtype_annotation)[0], known(formats)
    types = logframe.tensor_types(df)
    tt = tt or ("Activation" if "Activation" in types else types[0])
    stats = logframe.scalar_metrics(df)
    metric = _metrics(df, scalar_metric or next((m for m in ("rm2", "std", "mean_abs") if m in stats), stats[0]))[0]
    rows = logframe.select(df, tt=tt)
    names, steps, table = table_of(_narrow(rows, [metric]), metric)
    overflow = _overflow(rows, to, names, steps)
    layer, step = _worst(names, steps, table, overflow, layer, step)
    own = logframe.select(rows, layer)
    if step not in (has := logframe.steps(own)):
        if step not in steps:
            logframe.select(rows, step=step)  # raises, with the nearest steps
        raise logframe.NotLogged(f"{layer!r} has no {tt} at step {step}; its nearest is {_nearest(has, step)}")
    here = logframe.select(own, step=step)

    fig = canvas(fig, figsize or (14.0, 9.2), style)
    style = _to_scale(style, fig)
    axes = _axes(fig, style)
    top, layers_ax, map_ax, words_ax, slice_ax, bars_ax = axes
    if train_stats is not None:
        draw_curves(as_curves(train_stats), top, style=style, label="loss" if _is_loss(train_stats) else "")
    else:
        both = [m for m in dict.fromkeys((metric, "max_abs")) if m in stats]
        values = own[[("scalar_stats", m) for m in both]].to_numpy(float, na_value=np.nan)
        draw_lines(own, top, metrics=both, log2=wants_log2(values), style=style)
    keys = draw_layers(_narrow(rows, [metric]), layers_ax, metric=metric, colour=colour, style=style), None
    shown_map = draw_exponent_map(own, map_ax, formats=[to], style=style)
    draw_slice(names, table, int(np.searchsorted(steps, step)), names.index(layer), slice_ax, to, style, metric)
    draw_slice_of_exponents(here, bars_ax, map_ax, to, style)

    limits = edges(steps)
    for ax in (top, layers_ax, map_ax):
        ax.set_xlim(limits[0], limits[-1])
        draw_cursor(ax, step, style, on_map=ax is not top)
    draw_outlines(overflow > WORTH_A_LINE, steps, layers_ax, style.format_colour(to.name))
    _mark_layer(layers_ax, slice_ax, names.index(layer), style)
    for ax in (top, layers_ax):
        ax.set_xlabel("")
        ax.tick_params(axis="x", labelbottom=False)

    size = f"{len(names):,} layers × {len(steps):,} logged steps"
    said = f"{tt} · {metric}  |  step {step_text(step)}  |  {layer}  |  {size}"
    head = header(fig, title or "overview", said, {}, style)
    told = "loss" if top.get_ylabel() == "loss" else "training" if train_stats is not None else f"{layer}"
    _panel(top, told, style)
    top.set_ylabel("")
    _legend_beside_title(top, style)
    _panel(layers_ax, f"{metric} of all layers", style)
    _panel(map_ax, f"exponents of {layer}", style)
    _panel(slice_ax, f"all layers at step {step_text(step)} (line: step {step_text(steps[0])})", style)
    _panel(bars_ax, f"share of values at step {step_text(step)}", style)
    bars_ax.set_xlabel("")
    note = f"outlined: over 0.1% would overflow {to.short}" if (overflow > WORTH_A_LINE).any() else ""
    for ax in axes:
        settle_labels(ax)
    _lay_out(fig, axes, head)
    for ax, key in ((layers_ax, keys[0]), (map_ax, shown_map)):
        colour_key(ax, key, style)
    _lay_out(fig, axes, head)
    if note:
        _beside_title(layers_ax, note, style.format_colour(to.name), style)
    for ax in (layers_ax, map_ax):
        shorten(ax._left_title, fig, (getattr(ax, "_tandv_key_left", 1.0)) * ax.bbox.width - 6)  # type: ignore[attr-defined]
    for ax in (slice_ax, bars_ax):
        if slice_ax._left_title.get_window_extent(renderer_of(fig)).width > slice_ax.bbox.width:  # type: ignore[attr-defined]
            slice_ax._left_title.set_text(f"all layers at step {step_text(step)}")  # type: ignore[attr-defined]
        shorten(ax._left_title, fig, ax.bbox.width)  # type: ignore[attr-defined]
    _read_out(top, step, style)
    draw_what_if(here, listed, words_ax, style)
    return fig


# ------------------------------------------------------------------------------------- where to look


def _is_loss(train_stats: Any) -> bool:
    return all("loss" in str(n) or str(n) in ("train", "val", "test") for n in as_curves(train_stats).columns)


def _nearest(steps: Sequence[int], step: int) -> int:
    return min(steps, key=lambda s: abs(s - step))


def _overflow(rows: pd.DataFrame, to: Format, names: list[str], steps: np.ndarray) -> np.ndarray:
    """Return the least share of values that overflow a format, [layers, steps]."""
    limit = exponent(to.overflows_above)
    high = [n for top, n in rows.columns if top == "exponent_counts" and float(n) > limit]
    over = np.zeros(len(rows), np.int64)
    for n in high:
        over += rows[("exponent_counts", n)].to_numpy(np.int64)
    if ("scalar_stats", "numel") in rows.columns:
        total = rows[("scalar_stats", "numel")].to_numpy(float, na_value=np.nan)
    else:
        total = rows["exponent_counts"].to_numpy().sum(axis=1, dtype=float)
    column = rows[("metadata", "name")]
    codes, found = pd.factorize(column.array if isinstance(column.dtype, pd.CategoricalDtype) else column.to_numpy())
    row = np.array([names.index(str(name)) for name in found])[codes]
    out = np.zeros((len(names), len(steps)))
    out[row, np.searchsorted(steps, rows[("metadata", "step")].to_numpy())] = over / np.maximum(total, 1)
    return np.nan_to_num(out)


def _worst(
    names: list[str],
    steps: np.ndarray,
    table: np.ndarray,
    overflow: np.ndarray,
    layer: str | None,
    step: int | None,
) -> tuple[str, int]:
    """Return the layer and step to look at, of those that were not chosen."""
    if layer is not None and layer not in names:
        raise logframe.NotLogged(logframe._unknown("layer", layer, names))
    there = table != MISSING
    with np.errstate(divide="ignore", invalid="ignore"):
        sizes = np.log2(np.abs(np.where(there, table, np.nan)))
    sizes = np.where(np.isfinite(sizes), sizes, np.nan)
    usual = np.array([np.median(row[np.isfinite(row)]) if np.isfinite(row).any() else 0.0 for row in sizes])
    rank = overflow * 1e6 + np.nan_to_num(np.abs(sizes - usual[:, None]))
    rank = np.where(there, rank, -1.0)
    if layer is not None:
        rank[[i for i, name in enumerate(names) if name != layer]] = -2.0
    if step is not None and step in steps:
        rank[:, steps != step] -= 10.0**9
    row, column = np.unravel_index(int(np.argmax(rank)), rank.shape)
    return names[row], int(steps[column]) if step is None else int(step)


# ------------------------------------------------------------------------------------------ drawing


def draw_cursor(ax: Axes, step: float, style: Style, on_map: bool) -> None:
    """Draw the vertical line at a step, to be seen on any colour."""
    line = ax.axvline(step, color=style.ink, linewidth=1.3, zorder=5)
    if on_map:
        line.set_path_effects([patheffects.withStroke(linewidth=3.2, foreground=style.paper)])


def draw_outlines(mask: np.ndarray, steps: np.ndarray, ax: Axes, colour: str) -> None:
    """Outline the regions of cells that are true, as one artist; columns are joined where they are many."""
    if not mask.any():
        return
    x = edges(steps)
    if len(steps) > 600:
        pixels = np.linspace(x[0], x[-1], 601)
        first, _ = buckets(x, pixels)
        first = np.unique(first)
        mask, x = np.logical_or.reduceat(mask, first, axis=1), np.append(x[first], x[-1])
    y = np.arange(len(mask) + 1) - 0.5
    framed = np.pad(mask, 1)
    across = np.argwhere(framed[1:, 1:-1] != framed[:-1, 1:-1])
    down = np.argwhere(framed[1:-1, 1:] != framed[1:-1, :-1])
    segments = [((x[c], y[r]), (x[c + 1], y[r])) for r, c in across]
    segments += [((x[c], y[r]), (x[c], y[r + 1])) for r, c in down]
    ax.add_collection(LineCollection(segments, colors=colour, linewidths=1.2, zorder=3), autolim=False)


def draw_slice(
    names: list[str],
    table: np.ndarray,
    column: int,
    chosen: int,
    ax: Axes,
    to: Format,
    style: Style,
    metric: str,
) -> None:
    """Draw a statistic of all layers at one step as bars beside their rows, and the first step as a line."""
    values, first = table[:, column], table[:, 0]
    rows = np.arange(len(names) + 1) - 0.5
    signed = bool((values[np.isfinite(values)] < 0).any())
    both = np.concatenate([values, first])
    positive = both[np.isfinite(both) & (both > 0)]
    base = 0.0
    if not signed and positive.size:
        ax.set_xscale("log", base=2)
        base = 2.0 ** math.floor(math.log2(positive.min()) - 0.3)
        top = positive.max()
        # The limit is one of single values: drawn beside statistics of their size, if it is near.
        if ("abs" in metric or "rm" in metric or metric == "std") and to.max <= top * 2**6:
            top = max(top, to.max)
            ax.axvline(to.max, color=style.format_colour(to.name), linewidth=1.4, zorder=3)
        ax.set_xlim(base, top * (top / base) ** 0.06)
        log2_ticks(ax.xaxis)
    else:
        linear_ticks(ax.xaxis)
    shown = np.where(np.isfinite(values), values, base)
    shown = shown if signed else np.maximum(shown, base)
    ax.stairs(shown, rows, baseline=base, orientation="horizontal", fill=True, color=style.bar, linewidth=0)
    ax.stairs(
        shown[chosen : chosen + 1], rows[chosen : chosen + 2], baseline=base, orientation="horizontal", fill=True,
        color=style.alarm, linewidth=0,
    )  # fmt: skip
    before = np.where(np.isfinite(first) & ((first > 0) | signed), first, np.nan)
    ax.plot(before, np.arange(len(names)), color=style.ink, linewidth=0.8, alpha=0.75)
    for special, mark in ((np.isnan(values), style.nan), (values == np.inf, style.inf)):
        at = np.flatnonzero(special)
        if len(at):
            ax.plot(np.full(len(at), 0.015), at, "s", transform=ax.get_yaxis_transform(), color=mark, markersize=4)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.tick_params(axis="y", left=False, labelleft=False)
    ax.grid(False, axis="y")


def draw_slice_of_exponents(here: pd.DataFrame, ax: Axes, beside: Axes, to: Format, style: Style) -> None:
    """Draw the histogram of one step sideways, on the exponents of the map beside it."""
    found = exponents_of(here)
    low, high = beside.get_ylim()
    draw_bars(found, ax, "bar", [to], style, orientation="horizontal")
    log_shares(ax, "x", found)
    for at, count, colour in _end_places(beside, found.zeros, found.infinities, style):
        ax.stairs(
            [count / max(found.total, 1)], [at[0], at[1]], orientation="horizontal", fill=True, color=colour,
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
    remember(ax, Drawn("exp_hist", "value", "exponent", names, kinds, step, found.shares))


def _end_places(beside: Axes, zeros: int, infinities: int, style: Style) -> list[tuple[tuple[float, float], int, str]]:
    """Return where the map beside has its rows of zeros and infinities, if it has them."""
    found = beside._tandv_drawn  # type: ignore[attr-defined]
    image = beside.images[0]
    borders = image.y  # type: ignore[attr-defined]
    out = []
    if found.names[0] == "zero" and zeros:
        out.append(((borders[0], borders[1]), zeros, style.zero))
    if found.names[-1] == "inf" and infinities:
        out.append(((borders[-2], borders[-1]), infinities, style.inf))
    return out


def draw_what_if(here: pd.DataFrame, formats: Sequence[Format], ax: Axes, style: Style) -> None:
    """Write what share of the tensor's values a cast to each format would lose, as intervals."""
    ax.set_axis_off()
    wide, high = ax.bbox.width, ax.bbox.height
    line = min(points(ax.figure, style.text * 1.9), high / (len(formats) + 2))
    columns = {"": 0.0, "overflow": 0.17, "to zero": 0.52, "subnormal": 0.77}
    if wide < 17 * points(ax.figure, style.text):
        columns = {"": 0.0, "overflow": 0.24, "to zero": 0.7}

    def write(x: float, row: float, words: str, colour: str, **look: Any) -> None:
        ax.text(x, 1 - row * line / high, words, transform=ax.transAxes, color=colour, va="center", **look)

    write(0.0, 0.4, "if this tensor were cast to …", style.muted, size=style.text)
    for name, x in columns.items():
        write(x, 1.35, name, style.muted, size=style.small)
    for i, to in enumerate(formats):
        shares = cast_shares(here, to.name)
        row = 2.35 + i
        if i % 2 == 0:
            bottom, tall = 1 - (row + 0.5) * line / high, line / high
            ax.add_patch(Rectangle((0, bottom), 1, tall, transform=ax.transAxes, color=style.grid, alpha=0.55, lw=0))
        write(0.012, row, to.short, style.format_colour(to.name), size=style.text, weight="bold")
        for (name, x), interval in zip(list(columns.items())[1:], _ordered(shares), strict=False):
            words = interval_text(*interval)
            bad = name != "subnormal" and interval[1] > WORTH_A_LINE
            write(
                x,
                row,
                words,
                style.alarm if bad else style.ink,
                size=style.text,
                weight="bold" if bad else "normal",
            )


def _ordered(shares: Any) -> list[np.ndarray]:
    return [shares.overflow[0], shares.to_zero[0], shares.subnormal[0]]


def interval_text(low: float, high: float) -> str:
    """Return an interval of shares in percent.

    >>> interval_text(0.127, 0.443), interval_text(0.0, 0.0), interval_text(1e-6, 1e-6), interval_text(0, 0.01)
    ('12.7–44.3%', '0', '<0.001%', '0–1%')
    """

    def one(share: float) -> str:
        if share == 0:
            return "0"
        return "<0.001" if share < 1e-5 else f"{100 * share:.3g}"

    a, b = one(low), one(high)
    if a == b:
        return a if a == "0" else a + "%"
    return f"{a}–{b}%" if not b.startswith("<") else b + "%"


def _mark_layer(ax: Axes, beside: Axes, row: int, style: Style) -> None:
    """Point at a layer from both sides and frame its row, without covering it."""
    for edge in (row - 0.5, row + 0.5):
        ax.axhline(edge, color=style.alarm, linewidth=0.9, linestyle=(0, (1, 1.5)), zorder=4)
    for one, x, mark in ((ax, 0.0, ">"), (beside, 0.0, ">"), (ax, 1.0, "<")):
        one.plot(
            [x], [row], mark, transform=one.get_yaxis_transform(), color=style.alarm, markersize=7, clip_on=False,
            markeredgewidth=0, zorder=6,
        )  # fmt: skip


# ------------------------------------------------------------------------------------------- layout


def _to_scale(style: Style, fig: Any) -> Style:
    """Return the style with smaller text if the figure is small: six panels need their room."""
    inches = fig.bbox.width / fig.dpi / 12.5, fig.bbox.height / fig.dpi / 8.0
    scale = min(max(min(inches), 0.72), 1.0)
    return replace(style, title=style.title * scale, text=style.text * scale, small=style.small * scale)


def _axes(fig: Any, style: Style) -> tuple[Axes, ...]:
    """Return loss, layers, exponents (left), and words, slice, bars (right), about where they will be."""
    out = []
    for x, wide in ((0.11, 0.62), (0.75, 0.23)):
        for y, high in ((0.78, 0.13), (0.36, 0.36), (0.06, 0.24)):
            ax = fig.add_axes((x, y, wide, high))
            dress(ax, style)
            out.append(ax)
    return tuple(out)


def _panel(ax: Axes, words: str, style: Style) -> None:
    ax.set_title(words, loc="left", color=style.muted, size=style.text, pad=5)


def _lay_out(fig: Any, axes: tuple[Axes, ...], head: float) -> None:
    """Place the six panels: three rows, the left ones under each other on the same steps."""
    renderer = renderer_of(fig)
    left, right = axes[:3], axes[3:]
    width, height, pad, gap = fig.bbox.width, fig.bbox.height, points(fig, PAD), points(fig, GAP)
    reach = {ax: around(ax, renderer) if ax is not axes[3] else np.zeros(4) for ax in axes}
    margin = max(reach[ax][0] for ax in left)
    ends = max(max(reach[ax][1] for ax in left), points(fig, 10))
    right_end = max(max(reach[ax][1] for ax in right), points(fig, 6))
    free = width - margin - ends - right_end - 2 * pad - gap
    wide = (free * 0.74, free * 0.26)
    over = [max(reach[a][3], reach[b][3]) for a, b in zip(left, right, strict=True)]
    under = [max(reach[a][2], reach[b][2]) for a, b in zip(left, right, strict=True)]
    high = height - head - sum(over) - sum(under) - 2 * pad - 2 * gap * 0.4
    y = height - pad - head
    for i, share in enumerate((0.2, 0.46, 0.34)):
        tall = max(high * share, points(fig, 15))
        y -= over[i] + tall
        left[i].set_position((pad + margin, y, wide[0], tall))
        x = pad + margin + wide[0] + ends + gap
        right[i].set_position((x, y, wide[1], tall))
        y -= under[i] + gap * 0.4
    for ax in axes:
        box = ax.get_position().bounds
        ax.set_position((box[0] / width, box[1] / height, box[2] / width, box[3] / height))
    # The words of the table may use the height above the loss as well.
    box = axes[3].get_position()
    axes[3].set_position((box.x0, box.y0, box.width, box.height + over[0] / height))


def _beside_title(ax: Axes, words: str, colour: str, style: Style) -> None:
    """Write a second title right of the first, if it fits before the key."""
    title = ax._left_title  # type: ignore[attr-defined]
    box = title.get_window_extent(renderer_of(ax.figure))
    start = (box.x1 - ax.bbox.x0 + points(ax.figure, 12)) / ax.bbox.width
    text = ax.text(
        start, 1 + points(ax.figure, 5) / ax.bbox.height, words, transform=ax.transAxes, color=colour,
        size=style.text, va="baseline",
    )  # fmt: skip
    room = getattr(ax, "_tandv_key_left", 1.0) - start
    if text.get_window_extent(renderer_of(ax.figure)).width > room * ax.bbox.width - 6:
        text.remove()


def _legend_beside_title(ax: Axes, style: Style) -> None:
    """Name the curves above the panel, at its right end, each in its colour."""
    handles, labels = ax.get_legend_handles_labels()
    if labels:
        ax.legend(
            *_in_order(ax, handles, labels), loc="lower right", bbox_to_anchor=(1, 1), ncols=len(labels), frameon=False,
            fontsize=style.text, labelcolor=style.ink, borderpad=0, borderaxespad=0.2, handlelength=1.4,
            columnspacing=1.3,
        )  # fmt: skip


def _in_order(ax: Axes, handles: list, labels: list[str]) -> tuple[list, list[str]]:
    """Return legend entries in the order of the table, whatever was drawn first."""
    names = list(ax._tandv_drawn.names)  # type: ignore[attr-defined]
    order = sorted(range(len(labels)), key=lambda i: names.index(labels[i]) if labels[i] in names else len(names))
    return [handles[i] for i in order], [labels[i] for i in order]


def _read_out(ax: Axes, step: int, style: Style) -> None:
    """Write the values at the cursor beside it, on the side where there is room."""
    found = ax._tandv_drawn  # type: ignore[attr-defined]
    if not len(found.steps):
        return
    at = found.nearest(step)
    words = [f"{name} {value_text(value, 4)}" for name, value in found.read(step).items()]
    said = f"step {step_text(at)}\n" + "  ".join(words[:3])
    low, high = ax.get_xlim()
    right = step < (low + high) / 2
    label = ax.annotate(
        said, (step, 0.9), (9 if right else -9, 0), xycoords=ax.get_xaxis_transform(), textcoords="offset points",
        ha="left" if right else "right", va="top", size=style.small, color=style.ink, zorder=7,
    )  # fmt: skip
    label.set_bbox({"facecolor": style.panel, "edgecolor": style.grid, "boxstyle": "round,pad=0.35", "alpha": 0.95})
    value = next((v for v in found.read(step).values() if math.isfinite(v)), None)
    if value is not None and (ax.get_yscale() == "linear" or value > 0):
        ax.plot([at], [value], "o", color=style.alarm, markersize=6, zorder=6, markeredgecolor=style.panel)
