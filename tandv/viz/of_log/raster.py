"""Plot the raster of gradient signs: parameters from the first layer to the last, step by step, each sign a colour."""

import os
from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedFormatter, Locator

from tandv.log import logframe
from tandv.log.choice_of_rows import rows_at, rows_named
from tandv.log.raster import NEGATIVE, NONE, POSITIVE, Raster, read_raster
from tandv.messages import UnknownName, named_arguments
from tandv.tensor_types import WEIGHT_GRADIENT
from tandv.viz.layout.facet import facet
from tandv.viz.layout.figures import AnyFigure
from tandv.viz.layout.hatched import Hatched
from tandv.viz.layout.heat import Heat, edges
from tandv.viz.layout.layer_axis import CHARACTER, row_names
from tandv.viz.layout.style import Style, Theme, fitting
from tandv.viz.layout.ticks import length_in_points, step_text, step_ticks
from tandv.viz.layout.written import escaped
from tandv.viz.of_log.maps import hatches
from tandv.viz.of_log.not_finite import marks_of
from tandv.viz.of_log.queries import Names, Size

_CODES = (NEGATIVE, POSITIVE, NONE)


@named_arguments
def gradient_raster(
    raster: Raster | str | os.PathLike[str],
    layer: Names | None = None,
    step: slice | None = None,
    figsize: Size = None,
    theme: Theme | Style = "light",
    fig: AnyFigure | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw which gradients are within a threshold, and of which sign, for all parameters at every step.

    A gradient above the threshold leaves its place blank. Where several parameters or steps share a pixel, its colour
    is their mixture. `track(model, insight={"raster": True})` records a raster. In the folder of a run, its log tells
    which tensors have NaN or infinite gradients at a step: they are hatched, since a NaN is not within the threshold.

    >>> codes = np.array([[0, 1], [1, 1], [2, 3]], np.uint8)  # of 3 steps and 2 parameters
    >>> fig = gradient_raster(Raster(np.arange(3), ["conv1"], np.array([2]), np.array([0, 2]), 1e-8, codes))

    Args:
        raster: the folder of a run (`tracker.path`), or what `read_raster` returns.
        layer: a layer's name, a compiled pattern (searched), or a list of these; None for all.
        step: a slice of steps; None for all.
        figsize: (width, height) of the figure in inches; by default one that suits the content.
        theme: "light", "dark", "paper" (small text, for one column in print) or a Style.
        fig: a figure or sub-figure to clear and draw into, instead of a new figure.
        ax: Axes of a figure of yours to clear and draw into, for a plot of one panel; the figure keeps its layout.
        title: the title of the figure; by default one that says what is drawn, "" for no title and no line below it.

    Raises FileNotFoundError where no raster was recorded, UnknownName for what is not in it.
    """
    whole = raster if isinstance(raster, Raster) else read_raster(raster)
    part = _chosen(whole, layer, step)
    marks = None if isinstance(raster, Raster) else _not_finite(raster, part)
    style = fitting(theme, figsize, fig, ax)

    def draw(_: pd.DataFrame, ax: Axes) -> None:
        draw_raster(part, ax, marks=marks, style=style)

    shown, total = part.codes.shape[1], int(part.sizes.sum())
    sampled = f"{shown:,} of {total:,} parameters, evenly spread" if shown < total else f"all {total:,} parameters"
    steps = f"{len(part.steps):,} steps, {step_text(part.steps[0])} to {step_text(part.steps[-1])}"
    single = f"{part.names[0]} · " if len(part.names) == 1 else ""
    return facet(
        pd.DataFrame(), draw, fig=fig, figsize=figsize, ax=ax, title=title,
        named=f"{single}signs of gradients within {part.threshold:g}",
        subtitle="  |  ".join([sampled, steps]), single_size=(10.0, 4.8), style=style,
    )  # fmt: skip


def draw_raster(raster: Raster, ax: Axes, *, marks: np.ndarray | None = None, style: Style) -> None:
    """Draw the codes of a raster, a row for each step, with lines between tensors.

    `marks` are those of tensors at steps, [steps, tensors], with NaN or infinite gradients.
    """
    ends = np.cumsum([0, *raster.sizes])
    kept = np.diff(raster.edges)
    spans = [np.linspace(a, b, n + 1)[:-1] for a, b, n in zip(ends[:-1], ends[1:], kept, strict=True)]
    borders = np.concatenate([*spans, ends[-1:]])
    colours = {NEGATIVE: style.series[1], POSITIVE: style.series[0], NONE: _between(style.panel, style.zero)}
    heat = _Signs(ax, raster.codes, borders, edges(raster.steps), partial(_paint, colours=colours, style=style))
    heat.note = (ax.xaxis.label, "step")
    if marks is not None and marks.any():
        heat.marks = np.repeat(marks, kept, axis=1)
        Hatched(heat, (style.nan, style.inf, style.paper))
        for words, colour, hatched in hatches(marks, style):
            look = {"facecolor": style.panel, "edgecolor": colour, "hatch": hatched[::2], "linewidth": 0.5}
            ax.add_patch(Rectangle((0, 0), 0, 0, label=words, **look))
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set_visible(True)
    ax.set_xlim(0, ends[-1])
    ax.set_ylim(heat.y[0], heat.y[-1])
    step_ticks(ax.yaxis)
    ax.set_ylabel("step")
    ax.set_xlabel("parameters, first layer to last")
    ax.vlines(ends[1:-1], 0, 1, transform=ax.get_xaxis_transform(), colors=style.ink, linewidth=0.8, zorder=2)
    layers = _Layers(raster.names, ends, style.small)
    ax.xaxis.set_major_locator(layers)
    ax.xaxis.set_major_formatter(layers.names)
    there = {code: bool((raster.codes == code).any()) for code in _CODES}
    named = {NEGATIVE: "negative", POSITIVE: "positive", NONE: "exactly zero, or none"}
    for code in _CODES:
        if there[code]:
            ax.plot([], [], "s", color=colours[code], markersize=7, label=named[code])
    ax.plot(
        [], [], "s", color=style.panel, markeredgecolor=style.edge, markersize=7, label=f"above {raster.threshold:g}"
    )


def _not_finite(folder: str | os.PathLike[str], raster: Raster) -> np.ndarray | None:
    """Return the marks of tensors at steps, [steps, tensors], from the log in a run's folder; None without one."""
    counts = [("scalar_stats", name) for name in ("nans", "infs")]
    try:
        rows = logframe.select(folder, tt=WEIGHT_GRADIENT, columns=counts)
    except (LookupError, OSError, ValueError):  # the raster lies there without its log, or the log has no such counts
        return None
    names, steps = rows[("metadata", "name")].astype(str), rows[("metadata", "step")]
    known = names.isin(raster.names).to_numpy() & steps.isin(raster.steps).to_numpy()
    rows, names, steps = rows[known], names[known], steps[known]
    marks = np.zeros((len(raster.steps), len(raster.names)), np.uint8)
    at = np.searchsorted(raster.steps, steps), np.array([raster.names.index(name) for name in names], int)
    marks[at] = marks_of(np.stack([rows[label].to_numpy(float) for label in counts]))
    return marks


def _between(one: str, other: str) -> str:
    return to_hex(np.mean([to_rgba(one), to_rgba(other)], axis=0))


def _chosen(raster: Raster, layer: Names | None, step: slice | None) -> Raster:
    rows, kept = np.arange(len(raster.steps)), np.arange(len(raster.names))
    if step is not None:
        rows = np.flatnonzero(rows_at(raster.steps, step))
    if layer is not None:
        kept = np.flatnonzero(rows_named(pd.Series(raster.names), layer, "layer"))
    if not len(rows):
        raise UnknownName(f"no step in {step}; the raster has {raster.steps[0]} to {raster.steps[-1]}")
    columns = np.concatenate([np.arange(raster.edges[i], raster.edges[i + 1]) for i in kept])
    widths = np.diff(raster.edges)[kept]
    return raster._replace(
        steps=raster.steps[rows],
        names=[raster.names[i] for i in kept],
        sizes=raster.sizes[kept],
        edges=np.concatenate([[0], np.cumsum(widths)]),
        codes=raster.codes[rows][:, columns],
    )


class _Signs(Heat):
    """A heat map of codes, whose pixels show shares of codes: [rows, columns], or [rows, columns, one of _CODES]."""

    order = (1, 0)  # there are many more parameters than steps
    how = "mixed"

    def reduced(self, parts: np.ndarray, first: np.ndarray, last: np.ndarray, axis: int) -> np.ndarray:
        if (last - first == 1).all():
            return np.take(parts, first, axis)
        tables = [parts == code for code in _CODES] if parts.ndim == 2 else list(np.moveaxis(parts, 2, 0))
        return np.stack([_mean(table, first, last, axis) for table in tables], -1)

    def cell_at(self, x: float, y: float) -> tuple[int, int] | None:
        if not (self.x[0] <= x <= self.x[-1] and self.y[0] <= y <= self.y[-1]):
            return None
        places = (np.searchsorted(borders, at, "right") - 1 for borders, at in ((self.y, y), (self.x, x)))
        row, column = (int(np.clip(place, 0, size - 1)) for place, size in zip(places, self.values.shape, strict=True))
        return row, column


def _mean(table: np.ndarray, first: np.ndarray, last: np.ndarray, axis: int) -> np.ndarray:
    padded = np.concatenate([table, np.take(table, [-1], axis)], axis)
    pairs = np.stack([first, last], axis=1).ravel()
    sums = np.add.reduceat(padded, pairs, axis=axis, dtype=np.float32)
    sums = np.take(sums, np.arange(0, len(pairs), 2), axis)
    count = (last - first).astype(np.float32)
    return sums / (count[:, None] if axis == 0 else count)


def _paint(parts: np.ndarray, colours: dict[int, str], style: Style) -> np.ndarray:
    shares = parts if parts.ndim == 3 else np.stack([parts == code for code in _CODES], -1).astype(np.float32)
    mixed = np.array([to_rgba(colours[code]) for code in _CODES], np.float32)
    blank = np.array(to_rgba(style.panel), np.float32)
    rgba = blank + shares @ (mixed - blank)
    return (rgba * 255).round().astype(np.uint8)


class _Layers(Locator):
    """Puts the name of each tensor in the middle of its visible part, where there is room for it."""

    def __init__(self, names: Sequence[str], ends: np.ndarray, size: float):
        self._names, self._ends, self._size = row_names(names, 24), ends, size
        self.names = FixedFormatter([])

    def __call__(self) -> Sequence[float]:
        axis: Axis = self.axis  # type: ignore[assignment]
        low, high = sorted(axis.get_view_interval())
        per_point = (high - low) / max(length_in_points(axis), 1)
        starts, stops = np.maximum(self._ends[:-1], low), np.minimum(self._ends[1:], high)
        found: list[tuple[float, float, str]] = []  # middle, half a width, name
        for i in np.argsort(starts - stops, kind="stable"):  # the widest first
            if stops[i] > starts[i]:
                middle = float(starts[i] + stops[i]) / 2
                half = (len(self._names[i]) * CHARACTER * self._size / 2 + 4) * per_point
                if all(abs(middle - at) > half + other for at, other, _ in found):
                    found.append((middle, half, self._names[i]))
        found.sort()
        self.names.seq = [escaped(name) for *_, name in found]
        return [middle for middle, *_ in found]

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        return self()
