"""Plot when a network memorises and when it generalises."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.analysis.generalisation import Grokking, grokking
from tandv.curves import given, mean_and_band, unit_of
from tandv.curves.of_run import nan_is_given
from tandv.curves.runs import Runs, as_runs
from tandv.messages import check_choices, listed, named_arguments
from tandv.viz.layout.facet import facet
from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.style import Style, Theme, fitting
from tandv.viz.layout.tables import Drawn, remember
from tandv.viz.layout.ticks import step_text
from tandv.viz.of_curves.dynamics import panel_of
from tandv.viz.of_curves.over_runs import draw_interval, spread_words
from tandv.viz.of_curves.over_steps import XScale, draw_curve, limits, scale_for, scales

VALUE = ("scalar_stats", "value")


@named_arguments
def grokking_plot(
    curves: Runs,
    found: Grokking | Mapping[str, Grokking] | None = None,
    xscale: XScale = "log",
    figsize: tuple[float, float] | None = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw accuracies, and losses if there are any, with memorisation, generalisation, and the delay between them.

    Of several runs, such as seeds, the mean is drawn with its 95 % confidence interval, the steps of each run at the
    lower edge, and the mean step with its confidence interval at the threshold.

    >>> run = {"step": [0, 10, 20, 90], "train_acc": [0.1, 1, 1, 1], "test_acc": [0.1, 0.1, 0.5, 1]}
    >>> fig = grokking_plot(run)

    Args:
        curves: curves with both accuracies, or a dict of them by the run's name.
        found: what `grokking` returns (of several runs, a dict by the run's name); by default for its default
            thresholds.
        xscale: "linear", or "log" for an axis of log(1 + step).
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.

    Raises ValueError if the accuracies are not among the curves.
    """
    check_choices(xscale=(xscale, XScale))
    runs = as_runs(curves)
    answers = _answers(runs, found)
    first = next(iter(answers.values()))
    style = fitting(theme, figsize, fig, ax)
    pairs = {first.memorisation.quantity: style.series[0], first.generalisation.quantity: style.series[1]}
    if missing := [name for name in pairs if any(name not in table.columns for table in runs.values())]:
        raise ValueError(f"{' and '.join(missing)}, which the analysis names, are not among the curves")
    band = mean_and_band(list(runs.values()), "confidence") if len(runs) > 1 else None
    table = next(iter(runs.values())) if band is None else band.mean
    unit = unit_of(*runs.values())
    losses = [name for name in ("train_loss", "test_loss", "val_loss") if name in table.columns][:2]
    rows = rows_of(table, {"accuracy": list(pairs), **({"loss": losses} if losses else {})})

    def draw(part: pd.DataFrame, ax: Axes) -> None:
        panel = part[("metadata", "panel")].iloc[0]
        values = part[VALUE].to_numpy()
        scale = scale_for(values, "auto") if panel == "loss" else "linear"
        scales(ax, xscale, scale, unit)
        names = list(dict.fromkeys(part[("metadata", "quantity")]))
        for name, colour in zip(names, pairs.values(), strict=False):
            curve, nan = given(table, name) if band is None else table[name], nan_is_given(table, name)
            label = panel_of(name)[1] or name
            draw_curve(
                ax, curve.index.to_numpy(), curve.to_numpy(), label, colour, log=scale != "linear", nan=nan, style=style
            )
            if band is not None:
                ax.fill_between(table.index, band.low[name], band.high[name], color=colour, alpha=0.22, linewidth=0)
        limits(ax, table.index.to_numpy(), values, style)
        if band is None:
            _delay(ax, first, list(pairs.values()), panel == "accuracy", style)
        else:
            _steps_of_runs(ax, list(answers.values()), list(pairs.values()), panel == "accuracy", style)
        remember_curves(ax, table[names])

    return facet(
        rows, draw, ("panel",), fig=fig, figsize=figsize, col_wrap=1, ax=ax, title=title,
        formulas=True, named=_verdict([one.is_grokking for one in answers.values()]),
        subtitle=_subtitle(first, unit) if band is None else _subtitle_of_runs(list(answers.values())),
        panel_size=(8.0, 2.4), single_size=(8.0, 3.6), sharey=False, style=style,
    )  # fmt: skip


def _answers(
    runs: Mapping[str, pd.DataFrame], found: Grokking | Mapping[str, Grokking] | None
) -> Mapping[str, Grokking]:
    """Return what was found of each run, sought here if it was not given."""
    if found is None:
        return {name: grokking(table) for name, table in runs.items()}
    answers = {next(iter(runs)): found} if isinstance(found, Grokking) else found
    if set(answers) != set(runs):
        raise ValueError(
            f"found= is of {listed(list(answers))}, and the runs are {listed(list(runs))}; give one for each run, such "
            "as {name: grokking(run) for name, run in runs.items()}"
        )
    return answers


def _verdict(answers: list[bool | None]) -> str:
    if len(answers) > 1:
        return f"grokking in {answers.count(True)} of {len(answers)} runs"
    return {True: "grokking", False: "no grokking", None: "not known whether this is grokking"}[answers[0]]


def _subtitle_of_runs(answers: Sequence[Grokking]) -> str:
    parts = []
    for words, steps in (
        ("memorised", [one.memorisation.step for one in answers]),
        ("generalised", [one.generalisation.step for one in answers]),
    ):
        known = any(step is not None for step in steps)
        parts.append(f"{words} at {spread_words(steps)}" if known else f"none {words}")
    return "  |  ".join([*parts, "mean ± 95 %"])


def _steps_of_runs(ax: Axes, answers: Sequence[Grokking], colours: list[str], named: bool, style: Style) -> None:
    for passages, colour, words in (
        ([one.memorisation for one in answers], colours[0], "memorised"),
        ([one.generalisation for one in answers], colours[1], "generalised"),
    ):
        steps = [one.step for one in passages if one.step is not None]
        ax.plot(
            steps, np.full(len(steps), 0.03), "|", transform=ax.get_xaxis_transform(), color=colour, markersize=9,
            markeredgewidth=1.6, gid=words, zorder=3,
        )  # fmt: skip
        if named and steps:
            draw_interval(ax, steps, passages[0].threshold, colour, style)
    if named:
        for passage in (answers[0].memorisation, answers[0].generalisation):
            ax.axhline(passage.threshold, color=style.muted, linewidth=0.8, linestyle=(0, (1, 2)), zorder=0.8)


def _delay(ax: Axes, found: Grokking, colours: list[str], named: bool, style: Style) -> None:
    steps = [found.memorisation.step, found.generalisation.step]
    for step, colour, words in zip(steps, colours, ("memorised", "generalised"), strict=True):
        if step is not None:
            ax.axvline(step, color=colour, linewidth=1.2, linestyle=(0, (2, 2)), zorder=1, gid=words, label=words)
    if found.delay is not None and found.delay > 0:
        ax.axvspan(steps[0], steps[1], color=style.ink, alpha=0.08, linewidth=0, zorder=0.5, label="delay")  # pyright: ignore
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
