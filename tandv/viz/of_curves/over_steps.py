"""What all plots over the steps share: curves with their gaps, transitions, extremes and axis limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, Locator

from tandv.viz.layout.log_ticks import decimal_ticks, log2_ticks
from tandv.viz.layout.style import Style
from tandv.viz.layout.ticks import linear_ticks, room, step_text, step_ticks
from tandv.viz.of_log.lines import thin

if TYPE_CHECKING:
    from tandv.analysis.moments.moment import TransitionLike

XScale = Literal["linear", "log"]
YScale = Literal["auto", "linear", "log", "log2"]
# How each kind of transition is named in a legend and dashed; "" is of detectors that name none.
MARKS: dict[str, tuple[str, tuple[float, tuple[float, ...]]]] = {
    "": ("transition", (0, (2, 2))),
    "divergence": ("divergence", (0, (6, 1))),
    "spike": ("spike", (0, (1, 3))),
    "teeth": ("teeth", (0, (1, 1))),
    "schedule": ("change of the learning rate", (0, (6, 2, 1, 2))),
}
SPAN = 30  # times: positive values that span more have a logarithmic axis


def scale_for(values: np.ndarray, yscale: YScale) -> Literal["linear", "log", "log2"]:
    """Return the scale of an axis of `values`: "auto" is decimal, and logarithmic if the values want it."""
    if yscale != "auto":
        return yscale
    values = values[np.isfinite(values)]
    positive = values[values > 0]
    wide = positive.size > 0.95 * values.size and positive.max(initial=0.0) >= SPAN * positive.min(initial=np.inf)
    return "log" if wide and not (values < 0).any() else "linear"


def scales(ax: Axes, xscale: XScale, yscale: Literal["linear", "log", "log2"], unit: str = "step") -> None:
    """Set the scales of empty Axes; xscale "log" is log(1 + step), of what `unit` says that steps count."""
    if xscale == "log":
        ax.set_xscale("function", functions=(np.log1p, np.expm1))
        _decades_of_steps(ax.xaxis)
    else:
        step_ticks(ax.xaxis)
    if yscale != "linear":
        ax.set_yscale("log", base=2 if yscale == "log2" else 10)
        (log2_ticks if yscale == "log2" else decimal_ticks)(ax.yaxis)
    else:
        linear_ticks(ax.yaxis)
    ax.set_xlabel(unit)


def _decades_of_steps(axis: Axis) -> None:
    """Tick a logarithmic axis of steps at 0, 1, 10, 100, ..., as far as there is room."""
    axis.set_major_locator(_Decades())
    axis.set_major_formatter(FuncFormatter(_step))


def _step(x: float, position: int | None = None) -> str:
    return step_text(x)


class _Decades(Locator):
    def __call__(self) -> Sequence[float]:
        axis = self.axis
        assert isinstance(axis, Axis)
        last = int(np.log10(max(axis.get_view_interval()[1], 1.0)))
        each = -(-(last + 2) // room(axis, len(step_text(10.0**last))))
        return [0.0, *(10.0**k for k in range(last, -1, -each)[::-1])]


def draw_curve(
    ax: Axes,
    steps: np.ndarray,
    values: np.ndarray,
    label: str,
    colour: str,
    *,
    log: bool = False,
    extremes: bool = False,
    nan: bool = False,
    style: Style,
) -> None:
    """Draw one curve, with marks where it has no value (`nan`: since it is NaN) and, if wanted, at its extremes."""
    shown = np.where(np.isfinite(values) & ((values > 0) | (not log)), values, np.nan)
    marker: dict[str, Any] = {"marker": "o", "markersize": 2.5} if len(steps) <= 60 else {}
    ax.plot(*thin(steps, shown), color=colour, linewidth=1.5, label=label or "_curve", **marker)
    for words, colour_of_mark, at_steps, height in (
        ("NaN" if nan else "no value", style.nan, np.isnan(values), 0.02),
        ("infinite", style.inf, np.isinf(values), 0.98),
        ("not positive", style.zero, np.isfinite(values) & np.isnan(shown), 0.02),
    ):
        if at_steps.any():
            ax.plot(
                steps[at_steps], np.full(at_steps.sum(), height), "s", transform=ax.get_xaxis_transform(),
                color=colour_of_mark,
                markersize=3.5, markeredgewidth=0, label=words, zorder=4,
            )  # fmt: skip
    if extremes and np.isfinite(shown).any() and np.nanmax(shown) > np.nanmin(shown):
        for words, at, symbol in (("largest", np.nanargmax(shown), "^"), ("smallest", np.nanargmin(shown), "v")):
            ax.plot(
                steps[at], shown[at], symbol, markersize=6, markerfacecolor=style.panel, markeredgecolor=colour,
                markeredgewidth=1.3, zorder=5, gid=words, linestyle="none",
            )  # fmt: skip


def check_marks(transitions: object) -> None:
    """Raise TypeError for what is no list of transitions."""
    if not isinstance(transitions, list | tuple) or not all(hasattr(one, "quantity") for one in transitions):
        raise TypeError(
            f"transitions are a list, as find_transitions(curves) returns it, not {transitions!r:.60}; for example "
            "transitions=find_transitions(curves)"
        )


def mark_transitions(ax: Axes, transitions: Sequence[TransitionLike], colour: str) -> None:
    """Draw a line at the middle of each transition, dashed by its kind, and a band over its length.

    An uncertain one has a thin faint line and no band.
    """
    check_marks(transitions)
    if not transitions:
        return
    from tandv.analysis.transitions.wording import is_uncertain, kind_of  # imports SciPy

    for one in transitions:
        words, dashes = MARKS.get(kind_of(one), MARKS[""])
        uncertain = is_uncertain(one)
        if not uncertain:
            ax.axvspan(one.start, one.end, color=colour, alpha=0.14, linewidth=0, zorder=0.5)
        ax.axvline(
            one.step, color=colour, linewidth=0.8 if uncertain else 1.1, alpha=0.6 if uncertain else 1,
            linestyle=dashes, zorder=1, gid=f"uncertain {words}" if uncertain else words,
        )  # fmt: skip


def name_marks(ax: Axes, colour: str) -> None:
    """Add each kind of mark to the legend once, after the runs, in `colour` if there are several runs."""
    marks = [words for words, _ in MARKS.values()]
    for words in (*marks, *[f"uncertain {one}" for one in marks], "largest", "smallest"):
        for line in [line for line in ax.lines if line.get_gid() == words][:1]:
            [named] = ax.plot([], [], label=words)
            named.update_from(line)
            named.set(label=words, gid=None, zorder=0)
            if colour:
                named.set(color=colour, markeredgecolor=colour)


def limits(ax: Axes, steps: np.ndarray, values: np.ndarray, style: Style) -> None:
    """Set the axis limits from the data."""
    finite = values[np.isfinite(values)]
    low, high = float(steps.min()), float(steps.max())
    if ax.get_xscale() == "linear":
        air = 0.02 * (high - low) or 0.5
        ax.set_xlim(low - air, high + air)
    else:
        # the same margin in logarithms; log(1 + step) is not defined up to -1
        air = 0.02 * (np.log1p(high) - np.log1p(low)) or 0.5
        ax.set_xlim(max(np.expm1(np.log1p(low) - air), -0.9), np.expm1(np.log1p(high) + air))
    if not finite.size:
        ax.set_ylim(0, 1)
        ax.text(
            0.5, 0.5, "no finite value", transform=ax.transAxes, ha="center", va="center",
            color=style.muted, size=style.text,
        )  # fmt: skip
    elif np.ptp(finite) <= 1e-7 * np.abs(finite).max():  # do not magnify the rounding of float32
        air = 0.1 * abs(finite[0]) or 1.0
        ax.set_ylim(finite[0] - air, finite[0] + air)
