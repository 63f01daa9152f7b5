"""Plot metrics of single layers over training: a map of layers by steps for each metric, since lines would hide it.

>>> fig = layer_maps({"step": [0, 10], "spectral:fc1": [1.0, 4.0], "spectral:fc2": [2.0, 2.5]})
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.curves.runs import Runs, as_runs
from tandv.glossary import metric_and_tensor
from tandv.messages import UnknownName, check_choices, listed, named_arguments, unknown
from tandv.viz.layout.facet import facet
from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.heat import MISSING
from tandv.viz.layout.keys import Key
from tandv.viz.layout.style import Style, Theme, fitting
from tandv.viz.of_curves.metrics import describe
from tandv.viz.of_log.maps import Cells, draw_cells

LayerColour = Literal["log2", "linear", "change"]


@named_arguments
def layer_maps(
    curves: Runs,
    metrics: str | Sequence[str] | None = None,
    colour: LayerColour = "log2",
    col_wrap: int | None = None,
    figsize: tuple[float, float] | None = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw metrics of single layers as colours: a panel for each metric and run, a row for each layer.

    Cells that are NaN, infinite or zero have colours of their own. The curves are those that
    `evaluate(..., per_tensor=True)` returns.

    >>> runs = {"seed 0": {"rank:fc1": [4.0, 3.0], "rank:fc2": [2.0, 2.0]}, "seed 1": {"rank:fc1": [4.0, 1.0]}}
    >>> fig = layer_maps(runs, "rank", colour="change")

    Args:
        curves: the curves of a run, with columns such as "spectral:layers.0", or a dict of them by the run's name.
        metrics: the metrics to draw, such as "spectral"; by default all that have curves of single layers.
        colour: "log2" or "linear" of the value, "change" for the ratio to a layer's first step.
        col_wrap: how many panels are put side by side.
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.

    Raises UnknownName for a metric without curves of single layers.
    """
    check_choices(colour=(colour, LayerColour))
    runs = as_runs(curves)
    columns = _columns(runs, metrics)
    style = fitting(theme, figsize, fig, ax)
    cells = {
        (metric, run): _cells(table[there])
        for metric, names in columns.items()
        for run, table in runs.items()
        if (there := [name for name in names if name in table.columns])
    }
    rows = pd.DataFrame(
        {("metadata", "metric"): [metric for metric, _ in cells], ("metadata", "run"): [run for _, run in cells]}
    )

    def draw(part: pd.DataFrame, ax: Axes) -> Key:
        metric, run = (part[("metadata", name)].iloc[0] for name in ("metric", "run"))
        return draw_cells(cells[metric, run], ax, (metric,), metric=metric, colour=colour, style=style)

    layers = max(len(one.names) for one in cells.values())
    high = float(np.clip(1.3 + 0.155 * layers, 2.6, 7.5))
    named = next(iter(columns)) if len(columns) == 1 else f"{len(columns)} metrics"
    return facet(
        rows, draw, ("metric", "run"), fig=fig, figsize=figsize, col_wrap=col_wrap, ax=ax, title=title,
        named=f"{named} of {layers:,} layer{'s' if layers > 1 else ''}", subtitle=describe(runs),
        single_size=(10.0, high), panel_size=(4.4, float(np.clip(high, 2.6, 4.4))), sharey=False, style=style,
    )  # fmt: skip


def _columns(runs: Mapping[str, pd.DataFrame], wanted: str | Sequence[str] | None) -> dict[str, list[str]]:
    """Return the columns of single layers by their metric, in the order asked for."""
    found: dict[str, dict[str, None]] = {}
    for table in runs.values():
        for name in map(str, table.columns):
            metric, tensor = metric_and_tensor(name)
            if tensor:
                found.setdefault(metric, {})[name] = None
    if not found:
        raise UnknownName("these curves have none of single layers; evaluate(..., per_tensor=True) measures them")
    names = list(found) if wanted is None else [wanted] if isinstance(wanted, str) else list(dict.fromkeys(wanted))
    wrong = [unknown("metric of single layers", name, list(found)) for name in names if name not in found]
    if wrong or not names:
        raise UnknownName("\n  ".join(wrong) or f"no metric was asked for; there are {listed(list(found))}")
    return {name: list(found[name]) for name in names}


def _cells(table: pd.DataFrame) -> Cells:
    values = table.to_numpy(np.float64).T
    values = np.where(np.isneginf(values), np.inf, values)
    values[:, np.isnan(values).all(0)] = MISSING  # a checkpoint that could not be read
    names = [metric_and_tensor(str(name))[1] for name in table.columns]
    return Cells(names, table.index.to_numpy(), values, np.zeros((2, *values.shape)))
