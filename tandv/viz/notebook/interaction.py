"""`interactive`: any plot of tandv with controls, drill-down, a cursor, and the loss next to it."""

from collections.abc import Callable
from typing import Any

from matplotlib.figure import Figure

from tandv.curves import curves_beside
from tandv.log.door import is_log
from tandv.viz.notebook import views
from tandv.viz.notebook.viewer import Viewer
from tandv.viz.notebook.views import View

_DATA = {
    "df": ("the log", "df=read_pickle(...)"),
    "history": ("the arrays", "history={step: {layer: array}}"),
    "curves": ("the curves", 'curves={"step": [...], "train_loss": [...]}'),
    "runs": ("the runs", "runs={0.1: curves, 0.01: curves}"),
}


def interactive(f: Callable[..., Figure], train_stats: Any = None, width: int | None = None, **kwargs: Any) -> Viewer:
    """Show a plot with controls for its arguments; return the viewer.

    A click on a cell of a heat map opens the exponents of that layer and step. The mouse moves a cursor over all plots
    of steps and shows the values under it. Keys, while the figure has the focus: left and right change the step, up and
    down the layer, Escape (or a right click) goes back to where one was. Other keys do nothing, and those with ctrl
    belong to the notebook. The figure is as wide as its cell.

    In a notebook this needs ipympl. A saved notebook keeps a still picture, which is also what pages without a Jupyter
    kernel show, such as marimo; outside of notebooks nothing is displayed, but the viewer can be used from Python.

    >>> from tandv import viz
    >>> from tandv.log.logframe import example_log
    >>> viewer = viz.interactive(viz.scalar_line, df=example_log(), layer="embed", tt="Weight", scalar_metric="std")
    >>> viewer.select(layer="head").state.arguments["layer"]
    'head'
    >>> viewer = viz.interactive(viz.training_dynamics, curves={"train_loss": [2.0, 1.0], "test_loss": [2.1, 1.9]})
    >>> viewer.select(quantities="test_loss", yscale="log").data().columns.tolist()
    ['test_loss']

    Args:
        f: a plot of `tandv.viz`: of a log `df` (or the place of one), a `history` of arrays, or `curves`.
        train_stats: training curves to show next to the plot, as `as_curves` takes them; a click on them sets the step.
            By default the losses that `tracker.step(loss=...)` was given in the log's run, if any; False for none.
        width: the largest width in pixels; by default that of the cell.
        **kwargs: the arguments of the plot.

    Raises TypeError for arguments that the plot does not take, and what the plot raises for invalid ones.
    """
    if not callable(f):
        raise TypeError(
            f"interactive takes a plot first, not a {type(f).__name__}, and what it draws by name: "
            "interactive(viz.scalar_global_heatmap, df=df, tt=..., scalar_metric=...)"
        )
    known = [name for name in views.parameters(f) if name != "fig"]
    if unknown := [name for name in kwargs if name not in known]:
        raise TypeError(f"{f.__name__} does not take {', '.join(unknown)}; it takes {', '.join(known)}")
    data = known[0]
    if data not in kwargs or (data == "df" and not is_log(kwargs["df"])):
        what, example = _DATA.get(data, ("what it draws", f"{data}=..."))
        raise TypeError(f"interactive needs {what}: interactive({f.__name__}, {example}, ...)")
    if "train_stats" in known:  # the plot draws the loss itself
        kwargs, train_stats = {**kwargs, "train_stats": train_stats}, False
    viewer = Viewer(View(f, kwargs), curves_beside(kwargs.get("df"), train_stats), width)
    viewer.display()
    return viewer
