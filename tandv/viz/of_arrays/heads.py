"""Plot heads of attention over training: their entropy and scores, each with its chance level."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.arrays import as_array
from tandv.curves import Curves, as_curves
from tandv.messages import UnknownName, check_choices, named_arguments, unknown
from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.style import Style, Theme, fitting
from tandv.viz.of_curves.families import Marks, XScale, draw_families

Size = tuple[float, float] | None


@named_arguments
def head_curves(
    curves: Curves,
    quantity: str = "entropy",
    transitions: Marks = None,
    xscale: XScale = "linear",
    col_wrap: int | None = None,
    figsize: Size = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw a quantity of every head over training: a panel for each layer, chance dashed, transitions marked.

    Transitions of one of the curves are marked in its panel, those of anything else (the loss) in every panel.

    >>> fig = head_curves({"step": [0, 10], "fc/head0/entropy": [2.0, 0.5], "fc/head1/entropy": [2.0, 1.9]})

    Args:
        curves: what `attention_curves` returns, or the curves of a probe of "heads".
        quantity: "entropy", "previous_token", "duplicate_token", "induction" or, of attention with a sink, "sink".
        transitions: transitions to mark, as `find_transitions` returns them; True detects them here.
        xscale: "linear", or "log" for an axis of log(1 + step).
        col_wrap: how many panels are put side by side.
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.

    Raises UnknownName for a quantity that the curves lack.
    """
    check_choices(xscale=(xscale, XScale))
    table = as_curves(curves)
    families, chance = families_of(table, quantity)
    named = quantity.replace("_", " ") + (" (nats)" if quantity == "entropy" else "")
    shown = table[[column for heads in families.values() for column in heads.values()]].to_numpy()
    top = 1.04 * float(np.nanmax(shown, initial=0.0)) if quantity == "entropy" else 1.02
    heading = named if len(families) > 1 else f"{next(iter(families))} · {named}"
    return draw_families(
        table, families, chance=chance, transitions=transitions, xscale=xscale, ylabel=named, title=title, fig=fig,
        named=heading, ax=ax, ylim=(-0.02 * top, top or 1.0), style=fitting(theme, figsize, fig, ax), figsize=figsize,
        col_wrap=col_wrap,
    )  # fmt: skip


@named_arguments
def entropy_evolution(
    curves: Curves | Sequence[Any] | np.ndarray | Mapping[int, Any],
    transitions: Marks = True,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    title: str | None = None,
    figsize: Size = None,
) -> Figure:
    """Draw the entropy of every head over training, with the transitions marked.

    >>> fig = entropy_evolution({"step": [0, 10], "fc/head0/entropy": [2.0, 0.5]})

    Args:
        curves: what `attention_curves` returns, or the curves of a probe of "heads"; or entropies in nats alone, [step]
            or [step, head], whose steps are counted, or a dict of them by step.
        transitions: transitions to mark, as `find_transitions` returns them; True detects them here.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.
        figsize: (width, height) of the figure in inches; by default one that suits the content.
    """
    table = as_curves(_with_steps(curves))
    return head_curves(table, "entropy", transitions, figsize=figsize, theme=theme, fig=fig, ax=ax, title=title)


def _with_steps(given: Any) -> Any:
    """Return entropies alone, [step], [step, head] or a dict of them by step, as curves; what are curves as it is."""
    if isinstance(given, Mapping) and all(isinstance(step, int | float | np.number) for step in given):
        steps, values = list(given), list(given.values())
    elif (isinstance(given, Sequence) or hasattr(given, "__array__")) and not isinstance(
        given, str | pd.DataFrame | pd.Series
    ):
        steps, values = list(range(len(given))), given
    else:
        return given
    if not steps:
        raise ValueError("there are no entropies; give [step], [step, head] or a dict of them by step")
    heads = as_array(values).reshape(len(steps), -1)
    return {f"attention/head{head}/entropy": heads[:, head] for head in range(heads.shape[1])} | {"step": steps}


def families_of(table: pd.DataFrame, quantity: str) -> tuple[dict[str, dict[str, str]], dict[str, dict[str, str]]]:
    """Return the curves of a quantity by layer and head, and its chance level by layer.

    Args:
        table: what `attention_curves` returns.
        quantity: such as "entropy".

    Raises UnknownName for a quantity that the curves lack.
    """
    families: dict[str, dict[str, str]] = {}
    for column in table.columns:
        layer, _, rest = column.rpartition("/head")
        head, _, name = rest.partition("/")
        if head.isdigit() and name == quantity:
            families.setdefault(layer, {})[f"head {head}"] = column
    if not families:
        there = sorted({c.rpartition("/")[2] for c in table.columns if "/head" in c})
        raise UnknownName(unknown("curve of heads", quantity, there))
    level = {layer: f"{layer}/{quantity}_chance" for layer in families}
    chance = {layer: {"chance": name} for layer, name in level.items() if name in table.columns}
    return families, chance


def panels_of(curves: pd.DataFrame) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    """Return the curves and the chance levels of a panel for each quantity, in which all layers are.

    Args:
        curves: what `attention_curves` returns.
    """
    ending = "/specialization_index"
    layers = [str(c).removesuffix(ending) for c in curves if str(c).endswith(ending)]
    out: dict[str, tuple[dict[str, str], dict[str, str]]] = {}
    for quantity in ("entropy", "previous_token", "duplicate_token", "induction", "sink"):
        try:
            families, chance = families_of(curves, quantity)
        except LookupError:
            continue
        family = {f"{layer} {head}": column for layer, heads in families.items() for head, column in heads.items()}
        level = next(iter(chance.values()), {})
        out[quantity.replace("_", " ")] = (family, level)
    out["specialisation"] = ({layer: f"{layer}/specialization_index" for layer in layers}, {})
    return out
