"""Put what pieces of a log hold into arrays over all layers and steps."""

from collections.abc import Hashable, Iterable, Mapping, Sequence, Set
from typing import NamedTuple

import numpy as np

from tandv.log._layout import Layout
from tandv.log._levels import Level
from tandv.log._pieces import Piece, Rows
from tandv.log.narrowed import narrowed
from tandv.log.shown import ABSENT, INFINITE, NAN, Cell, Exponents, Shares

Block = tuple[np.ndarray, np.ndarray]  # `narrowed` values and uint8 flags of a piece, [its tensors, its steps]


class Arranged(NamedTuple):
    """A statistic of one tensor type as it was put together, so that the next time only new pieces are read.

    Args:
        values: [layers, steps] float32, or float64, see `narrowed`.
        flags: [layers, steps] uint8.
        rows: the row of each tensor, by its number.
        steps: all steps.
        pieces: what tells the pieces apart that it was made of.
        version: of the log.
    """

    values: np.ndarray
    flags: np.ndarray
    rows: Mapping[int, int]
    steps: np.ndarray
    pieces: Set[Hashable]
    version: int

    def block(self, layout: Layout) -> Block:
        """Return the part that is one piece's."""
        at = _at(layout, self.rows, self.steps)
        return self.values[at], self.flags[at]


def steps_of(pieces: Sequence[Piece]) -> np.ndarray:
    """Return the steps of all pieces, ascending, [n] int64."""
    each = {layout.steps.tobytes(): layout.steps for piece in pieces for layout in piece.layouts.values()}
    return np.unique(np.concatenate([np.zeros(0, np.int64), *each.values()]))


def state(piece: Piece, tt: str) -> np.ndarray:
    """Return the flags of a piece that hold for all statistics, [its tensors, its steps] uint8."""
    layout = piece.layouts[tt]
    flags = np.zeros(int(layout.starts[-1]), np.uint8)
    if not piece.is_finite(tt):
        columns = piece.columns(tt, ("nans", "infs"))
        for name, flag in (("nans", NAN), ("infs", INFINITE)):
            if name in columns:
                flags[columns[name] > 0] |= flag
    return layout.arranged(flags, ABSENT)


def block(piece: Piece, tt: str, metric: str, flags: np.ndarray) -> Block | None:
    """Return a statistic of a piece; None where it has none of it.

    Args:
        piece: the piece.
        tt: the tensor type.
        metric: the statistic.
        flags: what `state` says of the piece.
    """
    found = piece.columns(tt, (metric,)).get(metric)
    if found is None:
        return None
    values = piece.layouts[tt].arranged(narrowed(found))
    if np.isfinite(values).all():
        return values, flags
    flags = flags.copy()
    flags[np.isinf(values)] |= INFINITE
    # Without counts only the statistic tells that values are NaN; with them it is NaN where there is no number.
    flags[np.isnan(values) & (flags == 0)] |= ABSENT if "nans" in piece.metrics else NAN
    return values, flags


def matrix(
    blocks: Iterable[tuple[Layout, Block | None]], rows: Mapping[int, int], steps: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return blocks as one: values and flags, [layers, steps].

    Args:
        blocks: the layout and the block of each piece.
        rows: the row of each tensor, by its number.
        steps: all steps.
    """
    values = np.full((len(rows), len(steps)), np.nan, np.float32)
    flags = np.full(values.shape, ABSENT, np.uint8)
    for layout, found in blocks:
        if found is None:
            continue
        at = _at(layout, rows, steps)
        own, own_flags = found
        if own.dtype != values.dtype and own.dtype == np.float64:
            values = values.astype(np.float64)
        if (own_flags & ABSENT).any():  # another piece may have a row where this one has none
            own = np.where(own_flags & ABSENT, values[at], own)
            own_flags = np.where(own_flags & ABSENT, flags[at], own_flags)
        values[at], flags[at] = own, own_flags
    return values, flags


def marked(
    blocks: Iterable[tuple[Layout, np.ndarray | None]], rows: Mapping[int, int], steps: np.ndarray
) -> np.ndarray:
    """Return booleans of pieces as one array [layers, steps]; see `matrix`."""
    out = np.zeros((len(rows), len(steps)), bool)
    for layout, found in blocks:
        if found is not None:
            out[_at(layout, rows, steps)] |= found
    return out


def exponents(found: Iterable[tuple[np.ndarray, Rows | None]], steps: np.ndarray, limits: tuple[int, int]) -> Exponents:
    """Return the exponents of a tensor at some steps.

    Args:
        found: the steps of each piece, and the rows of the tensor in it.
        steps: the steps that are wanted, ascending.
        limits: the lowest and the highest exponent.
    """
    low, high = limits
    counts = np.zeros((len(steps), high - low + 1), np.int64)
    lanes = {name: np.zeros(len(steps), np.int64) for name in ("nans", "infs", "zeros", "numel")}
    logged = np.zeros(len(steps), bool)
    for there, rows in found:
        if rows is None:
            continue
        step = there[rows.at]
        row = np.searchsorted(steps, step)
        inside = (row < len(steps)) & (steps[np.minimum(row, len(steps) - 1)] == step)
        each = np.repeat(inside, rows.many)
        counts[np.repeat(row, rows.many)[each], rows.exponents[each].astype(np.intp) - low] = rows.counts[each]
        at = row[inside]
        logged[at] = True
        lanes["zeros"][at], lanes["infs"][at] = rows.zeros[inside], rows.infs[inside]
        for name in ("nans", "numel"):
            if name in rows.columns:
                lanes[name][at] = np.nan_to_num(rows.columns[name])[inside]
    bins = np.arange(low, high + 1, dtype=np.int16)
    return Exponents(steps, bins, counts, lanes["nans"], lanes["infs"], lanes["zeros"], lanes["numel"], logged)


def pooled(levels: Iterable[Level], steps: np.ndarray, limits: tuple[int, int], columns: int) -> Shares:
    """Return the levels of a tensor in some columns of a screen, of which each is made of whole columns of levels.

    Args:
        levels: of each piece that has the tensor.
        steps: the steps that are wanted, ascending.
        limits: the lowest and the highest exponent.
        columns: how many columns there may be.
    """
    low, high = limits
    bins = np.arange(low, high + 1, dtype=np.int16)
    parts = []
    for level in sorted(levels, key=lambda one: int(one.first[0])):
        used = (level.last >= steps[0]) & (level.first <= steps[-1])
        wide = np.zeros((int(used.sum()), len(bins)), np.uint8)
        wide[:, level.lowest - low : level.lowest - low + level.shares.shape[1]] = level.shares[used]
        parts.append((level.first[used], level.last[used], wide, level.lanes[:, used]))
    first = np.concatenate([np.zeros(0, np.int64), *(part[0] for part in parts)])
    last = np.concatenate([np.zeros(0, np.int64), *(part[1] for part in parts)])
    shares = np.concatenate([np.zeros((0, len(bins)), np.uint8), *(part[2] for part in parts)])
    lanes = np.concatenate([np.zeros((3, 0), np.float32), *(part[3] for part in parts)], axis=1)
    begins = np.searchsorted(steps, first)
    ends = np.searchsorted(steps, last, side="right")
    # Where nothing was logged for longer than usual, and before and after all, a column says so.
    usual = int(np.median(np.diff(begins))) if len(begins) > 1 else len(steps)
    gaps = np.flatnonzero(np.append(begins, len(steps)) - np.append(0, ends) > max(usual // 4, 1))
    begins = np.insert(begins, gaps, np.append(0, ends)[gaps])
    shares = np.insert(shares, gaps, 0, axis=0)
    lanes = np.insert(lanes, gaps, 0, axis=1)
    logged = np.insert(np.ones(len(first), np.uint8), gaps, 0)
    taken = np.unique(np.linspace(0, len(begins), min(max(columns, 1), len(begins)) + 1).astype(np.intp)[:-1])
    at = begins[taken]
    return Shares(
        np.append(steps[np.minimum(at, len(steps) - 1)], steps[-1]).astype(np.float64),
        bins,
        np.maximum.reduceat(shares, taken, axis=0),
        np.maximum.reduceat(lanes, taken, axis=1),
        np.maximum.reduceat(logged, taken),
        int(np.diff(at, append=len(steps)).max()),
    )


def cell(rows: Rows, column: int) -> Cell | None:
    """Return the row of a tensor at one of the steps of its layout; None if it has none there.

    Args:
        rows: the rows of the tensor.
        column: the place of the step.
    """
    at = int(np.searchsorted(rows.at, column))
    if at == len(rows.at) or rows.at[at] != column:
        return None
    statistics = {name: values[at].item() for name, values in rows.columns.items()}
    end = int(rows.many[: at + 1].sum())
    part = slice(end - int(rows.many[at]), end)
    counts = dict(zip(rows.exponents[part].tolist(), rows.counts[part].tolist(), strict=True))
    nans = statistics.get("nans", 0)
    text = {name: words[codes[at]] or "" for name, (codes, words) in rows.text.items()}
    return Cell(statistics, counts, int(rows.zeros[at]), 0 if nans != nans else int(nans), int(rows.infs[at]), text)


def _at(layout: Layout, rows: Mapping[int, int], steps: np.ndarray) -> tuple:
    """Return where the cells of a layout are among all layers and steps."""
    row = np.array([rows[number] for number in layout.tensors.tolist()])
    column = np.searchsorted(steps, layout.steps)
    if column[-1] - column[0] + 1 == len(column):
        return row, slice(int(column[0]), int(column[-1]) + 1)
    return row[:, None], column[None, :]
