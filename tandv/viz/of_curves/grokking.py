"""Plot when a network memorises and when it generalises."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.analysis.generalisation import Grokking, grokking
from tandv.curves import Curves, as_curves, given, unit_of
from tandv.curves.of_run import nan_is_given
from tandv.messages import check_choices
from tandv.viz.layout.facet import facet
from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.style import Style, Theme, fitting
from tandv.viz.layout.tables import Drawn, remember
from tandv.viz.layout.ticks import step_text
from tandv.viz.of_curves.dynamics import panel_of
from tandv.viz.of_curves.over_steps import XScale, draw_curve, limits, scale_for, scales

VALUE = ("scalar_stats", "value")


def grokking_plot(
    curves: Curves,
    found: Grokking | None = None,
    xscale: XScale = "log",
    figsize: tuple[float, float] | None = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw accuracies, and losses if there are any, with memorisation, generalisation, and the delay between them.

    >>> run = {"step": [0, 10, 20, 90], "train_acc": [0.1, 1, 1, 1], "test_acc": [0.1, 0.1, 0.5, 1]}
    >>> fig = grokking_plot(run)

    Args:
        curves: curves with both accuracies.
        found: what `grokking` returns; by default for its default thresholds.
        xscale: "linear", or "log" for an axis of log(1 + step).
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.

    Raises ValueError if the accuracies are not among the curves.
    """
    check_choices(xscale=(xscale, XScale))
    table = as_curves(curves).sort_index()
    found = grokking(table) if found is None else found
    style = fitting(theme, figsize, fig, ax)
    pairs = {found.memorisation.quantity: style.series[0], found.generalisation.quantity: style.series[1]}
    if missing := [name for name in pairs if name not in table.columns]:
        raise ValueError(f"{' and '.join(missing)}, which the analysis names, are not among the curves")
    losses = [name for name in ("train_loss", "test_loss", "val_loss") if name in table.columns][:2]
    rows = rows_of(table, {"accuracy": list(pairs), **({"loss": losses} if losses else {})})

    def draw(part: pd.DataFrame, ax: Axes) -> None:
        panel = part[("metadata", "panel")].iloc[0]
        values = part[VALUE].to_numpy()
        scale = scale_for(values, "auto") if panel == "loss" else "linear"
        scales(ax, xscale, scale, unit_of(table))
        names = list(dict.fromkeys(part[("metadata", "quantity")]))
        for name, colour in zip(names, pairs.values(), strict=False):
            curve, nan = given(table, name), nan_is_given(table, name)
            label = panel_of(name)[1] or name
            at, values = curve.index.to_numpy(), curve.to_numpy()
            draw_curve(ax, at, values, label, colour, log=scale != "linear", nan=nan, style=style)
        limits(ax, table.index.to_numpy(), values, style)
        _delay(ax, found, list(pairs.values()), panel == "accuracy", style)
        remember_curves(ax, table[names])

    verdict = {True: "grokking", False: "no grokking", None: "not known whether this is grokking"}[found.is_grokking]
    return facet(
        rows, draw, ("panel",), fig=fig, figsize=figsize, col_wrap=1, ax=ax, title=title, named=verdict,
        subtitle=_subtitle(found, unit_of(table)),
        panel_size=(8.0, 2.4), single_size=(8.0, 3.6), sharey=False, style=style,
    )  # fmt: skip


def _delay(ax: Axes, found: Grokking, colours: list[str], named: bool, style: Style) -> None:
    steps = [found.memorisation.step, found.generalisation.step]
    for step, colour, words in zip(steps, colours, ("memorised", "generalised"), strict=True):
        if step is not None:
            ax.axvline(step, color=colour, linewidth=1.2, linestyle=(0, (2, 2)), zorder=1, gid=words)
    if found.delay is not None and found.delay > 0:
        ax.axvspan(steps[0], steps[1], color=style.alarm, alpha=0.10, linewidth=0, zorder=0.5, label="delay")  # pyright: ignore
    if named:
        for passage in (found.memorisation, found.generalisation):
            ax.axhline(passage.threshold, color=style.muted, linewidth=0.8, linestyle=(0, (1, 2)), zorder=0.8)


def _subtitle(found: Grokking, unit: str) -> str:
    parts = [
        f"memorised at {step_text(found.memorisation.step)}"
        if found.memorisation.step is not None
        else "not memorised",
        f"generalised at {step_text(found.generalisation.step)}"
        if found.generalisation.step is not None
        else "not generalised",
    ]
    if found.delay is not None and found.delay > 0:
        times = f", {found.ratio:.3g} times as many" if found.ratio and np.isfinite(found.ratio) else ""
        parts.append(f"{step_text(found.delay)} {unit}s later{times}")
    return "  |  ".join(parts)


def rows_of(table: pd.DataFrame, panels: Mapping[str, list[str]]) -> pd.DataFrame:
    """Return a row for each panel, quantity and step, as `facet` takes them."""
    return pd.concat(
        [
            pd.DataFrame(
                {
                    ("metadata", "panel"): panel,
                    ("metadata", "quantity"): name,
                    ("metadata", "step"): table.index.to_numpy(),
                    VALUE: table[name].to_numpy(),
                }
            )
            for panel, names in panels.items()
            for name in names
        ],
        ignore_index=True,
    )


def remember_curves(ax: Axes, table: pd.DataFrame) -> None:
    """Attach to Axes the curves that they show."""
    shown = Drawn("curves", "step", "value", (), (), table.index.to_numpy(), table.to_numpy().T)
    remember(ax, shown._replace(names=tuple(table.columns)))
