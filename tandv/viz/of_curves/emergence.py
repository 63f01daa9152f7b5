"""Plot when each capability of a network emerges."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.analysis.generalisation import Passage, emergence
from tandv.curves import Curves, as_curves, unit_of
from tandv.messages import check_choices
from tandv.viz.layout.colours import Scale, specials
from tandv.viz.layout.facet import facet
from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.heat import MISSING
from tandv.viz.layout.legends import LONGEST, shortened
from tandv.viz.layout.style import Style, Theme, fitting
from tandv.viz.layout.ticks import CHARACTER, step_text, word_ticks
from tandv.viz.layout.titles import Key
from tandv.viz.of_curves.grokking import remember_curves, rows_of
from tandv.viz.of_curves.metrics import describe
from tandv.viz.of_curves.over_steps import XScale, scales
from tandv.viz.of_log.maps import draw_table


def emergence_plot(
    curves: Curves,
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

    >>> fig = emergence_plot({"step": [0, 100, 200], "addition": [0, 0.6, 0.9], "carrying": [0, 0.1, 0.7]}, 0.5)

    Args:
        curves: a curve for each capability.
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
    table = as_curves(curves).sort_index()
    style = fitting(theme, figsize, fig, ax)
    found = sorted(emergence(table, thresholds, stays=stays), key=_order)
    names = [passage.quantity for passage in found]
    shares = np.array([_shares(table[one.quantity], one.threshold) for one in found])
    scale, steps = Scale("linear", 0.0, 1.0), table.index.to_numpy()
    rows = rows_of(table, {"": names})

    def draw(part: pd.DataFrame, ax: Axes) -> Any:
        draw_table(ax, shares, steps, np.arange(len(found) + 1) - 0.5, scale, style, (unit_of(table), "capability"))
        scales(ax, xscale, "linear", unit_of(table))
        for row, passage in enumerate(found):
            if passage.step is not None:
                ax.plot(
                    passage.step, row, "o", markersize=7, markerfacecolor=style.paper, markeredgecolor=style.alarm,
                    markeredgewidth=2, zorder=5, gid="emerges", label="_emerges", clip_on=False,
                )  # fmt: skip
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

    emerged = [one for one in found if one.step is not None]
    subtitle = f"{len(emerged)} of {len(found)} pass their threshold  |  {describe({'': table})}"
    height = 1.3 + 0.42 * len(found)
    return facet(
        rows, draw, (), fig=fig, figsize=figsize, single_size=(8.0, height), ax=ax, title=title, named="emergence",
        subtitle=subtitle, style=style,
    )  # fmt: skip


def _order(passage: Passage) -> tuple[bool, float, str]:
    return passage.step is None, passage.step or 0, passage.quantity


def _named(found: Sequence[Passage], most: int) -> list[str]:
    """Return the name of each capability, its threshold and when it passes that, in at most so many characters."""
    when = [step_text(one.step) if one.step is not None else "not reached" for one in found]
    ends = [f" ≥ {one.threshold:g}: {at}" for one, at in zip(found, when, strict=True)]
    names = shortened([one.quantity for one in found], max(most - max(map(len, ends)), 8))
    return [name + end for name, end in zip(names, ends, strict=True)]


def _shares(curve: pd.Series, threshold: float) -> np.ndarray:
    """Return the share of the way from zero (or the lowest value, if below) to the threshold, at each step."""
    low = min(float(np.nanmin(curve.to_numpy(), initial=0.0)), 0.0)
    share = (curve.to_numpy() - low) / (threshold - low) if threshold > low else np.ones(len(curve))
    return np.where(np.isnan(share), MISSING, np.clip(share, 0, 1))
