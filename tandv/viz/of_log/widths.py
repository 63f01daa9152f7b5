"""Plot the sizes of outputs, gradients or updates over the width of a network: the picture of a coordinate check."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv import names as rule
from tandv.analysis.widths import CoordinateCheck
from tandv.analysis.widths import coordinate_check as checked
from tandv.analysis.widths.check import Runs
from tandv.analysis.widths.sizes import Size
from tandv.analysis.widths.wording import SIZES
from tandv.log.choice_of_steps import Steps, check_steps_there, steps_meant
from tandv.log.door import Names
from tandv.messages import UnknownName, named_arguments, unknown
from tandv.viz.layout.facet import facet
from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.log_ticks import decimal_ticks
from tandv.viz.layout.style import Style, Theme, colours_for, fitting
from tandv.viz.layout.tables import Drawn, remember
from tandv.viz.layout.ticks import room

_MANY, _MOST = 8, 6  # layers that each have a colour; of more so many of those that are not constant
_MARKERS = {"grows": "^", "vanishes": "v", "not finite": "X", "undecided": "s"}
_WORDS = {"grows": "grow", "vanishes": "vanish", "not finite": "not finite", "undecided": "undecided"}


@named_arguments
def coordinate_check(
    runs: Runs | CoordinateCheck,
    tt: str | Sequence[str] = "Activation",
    step: Steps | None = None,
    layer: Names | None = None,
    scalar_metric: Size = "mean_abs",
    col_wrap: int | None = None,
    figsize: tuple[float, float] | None = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw the size of each tensor over the width of the network, both in logarithms: a panel for each step.

    Lines that rise are outputs that grow with the width, so that the parametrisation does not transfer. Their marks
    point up, those of lines that fall point down, squares are undecided, crosses have NaN or infinity at some width.
    Of several runs of one width each has a mark, and the line goes through their geometric means.

    >>> from tandv.log.example import example_log
    >>> fig = coordinate_check({width: example_log(layers=2) for width in (64, 128, 256)}, step=[0, 1])

    Args:
        runs: {width: log}, lists of logs for several seeds of one width, or what `tandv.coordinate_check` returns.
        tt: the tensor type, or a list of them.
        step: a step, a list of steps, or a slice, which ends before its stop; None for the first 5 that all runs have,
            or those of a check.
        layer: a layer's name, a compiled pattern (searched in the names), or a list of these; None for all.
        scalar_metric: the statistic that is the size, unless a check is given: "mean_abs", "rm2", "std" or "max_abs".
        col_wrap: how many panels are put side by side.
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.

    Raises UnknownName for a tensor type, a layer or a step that the runs do not have in common, and what
    `tandv.coordinate_check` raises.
    """
    found = runs if isinstance(runs, CoordinateCheck) else checked(runs, step, scalar_metric)
    wanted = _chosen(found, [tt] if isinstance(tt, str) else list(tt), layer)
    steps = _steps(found, step if isinstance(runs, CoordinateCheck) else None)
    style = fitting(theme, figsize, fig, ax)
    colours = _colours([found.tensors[i] for i in wanted], found, style)
    rows = pd.DataFrame(
        [(found.tensors[i][0], f"step {found.steps[j]:,}", i, j) for i in wanted for j in steps],
        columns=pd.MultiIndex.from_product([["metadata"], ["tensor_type", "step", "tensor", "at"]]),
    )

    def draw(part: pd.DataFrame, ax: Axes) -> None:
        at, j = part["metadata", "tensor"].to_numpy(), int(part["metadata", "at"].iloc[0])
        _draw(ax, found, at, j, colours, style)

    counts = {words: sum(found.verdicts[found.tensors[i]] == one for i in wanted) for one, words in _WORDS.items()}
    said = [f"{count} {words}" for words, count in counts.items() if count] or ["all constant"]
    return facet(
        rows, draw, ("tensor_type", "step"), fig=fig, figsize=figsize, col_wrap=col_wrap, ax=ax, title=title,
        named="sizes over widths", subtitle=f"{SIZES[found.statistic]}  |  {len(wanted)} tensors, {', '.join(said)}",
        panel_size=(3.6, 3.0), single_size=(7.0, 4.6), style=style, sharey=isinstance(tt, str),
    )  # fmt: skip


def _chosen(found: CoordinateCheck, types: list[str], layer: Names | None) -> list[int]:
    known = list(dict.fromkeys(kind for kind, _ in found.tensors))
    if wrong := [unknown("tensor type", one, known, "what all runs have") for one in types if one not in known]:
        raise UnknownName("\n  ".join(wrong))
    at = [i for one in types for i, (kind, _) in enumerate(found.tensors) if kind == one]
    there = list(dict.fromkeys(found.tensors[i][1] for i in at))
    layers = set(there if layer is None else rule.chosen(there, layer, "layer", "what all runs have"))
    return [i for i in at if found.tensors[i][1] in layers]


def _steps(found: CoordinateCheck, step: Steps | None) -> list[int]:
    """Return the positions of the steps to draw among those of a check."""
    if step is None:
        return list(range(len(found.steps)))
    meant = steps_meant(step)
    check_steps_there(meant, found.steps, "this check")
    return np.flatnonzero(meant.among(found.steps, int(found.steps[0]))).tolist()


def _colours(tensors: list[tuple[str, str]], found: CoordinateCheck, style: Style) -> dict[str, str]:
    """Return a colour for each layer that has one of its own: of many those whose sizes change most with the width."""
    layers = list(dict.fromkeys(name for _, name in tensors))
    if len(layers) > _MANY:
        slope = np.nan_to_num(found.table["slope"].to_numpy(float)).reshape(len(found.tensors), -1)
        steepest = dict(zip(found.tensors, np.abs(slope).max(axis=1), strict=True))
        changing = [one for one in tensors if found.verdicts[one] in _MARKERS]
        most = {name for _, name in sorted(changing, key=lambda one: -steepest[one])[:_MOST]}
        layers = [name for name in layers if name in most]
    return dict(zip(layers, colours_for(len(layers), style), strict=True))


def _draw(ax: Axes, found: CoordinateCheck, at: np.ndarray, j: int, colours: dict[str, str], style: Style) -> None:
    """Draw the sizes of some tensors at one step, and the range of their slopes."""
    widths = np.array(found.widths)
    each = np.unique(widths)
    means = np.full((len(at), len(each)), np.nan)
    for row, i in enumerate(at):
        kind, name = found.tensors[i]
        sizes = np.where(found.sizes[i, j] > 0, found.sizes[i, j], np.nan)
        for column, width in enumerate(each):
            if np.isfinite(here := sizes[widths == width]).any():
                means[row, column] = np.exp2(np.nanmean(np.log2(here)))
        verdict = str(found.table["verdict"].iat[i * len(found.steps) + j])
        colour = colours.get(name, style.muted)
        ax.plot(
            each, means[row], color=colour, linewidth=1.6 if name in colours else 1.0,
            alpha=1.0 if name in colours else 0.6, zorder=3 if name in colours else 2,
            label=name if name in colours else "others" if colours else "_", gid=f"{kind} of {name}",
        )  # fmt: skip
        ax.plot(
            widths, sizes, _MARKERS.get(verdict, "o"), color=colour, markersize=6 if verdict in _MARKERS else 3.5,
            zorder=4, label="_sizes",
        )  # fmt: skip
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    decimal_ticks(ax.yaxis)
    ax.minorticks_off()
    shown = each if len(each) <= room(ax.xaxis, 5) else each[:: -(-len(each) // room(ax.xaxis, 5))]
    ax.set_xticks(shown, [f"{one:g}" for one in shown])
    ax.set_xlabel("width")
    ax.set_ylabel(SIZES[found.statistic])
    ax.margins(0.06, 0.1)
    slope = found.table["slope"].to_numpy()[at * len(found.steps) + j]
    if np.isfinite(slope).any():
        low, high = np.nanmin(slope), np.nanmax(slope)
        words = f"slope {low:.2f}" if len(at) == 1 else f"slopes {low:.2f} to {high:.2f}"
        ax.text(
            0.03, 0.97, words.replace("-", "−"), transform=ax.transAxes, ha="left", va="top", color=style.muted,
            size=style.small, bbox={"facecolor": style.panel, "edgecolor": "none", "pad": 1},
        )  # fmt: skip
    remember(
        ax,
        Drawn("curves", "width", "value", (), (), each, means)._replace(names=tuple(found.tensors[i][1] for i in at)),
    )
