"""Plots of a log: each selects rows and passes them to `facet` with a draw function.

>>> from tandv.log.logframe import example_log
>>> fig = exp_hist(example_log(), layer="embed", tt="Activation", step=10)
>>> fig.savefig("exponents.svg")
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.formats import Format, known
from tandv.glossary import insight_meaning, is_linear, unit
from tandv.log import logframe
from tandv.log.door import AnyLog
from tandv.log.grid import grid
from tandv.messages import UnknownName, check_choices, unknown
from tandv.names import chosen as chosen_names
from tandv.viz.layout.colours import Colour
from tandv.viz.layout.facet import facet
from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.style import Style, Theme, fitting
from tandv.viz.layout.tables import choose
from tandv.viz.layout.ticks import step_text
from tandv.viz.layout.titles import Key
from tandv.viz.of_log import histogram, lines
from tandv.viz.of_log.histogram import draw_exponents, exponents_of, span_of
from tandv.viz.of_log.lines import draw_lines, wants_log2
from tandv.viz.of_log.maps import Cells, cells_at, draw_cells, draw_exponent_map, draw_layers
from tandv.viz.of_log.not_finite import columns_of_exponents, not_finite, with_counts

Names = str | re.Pattern[str] | Sequence[str | re.Pattern[str]]
Ranks = int | Sequence[int]
Size = tuple[float, float] | None
HeatColour = Literal["auto", "log2", "linear", "change"]
CountScale = Literal["linear", "log"]
Dtypes = bool | str | Sequence[str]


def scalar_line(
    df: AnyLog,
    layer: Names,
    tt: Names,
    scalar_metric: str | Sequence[str],
    x: str | tuple[str, str] = "step",
    col_wrap: int | None = None,
    kind: lines.Kind = "line",
    figsize: Size = None,
    facet_kws: Mapping[str, bool] | None = None,
    yscale: lines.Scale = "auto",
    phase: Names | None = None,
    rank: Ranks | None = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw statistics of layers over the steps: a line for each metric, a panel for each layer and tensor type.

    Statistics of different units, such as sizes and counts, have panels of their own. Steps at which a tensor has NaN
    or infinities are marked at the top, since its statistics are those of its finite values.

    >>> from tandv.log.logframe import example_log
    >>> fig = scalar_line(example_log(), re.compile("attention"), "Gradient", ["rm2", "max_abs"])

    Args:
        df: the log, or the place of one: a run's folder or a file.
        layer: a layer's name, a compiled pattern (searched), or a list of these.
        tt: a tensor type, a compiled pattern, or a list of these.
        scalar_metric: the name of a scalar statistic, or a list of names.
        x: the metadata column of the x axis.
        col_wrap: how many panels are put side by side.
        kind: "line" or "scatter".
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        facet_kws: `sharex` and `sharey`, whether panels share their axes.
        yscale: "linear", "log2", or "auto" for log2 where all values are positive and span a factor of eight or more.
        phase: a phase of the step, a compiled pattern, or a list of these; only of logs that have phases.
        rank: a rank of a log that keeps the rows of each, or a list of ranks, each in panels of its own; None merges
            all ranks exactly.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.

    Raises UnknownName for what is not in the log.
    """
    check_choices(kind=(kind, lines.Kind), yscale=(yscale, lines.Scale))
    metrics = metrics_asked(df, scalar_metric)
    x = _column(df, x)
    rows = logframe.select(df, layer, tt, phase=phase, rank=_apart(df, rank, x), columns=with_counts(df, metrics))
    share = dict(facet_kws or {})
    if wrong := set(share) - {"sharex", "sharey"}:
        raise ValueError(f"facet_kws has {sorted(wrong)}; it may have 'sharex' and 'sharey' (True or False)")
    sharex, sharey = share.get("sharex", True), share.get("sharey", True)
    units = _by_unit(metrics)
    sharey = sharey and len(units) == 1
    linear = {of: yscale == "auto" and (of == "count" or any(map(is_linear, each))) for of, each in units.items()}
    log2 = {
        of: yscale == "log2" or (not linear[of] and yscale == "auto" and wants_log2(_values(rows, each)))
        for of, each in units.items()
    }
    largest = not_finite(rows).max(axis=1)
    style = fitting(theme, figsize, fig, ax)

    def draw(part: pd.DataFrame, ax: Axes) -> None:
        of = str(part[_UNIT].iloc[0]) if len(units) > 1 else next(iter(units))
        own = log2[of] if sharey or linear[of] or yscale != "auto" else wants_log2(_values(part, units[of]))
        draw_lines(part, ax, metrics=units[of], x=x, kind=kind, log2=own, largest=largest, style=style)

    def panel_title(names: dict[str, Any]) -> str:
        return _panel_title({**names, **({"unit": ", ".join(units[names["unit"]])} if "unit" in names else {})})

    named, subtitle = _titles(", ".join(metrics), rows)
    if len(units) > 1:  # the same rows in a panel for each unit
        rows = pd.concat([_with_unit(rows, of) for of in units])
    return facet(
        rows, draw, [*axes_of(rows, "tensor_type", "name", but=x), *(["unit"] if len(units) > 1 else [])], fig=fig,
        figsize=figsize, col_wrap=col_wrap, title=title, named=named, subtitle=subtitle, ax=ax,
        panel_title=panel_title, style=style, sharex=sharex, sharey=sharey, fewer=_FEWER,
    )  # fmt: skip


_UNIT = ("metadata", "unit")
_FEWER = (
    "choose layers by layer= (a name, a list or a compiled pattern) and tensor types by tt=, or draw all layers in one "
    "panel by scalar_global_heatmap or overview"
)


def _by_unit(metrics: Sequence[str]) -> dict[str, list[str]]:
    """Return the statistics of each unit, which share an axis."""
    found: dict[str, list[str]] = {}
    for metric in metrics:
        found.setdefault(unit(metric), []).append(metric)
    return found


def _with_unit(rows: pd.DataFrame, of: str) -> pd.DataFrame:
    out = rows.copy(deep=False)
    out[_UNIT] = of
    return out


def exp_hist(
    df: AnyLog,
    layer: Names,
    tt: Names,
    step: int | Sequence[int],
    kind: histogram.Kind = "bar",
    dtype_annotation: Dtypes = True,
    dtype_info: tuple[bool, bool, bool] = (True, True, True),
    col_wrap: int | None = None,
    figsize: Size = None,
    xtick_labelsize: float | None = None,
    xtick_rotation: float | None = None,
    fig_title: str | None = None,
    yscale: CountScale = "linear",
    phase: Names | None = None,
    rank: Ranks | None = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw what share of a tensor's values lies at each power of two, and the ranges of number formats.

    >>> from tandv.log.logframe import example_log
    >>> fig = exp_hist(example_log(), "head", "Activation", 49, dtype_annotation=["float8_e4m3fn", "float16"])

    Args:
        df: the log, or the place of one: a run's folder or a file.
        layer: a layer's name, a compiled pattern (searched), or a list of these.
        tt: a tensor type, a compiled pattern, or a list of these.
        step: a step, or a list of steps.
        kind: "bar", "line", or "kde" for a smooth density.
        dtype_annotation: number formats to show, such as "float8_e4m3fn" or a list; True for the logged format, False
            for none.
        dtype_info: which of their limits to draw: (largest value, smallest normal, smallest subnormal).
        col_wrap: how many panels are put side by side.
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        xtick_labelsize: the size of the tick labels in points.
        xtick_rotation: their rotation in degrees.
        fig_title: the older name of `title`.
        yscale: "linear" or "log".
        phase: a phase of the step, a compiled pattern, or a list of these; only of logs that have phases.
        rank: a rank of a log that keeps the rows of each, or a list of ranks, each in panels of its own; None merges
            all ranks exactly.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.

    Raises UnknownName for what is not in the log.
    """
    check_choices(kind=(kind, histogram.Kind), yscale=(yscale, CountScale))
    rows = logframe.select(df, layer, tt, step, phase, rank, columns_of_exponents(df))
    formats = _formats(rows, dtype_annotation)
    shown = _three(dtype_info)
    style = fitting(theme, figsize, fig, ax)
    if xtick_labelsize is not None and xtick_labelsize <= 0:
        raise ValueError(f"xtick_labelsize is a size in points, above 0, not {xtick_labelsize}")
    span = span_of([exponents_of(rows)], formats)  # the same for all panels, so that they can be compared

    def draw(part: pd.DataFrame, ax: Axes) -> None:
        draw_exponents(
            part,
            ax,
            kind=kind,
            formats=formats,
            dtype_info=shown,
            span=span,
            log=yscale == "log",
            style=style,
        )
        if xtick_labelsize is not None:
            ax.tick_params(axis="x", labelsize=xtick_labelsize)
        if xtick_rotation is not None:
            ax.tick_params(axis="x", labelrotation=xtick_rotation)

    named, subtitle = _titles("exponents", rows, step)
    title = fig_title if title is None else title
    figure = facet(
        rows, draw, axes_of(rows, "tensor_type", "name", "step"), fig=fig, figsize=figsize, col_wrap=col_wrap,
        title=title, named=named,
        subtitle=subtitle, ax=ax, panel_title=_panel_title, panel_size=(4.0, 2.7), style=style, sharey=False,
        fewer=_FEWER + "; exp_heatmap draws all steps of a layer in one",
    )  # fmt: skip
    choose(figure, dtype_annotation=[to.name for to in formats])
    return figure


def scalar_global_heatmap(
    df: AnyLog,
    tt: Names | None = None,
    scalar_metric: str = "rm2",
    inc: int = 1,
    x: str | tuple[str, str] = "step",
    y: str | tuple[str, str] = "name",
    figsize: Size = None,
    col_wrap: int | None = None,
    colour: HeatColour = "auto",
    phase: Names | None = None,
    rank: Ranks | None = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw a statistic of every layer at every step as colours, a panel for each tensor type.

    Cells that are NaN, zero or not logged have colours of their own.

    >>> from tandv.log.logframe import example_log
    >>> fig = scalar_global_heatmap(example_log(layers=50), ["Activation", "Gradient"], "rm2", inc=5)

    Args:
        df: the log, or the place of one: a run's folder or a file.
        tt: a tensor type, a compiled pattern, or a list of these; None for all.
        scalar_metric: the name of a scalar statistic.
        inc: draw every inc-th logged step.
        x: the metadata column of the x axis.
        y: the metadata column of the y axis.
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        col_wrap: how many panels are put side by side.
        colour: "log2" or "linear" of the value, "change" for the ratio to a layer's first step, or "auto": linear for
            shares and angles, else log2.
        phase: a phase of the step, a compiled pattern, or a list of these; only of logs that have phases.
        rank: a rank of a log that keeps the rows of each, or a list of ranks, each in panels of its own; None merges
            all ranks exactly.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.

    Raises UnknownName for what is not in the log.
    """
    check_choices(colour=(colour, HeatColour))
    metric = metrics_asked(df, scalar_metric)
    if len(metric) > 1:
        raise ValueError(f"a heat map shows one metric, not {len(metric)}; choose one of {metric}")
    if inc < 1:
        raise ValueError(f"inc is how many logged steps to go on each time, at least 1, not {inc}")
    x, y = _column(df, x), _column(df, y)
    style = fitting(theme, figsize, fig, ax)
    chosen: Colour = colour if colour != "auto" else "linear" if is_linear(metric[0]) else "log2"
    look = {"metric": metric[0], "x": x, "colour": chosen, "style": style}
    plain = (x, y) == ("step", "name") and phase is None and rank is None and not insight_meaning(metric[0])
    if plain and not isinstance(df, pd.DataFrame):  # no row of a log at a place need be in memory
        cells = _cells(df, tt, metric[0], inc)
        rows = pd.DataFrame({("metadata", "tensor_type"): list(cells)})
        steps = np.unique(np.concatenate([one.steps for one in cells.values()])).tolist()
        layers = list(dict.fromkeys(name for one in cells.values() for name in one.names))
        named, subtitle = _title(metric[0], layers, list(cells), steps)

        def draw(part: pd.DataFrame, ax: Axes) -> Key:
            kind = part[("metadata", "tensor_type")].iloc[0]
            return draw_cells(cells[kind], ax, [kind], **look)
    else:
        rank = _apart(df, rank, x, y)
        rows = logframe.select(df, tt=tt, phase=phase, rank=rank, columns=with_counts(df, metric))
        # Other tensor types lack what insight adds, and so does the first step, where it compares with the one before.
        if insight_meaning(metric[0]) and (there := rows[("scalar_stats", metric[0])].notna()).any():
            rows = rows[there]
        if inc > 1:
            rows = logframe.select(rows, step=logframe.steps(rows)[::inc], phase=phase, rank=rank)
        layers = logframe.layers(rows)
        named, subtitle = _titles(metric[0], rows)

        def draw(part: pd.DataFrame, ax: Axes) -> Key:
            return draw_layers(part, ax, y=y, **look)

    high = float(np.clip(1.3 + 0.155 * len(layers), 2.6, 7.5))
    return facet(
        rows, draw, axes_of(rows, "tensor_type", but=(x, y)), fig=fig, figsize=figsize, col_wrap=col_wrap, title=title,
        named=named, subtitle=subtitle, ax=ax, panel_title=_panel_title, single_size=(10.0, high),
        panel_size=(4.4, float(np.clip(high, 2.6, 4.4))), sharey=False, style=style,
    )  # fmt: skip


def exp_heatmap(
    df: AnyLog,
    layer: Names,
    tt: Names,
    dtype_annotation: Dtypes = True,
    dtype_info: tuple[bool, bool, bool] = (True, True, True),
    inc: int = 1,
    col_wrap: int | None = None,
    figsize: Size = None,
    phase: Names | None = None,
    rank: Ranks | None = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw how the exponents of a layer change over the steps, and when they leave the range of a format.

    >>> from tandv.log.logframe import example_log
    >>> fig = exp_heatmap(example_log(), "head", "Activation", dtype_annotation="float8_e4m3fn")

    Args:
        df: the log, or the place of one: a run's folder or a file.
        layer: a layer's name, a compiled pattern (searched), or a list of these.
        tt: a tensor type, a compiled pattern, or a list of these.
        dtype_annotation: number formats to show, such as "float8_e4m3fn" or a list; True for the logged format, False
            for none.
        dtype_info: which of their limits to draw: (largest value, smallest normal, smallest subnormal).
        inc: draw every inc-th logged step.
        col_wrap: how many panels are put side by side.
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        phase: a phase of the step, a compiled pattern, or a list of these; only of logs that have phases.
        rank: a rank of a log that keeps the rows of each, or a list of ranks, each in panels of its own; None merges
            all ranks exactly.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.

    Raises UnknownName for what is not in the log.
    """
    rows = logframe.select(df, layer, tt, phase=phase, rank=rank, columns=columns_of_exponents(df))
    if inc < 1:
        raise ValueError(f"inc is how many logged steps to go on each time, at least 1, not {inc}")
    if inc > 1:
        rows = logframe.select(rows, step=logframe.steps(rows)[::inc], phase=phase, rank=rank)
    formats, shown = _formats(rows, dtype_annotation), _three(dtype_info)
    style = fitting(theme, figsize, fig, ax)

    def draw(part: pd.DataFrame, ax: Axes) -> Key:
        return draw_exponent_map(part, ax, formats=formats, dtype_info=shown, style=style)

    named, subtitle = _titles("exponents", rows)
    if formats:
        subtitle += f"  |  limits of {', '.join(to.name for to in formats)}"
    figure = facet(
        rows, draw, axes_of(rows, "tensor_type", "name"), fig=fig, figsize=figsize, col_wrap=col_wrap, title=title,
        named=named, subtitle=subtitle, ax=ax, panel_title=_panel_title, single_size=(9.5, 4.4), panel_size=(4.4,
        3.0), sharey=False,
        style=style, fewer=_FEWER,
    )  # fmt: skip
    choose(figure, dtype_annotation=[to.name for to in formats])
    return figure


# ------------------------------------------------------------------------------------ querying the log


def metrics_asked(df: AnyLog, wanted: str | Sequence[str]) -> list[str]:
    """Return the wanted statistics as a list, each of which the log has."""
    metrics = [wanted] if isinstance(wanted, str) else list(wanted)
    for metric in metrics:
        if metric not in (has := logframe.scalar_metrics(df)):
            raise UnknownName(unknown("statistic", metric, has, "this log"))
    if not metrics:
        raise ValueError(f"no scalar_metric was given; this log has {', '.join(logframe.scalar_metrics(df))}")
    return metrics


def _column(df: AnyLog, name: str | tuple[str, str]) -> str:
    """Return the name of a metadata column that was given as "step" or ("metadata", "step")."""
    name = name[1] if isinstance(name, tuple) else name
    if name not in (has := [str(n) for top, n in logframe.labels(df) if top == "metadata"]):
        raise UnknownName(unknown("metadata column", name, has, "this log"))
    return name


def axes_of(rows: pd.DataFrame, *names: str, but: str | tuple[str, ...] = ()) -> list[str]:
    """Return the metadata of which each combination has a panel: some names, and the rank where rows have one."""
    more = ["rank"] if ("metadata", "rank") in rows.columns else []
    return [name for name in (*names, *more) if name not in ((but,) if isinstance(but, str) else but)]


def _apart(df: AnyLog, rank: Ranks | None, *axes: str) -> Ranks | None:
    """Return the ranks to show: all of them, unmerged, if they are what an axis shows."""
    return logframe.ranks(df) if rank is None and "rank" in axes else rank


def _values(rows: pd.DataFrame, metrics: Sequence[str]) -> np.ndarray:
    return rows[[("scalar_stats", m) for m in metrics]].to_numpy(np.float64, na_value=np.nan)


def _formats(rows: pd.DataFrame, wanted: Dtypes) -> list[Format]:
    if wanted is True:
        return known(dict.fromkeys(str(name) for name in pd.unique(rows[("metadata", "dtype")])))
    return [] if not wanted else known(wanted)


def _three(shown: tuple[bool, bool, bool]) -> tuple[bool, bool, bool]:
    try:
        largest, normal, subnormal = (bool(one) for one in shown)
    except (TypeError, ValueError):
        raise ValueError(
            f"dtype_info is three of True or False: largest value, smallest normal, smallest subnormal; not {shown!r}"
        ) from None
    return largest, normal, subnormal


def _panel_title(names: Mapping[str, Any]) -> str:
    parts = [f"{n} {step_text(v)}" if n in ("step", "rank") else str(v) for n, v in names.items()]
    return " · ".join(parts)


def _cells(df: AnyLog, tt: Names | None, metric: str, inc: int) -> dict[str, Cells]:
    """Return the cells of each tensor type of a log at a place, at every inc-th step."""
    kinds = logframe.tensor_types(df)
    kinds = kinds if tt is None else chosen_names(kinds, tt, "tensor type", logframe.LOG)
    grids = {kind: grid(df, kind, metric) for kind in kinds}
    kept = np.unique(np.concatenate([one.steps for one in grids.values()]))[::inc]
    cells = {kind: cells_at(one, kept) for kind, one in grids.items()}
    return {kind: one for kind, one in cells.items() if len(one.steps)}


def _titles(what: str, rows: pd.DataFrame, step: int | Sequence[int] | None = None) -> tuple[str, str]:
    """Return a title and a subtitle with what all panels of some rows have in common."""
    names, kinds, steps = logframe.layers(rows), logframe.tensor_types(rows), logframe.steps(rows)
    more = []
    if (phases := logframe.phases(rows)) and phases != [""]:
        more.append(f"phase {' and '.join(map(repr, phases))}" if len(phases) < 4 else f"{len(phases)} phases")
    if there := logframe.ranks(rows):
        more.append(f"rank {there[0]}" if len(there) == 1 else f"{len(there)} ranks")
    return _title(what, names, kinds, steps, more, step is not None)


def _title(
    what: str,
    names: Sequence[str],
    kinds: Sequence[str],
    steps: Sequence[int],
    more: Sequence[str] = (),
    steps_chosen: bool = False,
) -> tuple[str, str]:
    title = f"{names[0]} · {what}" if len(names) == 1 else what
    notes = [insight_meaning(what)] if insight_meaning(what) else []
    notes += [kinds[0] if len(kinds) == 1 else f"{len(kinds)} tensor types"]
    if len(names) > 1:
        notes.append(f"{len(names)} layers")
    notes += more
    if len(steps) == 1:
        notes.append(f"step {step_text(steps[0])}")
    elif not steps_chosen:
        notes.append(f"{len(steps):,} steps, {step_text(steps[0])} to {step_text(steps[-1])}")
    return title, "  |  ".join(notes)
