"""Hatches over the cells of a heat map that stand for tensors with some values that are NaN or infinite."""

from typing import NamedTuple

import numpy as np
from matplotlib.backend_bases import RendererBase
from matplotlib.colors import to_rgba
from matplotlib.image import AxesImage
from matplotlib.transforms import Affine2D

from tandv.viz.layout.heat import SOME_INF, SOME_NAN, Heat


def hatch(picture: np.ndarray, marks: np.ndarray, rows: np.ndarray, columns: np.ndarray, look: "Hatch") -> None:
    """Draw lines over the pixels of marked cells, in place: NaN falling, infinity rising; denser in small cells.

    `picture` is [pixels, pixels] of RGBA bytes, `marks` are those of cells; `rows` and `columns` are the cell in which
    each pixel lies, -1 outside.
    """
    high, wide = (np.bincount(cells[cells >= 0], minlength=1)[cells] for cells in (rows, columns))
    for bit, colour, direction in ((SOME_NAN, look.nan, 1), (SOME_INF, look.inf, -1)):
        marked = np.pad((marks & bit).astype(bool), ((0, 1), (0, 1)))  # -1 is the padding
        down, across = np.flatnonzero(marked.sum(1)[rows]), np.flatnonzero(marked.sum(0)[columns])
        if not (len(down) and len(across)):
            continue
        row, column = rows[down][:, None], columns[across][None, :]
        tall, broad = high[down][:, None], wide[across][None, :]
        small = (tall < look.period // 2) | (np.maximum(tall, broad) < look.period)  # lines would cross it rarely
        place = down[:, None] + direction * across[None, :] + (bit == SOME_INF) * look.width  # beside the other's lines
        place %= np.where(small, 2 * look.width, look.period)
        inside = marked[row, column]
        line = inside & (place < look.width)
        hit = np.zeros(marked.shape, bool)
        at = np.nonzero(line)
        hit[row[at[0], 0], column[0, at[1]]] = True
        missed = (marked & ~hit)[row, column]  # a cell of so few pixels that no line crosses it
        part = picture[down[:, None], across[None, :]]
        part[inside & ~small & (place >= look.width) & (place < 2 * look.width)] = look.halo
        part[line | missed] = colour
        picture[down[:, None], across[None, :]] = part


class Hatch(NamedTuple):
    """How marked cells are hatched: RGBA bytes, and pixels from line to line and of each."""

    nan: np.ndarray
    inf: np.ndarray
    halo: np.ndarray
    period: int
    width: int


def reduce_marks(marks: np.ndarray, first: np.ndarray, last: np.ndarray, axis: int) -> np.ndarray:
    """Return the marks of each range first[i] to last[i] (not included): all that any of its cells has."""
    if (last - first == 1).all():
        return np.take(marks, first, axis)
    padded = np.concatenate([marks, np.take(marks, [-1], axis)], axis)
    pairs = np.stack([first, last], axis=1).ravel()
    return np.take(np.bitwise_or.reduceat(padded, pairs, axis=axis), np.arange(0, len(pairs), 2), axis)


class Hatched(AxesImage):
    """The hatches over the marked cells of a heat map, above any line in it.

    `colours` are those of NaN, of infinity and of the edges of lines.
    """

    def __init__(self, heat: Heat, colours: tuple[str, str, str]):
        super().__init__(heat.axes, origin="lower", extent=heat.get_extent(), zorder=2.5)
        self._heat = heat
        self._colours = [(np.array(to_rgba(colour)) * 255).round().astype(np.uint8) for colour in colours]
        self._made: tuple | None = None
        self.set_data(np.zeros((1, 1)))
        self.set_clip_path(heat.axes.patch)
        heat.axes.add_image(self)

    def make_image(
        self, renderer: RendererBase, magnification: float = 1.0, unsampled: bool = False
    ) -> tuple[np.ndarray, float, float, Affine2D]:
        """Return the image of the hatches in view (matplotlib calls this when it draws)."""
        x, y, box = self._heat.borders(magnification)
        key = (box, x[0], x[-1], y[0], y[-1])
        if self._made is None or self._made[0] != key:
            self._made = (key, self._picture(x, y, magnification))
        return self._made[1], box[0] / magnification, box[1] / magnification, Affine2D()

    def _picture(self, x: np.ndarray, y: np.ndarray, magnification: float) -> np.ndarray:
        shown, marks = self._heat.cells(x, y), self._heat.marks
        picture = np.zeros((len(shown.row), len(shown.column), 4), np.uint8)
        if marks is None or not all(len(starts) for starts, _ in shown.ranges):
            return picture
        for axis, (starts, ends) in enumerate(shown.ranges):
            marks = reduce_marks(marks, starts, ends, axis)
        point = self.axes.figure.dpi / 72 * magnification  # type: ignore[union-attr]
        width = max(round(1.1 * point), 1)
        nan, inf, halo = self._colours
        hatch(picture, marks, shown.row, shown.column, Hatch(nan, inf, halo, max(round(6 * point), 4 * width), width))
        return picture
