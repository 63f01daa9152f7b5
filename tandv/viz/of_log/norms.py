"""Plot norms of weights, gradients and updates over the steps, of all layers together and of each."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.analysis.norms import norm_curves
from tandv.log.door import AnyLog
from tandv.log.ranks import Ranks
from tandv.messages import check_choices, named_arguments
from tandv.viz.layout.facet import facet
from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.style import Style, Theme, colours_for, fitting
from tandv.viz.layout.tables import Drawn, remember
from tandv.viz.of_curves.metrics import describe
from tandv.viz.of_curves.over_steps import (
    XScale,
    YScale,
    draw_curve,
    limits,
    mark_transitions,
    name_marks,
    scale_for,
    scales,
)

if TYPE_CHECKING:
    from tandv.analysis.transitions import Transition

VALUE, NAN = ("scalar_stats", "value"), ("scalar_stats", "nan")
_MANY = 8  # at most so many layers are all named in the legend


@named_arguments
def norms(
    df: AnyLog,
    transitions: "Sequence[Transition]" = (),
    per_layer: bool = False,
    xscale: XScale = "linear",
    yscale: YScale = "auto",
    col_wrap: int | None = None,
    figsize: tuple[float, float] | None = None,
    rank: Ranks | None = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw the norms of weights, their gradients and updates over the steps, from a log; see `norm_curves`.

    >>> from tandv.log.logframe import example_log
    >>> fig = norms(example_log(), per_layer=True)

    Args:
        df: the log, or the place of one: a run's folder or a file.
        transitions: transitions to mark in every panel, such as those of the loss.
        per_layer: whether to add a line for each layer.
        xscale: "linear", or "log" for an axis of log(1 + step).
        yscale: "linear", "log", "log2",
            or "auto" for log where all values are positive and span a factor of 30 or more.
        col_wrap: how many panels are put side by side.
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        rank: a rank of a log that keeps the rows of each, or a list of ranks, each in panels of its own; None takes the
            rows of all ranks as parts of one tensor.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.

    Raises UnknownName if the log has none of these tensors.
    """
    check_choices(xscale=(xscale, XScale), yscale=(yscale, YScale))
    apart = [rank] if rank is None or isinstance(rank, int | np.integer) else list(rank)
    tables = {one: norm_curves(df, per_layer=per_layer, rank=one) for one in apart}
    style = fitting(theme, figsize, fig, ax)
    names = list(dict.fromkeys(name for table in tables.values() for name in table.columns))
    layers = list(dict.fromkeys(name.partition(":")[2] for name in names if ":" in name))
    colours = dict(zip(layers, colours_for(len(layers), style), strict=True))
    rows = pd.concat(
        pd.DataFrame(
            {
                ("metadata", "panel"): name.partition(":")[0].replace("_", " "),
                ("metadata", "rank"): f"rank {one}",
                ("metadata", "quantity"): name.partition(":")[2],
                ("metadata", "step"): table.index.to_numpy(),
                VALUE: table[name].to_numpy(),
                NAN: table.index.isin(table.attrs["nan"][name]),
            }
        )
        for one, table in tables.items()
        for name in table.columns
    )

    def draw(part: pd.DataFrame, ax: Axes) -> None:
        values = part[VALUE].to_numpy()
        scale = scale_for(values, yscale)
        scales(ax, xscale, scale)
        steps = np.unique(part[("metadata", "step")].to_numpy())
        drawn = {}
        for one, curve in part.groupby(("metadata", "quantity"), sort=False):
            layer = str(one)
            at, norm = curve[("metadata", "step")].to_numpy(), curve[VALUE].to_numpy()
            named = len(layers) <= _MANY or layer in (layers[0], layers[-1])
            label = (layer or "all together") if layers and (named or not layer) else ""
            nan = bool(curve[NAN][np.isnan(norm)].all())  # else the log lacks a tensor there
            draw_curve(ax, at, norm, label, colours.get(layer, style.ink), log=scale != "linear", nan=nan, style=style)
            drawn[layer or "all"] = norm
        mark_transitions(ax, transitions, style.ink)
        name_marks(ax, "")
        limits(ax, steps, values, style)
        shown = Drawn("curves", "step", "value", (), (), steps, np.array(list(drawn.values())))
        remember(ax, shown._replace(names=tuple(drawn)))

    return facet(
        rows, draw, ("panel", "rank"), fig=fig, figsize=figsize, col_wrap=col_wrap, ax=ax, title=title, named="norms",
        subtitle=describe({"": next(iter(tables.values()))}), panel_size=(4.2, 2.6), sharey=False, style=style,
    )  # fmt: skip
