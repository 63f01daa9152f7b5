"""The states of the interactive viewer as plain data, and the functions from one state to the next.

A view is a plot and its arguments; the viewer has a stack of them. Nothing here draws.

>>> from tandv import viz
>>> from tandv.log.logframe import example_log
>>> top = (View(viz.scalar_global_heatmap, {"df": example_log(), "tt": "Activation", "scalar_metric": "rm2"}),)
>>> deeper = push(top, View(viz.exp_hist, {**top[0].arguments, "layer": "embed", "step": 3}))
>>> back(deeper) == top, back(top) == top
(True, True)
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from types import UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from tandv import formats
from tandv.curves import as_curves, unit_of
from tandv.curves.runs import as_runs
from tandv.glossary import metric_and_tensor
from tandv.log import logframe
from tandv.viz.layout.tables import Place, chosen, drawn
from tandv.viz.of_arrays import history

HEIGHTS = {"overview": 7.6}  # inches; other plots have 5.2
Limits = tuple[tuple[tuple[float, float], tuple[float, float]], ...]


class View(NamedTuple):
    """A plot with its arguments, a log `df`, arrays `history` or `curves` among them, and the zoom when it was left."""

    plot: Callable[..., Any]
    arguments: Mapping[str, Any]
    limits: Limits = ()

    @property
    def df(self) -> pd.DataFrame:
        return self.arguments["df"]

    @property
    def layers(self) -> list[str]:
        """The layers of the log or of the arrays; none of curves."""
        if "df" in self.arguments:
            return logframe.layers(self.df)
        return history.layers_of(self._history) if "history" in self.arguments else []

    @property
    def steps(self) -> list[int | float]:
        """The steps of the log, of the arrays or of the curves."""
        if "df" in self.arguments:
            return list(logframe.steps(self.df))
        if "history" in self.arguments:
            return list(self._history)
        return sorted({step for table in self._tables for step in table.index.tolist()})

    @property
    def unit(self) -> str:
        """What the steps count, such as "step" or "epoch"."""
        return unit_of(*self._tables)

    @property
    def curves(self) -> list[str]:
        """The names of the curves that are not of single layers; none of a log or of arrays."""
        names = dict.fromkeys(str(name) for table in self._tables for name in table.columns)
        return [name for name in names if not metric_and_tensor(name)[1]]

    @property
    def heads(self) -> list[int]:
        """The heads of the attention that is shown."""
        arrays = self._history
        layer = history.chosen_layer(arrays, one(self.arguments.get("layer")))
        return list(range(next(named[layer] for named in arrays.values() if layer in named).shape[-3]))

    @property
    def _history(self) -> dict[int, dict[str, Any]]:
        return history.as_history(self.arguments["history"])

    @property
    def _tables(self) -> list[pd.DataFrame]:
        if "curves" in self.arguments:
            return list(as_runs(self.arguments["curves"]).values())
        each = self.arguments.get("runs", {}).values()  # {value of a setting: curves, or a list of curves}
        several = [list(one) if isinstance(one, list | tuple) else [one] for one in each]
        return [as_curves(curves) for of in several for curves in of]


Views = tuple[View, ...]


def change(views: Views, **arguments: Any) -> Views:
    """Return the stack with some arguments of the view on top replaced."""
    top = views[-1]
    return (*views[:-1], View(top.plot, {**top.arguments, **arguments}))


def push(views: Views, view: View, limits: Limits = ()) -> Views:
    """Return the stack with a view on top; `limits` are the zoom of the view below it."""
    return (*views[:-1], views[-1]._replace(limits=limits), view)


def back(views: Views) -> Views:
    """Return the stack without its top; the first view stays."""
    return views[:-1] if len(views) > 1 else views


def opened(views: Views, place: Place | None, histogram: Callable[..., Any], limits: Limits) -> Views:
    """Return the stack after a click on a cell: the plot itself moves there, or a histogram opens on top of it."""
    top = views[-1]
    if place is None or place.step is None:
        return views
    if takes(top.plot, "layer") and takes(top.plot, "step"):
        return change(views, step=place.step, **({} if place.layer is None else {"layer": place.layer}))
    deeper = drilled(top, place, histogram)
    return views if deeper is None else push(views, deeper, limits)


def only_step(before: View, after: View, chosen: Mapping[str, Any]) -> bool:
    """Tell whether two views differ in nothing but the step; `chosen` is what the plot of the first chose itself."""
    ours = {**before.arguments, **{k: v for k, v in chosen.items() if before.arguments.get(k) is None}}
    names = (ours.keys() | after.arguments.keys()) - {"step"}
    if before.plot is not after.plot or not isinstance(after.arguments.get("step"), int | np.integer):
        return False
    return all(_same(ours.get(name), after.arguments.get(name)) for name in names)


def _same(one: Any, other: Any) -> bool:
    plain = (str, int, float, tuple)  # others, such as tables, have no single truth value of `==`
    return one is other or (isinstance(one, plain) and type(one) is type(other) and one == other)


def drilled(view: View, place: Place | None, histogram: Callable[..., Any]) -> View | None:
    """Return the view that a click on a cell opens: the exponents of that layer at that step."""
    if place is None or place.layer is None or place.step is None or view.plot is histogram:
        return None
    if "df" not in view.arguments:
        return None
    kind = place.tt or one(view.arguments.get("tt")) or logframe.tensor_types(view.df)[0]
    kept = {name: view.arguments[name] for name in ("phase", "rank", "theme") if name in view.arguments}
    return View(histogram, {"df": view.df, "layer": place.layer, "tt": kind, "step": place.step, **kept})


def moved(view: View, steps: int = 0, layers: int = 0, shown: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the arguments that change when an arrow key moves the view by so many steps or layers.

    `shown` are the arguments as they are drawn, if the plot chose some of them itself.
    """
    changed: dict[str, Any] = {}
    at_present = {**view.arguments, **(shown or {})}
    names, layer = view.layers, at_present.get("layer")
    if layers and isinstance(layer, str) and layer in names:
        changed["layer"] = names[min(max(names.index(layer) + layers, 0), len(names) - 1)]
    step = at_present.get("step")
    if steps and isinstance(step, int | np.integer) and takes(view.plot, "step"):
        known = view.steps
        at = min(range(len(known)), key=lambda i: abs(known[i] - step))
        changed["step"] = known[min(max(at + steps, 0), len(known) - 1)]
    return {name: value for name, value in changed.items() if value != at_present.get(name)}


def choices(view: View) -> dict[str, list[Any]]:
    """Return the choices of each argument of a view, where the log or the signature gives them.

    They become the controls of the toolbar; the parameter's name or its Literal annotation decides.
    """
    known: dict[str, Callable[[], list[Any]]] = {"dtype_annotation": lambda: list(formats.FORMATS)}
    if "df" in view.arguments or "history" in view.arguments:
        known |= {"layer": lambda: view.layers, "step": lambda: view.steps}
    if "df" in view.arguments:
        known["tt"] = lambda: logframe.tensor_types(view.df)
        known["scalar_metric"] = lambda: logframe.scalar_metrics(view.df)
    if "history" in view.arguments:
        known["head"] = lambda: view.heads
    if view.curves:
        known |= dict.fromkeys(("quantities", "metrics"), lambda: view.curves)
    if "df" in view.arguments and (phases := [phase for phase in logframe.phases(view.df) if phase]):
        known["phase"] = lambda: phases
    if "df" in view.arguments and len(ranks := logframe.ranks(view.df)) > 1:
        known["rank"] = lambda: ranks
    found: dict[str, list[Any]] = {}
    for name, parameter in inspect.signature(view.plot).parameters.items():
        if name in known:
            found[name] = known[name]()
        elif literal := _literal(parameter.annotation):
            found[name] = literal
    return found


def _literal(annotation: Any) -> list[Any]:
    """Return the values of a Literal, also of one that may be None; of anything else none."""
    parts = [part for part in get_args(annotation) if part is not type(None)]
    if get_origin(annotation) in (Union, UnionType) and len(parts) == 1:
        annotation = parts[0]
    return list(get_args(annotation)) if get_origin(annotation) is Literal else []


def current(view: View, name: str) -> Any:
    """Return the value of an argument, or the plot's default."""
    if name in view.arguments:
        return view.arguments[name]
    default = inspect.signature(view.plot).parameters[name].default
    return None if default is inspect.Parameter.empty else default


def shown(view: View, figure: Any) -> dict[str, Any]:
    """Return the arguments as they are drawn: None is replaced by what the plot chose, or by all that it shows.

    >>> from tandv import viz
    >>> from tandv.log.logframe import example_log
    >>> view = View(viz.scalar_global_heatmap, {"df": example_log(tensor_types=["Activation", "Weight"])})
    >>> shown(view, view.plot(**view.arguments))["tt"]
    ['Activation', 'Weight']
    """
    tables = [found for ax in figure.axes if (found := drawn(ax)) is not None]
    everything = {
        "layer": list(dict.fromkeys(layer for table in tables for layer in table.layers)),
        "tt": list(dict.fromkeys(kind for table in tables for kind in table.tt)),
    }
    values = {name: current(view, name) for name in parameters(view.plot) if name != "fig"}
    for name, value in values.items():
        if value is not None and not (name == "dtype_annotation" and value is True):
            continue
        if name in chosen(figure):
            values[name] = chosen(figure)[name]
        elif found := everything.get(name):
            values[name] = found[0] if len(found) == 1 else found
    return values


def height(view: View) -> float:
    """Return how high a view is drawn, in inches."""
    figsize = view.arguments.get("figsize")
    return float(figsize[1]) if figsize else HEIGHTS.get(view.plot.__name__, 5.2)


def rows_of_panels(axes: Iterable[Axes]) -> int:
    """Return how many panels stand below each other."""
    return len({round(ax.get_position().y0, 3) for ax in axes if drawn(ax) is not None})


def parameters(plot: Callable[..., Any]) -> list[str]:
    """Return the names of a plot's parameters."""
    return list(inspect.signature(plot).parameters)


def takes(plot: Callable[..., Any], name: str) -> bool:
    """Tell whether a plot has a parameter of that name."""
    return name in parameters(plot)


def one(value: Any) -> Any:
    """Return a name, or the first of a list of names."""
    return value[0] if isinstance(value, list | tuple) and value else value if isinstance(value, str) else None
