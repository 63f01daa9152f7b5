"""A heat map that is reduced to the available pixels at every size, zoom and resolution, without losing extremes.

>>> bucket = buckets(np.arange(11), np.array([0.0, 5.0, 10.0]))       # 10 cells into 2 pixels
>>> [b.tolist() for b in bucket]
[[0, 5], [5, 10]]
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.font_manager import FontProperties
from matplotlib.image import AxesImage
from matplotlib.text import Text
from matplotlib.transforms import Affine2D

from tandv.viz.layout.measuring import renderer_of

MISSING = -np.inf
SOME_NAN, SOME_INF = 1, 2  # bits of the marks of a cell: some values of its tensor are NaN, some are infinite


def edges(centres: np.ndarray) -> np.ndarray:
    """Return the borders of cells around sorted centres: half-way between neighbours."""
    centres = np.asarray(centres, float)
    if len(centres) == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    middle = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[1.5 * centres[0] - 0.5 * centres[1]], middle, [1.5 * centres[-1] - 0.5 * centres[-2]]])


def buckets(borders: np.ndarray, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each pixel between sorted `pixels` borders the first and one past the last cell shown in it.

    A pixel shows the cells whose centre lies in it; where there is none, the one cell that covers its centre.
    A pixel outside the table has first == last.
    """
    centres = (borders[1:] + borders[:-1]) / 2
    middle = (pixels[1:] + pixels[:-1]) / 2
    first, last = (np.searchsorted(centres, p, "left") for p in (pixels[:-1], pixels[1:]))
    none = first == last
    covering = np.searchsorted(borders, middle, "right") - 1
    first = np.where(none, np.clip(covering, 0, len(centres) - 1), first)
    last = np.where(none, first + 1, last)
    outside = (middle < borders[0]) | (middle >= borders[-1])
    return np.where(outside, 0, first), np.where(outside, 0, last)


def reduce(values: np.ndarray, first: np.ndarray, last: np.ndarray, axis: int, signed: bool = False) -> np.ndarray:
    """Return the largest value (by magnitude if `signed`) of each range first[i] to last[i] (not included).

    NaN and zero are kept by any reduction (NaN before infinity before zero before numbers); missing cells only
    where there is nothing else.
    """
    if len(first) == values.shape[axis] and (last - first == 1).all():
        return np.take(values, first, axis)
    # reduceat takes pairs of ends, the last one inside of the array.
    padded = np.concatenate([values, np.take(values, [-1], axis)], axis)
    pairs = np.stack([first, last], axis=1).ravel()

    def each(operation: np.ufunc, table: np.ndarray) -> np.ndarray:
        return np.take(operation.reduceat(table, pairs, axis=axis), np.arange(0, len(pairs), 2), axis)

    out = each(np.maximum, padded)
    if signed:
        low = each(np.minimum, np.where(padded == MISSING, np.inf, padded))
        out = np.where(np.isfinite(low) & (-low > out), low, out)
    zero = padded == 0
    if zero.any():
        out = np.where(each(np.logical_or, zero) & np.isfinite(out), 0, out)
    return out


class Shown(NamedTuple):
    """The cells that pixels show: ranges (first, one past last) of rows and of columns, one each for several pixels.

    `row` and `column` are the range of each pixel, from the lower left, -1 outside the table.
    """

    ranges: list[tuple[np.ndarray, np.ndarray]]
    row: np.ndarray
    column: np.ndarray


class Heat(AxesImage):
    """A table of cells in Axes, drawn from as many cells as there are pixels.

    `values` is [rows, columns], `x` and `y` are the ascending borders of columns and rows in data units,
    `paint` turns a table of values into RGBA bytes, NaN, 0 and MISSING included. `note` is a label, to which the
    reduction is added, and what a row is. `marks` has the bits SOME_NAN and SOME_INF of each cell (see Hatched).
    """

    order: tuple[int, ...] = (0, 1)  # of the axes along which cells are reduced
    how = "max"  # how several cells in a pixel are combined

    def __init__(
        self,
        ax: Axes,
        values: np.ndarray,
        x: np.ndarray,
        y: np.ndarray,
        paint: Callable[[np.ndarray], np.ndarray],
        *,
        signed: bool = False,
        note: tuple[Text, str] | None = None,
        marks: np.ndarray | None = None,
    ):
        extent = (float(x[0]), float(x[-1]), float(y[0]), float(y[-1]))
        super().__init__(ax, origin="lower", extent=extent)
        self.values, self.x, self.y, self.paint, self.signed, self.note = values, x, y, paint, signed, note
        self.marks = marks if marks is not None and marks.any() else None
        self._made: tuple | None = None
        self._plain: str | None = None  # the label without the note
        self.set_data(np.zeros((1, 1)))
        self.set_clip_path(ax.patch)
        ax.add_image(self)

    def reduced(self, parts: np.ndarray, first: np.ndarray, last: np.ndarray, axis: int) -> np.ndarray:
        """Return the value that is shown for each range of cells along an axis."""
        return reduce(parts, first, last, axis, self.signed)

    def borders(self, magnification: float = 1.0) -> tuple[np.ndarray, np.ndarray, tuple[int, int, int, int]]:
        """Return the borders of the pixels of the Axes in data units, and the box in (magnified) pixels."""
        box = tuple((np.asarray(self.axes.bbox.extents) * magnification + 0.5).astype(int).tolist())
        left, bottom, right, top = box
        columns = np.linspace(left, right, max(right - left, 1) + 1) / magnification
        rows = np.linspace(bottom, top, max(top - bottom, 1) + 1) / magnification
        back = self.axes.transData.inverted()
        x = back.transform(np.column_stack([columns, np.full(len(columns), rows[0])]))[:, 0]
        y = back.transform(np.column_stack([np.full(len(rows), columns[0]), rows]))[:, 1]
        # The Axes may end inside a pixel: the outermost pixels take the rest.
        x[[0, -1]], y[[0, -1]] = self.axes.get_xlim(), self.axes.get_ylim()
        return x, y, box

    def make_image(
        self, renderer: RendererBase, magnification: float = 1.0, unsampled: bool = False
    ) -> tuple[np.ndarray, float, float, Affine2D]:
        """Return the image of the cells in view (matplotlib calls this when it draws)."""
        x, y, box = self.borders(magnification)
        key = (box, x[0], x[-1], y[0], y[-1])
        if self._made is None or self._made[0] != key:
            self._made = (key, self._picture(x, y))
        return self._made[1], box[0] / magnification, box[1] / magnification, Affine2D()

    def _picture(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        shown = self.cells(x, y)
        sizes = [(int(ends[-1] - starts[0]) if len(starts) else 0, len(starts)) for starts, ends in shown.ranges]
        self._write_note(*sizes)
        parts = self.values
        for axis in self.order:
            starts, ends = shown.ranges[axis]
            parts = self.reduced(parts, starts, ends, axis) if len(starts) else np.take(parts, [], axis)
        colours = self.paint(parts)
        # One more row and column, transparent, for pixels outside the table (-1).
        framed = np.zeros((colours.shape[0] + 1, colours.shape[1] + 1, 4), np.uint8)
        framed[:-1, :-1] = colours
        return np.ascontiguousarray(framed[shown.row[:, None], shown.column[None, :]])

    def cells(self, x: np.ndarray, y: np.ndarray) -> Shown:
        """Return which cells are in view between borders of pixels, and which of these each pixel shows."""
        # An axis may be inverted (layers go downwards): reduce ascending, flip at the end.
        right, up = x[0] < x[-1], y[0] < y[-1]
        columns = buckets(self.x, x if right else x[::-1])
        rows = buckets(self.y, y if up else y[::-1])
        ranges, wheres = [], []
        for first, last in (rows, columns):
            shown = last > first
            starts, where = np.unique(first[shown], return_inverse=True)
            ends = np.zeros(len(starts), int)
            ends[where] = last[shown]
            ranges.append((starts, ends))
            wheres.append(np.full(len(first), -1))
            wheres[-1][shown] = where
        return Shown(ranges, wheres[0][:: 1 if up else -1], wheres[1][:: 1 if right else -1])

    def _write_note(self, rows: tuple[int, int], columns: tuple[int, int]) -> None:
        """Add to the label how many cells were reduced to how many pixels."""
        if self.note is None:
            return
        label, row = self.note
        if not label.get_text():  # the label was removed, for example because a panel below has it
            return
        reductions = [f"{columns[0]:,} in {columns[1]:,} columns"] if columns[0] > columns[1] else []
        reductions += [f"{rows[0]:,} {row}s in {rows[1]:,} rows"] if rows[0] > rows[1] else []
        if self._plain is None:
            self._plain = label.get_text()  # it may have been shortened to the panel's width
        text = self._plain + (f"  ({', '.join(reductions)}: {self.how})" if reductions else "")
        for shorter in (f"{self._plain} ({self.how})" if reductions else self._plain, self._plain):
            text = text if self._fits(label, text) else shorter
        if label.get_text() != text:
            label.set_text(text)

    def _fits(self, label: Text, words: str) -> bool:
        fig = self.axes.figure
        font = FontProperties(size=label.get_fontsize())
        wide = renderer_of(fig).get_text_width_height_descent(words, font, False)[0]
        box = self.axes.bbox
        beside = [other.bbox for other in fig.axes if other.bbox.y0 < box.y1 and other.bbox.y1 > box.y0]
        # a neighbour's label may reach as far
        gaps = [max(other.x0 - box.x1, box.x0 - other.x1) / 2 for other in beside if other is not box]
        beyond = min([box.x0, fig.bbox.width - box.x1, 0.2 * fig.bbox.width, *(gap for gap in gaps if gap >= 0)])
        return wide <= box.width + 2 * beyond

    def cell_at(self, x: float, y: float) -> tuple[int, int] | None:
        """Return row and column of the cell at data coordinates: of several in one pixel, the one that is shown."""
        if not (self.x[0] <= x <= self.x[-1] and self.y[0] <= y <= self.y[-1]):
            return None
        across, along, _ = self.borders()
        (row, rows), (column, columns) = self._under(self.y, along, y), self._under(self.x, across, x)
        part = self.values[row:rows, column:columns]
        rank = np.where(np.isnan(part), np.inf, np.abs(part) if self.signed else part)
        rank = np.where(part == MISSING, MISSING, np.where(part == 0, np.finfo(float).max, rank))
        if self.marks is not None:  # the pixel is hatched for these
            marked = (self.marks[row:rows, column:columns] > 0) & ~np.isnan(part)
            rank = np.where(marked, np.finfo(float).max, rank)
        at = np.unravel_index(int(np.argmax(rank)), part.shape)
        return row + int(at[0]), column + int(at[1])

    def _under(self, borders: np.ndarray, pixels: np.ndarray, at: float) -> tuple[int, int]:
        exact = int(np.clip(np.searchsorted(borders, at, "right") - 1, 0, len(borders) - 2))
        pixels = np.sort(pixels)
        pixel = np.searchsorted(pixels, at, "right") - 1
        if not 0 <= pixel < len(pixels) - 1:
            return exact, exact + 1
        first, last = buckets(borders, pixels[pixel : pixel + 2])
        several = last[0] - first[0] > 1
        return (int(first[0]), int(last[0])) if several else (exact, exact + 1)
