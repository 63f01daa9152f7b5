"""Plots of a log's scalar statistics: over the steps as lines, and of all layers as colours.

>>> from tandv.log.logframe import example_log
>>> fig = scalar_line(example_log(), layer="embed", tt="Activation", scalar_metric="rm2")
>>> fig.savefig("rm2.svg")
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.glossary import insight_meaning, is_linear, unit
from tandv.log import logframe
from tandv.log.door import AnyLog
from tandv.log.grid import grid
from tandv.messages import check_choices, named_arguments
from tandv.names import chosen as chosen_names
from tandv.viz.layout.colours import Colour
from tandv.viz.layout.facet import facet
from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.keys import Key
from tandv.viz.layout.style import Style, Theme, fitting
from tandv.viz.of_log import lines
from tandv.viz.of_log.lines import draw_lines, wants_log2
from tandv.viz.of_log.maps import Cells, cells_at, draw_cells, draw_layers
from tandv.viz.of_log.not_finite import not_finite, with_counts
from tandv.viz.of_log.queries import (
    FEWER,
    Names,
    Ranks,
    Size,
    apart,
    axes_of,
    column,
    metrics_asked,
    panel_title,
    title_of,
    titles,
)

HeatColour = Literal["auto", "log2", "linear", "change"]
_UNIT = ("metadata", "unit")


@named_arguments
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

    >>> import re
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
        yscale: "linear", "log2", or "auto" for a logarithmic axis where all values are positive and span a factor of
            eight or more: with powers of two for sizes of values, else with decades.
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
    x = column(df, x)
    rows = logframe.select(df, layer, tt, phase=phase, rank=apart(df, rank, x), columns=with_counts(df, metrics))
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
        decades = yscale == "auto" and of != "value"  # sizes of values are read beside number formats, norms are not
        draw_lines(part, ax, metrics=units[of], x=x, kind=kind, log2=own, decades=decades, largest=largest, style=style)

    def title_of_panel(names: dict[str, Any]) -> str:
        return panel_title({**names, **({"unit": ", ".join(units[names["unit"]])} if "unit" in names else {})})

    named, subtitle = titles(", ".join(metrics), rows)
    if len(units) > 1:  # the same rows in a panel for each unit
        rows = pd.concat([_with_unit(rows, of) for of in units])
    return facet(
        rows, draw, [*axes_of(rows, "tensor_type", "name", but=x), *(["unit"] if len(units) > 1 else [])], fig=fig,
        figsize=figsize, col_wrap=col_wrap, title=title, named=named, subtitle=subtitle, ax=ax,
        panel_title=title_of_panel, style=style, sharex=sharex, sharey=sharey, fewer=FEWER,
    )  # fmt: skip


@named_arguments
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
    x, y = column(df, x), column(df, y)
    style = fitting(theme, figsize, fig, ax)
    chosen: Colour = colour if colour != "auto" else "linear" if is_linear(metric[0]) else "log2"
    look = {"metric": metric[0], "x": x, "colour": chosen, "style": style}
    plain = (x, y) == ("step", "name") and phase is None and rank is None and not insight_meaning(metric[0])
    if plain and not isinstance(df, pd.DataFrame):  # no row of a log at a place need be in memory
        cells = _cells(df, tt, metric[0], inc)
        rows = pd.DataFrame({("metadata", "tensor_type"): list(cells)})
        steps = np.unique(np.concatenate([one.steps for one in cells.values()])).tolist()
        layers = list(dict.fromkeys(name for one in cells.values() for name in one.names))
        named, subtitle = title_of(metric[0], layers, list(cells), steps)

        def draw(part: pd.DataFrame, ax: Axes) -> Key:
            kind = part[("metadata", "tensor_type")].iloc[0]
            return draw_cells(cells[kind], ax, [kind], **look)
    else:
        rank = apart(df, rank, x, y)
        rows = logframe.select(df, tt=tt, phase=phase, rank=rank, columns=with_counts(df, metric))
        # Other tensor types lack what insight adds, and so does the first step, where it compares with the one before.
        if insight_meaning(metric[0]) and (there := rows[("scalar_stats", metric[0])].notna()).any():
            rows = rows[there]
        if inc > 1:
            rows = logframe.select(rows, step=logframe.steps(rows)[::inc], phase=phase, rank=rank)
        layers = logframe.layers(rows)
        named, subtitle = titles(metric[0], rows)

        def draw(part: pd.DataFrame, ax: Axes) -> Key:
            return draw_layers(part, ax, y=y, **look)

    high = float(np.clip(1.3 + 0.155 * len(layers), 2.6, 7.5))
    return facet(
        rows, draw, axes_of(rows, "tensor_type", but=(x, y)), fig=fig, figsize=figsize, col_wrap=col_wrap, title=title,
        named=named, subtitle=subtitle, ax=ax, panel_title=panel_title, single_size=(10.0, high),
        panel_size=(4.4, float(np.clip(high, 2.6, 4.4))), sharey=False, style=style,
    )  # fmt: skip


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


def _values(rows: pd.DataFrame, metrics: Sequence[str]) -> np.ndarray:
    return rows[[("scalar_stats", m) for m in metrics]].to_numpy(np.float64, na_value=np.nan)


def _cells(df: AnyLog, tt: Names | None, metric: str, inc: int) -> dict[str, Cells]:
    """Return the cells of each tensor type of a log at a place, at every inc-th step."""
    kinds = logframe.tensor_types(df)
    kinds = kinds if tt is None else chosen_names(kinds, tt, "tensor type", logframe.LOG)
    grids = {kind: grid(df, kind, metric) for kind in kinds}
    kept = np.unique(np.concatenate([one.steps for one in grids.values()]))[::inc]
    cells = {kind: cells_at(one, kept) for kind, one in grids.items()}
    return {kind: one for kind, one in cells.items() if len(one.steps)}
