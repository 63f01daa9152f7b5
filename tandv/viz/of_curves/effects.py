"""Plot the effect of a setting, such as the learning rate or the batch size, on training: runs that differ in it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from tandv.curves import Curves, as_curves, given, mean_and_reach, unit_of
from tandv.curves.of_run import nan_is_given
from tandv.messages import check_choices, named_arguments
from tandv.viz.layout.facet import facet
from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.log_ticks import decimal_ticks, log2_ticks
from tandv.viz.layout.style import Style, Theme, fitting
from tandv.viz.layout.tables import Drawn, remember
from tandv.viz.layout.ticks import linear_ticks, room, value_text
from tandv.viz.of_curves.over_steps import XScale, YScale, draw_curve, limits, scale_for, scales

VALUE = ("scalar_stats", "value")
Outcome = Literal["last", "lowest", "highest"] | Callable[[pd.Series], float]
OUTCOMES: dict[str, Callable[[pd.Series], float]] = {
    "last": lambda curve: float(curve.dropna().iloc[-1]) if curve.notna().any() else np.nan,
    "lowest": lambda curve: float(curve.min()),
    "highest": lambda curve: float(curve.max()),
}


@named_arguments
def setting_effects(
    runs: Mapping[float, Curves | Sequence[Curves]],
    quantities: str | Sequence[str],
    setting: str = "learning rate",
    outcome: Outcome = "last",
    xscale: XScale = "linear",
    yscale: YScale = "auto",
    figsize: tuple[float, float] | None = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw runs that differ in a setting: their curves, coloured by its value, and their outcome.

    For each quantity, the left panel has the curves, the right one the outcome over the setting: a point for each run,
    a line through the means, and the 95 % confidence interval of each mean of several runs.

    >>> fig = setting_effects({0.1: {"loss": [2.0, 0.5]}, 0.01: {"loss": [2.0, 1.8]}}, "loss")

    Args:
        runs: {value of the setting: curves}, or lists of curves for several seeds of one value.
        quantities: the name of a curve, or several.
        setting: the name of the setting.
        outcome: "last", "lowest", "highest", or a function of one curve, such as the step at which it reaches a
            threshold.
        xscale: "linear", or "log" for an axis of log(1 + step).
        yscale: "linear", "log", "log2",
            or "auto" for log where all values are positive and span a factor of 30 or more.
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.

    Raises UnknownName for a quantity that no run has, ValueError for a setting that is no number.
    """
    check_choices(
        outcome=("last" if callable(outcome) else outcome, Outcome), xscale=(xscale, XScale), yscale=(yscale, YScale)
    )
    names = [quantities] if isinstance(quantities, str) else list(quantities)
    if not isinstance(runs, Mapping):
        raise TypeError(
            f"runs are {{value of the setting: curves}}, such as {{0.1: curves}}, not {type(runs).__name__}"
        )
    if words := [value for value in runs if not _is_number(value)]:
        raise ValueError(
            f"a setting has numbers as values, not {', '.join(map(repr, words[:5]))}; runs with names are drawn "
            "side by side in training_dynamics({name: curves})"
        )
    tables = {float(value): _tables(runs[value]) for value in sorted(runs, key=float)}
    there = list(dict.fromkeys(name for of in tables.values() for table in of for name in table.columns))
    if missing := [name for name in names if name not in there]:
        raise LookupError(f"no run has {' or '.join(map(repr, missing))}; there are {', '.join(there)}")
    result = OUTCOMES[outcome] if isinstance(outcome, str) else outcome
    outcome_name = outcome if isinstance(outcome, str) else getattr(outcome, "__name__", "outcome").replace("_", " ")
    style = fitting(theme, figsize, fig, ax)
    values = list(tables)
    colours = dict(zip(values, _shades(values, style), strict=True))
    rows = _rows(tables, names, result)

    def draw(part: pd.DataFrame, ax: Axes) -> None:
        name, kind = part[("metadata", "quantity")].iloc[0], part[("metadata", "kind")].iloc[0]
        numbers = part[VALUE].to_numpy()
        if kind == "outcome":
            _draw_outcome(ax, part, colours, setting, f"{outcome_name} {name}", style)
            return
        share = name.endswith(("acc", "accuracy"))
        scale = "linear" if yscale == "auto" and share else scale_for(numbers, yscale)
        scales(ax, xscale, scale, unit_of(*(one for of in tables.values() for one in of)))
        drawn = {}
        for (_, seed), curve in part.groupby([("metadata", "value"), ("metadata", "seed")], sort=False):
            value = float(curve[("metadata", "value")].iloc[0])
            at, y = curve[("metadata", "step")].to_numpy(), curve[VALUE].to_numpy()
            label = f"{setting} {value_text(value)}" if seed == 0 else ""
            nan = bool(curve[("metadata", "nan")].iloc[0])
            draw_curve(ax, at, y, label, colours[value], log=scale != "linear", nan=nan, style=style)
            drawn[f"{value_text(value)}" + (f" ({seed})" if seed else "")] = pd.Series(y, index=at)
        ax.set_ylabel(name)
        limits(ax, part[("metadata", "step")].to_numpy(), numbers, style)
        together = pd.DataFrame(drawn).sort_index()
        shown = Drawn("curves", "step", "value", (), (), together.index.to_numpy(), together.to_numpy().T)
        remember(ax, shown._replace(names=tuple(together.columns)))

    count = sum(len(of) for of in tables.values())
    return facet(
        rows, draw, ("quantity", "kind"), fig=fig, figsize=figsize, col_wrap=2, ax=ax, title=title,
        formulas=True, named=f"effect of the {setting}",
        subtitle=f"{count} runs of {len(values)} values", panel_size=(4.2, 2.6), sharex=False, sharey=False,
        panel_title=lambda found: "", style=style,
    )  # fmt: skip


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _tables(curves: Curves | Sequence[Curves]) -> list[pd.DataFrame]:
    several = isinstance(curves, Sequence)
    return [as_curves(one).sort_index() for one in (curves if several else [curves])]  # type: ignore[list-item]


def _rows(
    tables: Mapping[float, list[pd.DataFrame]], names: Sequence[str], result: Callable[[pd.Series], float]
) -> pd.DataFrame:
    parts = []
    for name in names:
        for kind in ("curves", "outcome"):
            for value, of in tables.items():
                for seed, table in enumerate(of):
                    if name not in table.columns:
                        continue
                    curve = given(table, name) if kind == "curves" else table[name]
                    shown = curve.to_numpy() if kind == "curves" else [result(curve)]
                    parts.append(
                        pd.DataFrame(
                            {
                                ("metadata", "quantity"): name,
                                ("metadata", "kind"): kind,
                                ("metadata", "value"): value,
                                ("metadata", "seed"): seed,
                                ("metadata", "step"): curve.index.to_numpy()[: len(shown)],
                                ("metadata", "nan"): nan_is_given(table, name),
                                VALUE: shown,
                            }
                        )
                    )
    return pd.concat(parts, ignore_index=True)


def _shades(values: Sequence[float], style: Style) -> list[str]:
    """Return a colour for each value, from the lowest to the highest."""
    if len(values) <= 2:
        return list(style.series[: len(values)])
    return [to_hex(one) for one in matplotlib.colormaps[style.colours](np.linspace(0.05, 0.88, len(values)))]


def _draw_outcome(
    ax: Axes, part: pd.DataFrame, colours: Mapping[float, str], setting: str, words: str, style: Style
) -> None:
    values, numbers = part[("metadata", "value")].to_numpy(), part[VALUE].to_numpy()
    means = part.groupby(("metadata", "value"))[[VALUE]].mean()
    ax.plot(means.index, means.to_numpy().ravel(), color=style.muted, linewidth=1.2, zorder=1, label="_mean")
    ax.scatter(values, numbers, c=[colours[value] for value in values], s=42, zorder=3, label="_runs", linewidths=0)
    for value in means.index:
        mean, reach = mean_and_reach(numbers[(values == value) & np.isfinite(numbers)].tolist())
        if np.isfinite(reach):
            ax.errorbar(
                [value], [mean], yerr=[reach], fmt="_", color=style.muted, capsize=4, elinewidth=1.4, markersize=9,
                zorder=2, label="95 % interval of the mean", gid="interval",
            )  # fmt: skip
    if (values > 0).all() and values.max() >= 8 * values.min():
        powers = bool((np.frexp(values)[0] == 0.5).all())  # of two, such as batch sizes
        ax.set_xscale("log", base=2 if powers else 10)
        (log2_ticks if powers else decimal_ticks)(ax.xaxis)
    else:
        linear_ticks(ax.xaxis)
    positions = list(colours)
    if len(positions) <= room(ax.xaxis, max(len(value_text(value)) for value in positions)):
        ax.set_xticks(positions, [value_text(value) for value in positions])
    linear_ticks(ax.yaxis)
    ax.margins(0.06, 0.1)
    ax.set_xlabel(setting)
    ax.set_ylabel(words)
