"""The exponents of every tensor of a type, pooled to given columns in one pass over the files of a log."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tandv.log._layout import Layout
from tandv.log._levels import by_group
from tandv.log._pieces import LANES, FilePiece, Piece
from tandv.log.shown import as_levels

_ROWS = 1 << 16  # of a table that are looked at together


def pooled_exponents(
    pieces: Sequence[Piece], tt: str, rows: Mapping[int, int], starts: np.ndarray, limits: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest share of each exponent in each column, as levels, and of zeros, infinities and NaN.

    Args:
        pieces: the pieces of the log that have tensors of the type.
        tt: the tensor type.
        rows: the row of each tensor, by its number.
        starts: [columns] the step at which each column begins; a step before the first lies in the first.
        limits: the lowest and the highest exponent.
    """
    low, high = limits
    columns, bins = len(starts), high - low + 1
    shares = np.zeros((len(rows), columns, bins), np.uint8)
    lanes = np.zeros((len(rows), 3, columns), np.float32)
    for piece in pieces:
        layout = piece.layouts[tt]
        column_of = np.maximum(np.searchsorted(starts, layout.steps, "right") - 1, 0)
        row_of = np.array([rows[number] for number in layout.tensors.tolist()])
        for first, last in by_group(layout) if isinstance(piece, FilePiece) else _some(layout):
            found = piece.rows(tt, first, last, LANES)
            counted = {name: np.nan_to_num(found.columns.get(name, np.zeros(len(found.at)))) for name in LANES}
            ends = np.stack([found.zeros, found.infs, counted["nans"]]).astype(np.float64)
            each = np.repeat(np.arange(len(found.at)), found.many)
            total = np.bincount(each, found.counts, len(found.at)) + ends.sum(axis=0)
            whole = np.maximum(np.maximum(total, counted["numel"]), 1)
            row = np.repeat(row_of[first:last], np.diff(found.starts))
            column = column_of[found.at]
            at = (row * columns + column)[each] * bins + (found.exponents.astype(np.intp) - low)
            np.maximum.at(shares.reshape(-1), at, as_levels(found.counts / whole[each]))
            for lane, values in enumerate(ends):
                np.maximum.at(lanes[:, lane], (row, column), (values / whole).astype(np.float32))
    return shares, lanes


def _some(layout: Layout) -> Iterator[tuple[int, int]]:
    """Yield tensors, from the first to before the last, that have some thousands of rows together."""
    last = len(layout.tensors)
    at = 0
    while at < last:
        to = max(int(np.searchsorted(layout.starts, layout.starts[at] + _ROWS, "right")) - 1, at + 1)
        yield at, to
        at = to
