"""One figure of a run: the loss, all layers, the exponents of one layer, and what a cast would do at one step."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from zlib import crc32

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from tandv.curves import curves_beside
from tandv.curves.of_run import is_loss
from tandv.formats import known
from tandv.glossary import unit
from tandv.log import logframe
from tandv.log.choice_of_steps import step_number
from tandv.log.door import AnyLog, log_at
from tandv.log.order import order_of
from tandv.messages import UnknownName, check_choices, named_arguments, near_steps
from tandv.viz.layout.colours import Colour
from tandv.viz.layout.figures import AnyFigure, canvas
from tandv.viz.layout.style import Style, Theme
from tandv.viz.layout.style import theme as theme_named
from tandv.viz.layout.tables import choose
from tandv.viz.layout.titles import check_title
from tandv.viz.of_curves.dynamics import panel_of
from tandv.viz.of_log.contents import read_cells, read_kinds, read_overflow
from tandv.viz.of_log.opening import opening, opening_type
from tandv.viz.of_log.overview_panels import Page, draw, move
from tandv.viz.of_log.panels import CURSOR
from tandv.viz.of_log.queries import metrics_asked

FORMATS = ("float8_e4m3fn", "float8_e5m2", "float16", "bfloat16")


@named_arguments
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
        layer: the layer of the cursor; by default that in which NaN and infinity began at that step, else the one that
            stands out most: by overflow of `dtype_annotation`, else by its distance from its usual size.
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
    check_title(title)
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
    overflow = read_overflow(log, to, cells, metric, **of)
    asked = None if step is None else step_number(step)
    place = order_of(df, [(tt, name) for name in cells.names])
    order = sorted(cells.names, key=lambda name: place[tt, name])
    layer, at = opening(cells, overflow, layer, asked, of_values=unit(metric) == "value", order=order)
    own = logframe.select(log, layer, **of)
    if at not in (has := logframe.steps(own)):
        raise UnknownName(f"{layer!r} has no {tt} at step {at} in this log; {near_steps(at, has)}")
    step = int(at)
    figure = canvas(fig, figsize or (14.0, 9.2), style)
    choose(figure, layer=layer, tt=tt, scalar_metric=metric, step=step)
    beside = curves_beside(df, train_stats)
    page = Page(
        figure, _to_scale(style, figure), cells, overflow, own, tt, metric, layer, to, listed, title,
        f"phase {phase!r}" if phase else "", None if beside is None else _of_one_unit(beside),
    )  # fmt: skip
    draw(page, colour, read_kinds(log, cells.names, step, **of), step)
    if fig is not None:
        fig._tandv_page = _Kept(page, _signature(df, metric))  # type: ignore[union-attr]
    return figure


class _Kept:
    """What a figure keeps of its overview, so that another step of it can be shown; a pickled figure does not."""

    def __init__(self, page: Page | None = None, signature: object = None):
        self.page, self.signature = page, signature

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return _Kept, ()


def show_step(fig: AnyFigure, step: int, df: AnyLog, train_stats: Any = None) -> bool:
    """Show another step in a figure into which an overview was drawn with the same arguments otherwise.

    Only what depends on the step is drawn again, with the same picture as a new overview. False where that cannot be:
    something was added to the log, or panels need other places; then the figure is to be drawn as a whole.
    """
    kept = getattr(fig, "_tandv_page", _Kept())
    page = kept.page
    if page is None or not page.right or fig.axes != [*page.left, *page.right]:
        return False
    if step not in logframe.steps(page.own) or kept.signature != _signature(df, page.metric):
        return False
    beside = curves_beside(df, train_stats)
    if beside is None or page.beside is None:
        return beside is page.beside and move(page, step)
    return _of_one_unit(beside).equals(page.beside) and move(page, step)


def steady(fig: AnyFigure) -> list[Artist]:
    """Return the artists of an overview that stay as they are when another step is shown, all below its cursor."""
    page = getattr(fig, "_tandv_page", _Kept()).page
    return [] if page is None else [one for ax in page.left for one in ax.get_children() if one.get_zorder() < CURSOR]


def _signature(df: AnyLog, metric: str) -> object:
    """Return what changes when a log does: for a place its files, for a table its size and the statistic."""
    if not isinstance(df, pd.DataFrame):
        return log_at(df).signature
    return df.shape, crc32(df[("scalar_stats", metric)].to_numpy().tobytes())


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
