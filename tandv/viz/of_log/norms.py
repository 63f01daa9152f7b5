"""Norms of weights, gradients and updates over the steps, of all layers together and of each."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from tandv.analysis.norms import norm_curves
from tandv.messages import check_choices
from tandv.viz.layout.facet import facet
from tandv.viz.layout.style import Style, Theme
from tandv.viz.layout.style import theme as theme_named
from tandv.viz.layout.tables import Drawn, remember
from tandv.viz.of_curves.metrics import said
from tandv.viz.of_curves.over_steps import XScale, YScale, draw_curve, limits, mark_transitions, name_marks, scales
from tandv.viz.of_log.lines import wants_log2

if TYPE_CHECKING:
    from tandv.analysis.transitions import Transition

VALUE = ("scalar_stats", "value")
_MANY = 8  # layers that can be told apart by their colours


def norms(
    df: pd.DataFrame,
    transitions: "Sequence[Transition]" = (),
    per_layer: bool = False,
    xscale: XScale = "linear",
    yscale: YScale = "auto",
    col_wrap: int | None = None,
    figsize: tuple[float, float] | None = None,
    theme: Theme | Style = "light",
    fig: Any = None,
) -> Any:
    """Draw the norms of weights, their gradients and updates over the steps, from a log; see `norm_curves`.

    With `per_layer`, each layer has a line below that of all together. `transitions`, such as those of the loss, are
    marked in every panel. Raises UnknownName if the log has none of these tensors.

    >>> from tandv.logframe import example_log
    >>> fig = norms(example_log(), per_layer=True)
    """
    check_choices(xscale=(xscale, XScale), yscale=(yscale, YScale))
    table = norm_curves(df, per_layer=per_layer)
    style = theme_named(theme)
    layers = list(dict.fromkeys(name.partition(":")[2] for name in table.columns if ":" in name))
    colours = dict(zip(layers, in_order(len(layers), style), strict=True))
    rows = pd.concat(
        pd.DataFrame(
            {
                ("metadata", "panel"): name.partition(":")[0].replace("_", " "),
                ("metadata", "quantity"): name.partition(":")[2],
                ("metadata", "step"): table.index.to_numpy(),
                VALUE: table[name].to_numpy(),
            }
        )
        for name in table.columns
    )

    def draw(part: pd.DataFrame, ax: Axes) -> None:
        values = part[VALUE].to_numpy()
        log2 = yscale == "log2" or (yscale == "auto" and wants_log2(values))
        scales(ax, xscale, log2)
        drawn = {}
        for one, curve in part.groupby(("metadata", "quantity"), sort=False):
            layer = str(one)
            at, norm = curve[("metadata", "step")].to_numpy(), curve[VALUE].to_numpy()
            named = len(layers) <= _MANY or layer in (layers[0], layers[-1])
            label = (layer or "all together") if layers and (named or not layer) else ""
            draw_curve(ax, at, norm, label, colours.get(layer, style.ink), log2=log2, style=style)
            drawn[layer or "all"] = norm
        mark_transitions(ax, transitions, style.alarm)
        name_marks(ax, "")
        limits(ax, table.index.to_numpy(), values, style)
        shown = Drawn("curves", "step", "value", (), (), table.index.to_numpy(), np.array(list(drawn.values())))
        remember(ax, shown._replace(names=tuple(drawn)))

    return facet(
        rows, draw, ("panel",), fig=fig, figsize=figsize, col_wrap=col_wrap, title="norms", subtitle=said({"": table}),
        panel_size=(4.2, 2.6), sharey=False, style=style,
    )  # fmt: skip


def in_order(count: int, style: Style) -> list[str]:
    """Return a colour for each layer: told apart if there are few, from the first to the last if there are many."""
    if count <= _MANY:
        return list(style.series[:count])
    shades = matplotlib.colormaps[style.colours](np.linspace(0.08, 0.92, count))
    return [to_hex(shade) for shade in shades]
