"""Plot curves over training: a panel for each metric, one or several runs, transitions and extremes marked.

>>> fig = metric_curves({"step": [0, 10, 20], "loss": [2.0, 1.0, 0.5], "accuracy": [0.1, 0.6, 0.9]}, col_wrap=1)
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.curves import given, learning_rate_of, unit_of
from tandv.curves.of_run import nan_is_given
from tandv.curves.runs import Runs, as_runs, metrics_of
from tandv.messages import check_choices, named_arguments
from tandv.viz.layout.facet import facet
from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.style import Style, Theme, colours_for, fitting
from tandv.viz.layout.tables import Drawn, remember
from tandv.viz.layout.ticks import step_text
from tandv.viz.of_curves.over_steps import (
    XScale,
    YScale,
    check_marks,
    draw_curve,
    limits,
    mark_transitions,
    name_marks,
    scale_for,
    scales,
)

if TYPE_CHECKING:
    from tandv.analysis.transitions import Transition

    Marks = Sequence[Transition] | Mapping[str, Sequence[Transition]] | bool | None

VALUE = ("scalar_stats", "value")


@named_arguments
def metric_curves(
    curves: Runs,
    metrics: str | Sequence[str] | None = None,
    transitions: "Marks" = None,
    col_wrap: int | None = None,
    xscale: XScale = "linear",
    yscale: YScale = "linear",
    extremes: bool = True,
    figsize: tuple[float, float] | None = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw metrics over the steps: a panel for each metric, a line for each run.

    A transition is a line at its middle and a band over its length; of several runs in the run's colour.

    >>> runs = {"seed 0": {"loss": [2.0, 1.0, 0.9]}, "seed 1": {"loss": [2.2, 1.1, 0.8]}}
    >>> fig = metric_curves(runs, "loss", xscale="log")

    Args:
        curves: the curves of a run, or a dict of them by the run's name.
        metrics: the metrics to draw; by default all but those of single tensors.
        transitions: transitions to mark, as `find_transitions` returns them (of several runs, a dict by the run's
            name); True detects them here.
        col_wrap: how many panels are put side by side.
        xscale: "linear", or "log" for an axis of log(1 + step).
        yscale: "linear", "log", "log2",
            or "auto" for log where all values are positive and span a factor of 30 or more.
        extremes: whether to mark the largest and the smallest value.
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.

    Raises UnknownName for what is not there.
    """
    check_choices(xscale=(xscale, XScale), yscale=(yscale, YScale))
    runs = as_runs(curves)
    names = metrics_of(runs, metrics)
    marks = marks_of(runs, names, transitions, xscale)
    style = fitting(theme, figsize, fig, ax)
    rows = _rows(runs, names)
    colours = dict(zip(runs, colours_for(len(runs), style), strict=True))

    def draw(part: pd.DataFrame, ax: Axes) -> None:
        metric = part[("metadata", "metric")].iloc[0]
        values = part[VALUE].to_numpy()
        scale = scale_for(values, yscale)
        scales(ax, xscale, scale, unit_of(*runs.values()))
        for run in runs:
            curve = part[part[("metadata", "run")] == run]
            if len(curve):
                at, values = curve[("metadata", "step")].to_numpy(), curve[VALUE].to_numpy()
                nan = nan_is_given(runs[run], metric)
                draw_curve(
                    ax, at, values, run, colours[run], log=scale != "linear", extremes=extremes, nan=nan, style=style
                )
            found = [one for one in marks.get(run, ()) if one.quantity == metric]
            mark_transitions(ax, found, colours[run] if len(runs) > 1 else style.ink)
        name_marks(ax, style.muted if len(runs) > 1 else "")
        _finish(ax, metric if len(names) == 1 else "", part, style)
        limits(ax, rows[("metadata", "step")].to_numpy(), part[VALUE].to_numpy(), style)  # the panels share their steps

    named = names[0] if len(names) == 1 else f"{len(names)} metrics"
    return facet(
        rows, draw, ("metric",), fig=fig, figsize=figsize, col_wrap=col_wrap, ax=ax, title=title,
        formulas=True, named=named, subtitle=describe(runs),
        panel_size=(3.6, 2.3), sharey=False, style=style,
    )  # fmt: skip


def _rows(runs: Mapping[str, pd.DataFrame], names: Sequence[str]) -> pd.DataFrame:
    """Return a row for each run, metric and step, as `facet` takes them."""
    parts = [
        pd.DataFrame(
            {
                ("metadata", "metric"): name,
                ("metadata", "run"): run,
                ("metadata", "step"): given(table, name).index.to_numpy(),
                VALUE: given(table, name).to_numpy(),
            }
        )
        for name in names
        for run, table in runs.items()
        if name in table.columns
    ]
    rows = pd.concat(parts, ignore_index=True)
    if rows.empty:
        raise ValueError("these curves have no step; give at least one")
    return rows


def marks_of(
    runs: Mapping[str, pd.DataFrame], names: Sequence[str], transitions: "Marks", axis: XScale
) -> "Mapping[str, Sequence[Transition]]":
    """Return the transitions of each run, detected here if `transitions` is True."""
    if transitions is True:
        from tandv.analysis.transitions import find_transitions  # imports SciPy

        out = {}
        for run, table in runs.items():
            lr = learning_rate_of(table.columns)
            wanted = [name for name in table.columns if name in names or name == lr]
            out[run] = find_transitions(table[wanted], axis=axis, lr=lr) if wanted else []
        return out
    if transitions is None or transitions is False:
        return {}
    if isinstance(transitions, Mapping):
        if unknown := [run for run in transitions if run not in runs]:
            raise LookupError(f"there are transitions of {unknown}, but the runs are {list(runs)}; use the same names")
        return transitions
    check_marks(transitions)
    if len(runs) > 1:
        raise ValueError("transitions of several runs are given by the run's name, such as {'seed 0': [...]}")
    return {next(iter(runs)): transitions}


def _finish(ax: Axes, label: str, part: pd.DataFrame, style: Style) -> None:
    ax.set_ylabel(label)
    tables = {run: found.set_index(("metadata", "step"))[VALUE] for run, found in part.groupby(("metadata", "run"))}
    together = pd.DataFrame(tables)
    named = tuple(str(run) or str(part[("metadata", "metric")].iloc[0]) for run in together.columns)
    remember(ax, Drawn("curves", "step", "value", (), (), together.index.to_numpy(), together.to_numpy().T, named))


def describe(runs: Mapping[str, pd.DataFrame]) -> str:
    """Return how many runs and steps there are, in words."""
    steps = np.concatenate([table.index.to_numpy() for table in runs.values()])
    if not len(steps):
        return ""
    unit = unit_of(*runs.values())
    several = f"{len(runs)} runs  |  " if len(runs) > 1 else ""
    if steps.min() == steps.max():
        return f"{several}{unit} {step_text(steps[0])}"
    counted = f"{len(np.unique(steps)):,} {unit.replace(' /', 's /')}s"
    return f"{several}{counted}, {step_text(steps.min())} to {step_text(steps.max())}"
