"""Draw statistics over the steps: a line per statistic, with marks where it is NaN, infinite or zero."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from tandv.glossary import COIN, has_chance_level, insight_meaning, is_share
from tandv.viz.layout.heat import buckets, edges
from tandv.viz.layout.log_ticks import decimal_ticks, log2_ticks
from tandv.viz.layout.style import Style
from tandv.viz.layout.tables import Drawn, remember
from tandv.viz.layout.ticks import (
    length_in_points,
    linear_ticks,
    percent_text,
    share_text,
    show_steps,
    step_ticks,
    value_text,
)
from tandv.viz.of_log.not_finite import not_finite

Kind = Literal["line", "scatter"]
Scale = Literal["auto", "log2", "linear"]
MOST_POINTS = 3000  # beyond that, the smallest and largest value of each stretch are drawn

_DASHES: tuple[Any, ...] = ("solid", (0, (4, 2)), (0, (1, 1.5)))  # where there are more lines than colours
_POINTS = (".", "+", "x")


def wants_log2(values: np.ndarray) -> bool:
    """Tell whether values are best plotted on a log2 axis: none negative, and a range of a factor of eight or more."""
    positive = values[np.isfinite(values) & (values > 0)]
    return bool(positive.size and not (values < 0).any() and positive.max() / 8 >= positive.min())


def draw_lines(
    rows: pd.DataFrame,
    ax: Axes,
    *,
    metrics: Sequence[str],
    x: str = "step",
    kind: Kind = "line",
    log2: bool = False,
    decades: bool = False,
    largest: np.ndarray | None = None,
    style: Style,
) -> None:
    """Draw each statistic of `rows` (of one tensor) over `x`.

    Steps at which any of the tensor's values is NaN or infinite are marked at the top; where none is finite the line
    has a gap. With `log2`, the axis is logarithmic: in powers of two, as number formats are, or in `decades`; a zero is
    marked at its bottom. `largest` are the largest shares of NaN and of infinity, for the legend, by default those of
    the rows.
    """
    steps = rows[("metadata", x)].to_numpy()
    order = np.argsort(steps, kind="stable")
    steps = steps[order]
    table = np.array([_floats(rows[("scalar_stats", name)])[order] for name in metrics])
    if log2:
        ax.set_yscale("log", base=10 if decades else 2)
        (decimal_ticks if decades else log2_ticks)(ax.yaxis)
    else:
        linear_ticks(ax.yaxis, percent_text if all(map(is_share, metrics)) else value_text)
    step_ticks(ax.xaxis)
    ax.set_xlabel(x)
    if len(metrics) == 1:
        ax.set_ylabel(metrics[0])
    for i, (name, values) in enumerate(zip(metrics, table, strict=True)):
        colour, dashes = style.series[i % len(style.series)], _DASHES[i // len(style.series) % len(_DASHES)]
        shown = np.where(values > 0, values, np.nan) if log2 else values
        shown = np.where(np.isinf(shown), np.nan, shown)
        label = name if len(metrics) > 1 else "_" + name
        few = len(steps) < 2 or _islands(shown)
        if kind == "scatter":
            ax.plot(
                steps,
                shown,
                _POINTS[i // len(style.series) % len(_POINTS)],
                color=colour,
                markersize=4,
                label=label,
                alpha=0.85,
            )
        else:
            thin_x, thin_y = thin(steps, shown)
            marker: dict[str, Any] = {"marker": "o", "markersize": 3.5} if few else {}
            ax.plot(thin_x, thin_y, color=colour, linewidth=1.5, label=label, linestyle=dashes, **marker)
    # A statistic that compares a step with the one before has no value at the first step: that is not marked.
    compared = np.array([bool(insight_meaning(name)) for name in metrics])[:, None]
    shares = not_finite(rows)[:, order]
    none = np.isnan(table) & ~compared
    only_infinite = none & (shares[0] == 0) & (shares[1] > 0)
    nans, infs = map(float, shares.max(axis=1) if largest is None else largest)
    mark(ax, steps, (none & ~only_infinite).any(axis=0) | (shares[0] > 0), "NaN", style, nans)
    mark(ax, steps, (np.isinf(table) | only_infinite).any(axis=0) | (shares[1] > 0), "infinite", style, infs)
    mark(ax, steps, ((table == 0) & log2).any(axis=0), "zero", style)
    if any(map(has_chance_level, metrics)):
        ax.axhline(COIN, color=style.muted, linewidth=1.0, linestyle=(0, (4, 3)), label="a coin: 50%", zorder=1.5)
    if not np.isfinite(table).any():
        ax.text(
            0.5, 0.5, "no finite value", transform=ax.transAxes, ha="center", va="center",
            color=style.muted, size=style.text,
        )  # fmt: skip
    finite = table[np.isfinite(table)]
    alone = len(ax.get_shared_y_axes().get_siblings(ax)) == 1  # else it has the limits of panels that have values
    if alone and not finite.size:
        ax.set_ylim(1, 4) if log2 else ax.set_ylim(0, 1)
    elif alone and not log2 and not finite.any():  # counts of nothing
        ax.set_ylim(-0.06, 1)
    show_steps(ax, *_span(steps))
    kinds, names = (tuple(dict.fromkeys(rows[("metadata", c)])) for c in ("tensor_type", "name"))
    shown = Drawn("scalar_line", "step", "value", names, kinds, steps, table, tuple(metrics))
    remember(ax, shown._replace(not_finite=shares))


def draw_curves(table: pd.DataFrame, ax: Axes, *, style: Style, label: str = "") -> None:
    """Draw curves, such as the losses, over the step; `table` is what `tandv.curves.as_curves` returns.

    Infinities are marked at the top, and the end of a curve that has become NaN, which a curve that is known at few
    steps has not.
    """
    table = table.sort_index()
    values = table.to_numpy(float).T
    steps = table.index.to_numpy()
    for i in reversed(range(len(values))):  # the first, usually the training loss, is on top
        there = np.isfinite(values[i])
        x, y = thin(steps[there], values[i][there])
        marker: dict[str, Any] = {"marker": "o", "markersize": 3.5} if there.sum() == 1 else {}
        colours = (style.series[0], style.muted, *style.series[1:-2])  # the last but one is nearly the muted one
        colour, dashes = colours[i % len(colours)], _DASHES[i // len(colours) % len(_DASHES)]
        look: dict[str, Any] = {"color": colour, "linestyle": dashes, "linewidth": 1.6 if i == 0 else 1.2}
        ax.plot(x, y, label=str(table.columns[i]), **look, **marker)
    finite = values[np.isfinite(values)]
    if finite.size and finite.min() > 0 and finite.max() > 64 * finite.min():
        ax.set_yscale("log")
        decimal_ticks(ax.yaxis)
    else:
        linear_ticks(ax.yaxis)
    mark(ax, steps, _given_nan(table), "NaN", style)
    mark(ax, steps, np.asarray(np.isinf(values).any(axis=0)), "infinite", style)
    step_ticks(ax.xaxis)
    ax.set_xlabel("step")
    ax.set_ylabel(label)
    if len(steps):
        show_steps(ax, *_span(steps))
    remember(ax, Drawn("curves", "step", "value", (), (), steps, values, tuple(map(str, table.columns))))


def _became_nan(curve: np.ndarray) -> range:
    """Return where a curve is NaN at its end, if for longer than ever between two of its values."""
    known = np.flatnonzero(~np.isnan(curve))
    if not len(known) or len(curve) - known[-1] <= np.diff(known, prepend=known[0] - 1).max():
        return range(0)
    return range(int(known[-1]) + 1, len(curve))


def thin(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Reduce a line to few points that look the same: the smallest and largest value of each stretch.

    >>> x, y = thin(np.arange(10**6), np.zeros(10**6))
    >>> len(x) <= MOST_POINTS
    True
    """
    if len(steps) <= MOST_POINTS:
        return steps, values
    first, last = buckets(edges(steps), np.linspace(steps[0] - 0.5, steps[-1] + 0.5, MOST_POINTS // 2))
    bounds = np.unique(first[last > first])
    filled_low, filled_high = (np.where(np.isnan(values), f, values) for f in (np.inf, -np.inf))
    low, high = np.minimum.reduceat(filled_low, bounds), np.maximum.reduceat(filled_high, bounds)
    pairs = np.stack([low, high], axis=1).ravel()
    return np.repeat(steps[bounds], 2), np.where(np.isfinite(pairs), pairs, np.nan)


def _given_nan(table: pd.DataFrame) -> np.ndarray:
    """Tell for each step whether a curve was given NaN there; a source that does not tell may have no number."""
    if "nan" not in table.attrs:
        return np.isin(np.arange(len(table)), [i for curve in table.to_numpy(float).T for i in _became_nan(curve)])
    nan = [step for steps in table.attrs["nan"].values() for step in steps]
    return np.isin(table.index.to_numpy(), nan)


def _floats(column: pd.Series) -> np.ndarray:
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def _span(steps: np.ndarray) -> tuple[float, float]:
    low, high = float(steps.min()), float(steps.max())
    air = 0.01 * (high - low) if high > low else 0.5
    return low - air, high + air


def _islands(values: np.ndarray) -> bool:
    """Tell whether any number is isolated between gaps, where a line would not show it."""
    there = np.concatenate([[False], np.isfinite(values), [False]])
    return bool((there[1:-1] & ~there[:-2] & ~there[2:]).any())


_ROOM = 16.0  # points that lines keep away from the edges of the panel where there are marks
_LANES = {"NaN": -0.28, "infinite": -0.72, "zero": 0.4}  # of the room: below the upper edge, or above the lower one


def mark(ax: Axes, steps: np.ndarray, at: np.ndarray, words: str, style: Style, largest: float = 0.0) -> None:
    """Mark steps in a lane at the edge of the panel; `largest` is the largest share of values that are so."""
    if not (at.any() or largest):
        return
    air = min(max(_ROOM / length_in_points(ax.yaxis), 0.06), 0.2)  # as a share of the height
    ax.margins(y=air / (1 - 2 * air))
    if not at.any():  # another panel has marks: axes that are shared have the same room
        return
    colour = {"NaN": style.nan, "infinite": style.inf, "zero": style.zero}[words]
    marked = np.flatnonzero(at)
    if len(marked) > MOST_POINTS:
        marked = marked[np.unique(np.linspace(0, len(marked) - 1, MOST_POINTS).astype(int))]
    label = f"{words}: up to {share_text(largest)}" if 0 < largest < 1 else words
    ax.plot(
        steps[marked], np.full(len(marked), (_LANES[words] * air) % 1), "s", transform=ax.get_xaxis_transform(),
        color=colour, markersize=3.5, label=label, markeredgewidth=0, clip_on=True, zorder=6,
    )  # fmt: skip
