"""Curves over training, a panel for each metric, runs beside each other, transitions and extremes marked.

>>> fig = metric_curves({"step": [0, 10, 20], "loss": [2.0, 1.0, 0.5], "accuracy": [0.1, 0.6, 0.9]}, col_wrap=1)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, Locator

from tandv.runs import Runs, as_runs, metrics_of
from tandv.viz.drawn import Drawn, remember
from tandv.viz.facet import facet
from tandv.viz.lines import thin, wants_log2
from tandv.viz.style import Style, Theme
from tandv.viz.style import theme as theme_named
from tandv.viz.ticks import linear_ticks, log2_ticks, room, step_text, step_ticks

if TYPE_CHECKING:
    from tandv.analysis.transitions import Transition

    Marks = Sequence[Transition] | Mapping[str, Sequence[Transition]] | bool | None

VALUE = ("scalar_stats", "value")


def metric_curves(
    curves: Runs,
    metrics: str | Sequence[str] | None = None,
    transitions: Marks = None,
    col_wrap: int | None = None,
    xscale: Literal["linear", "log"] = "linear",
    yscale: Literal["linear", "auto", "log2"] = "linear",
    extremes: bool = True,
    figsize: tuple[float, float] | None = None,
    theme: Theme | Style = "light",
    fig: Any = None,
) -> Any:
    """Draw metrics over the steps, of one run or of several by their names: a panel for each metric.

    `transitions` are those of `find_transitions` (of several runs, by the run's name), True to find them here; a line
    is at the middle of each, a band over its length. Of several runs they have the run's colour. With `extremes`, the
    largest and the smallest value are marked. On xscale "log" a step stands at log(1 + step), so that step 0 has a
    place. `metrics` are by default all but those of single tensors. Raises LookupError for what is not there.

    >>> runs = {"seed 0": {"loss": [2.0, 1.0, 0.9]}, "seed 1": {"loss": [2.2, 1.1, 0.8]}}
    >>> fig = metric_curves(runs, "loss", xscale="log")
    """
    runs = as_runs(curves)
    names = metrics_of(runs, metrics)
    marks = _marks(runs, names, transitions, xscale)
    style = theme_named(theme)
    rows = _rows(runs, names)
    colours = {run: style.series[i % len(style.series)] for i, run in enumerate(runs)}

    def draw(part: pd.DataFrame, ax: Axes) -> None:
        metric = part[("metadata", "metric")].iloc[0]
        values = part[VALUE].to_numpy()
        log2 = yscale == "log2" or (yscale == "auto" and wants_log2(values))
        _scales(ax, xscale, log2)
        for run in runs:
            curve = part[part[("metadata", "run")] == run]
            if len(curve):
                _draw(ax, run, curve, colours[run], log2=log2, extremes=extremes, style=style)
            found = [one for one in marks.get(run, ()) if one.quantity == metric]
            _mark(ax, found, colours[run] if len(runs) > 1 else style.alarm)
        _name_marks(ax, style.muted if len(runs) > 1 else "")
        _finish(ax, metric if len(names) == 1 else "", part, style)

    title = names[0] if len(names) == 1 else f"{len(names)} metrics"
    return facet(
        rows, draw, ("metric",), fig=fig, figsize=figsize, col_wrap=col_wrap, title=title, subtitle=_said(runs),
        panel_size=(3.6, 2.3), sharey=False, style=style,
    )  # fmt: skip


def _rows(runs: Mapping[str, pd.DataFrame], names: Sequence[str]) -> pd.DataFrame:
    """Return a row for each run, metric and step, as `facet` takes them."""
    parts = [
        pd.DataFrame(
            {
                ("metadata", "metric"): name,
                ("metadata", "run"): run,
                ("metadata", "step"): table.index.to_numpy(),
                VALUE: table[name].to_numpy(),
            }
        )
        for name in names
        for run, table in runs.items()
        if name in table.columns
    ]
    rows = pd.concat(parts, ignore_index=True)
    if rows.empty:
        raise ValueError("these curves have no step; give at least one")
    return rows


def _marks(
    runs: Mapping[str, pd.DataFrame], names: Sequence[str], transitions: Marks, axis: Literal["linear", "log"]
) -> Mapping[str, Sequence[Transition]]:
    if transitions is True:
        from tandv.analysis.transitions import find_transitions  # brings SciPy along

        tables = {run: table[[name for name in names if name in table.columns]] for run, table in runs.items()}
        return {run: find_transitions(table, axis=axis, nulls=0) for run, table in tables.items() if len(table.columns)}
    if transitions is None or transitions is False:
        return {}
    if isinstance(transitions, Mapping):
        if unknown := [run for run in transitions if run not in runs]:
            raise LookupError(f"there are transitions of {unknown}, but the runs are {list(runs)}; use the same names")
        return transitions
    if len(runs) > 1:
        raise ValueError("transitions of several runs are given by the run's name, such as {'seed 0': [...]}")
    return {next(iter(runs)): transitions}


def _scales(ax: Axes, xscale: str, log2: bool) -> None:
    if xscale == "log":
        ax.set_xscale("function", functions=(np.log1p, np.expm1))
        _decades_of_steps(ax.xaxis)
    elif xscale == "linear":
        step_ticks(ax.xaxis)
    else:
        raise ValueError(f"xscale is 'linear' or 'log', not {xscale!r}")
    if log2:
        ax.set_yscale("log", base=2)
        log2_ticks(ax.yaxis)
    else:
        linear_ticks(ax.yaxis)
    ax.set_xlabel("step")


def _decades_of_steps(axis: Axis) -> None:
    """Tick a logarithmic axis of steps at 0, 1, 10, 100, ..., as many of them as there is room for."""
    axis.set_major_locator(_Decades())
    axis.set_major_formatter(FuncFormatter(lambda x, _: step_text(x)))


class _Decades(Locator):
    def __call__(self) -> np.ndarray:
        axis = self.axis
        assert isinstance(axis, Axis)
        last = int(np.log10(max(axis.get_view_interval()[1], 1.0)))
        each = -(-(last + 2) // room(axis, len(step_text(10.0**last))))
        return np.array([0.0, *(10.0**k for k in range(last, -1, -each)[::-1])])


def _draw(ax: Axes, run: str, curve: pd.DataFrame, colour: str, *, log2: bool, extremes: bool, style: Style) -> None:
    steps, values = curve[("metadata", "step")].to_numpy(), curve[VALUE].to_numpy()
    shown = np.where(np.isfinite(values) & ((values > 0) | (not log2)), values, np.nan)
    marker = {"marker": "o", "markersize": 2.5} if len(steps) <= 60 else {}
    ax.plot(*thin(steps, shown), color=colour, linewidth=1.5, label=run or "_curve", **marker)
    for words, found, there, height in (
        ("no value", style.nan, np.isnan(values), 0.02),
        ("infinite", style.inf, np.isinf(values), 0.98),
        ("not positive", style.zero, np.isfinite(values) & np.isnan(shown), 0.02),
    ):
        if there.any():
            ax.plot(
                steps[there], np.full(there.sum(), height), "s", transform=ax.get_xaxis_transform(), color=found,
                markersize=3.5, markeredgewidth=0, label=words, zorder=4,
            )  # fmt: skip
    if extremes and np.isfinite(shown).any() and np.nanmax(shown) > np.nanmin(shown):
        for words, at, symbol in (("largest", np.nanargmax(shown), "^"), ("smallest", np.nanargmin(shown), "v")):
            ax.plot(
                steps[at], shown[at], symbol, markersize=6, markerfacecolor=style.panel, markeredgecolor=colour,
                markeredgewidth=1.3, zorder=5, gid=words, linestyle="none",
            )  # fmt: skip


def _mark(ax: Axes, transitions: Sequence[Transition], colour: str) -> None:
    for one in transitions:
        ax.axvspan(one.start, one.end, color=colour, alpha=0.14, linewidth=0, zorder=0.5)
        ax.axvline(one.step, color=colour, linewidth=1.1, linestyle=(0, (2, 2)), zorder=1, gid="transition")


def _name_marks(ax: Axes, colour: str) -> None:
    """Let the legend name each kind of mark once, after the runs, in no run's colour if there are several."""
    for words in ("transition", "largest", "smallest"):
        for line in [line for line in ax.lines if line.get_gid() == words][:1]:
            [named] = ax.plot([], [], label=words)
            named.update_from(line)
            named.set(label=words, gid=None, zorder=0)
            if colour:
                named.set(color=colour, markeredgecolor=colour)


def _finish(ax: Axes, label: str, part: pd.DataFrame, style: Style) -> None:
    ax.set_ylabel(label)
    steps, values = part[("metadata", "step")].to_numpy(), part[VALUE].to_numpy()
    finite = values[np.isfinite(values)]
    low, high = float(steps.min()), float(steps.max())
    if ax.get_xscale() == "linear":
        air = 0.02 * (high - low) or 0.5
        ax.set_xlim(low - air, high + air)
    else:
        # as much air as there, in logarithms; nothing is left of -1
        air = 0.02 * (np.log1p(high) - np.log1p(low)) or 0.5
        ax.set_xlim(max(np.expm1(np.log1p(low) - air), -0.9), np.expm1(np.log1p(high) + air))
    if not finite.size:
        ax.set_ylim(0, 1)
        ax.text(
            0.5, 0.5, "no finite value", transform=ax.transAxes, ha="center", va="center",
            color=style.muted, size=style.text,
        )  # fmt: skip
    elif np.ptp(finite) <= 1e-9 * np.abs(finite).max():  # a constant is not magnified until its rounding shows
        air = 0.1 * abs(finite[0]) or 1.0
        ax.set_ylim(finite[0] - air, finite[0] + air)
    tables = {run: found.set_index(("metadata", "step"))[VALUE] for run, found in part.groupby(("metadata", "run"))}
    together = pd.DataFrame(tables)
    named = tuple(str(run) or str(part[("metadata", "metric")].iloc[0]) for run in together.columns)
    remember(ax, Drawn("curves", "step", "value", (), (), together.index.to_numpy(), together.to_numpy().T, named))


def _said(runs: Mapping[str, pd.DataFrame]) -> str:
    steps = np.concatenate([table.index.to_numpy() for table in runs.values()])
    if not len(steps):
        return ""
    several = f"{len(runs)} runs  |  " if len(runs) > 1 else ""
    return f"{several}{len(np.unique(steps)):,} steps, {step_text(steps.min())} to {step_text(steps.max())}"
