"""Draw curves that belong together in one panel: the heads of a layer, the layers of a network, a measure with chance.

A family is {label: column}; families are {panel: family}. Chance levels are dashed and have no curve's colour.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tandv.curves import Curves, as_curves, given, unit_of
from tandv.curves.of_run import nan_is_given
from tandv.messages import check_choices
from tandv.viz.layout.facet import facet
from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.style import Style, colours_for
from tandv.viz.layout.tables import Drawn, remember
from tandv.viz.of_curves.metrics import describe
from tandv.viz.of_curves.over_steps import XScale, draw_curve, limits, mark_transitions, name_marks, scales

Families = Mapping[str, Mapping[str, str]]
Marks = Sequence[Any] | bool | None  # transitions, or whether to find them


def draw_families(
    curves: Curves,
    families: Families,
    *,
    chance: Families | None = None,
    transitions: Marks = None,
    xscale: XScale = "linear",
    ylabel: str | Mapping[str, str] = "",
    ylim: tuple[float, float] | None = None,
    title: str | None = None,
    named: str = "",
    subtitle: str | None = None,
    style: Style,
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    figsize: tuple[float, float] | None = None,
    col_wrap: int | None = None,
    panel_size: tuple[float, float] = (4.0, 2.6),
) -> Figure:
    """Draw a panel for each family of curves; return the figure.

    `transitions` of a curve that is drawn are marked in its panel, others (of the loss, say) in every one; True finds
    those of the curves that are drawn. A label has the same colour in all panels; more than eight
    have a gradient from first to last.
    """
    check_choices(xscale=(xscale, XScale))
    table = as_curves(curves).sort_index()
    if not len(table):
        raise ValueError("these curves have no step; give at least one")
    labels = list(dict.fromkeys(label for family in families.values() for label in family))
    colours = dict(zip(labels, colours_for(len(labels), style), strict=True))
    names = list(families)
    rows = pd.DataFrame({("metadata", "panel"): names})
    marks = _marks(table, families, transitions, xscale)

    def draw(part: pd.DataFrame, ax: Axes) -> None:
        panel = part[("metadata", "panel")].iloc[0]
        scales(ax, xscale, "linear", unit_of(table))
        for label, column in families[panel].items():
            curve = given(table, column).loc[table[column].first_valid_index() :]  # it may begin later than the others
            at, values, nan = curve.index.to_numpy(), curve.to_numpy(), nan_is_given(table, column)
            draw_curve(ax, at, values, label, colours[label], nan=nan, style=style)
        for label, column in (chance or {}).get(panel, {}).items():
            level = table[column].to_numpy()
            ax.plot(table.index, level, color=style.muted, lw=1.3, ls=(0, (5, 2)), label=label, zorder=1.5)
        mark_transitions(ax, marks[panel], style.ink)
        name_marks(ax, "")
        ax.set_ylabel(ylabel if isinstance(ylabel, str) else ylabel.get(panel, ""))
        shown = [*families[panel].values(), *(chance or {}).get(panel, {}).values()]
        limits(ax, table.index.to_numpy(), table[shown].to_numpy(), style)
        if ylim is not None:
            ax.set_ylim(*ylim)
        values = table[list(families[panel].values())].to_numpy().T
        remember(ax, Drawn("families", "step", "value", (), (), table.index.to_numpy(), values, tuple(families[panel])))

    described = describe({"": table})
    return facet(
        rows, draw, ("panel",), fig=fig, figsize=figsize, col_wrap=col_wrap, sharey=False, panel_size=panel_size,
        title=title, formulas=True, named=named, ax=ax,
        subtitle=f"{subtitle}  |  {described}" if subtitle else described, style=style,
    )  # fmt: skip


def _marks(table: pd.DataFrame, families: Families, transitions: Marks, axis: XScale) -> dict[str, list[Any]]:
    if transitions is True:
        from tandv.analysis.transitions import find_transitions  # imports SciPy

        wanted = list(dict.fromkeys(column for family in families.values() for column in family.values()))
        transitions = find_transitions(table[wanted], axis=axis)
    found = [] if not transitions else list(transitions)  # type: ignore[arg-type]
    drawn = {column for family in families.values() for column in family.values()}
    return {
        panel: [one for one in found if one.quantity in family.values() or one.quantity not in drawn]
        for panel, family in families.items()
    }
