"""One figure of a run: the loss, all layers, the exponents of one layer, and what a cast would do at one step."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.curves import curves_beside
from tandv.curves.of_run import is_loss
from tandv.formats import known
from tandv.glossary import unit
from tandv.log import logframe
from tandv.log.door import AnyLog
from tandv.messages import UnknownName, check_choices, near_steps
from tandv.viz.layout.colours import Colour
from tandv.viz.layout.figures import AnyFigure, canvas
from tandv.viz.layout.heat import edges
from tandv.viz.layout.layer_axis import draw_kinds
from tandv.viz.layout.measuring import measure, points, renderer_of
from tandv.viz.layout.style import Style, Theme, dress
from tandv.viz.layout.style import theme as theme_named
from tandv.viz.layout.tables import choose, not_finite_text
from tandv.viz.layout.ticks import CHARACTER, step_text
from tandv.viz.layout.titles import GAP, PAD, around, colour_key, header, settle_labels, shorten
from tandv.viz.of_curves.dynamics import panel_of
from tandv.viz.of_log.contents import read_cells, read_kinds, read_overflow
from tandv.viz.of_log.lines import draw_curves, draw_lines, wants_log2
from tandv.viz.of_log.maps import draw_cells, draw_exponent_map
from tandv.viz.of_log.opening import OUTLINED_SHARE, opening, opening_type
from tandv.viz.of_log.panels import (
    draw_casts,
    draw_cursor,
    draw_outlines,
    draw_slice,
    draw_slice_of_exponents,
    legend_beside_title,
    mark_layer,
    read_out,
    second_title,
)
from tandv.viz.of_log.plots import metrics_asked

NARROW = 5.0  # inches: in a figure less wide the panels at the right are left out
FORMATS = ("float8_e4m3fn", "float8_e5m2", "float16", "bfloat16")


def overview(
    df: AnyLog,
    layer: str | None = None,
    tt: str | None = None,
    scalar_metric: str | None = None,
    step: int | None = None,
    train_stats: Any = None,
    dtype_annotation: str = "float8_e4m3fn",
    formats: Sequence[str] = FORMATS,
    title: str | None = None,
    colour: Colour = "log2",
    figsize: tuple[float, float] | None = None,
    phase: str | None = None,
    rank: int | None = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
) -> Figure:
    """Draw a run as a whole: loss, layers × steps, and the exponents of one layer, with a cursor at one step.

    At the right: what a cast to each of some formats would do there (an interval where the bins cannot tell), all
    layers at that step, and the histogram; a figure less than five inches wide lacks these.

    >>> from tandv.log.logframe import example_log
    >>> losses = {"step": range(50), "train": [1 / (1 + i) for i in range(50)]}
    >>> fig = overview(example_log(layers=30), train_stats=losses)

    Args:
        df: the log, or the place of one: a run's folder or a file.
        layer: the layer of the cursor; by default the one that stands out most at that step: by NaN and infinity, else
            by overflow of `dtype_annotation`, else by its distance from its usual size.
        tt: the tensor type; by default the one that has NaN or infinity first, else "Activation".
        scalar_metric: the statistic of the map of layers; by default "rm2".
        step: the step of the cursor; by default the first one with NaN or infinity, else the last one.
        train_stats: training curves to draw at the top, as `as_curves` takes them. By default the losses that
            `tracker.step(loss=...)` was given in the log's run, if any; False for none.
        dtype_annotation: the number format whose limits are drawn.
        formats: the number formats of the table of casts.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.
        colour: "log2" or "linear" of the value, or "change" for the ratio to a layer's first step.
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        phase: a phase of the step, a compiled pattern, or a list of these; only of logs that have phases.
        rank: a rank of a log that keeps the rows of each; None merges all ranks exactly.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.

    Raises UnknownName for what is not in the log.
    """
    check_choices(colour=(colour, Colour))
    style = theme_named(theme)
    to, listed = known(dtype_annotation)[0], known(formats)
    stats = logframe.scalar_metrics(df)
    usual = next((m for m in ("rm2", "std", "mean_abs") if m in stats), stats[0])
    metric = metrics_asked(df, scalar_metric or usual)[0]
    types = logframe.tensor_types(df)
    tt = tt or opening_type(df, types, metric)
    of: dict[str, Any] = {"tt": tt, "phase": phase, "rank": rank}
    log = logframe.select(df, **of) if isinstance(df, pd.DataFrame) else df
    cells = read_cells(log, metric, **of)
    names, steps = cells.names, cells.steps
    overflow = read_overflow(log, to, cells, metric, **of)
    layer, step = opening(cells, overflow, layer, step, of_values=unit(metric) == "value")
    own = logframe.select(log, layer, **of)
    if step not in (has := logframe.steps(own)):
        raise UnknownName(f"{layer!r} has no {tt} at step {step} in this log; {near_steps(step, has)}")
    here = logframe.select(own, step=step)

    figure = canvas(fig, figsize or (14.0, 9.2), style)
    choose(figure, layer=layer, tt=tt, scalar_metric=metric, step=step)
    style = _to_scale(style, figure)
    narrow = figure.bbox.width / figure.dpi < NARROW
    axes = _axes(figure, style, (0.1, 0.14, 0.12) if narrow else (0.13, 0.36, 0.24))
    top, layers_ax, map_ax, words_ax, slice_ax, bars_ax = axes
    beside = curves_beside(df, train_stats)
    if beside is not None:
        beside = _of_one_unit(beside)
        draw_curves(beside, top, style=style, label="loss" if all(map(is_loss, beside.columns)) else "")
    else:
        both = [m for m in dict.fromkeys((metric, "max_abs")) if m in stats]
        values = own[[("scalar_stats", m) for m in both]].to_numpy(float, na_value=np.nan)
        draw_lines(own, top, metrics=both, log2=wants_log2(values), style=style)
    keys = draw_cells(cells, layers_ax, (tt,), metric=metric, colour=colour, style=style), None
    shown_map = draw_exponent_map(own, map_ax, formats=[to], style=style)
    column = int(np.searchsorted(steps, step))
    draw_slice(cells, column, names.index(layer), slice_ax, to, style, metric)
    draw_slice_of_exponents(here, bars_ax, map_ax, to, style)

    limits = edges(steps)
    for ax in (top, layers_ax, map_ax):
        ax.set_xlim(limits[0], limits[-1])
        draw_cursor(ax, step, style, on_map=ax is not top)
    kinds = draw_kinds(layers_ax, read_kinds(log, names, step, **of), style)
    draw_outlines(overflow > OUTLINED_SHARE, steps, layers_ax, style.format_colour(to.name), style)
    mark_layer(layers_ax, slice_ax, names.index(layer), style)
    for ax in (top, layers_ax):
        ax.set_xlabel("")
        ax.tick_params(axis="x", labelbottom=False)

    size = f"{len(names):,} layers × {len(steps):,} logged steps"
    within = [f"phase {phase!r}"] if phase else []
    bad = not_finite_text(*map(float, cells.not_finite[:, names.index(layer), column]))
    parts = [f"{tt} · {metric}", *within, f"step {step_text(step)}", layer, *([bad] if bad else []), size]
    if len("  |  ".join(parts)) * CHARACTER * style.text > figure.bbox.width * 72 / figure.dpi:
        parts.pop()  # the cursor's place rather than the size of the log
    run = str(own.attrs.get("run", "")).rstrip("/").rpartition("/")[2]
    named = (run or "overview") if title is None else title
    head = header(
        figure, named, "  |  ".join(parts) if named and style.subtitle else "", {} if narrow else kinds, style
    )
    top_title = "loss" if top.get_ylabel() == "loss" else "training" if beside is not None else f"{layer}"
    _panel(top, top_title, style)
    top.set_ylabel("loss" if top_title == "loss" else "" if beside is not None else "value")
    legend_beside_title(top, style)
    _panel(layers_ax, f"{metric} of all layers", style)
    _panel(map_ax, f"exponents of {layer}", style)
    before = f" (line: step {step_text(steps[0])})" if column else ""
    _panel(slice_ax, f"all layers at step {step_text(step)}{before}", style)
    slice_ax.set_xlabel(metric)
    _panel(bars_ax, f"exponents at step {step_text(step)}", style)
    bars_ax.set_xlabel("share of values")
    if narrow:
        for ax in axes[3:]:
            ax.remove()
        axes = axes[:3]
    note = f"outlined: over 0.1% would overflow {to.short}" if (overflow > OUTLINED_SHARE).any() else ""
    for ax in axes:
        settle_labels(ax)
    _lay_out(figure, axes, head)
    for ax, key in ((layers_ax, keys[0]), (map_ax, shown_map)):
        colour_key(ax, key, style)
    _lay_out(figure, axes, head)
    if note:
        second_title(layers_ax, note, style.format_colour(to.name), style)
    if measure(layers_ax._left_title, figure) > getattr(layers_ax, "_tandv_key_left", 1.0) * layers_ax.bbox.width - 6:  # type: ignore[attr-defined]
        layers_ax._left_title.set_text(metric)  # type: ignore[attr-defined]
    for ax in (layers_ax, map_ax):
        shorten(ax._left_title, figure, (getattr(ax, "_tandv_key_left", 1.0)) * ax.bbox.width - 6)  # type: ignore[attr-defined]
    legend_beside_title(top, style)
    for ax in axes[4:]:
        if slice_ax._left_title.get_window_extent(renderer_of(figure)).width > slice_ax.bbox.width:  # type: ignore[attr-defined]
            slice_ax._left_title.set_text(f"all layers at step {step_text(step)}")  # type: ignore[attr-defined]
        shorten(ax._left_title, figure, ax.bbox.width)  # type: ignore[attr-defined]
    read_out(top, step, style)
    if len(axes) > 3:
        draw_casts(here, listed, words_ax, style)
    return figure


# ------------------------------------------------------------------------------------------- layout


def _of_one_unit(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the losses among some curves, or if there are none those of the first curve's kind, for one axis."""
    losses = [name for name in curves.columns if is_loss(name)]
    first = panel_of(str(curves.columns[0]))[0]
    return curves[losses or [name for name in curves.columns if panel_of(str(name))[0] == first]]


def _to_scale(style: Style, fig: Any) -> Style:
    """Return the style with smaller text if the figure is small, since it has six panels."""
    inches = fig.bbox.width / fig.dpi / 12.5, fig.bbox.height / fig.dpi / 8.0
    scale = min(max(min(inches), 0.72), 1.0)
    return replace(style, title=style.title * scale, text=style.text * scale, small=style.small * scale)


def _axes(fig: Any, style: Style, heights: tuple[float, float, float]) -> tuple[Axes, ...]:
    """Return the Axes of loss, layers, exponents (left), and table, slice, bars (right), near their final positions."""
    out = []
    for x, wide in ((0.11, 0.62), (0.75, 0.23)):
        for y, high in zip((0.78, 0.36, 0.06), heights, strict=True):
            ax = fig.add_axes((x, y, wide, high))
            dress(ax, style)
            out.append(ax)
    return tuple(out)


def _panel(ax: Axes, words: str, style: Style) -> None:
    ax.set_title(words, loc="left", color=style.muted, size=style.text, pad=5)


def _lay_out(fig: Any, axes: tuple[Axes, ...], head: float) -> None:
    """Place the panels: three rows, the left ones on the same steps; a narrow figure has only these."""
    renderer = renderer_of(fig)
    left, right = axes[:3], axes[3:]
    width, height, pad, gap = fig.bbox.width, fig.bbox.height, points(fig, PAD), points(fig, GAP)
    reach = {ax: np.zeros(4) if ax in right[:1] else around(ax, renderer) for ax in axes}
    margin = max(reach[ax][0] for ax in left)
    ends = max(max(reach[ax][1] for ax in left), points(fig, 10))
    right_end = max([points(fig, 6), *(reach[ax][1] for ax in right)])
    free = width - margin - ends - right_end - 2 * pad - gap
    share = 0.26 if width > points(fig, 650) else 0.33
    wide = (free * (1 - share), free * share) if right else (width - margin - ends - 2 * pad, 0.0)
    rows = list(zip(left, right, strict=True)) if right else [(ax,) for ax in left]
    over, under = ([max(reach[ax][side] for ax in row) for row in rows] for side in (3, 2))
    high = height - head - sum(over) - sum(under) - 2 * pad - 2 * gap * 0.4
    y = height - pad - head
    for i, share in enumerate((0.2, 0.46, 0.34)):
        tall = max(high * share, points(fig, 15))
        y -= over[i] + tall
        left[i].set_position((pad + margin, y, wide[0], tall))
        if right:
            right[i].set_position((pad + margin + wide[0] + ends + gap, y, wide[1], tall))
        y -= under[i] + gap * 0.4
    for ax in axes:
        box = ax.get_position().bounds
        ax.set_position((box[0] / width, box[1] / height, box[2] / width, box[3] / height))
    if right:  # the table may also use the height above the loss
        box = axes[3].get_position()
        axes[3].set_position((box.x0, box.y0, box.width, box.height + over[0] / height))
