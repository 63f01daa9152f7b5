"""Plot when each capability of a network emerges."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.analysis.generalisation import Passage, emergence
from tandv.curves import mean_and_band, mean_and_reach, unit_of
from tandv.curves.runs import Runs, as_runs
from tandv.messages import check_choices, named_arguments
from tandv.viz.layout.colours import Scale, specials
from tandv.viz.layout.facet import facet
from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.heat import MISSING
from tandv.viz.layout.keys import Key
from tandv.viz.layout.legends import LONGEST, shortened
from tandv.viz.layout.style import Style, Theme, fitting
from tandv.viz.layout.ticks import CHARACTER, step_text, word_ticks
from tandv.viz.of_curves.grokking import remember_curves, rows_of
from tandv.viz.of_curves.metrics import describe
from tandv.viz.of_curves.over_runs import draw_interval, spread_words
from tandv.viz.of_curves.over_steps import XScale, scales
from tandv.viz.of_log.maps import draw_table


@named_arguments
def emergence_plot(
    curves: Runs,
    thresholds: float | Mapping[str, float],
    stays: int = 1,
    xscale: XScale = "linear",
    figsize: tuple[float, float] | None = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw when each capability emerges: a row for each, first to last, its curve as colours, a mark where it emerges.

    Of several runs, such as seeds, the colours are of the mean curve, each run has a tick where it passes, and the mark
    is their mean with its 95 % confidence interval.

    >>> fig = emergence_plot({"step": [0, 100, 200], "addition": [0, 0.6, 0.9], "carrying": [0, 0.1, 0.7]}, 0.5)

    Args:
        curves: a curve for each capability, or a dict of such curves by the run's name.
        thresholds: one for all curves, or a dict of one for each capability.
        stays: how many values in a row must be at or above it.
        xscale: "linear", or "log" for an axis of log(1 + step).
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.

    Raises ValueError for a capability without a curve.
    """
    check_choices(xscale=(xscale, XScale))
    runs = as_runs(curves)
    style = fitting(theme, figsize, fig, ax)
    table = next(iter(runs.values())) if len(runs) == 1 else mean_and_band(list(runs.values())).mean
    of_runs = [{one.quantity: one for one in emergence(each, thresholds, stays=stays)} for each in runs.values()]
    capabilities = dict.fromkeys(name for of in of_runs for name in of)
    found = sorted(([of[name] for of in of_runs if name in of] for name in capabilities), key=_order)
    names = [passages[0].quantity for passages in found]
    shares = np.array([_shares(table[each[0].quantity], each[0].threshold) for each in found])
    scale, steps = Scale("linear", 0.0, 1.0), table.index.to_numpy()
    unit = unit_of(*runs.values())
    rows = rows_of(table, {"": names})

    def draw(part: pd.DataFrame, ax: Axes) -> Any:
        draw_table(ax, shares, steps, np.arange(len(found) + 1) - 0.5, scale, style, (unit, "capability"))
        scales(ax, xscale, "linear", unit)
        for row, passages in enumerate(found):
            _mark(ax, row, [one.step for one in passages if one.step is not None], len(runs), style)
        wide = ax.figure.bbox.width * 72 / ax.figure.dpi  # type: ignore[attr-defined]  # points
        most = int(np.clip(0.5 * wide / (style.small * CHARACTER), 12, LONGEST + 20))
        word_ticks(ax.yaxis, _named(found, most), len(found))
        ax.set_ylim(len(found) - 0.5, -0.5)
        ax.set_xlim(steps[0], steps[-1]) if len(steps) > 1 else None
        ax.tick_params(axis="y", length=0, labelcolor=style.ink)
        ax.grid(False)
        ax.hlines(np.arange(1, len(found)) - 0.5, *ax.get_xlim(), color=style.panel, linewidth=3, zorder=3)
        remember_curves(ax, table[names])
        return Key(scale, style.colours, specials(shares, scale, style), "share of the threshold")

    emerged = [each for each in found if any(one.step is not None for one in each)]
    subtitle = f"{len(emerged)} of {len(found)} pass their threshold  |  {describe(runs)}"
    height = 1.3 + 0.42 * len(found)
    return facet(
        rows, draw, (), fig=fig, figsize=figsize, single_size=(8.0, height), ax=ax, title=title,
        formulas=True, named="emergence", subtitle=subtitle, style=style,
    )  # fmt: skip


def _order(passages: Sequence[Passage]) -> tuple[bool, float, str]:
    """Sort by the mean step of the runs that pass; those that never do are last."""
    steps = [one.step for one in passages if one.step is not None]
    return not steps, mean_and_reach(steps)[0] if steps else 0.0, passages[0].quantity


def _mark(ax: Axes, row: int, steps: Sequence[float], runs: int, style: Style) -> None:
    """Mark in a row of the plot where each run passes; of several runs their mean with its interval as well."""
    if runs > 1 and steps:
        ax.plot(steps, np.full(len(steps), row), "|", color=style.paper, markersize=11, markeredgewidth=2.6, zorder=4)
        ax.plot(steps, np.full(len(steps), row), "|", color=style.alarm, markersize=10, markeredgewidth=1.2, zorder=4)
        draw_interval(ax, steps, row, style.alarm, style)
    elif steps:
        ax.plot(
            steps[0], row, "o", markersize=7, markerfacecolor=style.paper, markeredgecolor=style.alarm,
            markeredgewidth=2, zorder=5, gid="emerges", label="_emerges", clip_on=False,
        )  # fmt: skip


def _named(found: Sequence[Sequence[Passage]], most: int) -> list[str]:
    """Return the name of each capability, its threshold and when it passes that, in at most so many characters."""
    when = [_when([one.step for one in passages]) for passages in found]
    ends = [f" ≥ {passages[0].threshold:g}: {at}" for passages, at in zip(found, when, strict=True)]
    names = shortened([passages[0].quantity for passages in found], max(most - max(map(len, ends)), 8))
    return [name + end for name, end in zip(names, ends, strict=True)]


def _when(steps: Sequence[float | None]) -> str:
    if len(steps) > 1:
        return spread_words(steps)
    return step_text(steps[0]) if steps[0] is not None else "not reached"


def _shares(curve: pd.Series, threshold: float) -> np.ndarray:
    """Return the share of the way from zero (or the lowest value, if below) to the threshold, at each step."""
    low = min(float(np.nanmin(curve.to_numpy(), initial=0.0)), 0.0)
    share = (curve.to_numpy() - low) / (threshold - low) if threshold > low else np.ones(len(curve))
    return np.where(np.isnan(share), MISSING, np.clip(share, 0, 1))
