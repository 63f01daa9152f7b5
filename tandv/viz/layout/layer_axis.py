"""The axis of layers: model order from the top, every name where there is room, else names of groups of layers.

>>> [group.name for group in grouped(["embed", "layers.0.wq", "layers.0.wo", "layers.1.wq"], depth=2)]
['embed', 'layers.0', 'layers.1']
"""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedFormatter, Locator
from matplotlib.transforms import Bbox, TransformedBbox

from tandv.viz.layout.legends import shortened
from tandv.viz.layout.style import Style
from tandv.viz.layout.ticks import CHARACTER, length_in_points
from tandv.viz.layout.written import escaped


class LayerGroup(NamedTuple):
    """Neighbouring layers whose dotted names have a common beginning: rows first to last, both included."""

    name: str
    first: int
    last: int

    @property
    def middle(self) -> float:
        return (self.first + self.last) / 2


def grouped(names: Sequence[str], depth: int) -> list[LayerGroup]:
    """Return the runs of layers that share the first `depth` parts of their names."""
    heads = [".".join(name.split(".")[:depth]) for name in names]
    runs = [(head, [i for i, _ in run]) for head, run in groupby(enumerate(heads), key=lambda pair: pair[1])]
    return [LayerGroup(head, rows[0], rows[-1]) for head, rows in runs]


def elide(name: str, most: int) -> str:
    """Return a name of at most `most` characters: its beginning, dots, and more of its end.

    >>> elide("layers.10.attention.query.weight", 20)
    'layers.…query.weight'
    """
    if len(name) <= most:
        return name
    tail = max(int(most * 0.62), 1)
    return name[: most - 1 - tail] + "…" + name[-tail:]


def row_names(names: Sequence[str], most: int) -> list[str]:
    """Return names of about `most` characters that are as distinct as they were, with more of their ends if possible.

    >>> row_names(["model.layers.0.self_attention.projection", "model.layers.1.self_attention.projection"], 14)
    ['…layers.0…', '…layers.1…']
    """
    elided = [elide(name, most) for name in names]
    return elided if len(set(elided)) == len(set(names)) else shortened(names, most)


def levels(names: Sequence[str]) -> list[list[LayerGroup]]:
    """Return the ways to name the rows, from single layers to ever larger groups."""
    deepest = max((name.count(".") for name in names), default=0)
    every = [LayerGroup(name, i, i) for i, name in enumerate(names)]
    out = [every]
    for depth in range(deepest, 0, -1):
        found = grouped(names, depth)
        if len(found) < len(out[-1]):
            out.append(found)
    return out


def distinguishable(ways: list[list[LayerGroup]], most: int) -> list[list[LayerGroup]]:
    """Leave out the levels at which names cut to `most` characters are no longer distinct."""
    kept = [way for way in ways if len({elide(b.name, most) for b in way}) == len({b.name for b in way})]
    return ([way for way in kept if len(way) >= 4] and kept) or ways


def labelled(ways: Sequence[list[LayerGroup]], low: float, high: float, apart: float) -> list[LayerGroup]:
    """Return the groups to label in the rows from low to high, with labels at least `apart` rows apart.

    The finest level at which nearly every row has a label is used; if that leaves fewer than four names, every
    second, fifth, ... group of the coarsest useful level is named instead.
    """
    inside = [[b for b in way if b.last >= low and b.first <= high] for way in ways]
    useful = [way for way in inside if len(way) >= 4] or inside[:1]
    for way in useful:
        kept = _spaced(way, apart)
        if sum(b.last - b.first + 1 for b in kept) >= 0.9 * sum(b.last - b.first + 1 for b in way):
            return kept
    coarsest = useful[-1]
    largest = max(b.last - b.first for b in coarsest)
    main = [b for b in coarsest if 2 * (b.last - b.first) >= largest]
    stride = next(s for s in (1, 2, 4, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 10**9) if _fits(main[::s], apart))
    kept = main[::stride]
    others = [b for b in coarsest if b not in main]
    return _spaced(others, apart, kept)


def _fits(some: Sequence[LayerGroup], apart: float) -> bool:
    return all(b.middle - a.middle >= apart for a, b in pairwise(some))


def _spaced(way: Sequence[LayerGroup], apart: float, kept: Sequence[LayerGroup] = ()) -> list[LayerGroup]:
    """Return `kept` and as many others as are `apart`, larger groups before smaller ones."""
    out = list(kept)
    taken = np.array([b.middle for b in out])
    for block in sorted(way, key=lambda b: (b.first - b.last, b.first)):
        if not taken.size or np.abs(taken - block.middle).min() >= apart - 1e-9:
            out.append(block)
            taken = np.append(taken, block.middle)
    return sorted(out, key=lambda b: b.first)


class LayerLocator(Locator):
    """Positions the labels of layers again whenever the height or the zoom changes."""

    def __init__(self, names: Sequence[str], most: int, size: float):
        self.ways, self.most, self.size = distinguishable(levels(names), most), most, size
        self.names = FixedFormatter([])
        self._made: tuple | None = None

    def __call__(self) -> Sequence[float]:
        axis: Axis = self.axis  # type: ignore[assignment]
        low, high = sorted(axis.get_view_interval())
        height = length_in_points(axis)
        if self._made is None or self._made[0] != (low, high, height):
            apart = self.size * 1.25 * (high - low) / max(height, 1)
            shown = [b for b in labelled(self.ways, low, high, apart) if low <= b.middle <= high]
            self._made = ((low, high, height), [b.middle for b in shown])
            self.names.seq = [escaped(name) for name in row_names([b.name for b in shown], self.most)]
        return self._made[1]

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        return self()


def layer_axis(ax: Axes, names: Sequence[str], style: Style) -> None:
    """Make the y axis of `ax` one of layers, the first at the top, with thin lines between groups."""
    where = ax.get_subplotspec()
    panels = where.get_gridspec().ncols if where is not None else 1
    points = ax.figure.bbox.width * 72 / ax.figure.dpi / panels
    most = int(np.clip(0.26 * points / (style.small * CHARACTER), 8, 40))
    locator = LayerLocator(names, most, style.small)
    ax.yaxis.set_major_locator(locator)
    ax.yaxis.set_major_formatter(locator.names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    borders = separators(names)
    if len(borders):
        ax.hlines(borders, 0, 1, transform=ax.get_yaxis_transform(), colors=style.paper, linewidth=0.8, zorder=1)


STRIP = 5.0  # points: how wide the strip of kinds is
_KINDS = 7  # distinct kinds; rarer ones are together


def kinds_of(rows: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Return the kind of module of each of some names, "" where a log does not tell."""
    first = rows.drop_duplicates(subset=[("metadata", "name")])
    found = dict(zip(first[("metadata", "name")].astype(str), first[("metadata", "type")].astype(str), strict=True))
    return [found.get(name, "") for name in names]


def draw_kinds(ax: Axes, kinds: Sequence[str], style: Style) -> dict[str, Rectangle]:
    """Draw a strip along the axis of layers, a colour for each kind of module; return the entries of its legend.

    Nothing is drawn for a single kind.
    """
    common = [kind for kind, _ in Counter(kind for kind in kinds if kind).most_common(_KINDS)]
    if len(common) < 2:
        return {}
    order = [kind for kind in dict.fromkeys(kinds) if kind in common]
    colours = dict(zip(order, _kind_colours(style), strict=False))
    wide = STRIP * ax.figure.dpi / 72 / ax.bbox.width
    clip = TransformedBbox(Bbox([[-2 * wide, 0], [0, 1]]), ax.transAxes)
    row = 0
    for kind, run in groupby(kinds):
        count = len(list(run))
        colour = colours.get(kind, style.grid)
        patch = Rectangle(
            (-1.5 * wide, row - 0.5), wide, count, transform=ax.get_yaxis_transform(), color=colour, linewidth=0,
            zorder=2,
        )  # fmt: skip
        ax.add_artist(patch)
        patch.set_clip_path(None)
        patch.set_clip_box(clip)
        row += count
    ax.tick_params(axis="y", pad=3.5 + 1.5 * STRIP)
    entries = {kind: Rectangle((0, 0), 1, 1, color=colours[kind], linewidth=0) for kind in order}
    rest = any(kind not in colours for kind in kinds)
    return entries | ({"other": Rectangle((0, 0), 1, 1, color=style.grid, linewidth=0)} if rest else {})


def _kind_colours(style: Style) -> list[str]:
    """Return colours of the theme that are none of a map's, an outline's or a mark's."""
    return [style.series[i] for i in (5, 4, 3, 2, 7, 0, 6)]


def separators(names: Sequence[str], most: int = 60) -> np.ndarray:
    """Return the rows between groups, at the level whose groups (at most half of all rows each) cover most layers."""

    def together(way: list[LayerGroup]) -> int:
        sizes = [b.last - b.first + 1 for b in way]
        return sum(size for size in sizes if 2 <= size <= len(names) / 2)

    ways = [way for way in reversed(levels(names)[1:]) if len(way) <= most]  # the coarsest first, which `max` prefers
    best = max(ways, key=together, default=[])
    return np.array([b.first - 0.5 for b in best[1:]]) if best and together(best) else np.array([])
