"""The training curves next to an interactive plot, and the values under the mouse as text."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tandv.curves import given, unit_of
from tandv.viz.layout.legends import shortened
from tandv.viz.layout.style import Style, dress
from tandv.viz.layout.tables import Place, drawn, not_finite_text, table, value_words
from tandv.viz.layout.written import as_written


def draw_loss(side: Any, curves: pd.DataFrame, style: Style) -> Axes:
    """Draw every curve into a part of a figure, with marks where one is NaN or infinite; return its Axes."""
    side.set_facecolor(style.paper)
    ax = side.subplots()
    dress(ax, style)
    for column, colour in zip(curves.columns, style.series, strict=False):
        curve = given(curves, column)
        ax.plot(curve.index, curve, color=colour, linewidth=1.2, label=str(column))
        for where, of_mark, height in ((curve.isna(), style.nan, 0.02), (np.isinf(curve), style.inf, 0.98)):
            if where.any() and "nan" in curves.attrs:  # else NaN may be no number
                ax.plot(
                    curve.index[where], np.full(where.sum(), height), "s", transform=ax.get_xaxis_transform(),
                    color=of_mark, markersize=3.5, markeredgewidth=0, label="_not finite", zorder=4,
                )  # fmt: skip
    ax.set_xlabel(unit_of(curves))
    place_loss(side, ax, style)
    return ax


def place_loss(side: Any, ax: Axes, style: Style) -> None:
    """Leave the same room in pixels for labels whatever the size of the figure; names are shortened to what is left."""
    wide, high = side.bbox.width * 72 / side.figure.dpi, side.bbox.height * 72 / side.figure.dpi
    left, right, bottom, top = 40 / wide, 1 - 16 / wide, 36 / high, 1 - 62 / high
    ax.set_position((left, bottom, max(right - left, 0.1), max(top - bottom, 0.1)))
    room = (right - left) * wide
    ax.xaxis.set_major_locator(MaxNLocator(max(1, int(room / 36)), integer=True))
    lines = [line for line in ax.get_lines() if not str(line.get_label()).startswith("_")]
    letters = max(int(room / (0.62 * style.small)), 4)
    names = shortened([str(line.get_label()) for line in lines], max(letters - (4 if len(lines) > 1 else 0), 4))
    words = names[0] if len(names) == 1 else "training"
    as_written(ax.set_title(words, color=style.ink, size=style.text, loc="left"), formulas=True)
    if len(names) > 1:
        legend = ax.legend(
            lines, names, frameon=False, labelcolor=style.ink, fontsize=style.small, handlelength=1.2, loc="best"
        )
        as_written(*legend.get_texts(), formulas=True)


def is_lines(ax: Any) -> bool:
    """Tell whether Axes show curves over steps."""
    found = drawn(ax)
    return found is not None and found.x == "step" and found.pick is None


def nearest(steps: Any, x: float) -> float:
    """Return the one of `steps` that is nearest to x.

    >>> nearest([0, 5, 10], 6.2)
    5.0
    """
    known = np.asarray(steps)
    return float(known[np.abs(known - x).argmin()])


def describe(place: Place) -> str:
    """Return a cell of a heat map as text."""
    parts = [place.layer, place.tt, None if place.step is None else f"step {place.step:,}"]
    return " · ".join([part for part in parts if part] + [value_words(place)])


def values_at(step: float, axes: Iterable[Axes], curves: pd.DataFrame | None, unit: str = "step") -> str:
    """Return the values of all curves at a step as text, those of the training curves at their nearest steps."""
    words = [f"{unit} {step:,}"]
    for found in (table(ax) for ax in axes if is_lines(ax)):
        prefix = " ".join((*found.tt, *(found.layers if len(found.layers) == 1 else ())))
        values = [f"{name} {value:.4g}" for name, value in found.read(step).items()]
        values += [bad] if (bad := not_finite_text(*found.not_finite_at(step))) else []
        words.append((f"{prefix}: " if prefix else "") + ", ".join(values))
    if curves is not None:
        known = {str(name): curve for name in curves.columns if len(curve := given(curves, name))}
        words.extend(_curve_at(curve, name, step) for name, curve in known.items())
    return " · ".join(words)


def _curve_at(curve: pd.Series, name: str, step: float) -> str:
    """Return the value of a training curve at the nearest step at which it was given one."""
    at = nearest(curve.index, step)
    return f"{name} {curve.loc[at]:.4g}" + ("" if at == step else f" (at its step {at:,.0f})")


def shown_data(axes: Iterable[Axes]) -> pd.DataFrame:
    """Return what Axes show as a table: a row for each step (or exponent), a column for each curve or layer."""
    tables = {}
    for ax in axes:
        shown = drawn(ax)
        if shown is None or not np.size(shown.values):
            continue
        values = np.asarray(shown.values, float)
        values = np.where(np.isneginf(values), np.nan, values)
        names = shown.names or shown.layers
        if values.ndim == 2:
            frame = pd.DataFrame(values.T, pd.Index(shown.steps, name=shown.x), list(names))
        else:
            frame = pd.DataFrame({ax.get_title() or shown.plot: values}, pd.Index(list(names), name=shown.x))
        of = " ".join((*shown.tt, *(shown.layers if len(shown.layers) == 1 else ())))
        tables[of or ax.get_title("left") or shown.plot] = frame
    if not tables:
        raise ValueError("this plot has no values by step or exponent to show as a table; save it as PNG, SVG or PDF")
    return pd.concat(tables, axis=1) if len(tables) > 1 else next(iter(tables.values()))
