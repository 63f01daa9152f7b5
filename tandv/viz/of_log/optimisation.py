"""Plot what optimisation does with the gradients and weights of the whole model, and of each layer.

>>> from tandv.log.logframe import example_log
>>> log = example_log(layers=2, steps=3, tensor_types=["Weight_Gradient"]).copy()
>>> log[("scalar_stats", "update_norm")] = 0.5
>>> fig = optimisation(log)
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.analysis.optimisation import insight_curves
from tandv.curves import smoothed, unit_of
from tandv.glossary import COIN, has_chance_level, is_share
from tandv.log.door import AnyLog
from tandv.log.ranks import Ranks
from tandv.messages import check_choices, named_arguments
from tandv.viz.layout.facet import facet
from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.style import Style, Theme, colours_for, fitting
from tandv.viz.layout.tables import Drawn, remember
from tandv.viz.layout.ticks import linear_ticks, percent_text, value_text
from tandv.viz.of_curves.metrics import describe
from tandv.viz.of_curves.over_steps import XScale, YScale, draw_curve, limits, scale_for, scales
from tandv.viz.of_log.lines import thin

VALUE = ("scalar_stats", "value")
_MANY = 8  # at most so many layers are all named in the legend
_WORDS = {
    "zeros": "gradients ≤ {}",
    "zeros_released_share": "released: > {} again",
    "sign_flips": "sign flips",
    "update_norm": "weight change, norm",
    "gradient_norm": "gradient, norm",
}


@named_arguments
def optimisation(
    df: AnyLog,
    per_layer: bool = True,
    steps_per_epoch: int | None = None,
    window: int = 1,
    rank: Ranks | None = None,
    xscale: XScale = "linear",
    yscale: YScale = "auto",
    col_wrap: int | None = None,
    figsize: tuple[float, float] | None = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw zero gradients, the share of them that is released, sign flips, and norms of the whole model over training.

    Each layer has a line, and all together one in the colour of the text. Beside shares of changed signs stands what a
    coin would give. See `insight_curves`.

    >>> from tandv.log.logframe import example_log
    >>> log = example_log(layers=2, steps=3, tensor_types=["Weight_Gradient"]).copy()
    >>> log[("scalar_stats", "zeros_1e-05")] = 4.0
    >>> optimisation(log, per_layer=False).axes[0].get_ylabel()
    'gradients ≤ 1e-5'

    Args:
        df: the log, or the place of one: a run's folder or a file.
        per_layer: whether to add a line for each layer.
        steps_per_epoch: how many training steps an epoch has, to draw the mean of each epoch; None for every step.
        window: how many points a moving average is of; 1 for the points as they are.
        rank: a rank of a log that keeps the rows of each, or several, whose rows are parts of one tensor; None for all.
        xscale: "linear", or "log" for an axis of log(1 + step).
        yscale: "linear", "log", "log2",
        or "auto" for log where all values are positive and span a factor of 30 or more; shares are linear.
        col_wrap: how many panels are put side by side.
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.

    Raises UnknownName if the log has none of these numbers, which `track(..., insight=True)` records.
    """
    check_choices(xscale=(xscale, XScale), yscale=(yscale, YScale))
    table = insight_curves(df, per_layer=per_layer, steps_per_epoch=steps_per_epoch, rank=rank)
    unit = unit_of(table)
    table = smoothed(table, window) if window != 1 else table
    style = fitting(theme, figsize, fig, ax)
    panels = {name: words for name in table.columns if ":" not in name and (words := _words(name))}
    layers = list(dict.fromkeys(name.partition(":")[2] for name in table.columns if ":" in name))
    colours = dict(zip(layers, colours_for(len(layers), style), strict=True))
    rows = pd.DataFrame({("metadata", "panel"): list(panels)})

    def draw(part: pd.DataFrame, ax: Axes) -> None:
        quantity = str(part[("metadata", "panel")].iloc[0])
        names = [name for name in table.columns if name == quantity or name.startswith(f"{quantity}:")]
        values, share = table[names].to_numpy(), is_share(quantity)
        scale = "linear" if share and yscale == "auto" else scale_for(values, yscale)
        scales(ax, xscale, scale, unit)
        if share and scale == "linear":
            linear_ticks(ax.yaxis, percent_text)
        for name in [*names[1:], names[0]]:  # the whole model above its layers
            _draw_line(ax, table[name], layers, colours, scale != "linear", style)
        if has_chance_level(quantity):
            ax.axhline(COIN, color=style.muted, linewidth=1.0, linestyle=(0, (4, 3)), label="a coin: 50%", zorder=1.5)
        limits(ax, table.index.to_numpy(), values, style)
        if len(panels) == 1:
            ax.set_ylabel(panels[quantity])
        shown = Drawn("curves", "step", "value", (), (), table.index.to_numpy(), values.T)
        remember(ax, shown._replace(names=tuple(name.partition(":")[2] or "all together" for name in names)))

    averaged = f"  |  moving average of {window:,}" if window != 1 else ""
    of_epochs = "  |  means of epochs" if steps_per_epoch else ""
    return facet(
        rows, draw, ("panel",), fig=fig, figsize=figsize, col_wrap=col_wrap, ax=ax, title=title, named="optimisation",
        subtitle=describe({"": table}) + of_epochs + averaged, panel_size=(4.0, 2.3), sharey=False,
        panel_title=lambda found: panels[found["panel"]], style=style,
    )  # fmt: skip


def _words(quantity: str) -> str:
    """Return how a quantity is called above its panel; "" for those that have none."""
    name, _, threshold = quantity.rpartition("_")
    if quantity in _WORDS or name not in _WORDS:
        return _WORDS.get(quantity, "")
    return _WORDS[name].format(value_text(float(threshold)))


def _draw_line(
    ax: Axes, curve: pd.Series, layers: list[str], colours: Mapping[str, str], log: bool, style: Style
) -> None:
    layer = str(curve.name).partition(":")[2]
    named = len(layers) <= _MANY or layer in (layers[0], layers[-1])
    label = "all together" if layers and not layer else layer if named else ""
    colour = colours.get(layer, style.ink)
    known = curve.loc[curve.first_valid_index() :]  # what compares with the step before begins at the second one
    steps, values = known.index.to_numpy(), known.to_numpy(np.float64)
    if not is_share(str(curve.name).partition(":")[0]):
        draw_curve(ax, steps, values, label, colour, log=log, style=style)
        return
    # A share of no gradient at all is not known: it is a gap, which is no fault to mark.
    there = np.concatenate([[False], np.isfinite(values), [False]])
    alone = there[1:-1] & ~there[:-2] & ~there[2:]
    marked = np.isfinite(values) if len(steps) <= 60 else alone
    ax.plot(*thin(steps, values), color=colour, linewidth=1.5, label=label or "_curve")
    ax.plot(steps[marked], values[marked], "o", color=colour, markersize=2.5, label="_points")
