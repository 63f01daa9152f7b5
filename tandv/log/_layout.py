"""Where the rows of a file belong in arrays [tensors, steps]: read once from its keys, then every column follows."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tandv.log._index import File
from tandv.log._rows import Numbering, coded, joined
from tandv.log._unreadable import UnreadableFile
from tandv.log.shown import named
from tandv.log.store.columns import PHASE, RANK, STEP, TENSOR

TYPE, NAME = TENSOR


class Layout(NamedTuple):
    """Where the rows of one tensor type belong, tensor by tensor, each by its steps.

    Args:
        groups: the row groups that hold them.
        ends: [groups + 1] how many rows these have from the first to before each.
        tensors: [t] the numbers of the tensors.
        steps: [s] the steps that some of them have, ascending, int64.
        rows: which of the groups' rows they are.
        starts: [t + 1] where each tensor begins among them.
        cells: [rows] the place of each in [t, s], row by row; None where every tensor has every step.
    """

    groups: tuple[int, ...]
    ends: np.ndarray
    tensors: np.ndarray
    steps: np.ndarray
    rows: slice | np.ndarray
    starts: np.ndarray
    cells: np.ndarray | None

    def arranged(self, values: np.ndarray, fill: float = np.nan) -> np.ndarray:
        """Return a value of each row as an array [t, s], with `fill` where there is no row."""
        shape = len(self.tensors), len(self.steps)
        if self.cells is None:
            return values.reshape(shape)
        out = np.full(shape, fill, values.dtype)
        out.ravel()[self.cells] = values
        return out

    def places(self, low: int, high: int) -> np.ndarray:
        """Return which of the groups' rows are those from `low` to before `high`."""
        if isinstance(self.rows, slice):
            return np.arange(low + self.rows.start, high + self.rows.start)
        return self.rows[low:high]

    def columns_of(self, first: int, last: int) -> np.ndarray:
        """Return the place among the steps of each row of the tensors from `first` to before `last`."""
        if self.cells is None:
            return np.tile(np.arange(len(self.steps)), last - first)
        return self.cells[self.starts[first] : self.starts[last]] % len(self.steps)


def layouts_of(
    file: File, parquet: pq.ParquetFile, numbers: Numbering, phase: str | None, rank: int | None
) -> dict[str, Layout]:
    """Return the layout of each tensor type that a file has rows of.

    Args:
        file: the file with its index.
        parquet: the same, opened.
        numbers: the numbers of tensors; new ones are added.
        phase: the phase whose rows count; None where all do.
        rank: the rank whose rows count; None where all do.

    Raises UnreadableFile where rows are not in the order of tensors and steps, or there twice.
    """
    groups = [group.number for group in file.groups]
    if not groups:
        return {}
    names = [NAME, STEP, *([PHASE] if phase is not None else []), *([RANK] if rank is not None else [])]
    table = parquet.read_row_groups(groups, columns=names, use_threads=False)
    (kind, kinds), (name, words) = _types(file, parquet), coded(joined(table[NAME]))
    begins = np.flatnonzero((name[1:] != name[:-1]) | (kind[1:] != kind[:-1])) + 1
    begins = np.concatenate([[0], begins])
    of = [(kinds[kind[at]], named(words[name[at]] or "")) for at in begins.tolist()]
    if len(set(of)) < len(of):
        raise UnreadableFile(f"cannot read {file.place}: its rows are not in the order of their tensors")
    mask = _wanted(table, phase, rank)
    steps = table[STEP].to_numpy()
    ends = np.cumsum([0, *(group.rows for group in file.groups)])
    begins = np.append(begins, len(name))
    out: dict[str, Layout] = {}
    of_kind = [one for one, _ in of]
    for this in dict.fromkeys(of_kind):
        low, high = of_kind.index(this), len(of_kind) - of_kind[::-1].index(this)
        if set(of_kind[low:high]) != {this}:
            raise UnreadableFile(f"cannot read {file.place}: its rows are not in the order of their tensors")
        first, last = int(begins[low]), int(begins[high])
        at, to = int(np.searchsorted(ends, first, "right")) - 1, int(np.searchsorted(ends, last))
        ids = np.array([numbers[one] for one in of[low:high]], np.int32)
        starts = begins[low : high + 1] - first
        before = int(ends[at])
        rows: slice | np.ndarray = slice(first - before, last - before)
        step = steps[first:last]
        if mask is not None:
            taken = np.flatnonzero(mask[first:last])
            starts = np.searchsorted(taken, starts)
            used = np.diff(starts) > 0
            ids, starts = ids[used], np.append(starts[:-1][used], len(taken))
            rows, step = (taken + first - before).astype(np.int32), step[taken]
        if len(ids):
            there, cells = _steps_of(step, starts, file)
            out[this] = Layout(tuple(groups[at:to]), ends[at : to + 1] - ends[at], ids, there, rows, starts, cells)
    return out


def layout_of_rows(tensors: np.ndarray, steps: np.ndarray, rows: np.ndarray) -> Layout:
    """Return the layout of rows of a table, in any order.

    Args:
        tensors: [n] the number of the tensor of each row.
        steps: [n] its step.
        rows: [n] its place in the table.

    Raises UnreadableFile where a tensor has several rows at one step.
    """
    order = np.lexsort([steps, tensors])
    ids, starts = np.unique(tensors[order], return_index=True)
    starts = np.append(starts, len(order))
    there, cells = _steps_of(steps[order], starts, None)
    ends = np.array([0, len(rows)])
    return Layout((0,), ends, ids.astype(np.int32), there, rows[order], starts, cells)


def _types(file: File, parquet: pq.ParquetFile) -> tuple[np.ndarray, list[str]]:
    """Return the tensor type of each row, as codes and words; they are read where the footer names several."""
    numbers = Numbering()
    single = [group.first[0] == group.last[0] for group in file.groups]
    each = [numbers[group.first[0]] for group in file.groups]
    out = np.repeat(np.array(each, np.int16), [group.rows for group in file.groups])
    if mixed := [group.number for group, one in zip(file.groups, single, strict=True) if not one]:
        codes, words = coded(joined(parquet.read_row_groups(mixed, columns=[TYPE], use_threads=False)[TYPE]))
        into = np.repeat(~np.array(single), [group.rows for group in file.groups])
        out[into] = np.array([numbers[word or ""] for word in words], np.int16)[codes]
    return out, list(numbers)


def _wanted(table: pa.Table, phase: str | None, rank: int | None) -> np.ndarray | None:
    mask = None
    if phase is not None:
        codes, words = coded(joined(table[PHASE]))
        mask = np.array([(word or "") == phase for word in words])[codes]
    if rank is not None:
        of_rank = table[RANK].to_numpy() == rank
        mask = of_rank if mask is None else mask & of_rank
    return None if mask is None or mask.all() else mask


def _steps_of(step: np.ndarray, starts: np.ndarray, file: File | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the steps that occur, and the cell of each row; None for the cells where every tensor has every step."""
    many = np.diff(starts)
    width = int(many[0])
    if (many == width).all():
        each = step.reshape(-1, width)
        if (np.diff(each[0]) > 0).all() and (each == each[0]).all():
            return each[0].astype(np.int64), None
    of_tensor = np.repeat(np.arange(len(many)), many)
    if ((np.diff(step) <= 0) & (np.diff(of_tensor) == 0)).any():
        where = f"cannot read {file.place}: " if file is not None else ""
        raise UnreadableFile(f"{where}it has several rows of one tensor at one step, or not in the order of steps")
    there, column = np.unique(step, return_inverse=True)
    return there.astype(np.int64), of_tensor * len(there) + column
