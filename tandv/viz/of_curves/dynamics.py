"""Plot a run at a glance: losses, accuracies, the gap between them, learning rate and other series over the steps.

>>> run = {"step": [0, 10, 20], "train_loss": [2.0, 0.5, 0.1], "test_loss": [2.1, 2.2, 0.4], "learning_rate": [1, 1, 0]}
>>> fig = training_dynamics(run)
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.analysis.generalisation import generalisation_gap
from tandv.curves import beside_each_other, given, mean_and_band, unit_of
from tandv.curves.averages import BandKind
from tandv.curves.of_run import nan_is_given
from tandv.curves.runs import Runs, as_runs, metrics_of
from tandv.messages import check_choices, named_arguments
from tandv.viz.layout.facet import facet
from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.style import Style, Theme, colours_for, fitting
from tandv.viz.layout.tables import Drawn, remember
from tandv.viz.of_curves.metrics import describe, marks_of
from tandv.viz.of_curves.over_steps import (
    XScale,
    YScale,
    draw_curve,
    limits,
    mark_transitions,
    name_marks,
    scale_for,
    scales,
)
from tandv.viz.of_log.lines import thin

if TYPE_CHECKING:
    from tandv.analysis.transitions import Transition
    from tandv.viz.of_curves.metrics import Marks

VALUE = ("scalar_stats", "value")
_BAND = ("scalar_stats", "low"), ("scalar_stats", "high")
BANDS = {"std": "standard deviation", "range": "range", "confidence": "its 95 % confidence interval"}
_RELIANCE = ("true", "spurious", "chance")
_FIRST = ("loss", "accuracy", "loss gap", "accuracy gap")
_LESS = {"loss gap": "test − train", "accuracy gap": "train − test"}
_ROLES = {"train": 0, "test": 1, "val": 1, "valid": 1, "validation": 1}  # index of the colour


@named_arguments
def training_dynamics(
    curves: Runs,
    quantities: str | Sequence[str] | None = None,
    transitions: "Marks" = None,
    band: BandKind | None = None,
    gap: bool = True,
    xscale: XScale = "linear",
    yscale: YScale = "auto",
    col_wrap: int | None = None,
    figsize: tuple[float, float] | None = None,
    title: str | None = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw how a run trains: a panel of losses, one of accuracies, their gaps, and one for every other series.

    Several runs have a column each, with the same heights; or, with a band, runs that differ in their seed become one.

    >>> seeds = {"seed 0": {"train_loss": [2.0, 1.0]}, "seed 1": {"train_loss": [2.2, 1.1]}}
    >>> fig = training_dynamics(seeds, band="range")

    Args:
        curves: the curves of a run, or a dict of them by the run's name.
        quantities: the series to draw; by default all but those of single tensors.
        transitions: transitions to mark, as `find_transitions` returns them (of several runs, a dict by the run's
            name); True detects them here.
        band: draw the mean of all runs, with one standard deviation ("std"), the range ("range") or the 95 % confidence
            interval of the mean ("confidence") around it.
        gap: whether to draw the generalisation gaps.
        xscale: "linear", or "log" for an axis of log(1 + step).
        yscale: "linear", "log", "log2",
            or "auto" for log where all values are positive and span a factor of 30 or more.
        col_wrap: how many panels are put side by side.
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.

    Raises UnknownName for what is not there.
    """
    check_choices(band=(band, BandKind | None), xscale=(xscale, XScale), yscale=(yscale, YScale))
    runs = as_runs(curves)
    names = metrics_of(runs, quantities)
    marks = marks_of(runs, names, transitions, xscale)
    style = fitting(theme, figsize, fig, ax)
    tables = {run: _with_gaps(table[[n for n in names if n in table.columns]], gap) for run, table in runs.items()}
    rows = _rows(tables, band)
    colours = _colours(list(dict.fromkeys(rows[("metadata", "role")])), style)
    spans = {panel: part[VALUE].to_numpy() for panel, part in rows.groupby(("metadata", "panel"), sort=False)}

    def draw(part: pd.DataFrame, ax: Axes) -> None:
        panel = part[("metadata", "panel")].iloc[0]
        values = spans[panel]
        share = panel in _FIRST[1:] or panel == "relied on"
        scale = "linear" if yscale == "auto" and share else scale_for(values, yscale)
        scales(ax, xscale, scale, unit_of(*runs.values()))
        drawn = {}
        for quantity, curve in part.groupby(("metadata", "quantity"), sort=False):
            role = curve[("metadata", "role")].iloc[0]
            at, mean = curve[("metadata", "step")].to_numpy(), curve[VALUE].to_numpy()
            nan = band is None and nan_is_given(tables[str(curve[("metadata", "run")].iloc[0])], str(quantity))
            draw_curve(ax, at, mean, role, colours[role], log=scale != "linear", nan=nan, style=style)
            if band is not None:
                _draw_band(ax, at, curve, colours[role])
                _mark_unknown(ax, tables, str(quantity), style)
            run = curve[("metadata", "run")].iloc[0]
            found = {name: [one for one in marks.get(name, ()) if one.quantity == quantity] for name in runs}
            if band is None:
                mark_transitions(ax, found[run], colours[role] if _is_shared(panel) else style.ink)
            else:
                _mark_runs(ax, [one for of_run in found.values() for one in of_run], colours[role])
            drawn[str(quantity)] = pd.Series(mean, index=at)
        name_marks(ax, style.muted if _is_shared(panel) else "")
        of_first = band is not None or part[("metadata", "run")].iloc[0] == next(iter(runs))
        # The panel's title names it, and below each other one axis says what a gap is.
        ax.set_ylabel(panel if len(spans) == 1 else _LESS.get(panel, "") if of_first else "")
        steps = rows[("metadata", "step")].to_numpy()
        edges = [part[side].to_numpy() for side in _BAND if side in part.columns]
        values = np.concatenate([values, *edges])
        limits(ax, steps, values, style)
        if len(runs) > 1 and np.isfinite(values).any():
            _same_height(ax, values, scale != "linear")
        together = pd.DataFrame(drawn).sort_index()
        shown = Drawn("curves", "step", "value", (), (), together.index.to_numpy(), together.to_numpy().T)
        remember(ax, shown._replace(names=tuple(together.columns)))

    columns_of_runs = band is None and len(runs) > 1
    band_words = "" if band is None else f", mean and {BANDS[band]}"
    return facet(
        rows, draw, ("panel", "run") if columns_of_runs else ("panel",), fig=fig, figsize=figsize,
        col_wrap=len(runs) if columns_of_runs else col_wrap, ax=ax, title=title,
        formulas=True, named="training dynamics", subtitle=describe(runs) + band_words,
        panel_size=(3.6, 2.1), sharey=False, style=style,
    )  # fmt: skip


def panel_of(quantity: str) -> tuple[str, str]:
    """Return the panel that a quantity belongs to, and what it is called there.

    >>> panel_of("train_loss"), panel_of("test_acc"), panel_of("weight_norm"), panel_of("lr")
    (('loss', 'train'), ('accuracy', 'test'), ('weight_norm', ''), ('learning rate', ''))
    """
    for panel, words in (("loss", ("loss",)), ("accuracy", ("accuracy", "acc"))):
        for word in words:
            if quantity == word or quantity.endswith(f"_{word}"):
                return panel, quantity[: -len(word)].rstrip("_")
    if quantity in ("lr", "learning_rate"):
        return "learning rate", ""
    if quantity in _RELIANCE:
        return "relied on", quantity
    return quantity, ""


def _is_shared(panel: str) -> bool:
    return panel in ("loss", "accuracy", "relied on")


def _with_gaps(table: pd.DataFrame, gap: bool) -> pd.DataFrame:
    if not gap:
        return table
    found = generalisation_gap(table, missing_ok=True)
    new = {"loss_gap": _FIRST[2], "accuracy_gap": _FIRST[3]}
    gaps = found.rename(columns=new)[[new[name] for name in found.columns if new[name] not in table]]
    return beside_each_other(table, gaps.dropna(how="all"))


def _rows(tables: Mapping[str, pd.DataFrame], band: BandKind | None) -> pd.DataFrame:
    """Return a row for each panel, run, quantity and step, as `facet` takes them."""
    low = high = None
    if band is not None:
        joined = mean_and_band(list(tables.values()), band)
        tables, low, high = {"": joined.mean}, joined.low, joined.high
    parts = []
    for run, table in tables.items():
        for name in table.columns:
            panel, role = panel_of(name)
            curve = given(table, name) if band is None else table[name]
            column = {
                ("metadata", "panel"): panel,
                ("metadata", "run"): run,
                ("metadata", "quantity"): name,
                ("metadata", "role"): role,
                ("metadata", "step"): curve.index.to_numpy(),
                VALUE: curve.to_numpy(),
            }
            if low is not None and high is not None:
                column |= {
                    _BAND[0]: low[name].to_numpy(),
                    _BAND[1]: high[name].to_numpy(),
                }
            parts.append(pd.DataFrame(column))
    rows = pd.concat(parts, ignore_index=True)
    if rows.empty:
        raise ValueError("these curves have no step; give at least one")
    panels = list(dict.fromkeys(rows[("metadata", "panel")]))
    order = sorted(panels, key=lambda panel: _FIRST.index(panel) if panel in _FIRST else len(_FIRST))
    place = rows[("metadata", "panel")].map({panel: i for i, panel in enumerate(order)})
    return rows.iloc[np.argsort(place.to_numpy(), kind="stable")].reset_index(drop=True)


def _colours(roles: Sequence[str], style: Style) -> dict[str, str]:
    """Return a colour for each role: always the first for training and the second for testing."""
    places = {role: _ROLES[role] for role in roles if role in _ROLES} | {"": 0}
    others = [role for role in roles if role not in places]
    shades = colours_for(len(others) + 2, style)[2:]  # the first two colours are those of training and testing
    return {role: style.series[place] for role, place in places.items()} | dict(zip(others, shades, strict=True))


def _draw_band(ax: Axes, steps: np.ndarray, curve: pd.DataFrame, colour: str) -> None:
    sides = [curve[side].to_numpy() for side in _BAND]
    (x, low), (_, high) = (thin(steps, side) for side in sides)
    ax.fill_between(x, low, high, color=colour, alpha=0.22, linewidth=0, zorder=1)


def _mark_unknown(ax: Axes, tables: Mapping[str, pd.DataFrame], quantity: str, style: Style) -> None:
    """Mark the steps at which some runs have no value, so that the mean is that of the others."""
    known = [given(table, quantity) for table in tables.values() if quantity in table.columns]
    none = np.unique(np.concatenate([curve.index[curve.isna()].to_numpy() for curve in known]))
    others = np.unique(np.concatenate([curve.index[curve.notna()].to_numpy() for curve in known]))
    at = np.intersect1d(none, others)
    if len(at):
        nan = any(nan_is_given(table, quantity) for table in tables.values() if quantity in table.columns)
        ax.plot(
            at, np.full(len(at), 0.02), "s", transform=ax.get_xaxis_transform(), color=style.nan, markersize=3.5,
            markeredgewidth=0, label=f"{'NaN' if nan else 'no value'} in some runs", zorder=4,
        )  # fmt: skip


def _mark_runs(ax: Axes, found: "Sequence[Transition]", colour: str) -> None:
    """Mark the transitions of several runs, which differ in their steps, at the lower edge."""
    if found:
        ax.plot(
            [one.step for one in found], np.full(len(found), 0.03), "|", transform=ax.get_xaxis_transform(),
            color=colour, markersize=9, markeredgewidth=1.6, gid="transition", zorder=3,
        )  # fmt: skip


def _same_height(ax: Axes, values: np.ndarray, log: bool) -> None:
    values = values[np.isfinite(values) & ((values > 0) | (not log))]
    if not values.size:
        return
    low, high = (float(np.log2(side)) if log else float(side) for side in (values.min(), values.max()))
    air = 0.06 * (high - low) or 0.5
    ax.set_ylim(*((2 ** (low - air), 2 ** (high + air)) if log else (low - air, high + air)))
