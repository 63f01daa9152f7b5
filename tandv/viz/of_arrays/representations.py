"""Plot representations over training: their similarity, a projection of samples, and what can be decoded from them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.arrays import as_array
from tandv.curves import Curves, as_curves
from tandv.messages import check_choices, named_arguments, not_made_by
from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.style import Style, Theme, colours_for, fitting
from tandv.viz.layout.ticks import linear_ticks, percent_text, step_text
from tandv.viz.of_arrays.history import chosen_steps, spread
from tandv.viz.of_arrays.matrices import side_by_side
from tandv.viz.of_curves.families import Marks, XScale, draw_families

Size = tuple[float, float] | None


@named_arguments
def similarity_curves(
    curves: Curves,
    transitions: Marks = None,
    xscale: XScale = "linear",
    figsize: Size = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw how similar each layer is to its previous checkpoint and to its final one.

    >>> from tandv.analysis.similarity import cka_curves
    >>> x = np.random.default_rng(0).normal(size=(3, 20, 4))
    >>> fig = similarity_curves(cka_curves({10 * n: {"fc": layer} for n, layer in enumerate(x)}))

    Args:
        curves: what `cka_curves` returns.
        transitions: transitions to mark, as `find_transitions` returns them; True detects them here.
        xscale: "linear", or "log" for an axis of log(1 + step).
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.

    Raises LookupError for other curves.
    """
    check_choices(xscale=(xscale, XScale))
    table = as_curves(curves)
    families = {
        f"to the {which} checkpoint": {
            c.removesuffix(ending): c for c in table.columns if c.endswith(ending := f"/cka_to_{which}")
        }
        for which in ("previous", "final")
    }
    families = {title: family for title, family in families.items() if family}
    if not families:
        raise LookupError(
            "these curves hold no <layer>/cka_to_previous or <layer>/cka_to_final; give those of cka_curves"
        )
    return draw_families(
        table, families, transitions=transitions, xscale=xscale, ylabel="linear CKA", ylim=(-0.03, 1.05),
        ax=ax, title=title, named="Likeness of representations", style=fitting(theme, figsize, fig, ax), fig=fig,
        figsize=figsize,
        panel_size=(4.6, 3.0),
    )  # fmt: skip


@named_arguments
def projection(
    points: Any,
    labels: Sequence[Any] | np.ndarray | None = None,
    step: int | Sequence[int] | None = None,
    col_wrap: int | None = None,
    title: str | None = None,
    figsize: Size = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw the samples of a layer at chosen steps, in one basis for all of them: a point that moves has moved.

    >>> from tandv.analysis.representations import project
    >>> x = np.random.default_rng(0).normal(size=(2, 20, 4))
    >>> fig = projection(project({0: {"fc": x[0]}, 100: {"fc": x[1]}}, "fc"), labels=np.arange(20) % 3)

    Args:
        points: what `project` returns, or its table.
        labels: the class of each sample, [sample], shown as its colour.
        step: the step, or several; by default the first, the last and four between.
        col_wrap: how many panels are put side by side.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.

    Raises UnknownName for a step that is not there, TypeError for what are no points.
    """
    explained = getattr(points, "explained", None)
    table: pd.DataFrame = getattr(points, "points", points)
    if "step" not in getattr(getattr(table, "index", None), "names", ()):
        raise TypeError(not_made_by("project(history, layer)", "points", points))
    there = sorted(set(table.index.get_level_values("step").tolist()))
    steps = spread(there, 6) if step is None else chosen_steps({one: {"points": 0} for one in there}, "points", step)
    samples = len(table.loc[steps[0]])
    groups = np.zeros(samples, int) if labels is None else as_array(labels)
    if groups.shape != (samples,):
        raise ValueError(f"there are {samples} samples and labels of shape {groups.shape}; give one label for each")
    names = list(dict.fromkeys(sorted(groups.tolist())))
    style = fitting(theme, figsize, fig, ax)
    low, high = table.min().to_numpy()[:2], table.max().to_numpy()[:2]
    air = 0.06 * (high - low) + 1e-12
    markers, colours = "o^sDvP", colours_for(len(names), style)

    def draw(number: int, ax: Axes) -> None:
        at_step = table.loc[steps[number]].to_numpy()
        for i, name in enumerate(names):
            own = at_step[groups == name]
            ax.scatter(
                own[:, 0], own[:, 1], s=14, color=colours[i], alpha=0.8, linewidths=0,
                marker=markers[i % len(markers) if len(names) > len(style.series) else 0],
                label=None if labels is None else str(name),
            )  # fmt: skip
        ax.set_xlim(low[0] - air[0], high[0] + air[0])
        ax.set_ylim(low[1] - air[1], high[1] + air[1])
        linear_ticks(ax.xaxis, most=4)
        linear_ticks(ax.yaxis, most=4)
        kind = "t-SNE" if explained is None else "component"
        share = ["", ""] if explained is None else [f" ({percent_text(round(float(s), 3))})" for s in explained[:2]]
        ax.set_xlabel(f"{kind} 1{share[0]}")
        ax.set_ylabel(f"{kind} 2{share[1]}")

    subtitle = f"{samples} samples, one basis for all {len(there)} steps"
    subtitle += "; distances between groups mean nothing" if explained is None else ""
    return side_by_side(
        [f"step {step_text(one)}" for one in steps], draw, ax=ax, title=title, named="Samples in a shared basis",
        subtitle=subtitle,
        style=style, fig=fig, figsize=figsize, col_wrap=col_wrap, panel_size=(3.3, 2.9), single_size=(5.4, 4.8),
    )  # fmt: skip


@named_arguments
def decodability(
    curves: Curves,
    transitions: Marks = None,
    xscale: XScale = "linear",
    col_wrap: int | None = None,
    figsize: Size = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw how well labels can be decoded from each layer over training, chance dashed.

    >>> curves = {"step": [0, 10], "fc/shape": [0.3, 0.9], "chance/shape": [0.3, 0.3]}
    >>> fig = decodability(curves)

    Args:
        curves: what `decodability_curves` returns.
        transitions: transitions to mark, as `find_transitions` returns them; True detects them here.
        xscale: "linear", or "log" for an axis of log(1 + step).
        col_wrap: how many panels are put side by side.
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.

    Raises LookupError for other curves.
    """
    check_choices(xscale=(xscale, XScale))
    table = as_curves(curves)
    targets = [c.removeprefix("chance/") for c in table.columns if c.startswith("chance/")]
    if not targets:
        raise LookupError("these curves hold no chance/<target>; give those of decodability_curves")
    families = {
        target: {
            c.removesuffix(f"/{target}"): c
            for c in table.columns
            if c.endswith(f"/{target}") and not c.startswith("chance/")
        }
        for target in targets
    }
    return draw_families(
        table, families, chance={target: {"chance": f"chance/{target}"} for target in targets}, transitions=transitions,
        xscale=xscale, ylabel="accuracy of a linear probe", ylim=(-0.03, 1.05), ax=ax, title=title,
        named="What can be decoded",
        style=fitting(theme, figsize, fig, ax), fig=fig, figsize=figsize, col_wrap=col_wrap, panel_size=(4.4, 3.0),
    )  # fmt: skip


@named_arguments
def group_accuracy(
    curves: Curves,
    transitions: Marks = None,
    xscale: XScale = "linear",
    figsize: Size = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw the accuracy of the worst group and on average, and which feature predictions follow.

    >>> names = ["average_accuracy", "worst_group_accuracy", "true", "spurious", "chance"]
    >>> fig = group_accuracy({"step": [0, 10], **{name: [0.5, 0.7] for name in names}})

    Args:
        curves: what `group_curves` returns.
        transitions: transitions to mark, as `find_transitions` returns them; True detects them here.
        xscale: "linear", or "log" for an axis of log(1 + step).
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.

    Raises LookupError for other curves.
    """
    check_choices(xscale=(xscale, XScale))
    table = as_curves(curves)
    wanted = {
        "accuracy": {"average": "average_accuracy", "worst group": "worst_group_accuracy"},
        "where both features disagree, predictions follow": {"the true one": "true", "the spurious one": "spurious"},
    }
    lacking = [c for family in wanted.values() for c in family.values() if c not in table]
    if lacking:
        raise LookupError(f"these curves lack {', '.join(lacking)}; give those of group_curves")
    chance = {title: {"chance": "chance"} for title in wanted} if "chance" in table else None
    return draw_families(
        table, wanted, chance=chance, transitions=transitions, xscale=xscale, ylabel="share of samples",
        ylim=(-0.03, 1.05), ax=ax, title=title, named="Worst group and spurious features", style=fitting(theme,
        figsize, fig, ax), fig=fig,
        figsize=figsize, panel_size=(4.8, 3.0),
    )  # fmt: skip
