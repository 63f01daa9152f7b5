"""Plots of a log's counts of exponents: at one step as a histogram, over the steps as a map.

>>> from tandv.log.logframe import example_log
>>> fig = exp_hist(example_log(), layer="embed", tt="Activation", step=10)
>>> fig.savefig("exponents.svg")
"""

from collections.abc import Sequence
from typing import Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.formats import Format, known
from tandv.log import logframe
from tandv.log.door import AnyLog
from tandv.log.sound import formats_of
from tandv.messages import check_choices, named_arguments
from tandv.viz.layout.facet import facet
from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.keys import Key
from tandv.viz.layout.style import Style, Theme, fitting
from tandv.viz.layout.tables import choose
from tandv.viz.of_log import histogram
from tandv.viz.of_log.exponent_map import draw_exponent_map
from tandv.viz.of_log.histogram import draw_exponents, exponents_of, span_of
from tandv.viz.of_log.not_finite import columns_of_exponents
from tandv.viz.of_log.queries import FEWER, Names, Ranks, Size, axes_of, panel_title, titles

CountScale = Literal["linear", "log"]
Dtypes = bool | str | Sequence[str]


@named_arguments
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

    named, subtitle = titles("exponents", rows, step)
    title = fig_title if title is None else title
    figure = facet(
        rows, draw, axes_of(rows, "tensor_type", "name", "step"), fig=fig, figsize=figsize, col_wrap=col_wrap,
        title=title, named=named,
        subtitle=subtitle, ax=ax, panel_title=panel_title, panel_size=(4.0, 2.7), style=style, sharey=False,
        fewer=FEWER + "; exp_heatmap draws all steps of a layer in one",
    )  # fmt: skip
    choose(figure, dtype_annotation=[to.name for to in formats])
    return figure


@named_arguments
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

    named, subtitle = titles("exponents", rows)
    if formats:
        subtitle += f"  |  limits of {', '.join(to.name for to in formats)}"
    figure = facet(
        rows, draw, axes_of(rows, "tensor_type", "name"), fig=fig, figsize=figsize, col_wrap=col_wrap, title=title,
        named=named, subtitle=subtitle, ax=ax, panel_title=panel_title, single_size=(9.5, 4.4), panel_size=(4.4,
        3.0), sharey=False,
        style=style, fewer=FEWER,
    )  # fmt: skip
    choose(figure, dtype_annotation=[to.name for to in formats])
    return figure


def _formats(rows: pd.DataFrame, wanted: Dtypes) -> list[Format]:
    if wanted is True:
        return known(dict.fromkeys(formats_of(rows)))
    return [] if not wanted else known(wanted)


def _three(shown: tuple[bool, bool, bool]) -> tuple[bool, bool, bool]:
    try:
        largest, normal, subnormal = (bool(one) for one in shown)
    except (TypeError, ValueError):
        raise ValueError(
            f"dtype_info is three of True or False: largest value, smallest normal, smallest subnormal; not {shown!r}"
        ) from None
    return largest, normal, subnormal
