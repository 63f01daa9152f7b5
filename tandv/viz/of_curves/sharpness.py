"""Plot how sharp transitions are: the values around each, the logistic curve that fits them, and its uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.curves import Curves, as_curves, unit_of
from tandv.messages import UnknownName, named_arguments, unknown
from tandv.viz.layout.facet import facet
from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.legends import shortened
from tandv.viz.layout.style import Style, Theme, fitting
from tandv.viz.layout.tables import Drawn, remember
from tandv.viz.layout.ticks import step_text, value_text
from tandv.viz.of_curves.over_steps import draw_curve, limits, scales

if TYPE_CHECKING:
    from tandv.analysis.transitions import Transition
    from tandv.analysis.transitions.sharpness import Sharpness

_AROUND = 2.0  # how many widths of a transition are shown on each side


@named_arguments
def sharpness_plot(
    curves: Curves,
    transitions: Sequence[Transition] | None = None,
    confidence: float = 0.95,
    col_wrap: int | None = None,
    figsize: tuple[float, float] | None = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw each transition closely: its values, the logistic curve that fits them, and the steps of its 10 to 90 %.

    The shade around the fit is between the curves of the smallest and the largest slope of the confidence interval;
    the words give slope and width with their intervals. See `tandv.analysis.transitions.sharpness`.

    >>> steps = np.arange(400)
    >>> fig = sharpness_plot({"accuracy": 1 / (1 + np.exp(-(steps - 200) / 10))})

    Args:
        curves: curves as `as_curves` takes them.
        transitions: transitions to draw, as `find_transitions` returns them; None finds them here.
        confidence: of the intervals, 0 to 1.
        col_wrap: how many panels are put side by side.
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.

    Raises ValueError if there is no transition, UnknownName for one of a curve that is not there.
    """
    from tandv.analysis.transitions import find_transitions  # imports SciPy
    from tandv.analysis.transitions.sharpness import sharpness

    if not 0 < confidence < 1:
        raise ValueError(f"confidence is a share between 0 and 1, such as 0.95 for 95 %, not {confidence}")
    table = as_curves(curves).sort_index()
    found = find_transitions(table) if transitions is None else list(transitions)
    if not found:
        raise ValueError("there is no transition whose sharpness could be drawn; give some by transitions=")
    if wrong := [one.quantity for one in found if one.quantity not in table.columns]:
        raise UnknownName(unknown("curve", wrong[0], list(table.columns)))
    fits = [sharpness(table[one.quantity], one, confidence=confidence) for one in found]
    style = fitting(theme, figsize, fig, ax)
    unit = unit_of(table)
    rows = pd.DataFrame({("metadata", "transition"): range(len(found))})

    def draw(part: pd.DataFrame, ax: Axes) -> None:
        at = int(part[("metadata", "transition")].iloc[0])
        curve = _around(table[found[at].quantity].dropna(), found[at], fits[at])
        scales(ax, "linear", "linear", unit)
        steps, values = curve.index.to_numpy(np.float64), curve.to_numpy()
        ax.plot(steps, values, "o", color=style.series[0], markersize=3.5, label="recorded", zorder=2)
        limits(ax, steps, values, style)
        if np.isfinite(fits[at].slope):
            _draw_fit(ax, steps, values, fits[at], style)
        remember(ax, Drawn("curves", "step", "value", (), (), curve.index.to_numpy(), values[None], (str(curve.name),)))

    words = [f"{one.quantity}, {unit} {step_text(one.step)}" for one in found]
    quantities = [one.quantity for one in found]
    names = shortened(words if len(set(quantities)) < len(quantities) else quantities)
    wide = f"{unit}s from 10 to 90 %, with the interval of {confidence:.0%}"
    intervals = [_in_words(fit) for fit in fits]
    named, subtitle = "sharpness", f"{len(found)} transitions  |  {wide}"
    if len(found) == 1:
        named, subtitle = words[0], f"{intervals[0]} {wide}"
    return facet(
        rows, draw, ("transition",), fig=fig, figsize=figsize, col_wrap=col_wrap, ax=ax, title=title,
        formulas=True, named=named, subtitle=subtitle, panel_size=(4.4, 2.6), sharex=False, sharey=False,
        panel_title=lambda one: f"{names[one['transition']]}: {intervals[one['transition']]}", style=style,
    )  # fmt: skip


def _around(curve: pd.Series, transition: Transition, fit: Sharpness) -> pd.Series:
    """Return the values of a transition and of twice its width to either side, at least 8 if there are so many."""
    width = max(transition.end - transition.start, fit.width if np.isfinite(fit.width) else 0.0)
    steps = curve.index.to_numpy()
    first, last = np.searchsorted(steps, [transition.step - _AROUND * width, transition.step + _AROUND * width])
    spare = max(8 - int(last - first), 0)
    return curve.iloc[max(int(first) - spare, 0) : int(last) + spare]


def _draw_fit(ax: Axes, steps: np.ndarray, values: np.ndarray, fit: Sharpness, style: Style) -> None:
    fine = np.linspace(steps[0], steps[-1], 400)
    share = _logistic(steps, fit.middle, fit.slope)
    levels = np.linalg.lstsq(np.stack([1 - share, share], axis=1), values, rcond=None)[0]
    height = float(levels[1] - levels[0])

    def along(slope: float) -> np.ndarray:
        return levels[0] + height * _logistic(fine, fit.middle, slope)

    if not np.isnan([fit.low, fit.high]).any():
        low, high = along(fit.low), along(fit.high)
        ax.fill_between(fine, low, high, color=style.series[1], alpha=0.2, linewidth=0, label="interval", zorder=1)
    draw_curve(ax, fine, along(fit.slope), "logistic fit", style.series[1], style=style)
    half = fit.width / 2
    ax.axvspan(
        fit.middle - half, fit.middle + half, color=style.ink, alpha=0.07, linewidth=0, label="10 to 90 %", zorder=0.5
    )


def _logistic(x: np.ndarray, middle: float, slope: float) -> np.ndarray:
    if np.isinf(slope):
        return np.where(x < middle, 0.0, 1.0)
    return 0.5 * (1 + np.tanh(slope * (x - middle) / 2))  # which does not overflow


def _in_words(fit: Sharpness) -> str:
    """Return the width of a fit with its interval."""
    if np.isnan(fit.slope):
        return "no fit, too few values"
    low, high = fit.width_interval
    most = "more" if np.isinf(high) else value_text(high)
    return f"{value_text(fit.width)} ({value_text(low)} to {most})"
