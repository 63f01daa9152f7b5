"""Plot how far each layer moved between two checkpoints, and how far it usually moves."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.messages import UnknownName, named_arguments, not_made_by, unknown
from tandv.viz.layout.facet import facet
from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.layer_axis import layer_axis
from tandv.viz.layout.style import Style, Theme, fitting
from tandv.viz.layout.ticks import linear_ticks

VALUE = ("scalar_stats", "value")


@named_arguments
def layer_changes(
    changes: pd.DataFrame,
    value: str = "relative",
    usual: str | None = "usual",
    title: str | None = None,
    subtitle: str = "",
    figsize: tuple[float, float] | None = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw a bar for each layer, in the order of the table that `compare_representations` returns.

    >>> from tandv.analysis.representations import compare_representations
    >>> fig = layer_changes(compare_representations({"fc": [1.0, 0.0]}, {"fc": [1.0, 0.5]}))

    Args:
        changes: a row for each layer.
        value: the column of the bars.
        usual: the column of the usual change, drawn as a mark, if the table has it.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.
        subtitle: the line below the title.
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.

    Raises LookupError for a column that is not there, TypeError for what is no table.
    """
    if not isinstance(changes, pd.DataFrame):
        raise TypeError(not_made_by("compare_representations(before, after)", "changes", changes))
    if value not in changes.columns:
        raise UnknownName(unknown("column", value, changes.columns))
    style = fitting(theme, figsize, fig, ax)
    names = [str(name) for name in changes.index]
    numbers = changes[value].to_numpy(np.float64)
    marks = changes[usual].to_numpy(np.float64) if usual in changes.columns else None
    rows = pd.DataFrame({("metadata", "name"): names, VALUE: numbers})

    def draw(part: pd.DataFrame, ax: Axes) -> None:
        places = np.arange(len(names))
        shown = np.where(np.isfinite(numbers), numbers, 0.0)
        ax.barh(
            places, shown, height=0.72, color=style.bar, linewidth=0, label="here" if marks is not None else "_here"
        )
        if marks is not None:
            ax.plot(
                marks, places, "|", color=style.alarm, markersize=min(16.0, 220 / max(len(names), 1)),
                markeredgewidth=2, label="usual", gid="usual",
            )  # fmt: skip
        at = np.flatnonzero(~np.isfinite(numbers))
        if len(at):
            x = np.full(len(at), 0.012)
            ax.plot(x, at, "s", transform=ax.get_yaxis_transform(), color=style.nan, markersize=4, label="not finite")
        layer_axis(ax, names, style)
        ax.set_ylim(len(names) - 0.5, -0.5)
        reach = np.nanmax([*shown, *(marks[np.isfinite(marks)] if marks is not None else [])], initial=0.0)
        ax.set_xlim(0, 1.06 * reach if reach > 0 else 1)
        linear_ticks(ax.xaxis)
        ax.grid(False, axis="y")
        ax.set_xlabel(f"{value} change" if value in ("relative", "l2", "max", "mean") else value)

    height = min(1.4 + 0.26 * len(names), 9.0)
    return facet(
        rows,
        draw,
        (),
        fig=fig,
        ax=ax,
        figsize=figsize,
        single_size=(7.0, max(height, 2.2)),
        title=title,
        named="change of the weights",
        subtitle=subtitle,
        style=style,
    )
