"""Rows of some tensors and steps, read from a run's files: keys first, then the columns of what was found.

A row's keys are the number of its tensor, its step, its phase and its rank. A row group is read at a time, so that
memory is that of the result and of one group.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tandv.log._index import File, Group, holding
from tandv.log._unreadable import unreadable
from tandv.log.store.columns import PHASE, RANK, STEP, TENSOR
from tandv.log.store.layers import Tensor

TENSOR_TYPE, NAME = TENSOR


class Query(NamedTuple):
    """Which rows are wanted.

    Args:
        tensors: the tensors, in the order of text; None for all.
        limits: the lowest and the highest step; None for all.
        at: tells which of some steps [rows] are wanted, for steps that the limits do not decide; None for all.
    """

    tensors: list[Tensor] | None = None
    limits: tuple[int, int] | None = None
    at: Callable[[np.ndarray], np.ndarray] | None = None


class Found(NamedTuple):
    """The wanted rows of one row group, in its order.

    Args:
        group: the row group.
        taken: the positions of the rows in it; None for all.
        tensor: the number of each row's tensor, [rows].
        step: its step.
        phase: the number of its phase.
        rank: its rank; None where the run keeps none.
    """

    group: Group
    taken: np.ndarray | None
    tensor: np.ndarray
    step: np.ndarray
    phase: np.ndarray
    rank: np.ndarray | None


class Numbering(dict):
    """Numbers of tensors or phases by name; one that is new gets the next."""

    def __missing__(self, name: Any) -> int:
        number = self[name] = len(self)
        return number


class Reader:
    """An opened file of a run, which `close` closes.

    Args:
        file: the file with its index.
        tensors: the numbers of tensors.
        phases: the numbers of phases.
        mapped: map the file into memory.
        kept: keep the file open until `close`; else it is opened for each read, as where there are very many.
    """

    def __init__(self, file: File, tensors: Numbering, phases: Numbering, mapped: bool = True, kept: bool = True):
        self._file, self._tensors, self._phases, self._mapped = file, tensors, phases, mapped
        self._parquet = file.opened(mapped) if kept else None

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        if self._parquet is not None:
            self._parquet.close()

    def found(self, query: Query) -> Iterator[Found]:
        """Yield the wanted rows of each row group that has some."""
        wanted = None if query.tensors is None else {self._tensors[one] for one in query.tensors}
        for group in holding(self._file.groups, query.tensors, query.limits):
            if (found := self._in(group, query, wanted)) is not None:
                yield found

    def columns(self, found: Found, names: Sequence[str]) -> dict[str, pa.Array]:
        """Return columns of all rows of a group, those that were not found included; a column that is lacking is left
        out."""
        there = [name for name in names if name in self._file.columns]
        if not there:
            return {}
        table = self._read(found.group, there)
        return {name: joined(table[name]) for name in there}

    def _in(self, group: Group, query: Query, wanted: set[int] | None) -> Found | None:
        single_type, single = group.first[0] == group.last[0], group.first == group.last
        needed = [STEP]
        needed += [] if single_type else [TENSOR_TYPE]
        needed += [] if single else [NAME]
        needed += [PHASE] if group.phases[0] != group.phases[1] else []
        needed += [RANK] if RANK in self._file.columns else []
        table = self._read(group, needed)
        step = _numbers(joined(table[STEP]))
        if single:
            tensor = np.full(group.rows, self._tensors[group.first], np.int32)
        else:
            tensor = self._numbered(table, group)
        phase = np.full(group.rows, self._phases[group.phases[0]], np.int16)
        if PHASE in needed:
            codes, words = coded(joined(table[PHASE]))
            phase = np.array([self._phases[word or ""] for word in words], np.int16)[codes]
        rank = _numbers(joined(table[RANK])) if RANK in needed else None

        mask = None
        if wanted is not None and not (single and self._tensors[group.first] in wanted):
            chosen = np.zeros(len(self._tensors), bool)
            chosen[list(wanted)] = True
            mask = chosen[tensor]
        if query.limits is not None and not (query.limits[0] <= group.low and group.high <= query.limits[1]):
            within = (step >= query.limits[0]) & (step <= query.limits[1])
            mask = within if mask is None else mask & within
        if query.at is not None:
            mask = query.at(step) if mask is None else mask & query.at(step)
        if mask is None or mask.all():
            return Found(group, None, tensor, step, phase, rank)
        taken = np.flatnonzero(mask)
        if not len(taken):
            return None
        return Found(group, taken, tensor[taken], step[taken], phase[taken], None if rank is None else rank[taken])

    def _numbered(self, table: pa.Table, group: Group) -> np.ndarray:
        """Return the number of each row's tensor [rows]; rows of one are neighbours, so each is looked up once."""
        names, name_words = coded(joined(table[NAME]))
        if TENSOR_TYPE in table.column_names:
            kinds, kind_words = coded(joined(table[TENSOR_TYPE]))
        else:
            kinds, kind_words = np.zeros(group.rows, np.int32), [group.first[0]]
        pair = kinds.astype(np.int64) * (len(name_words) + 1) + names
        starts = np.flatnonzero(np.diff(pair, prepend=-1))
        numbers = [self._tensors[kind_words[kinds[i]], name_words[names[i]]] for i in starts]
        return np.repeat(np.array(numbers, np.int32), np.diff(starts, append=group.rows))

    def _read(self, group: Group, names: Sequence[str]) -> pa.Table:
        try:
            if self._parquet is not None:
                return self._parquet.read_row_group(group.number, columns=list(names), use_threads=False)
            with self._file.opened(self._mapped) as parquet:
                return parquet.read_row_group(group.number, columns=list(names), use_threads=False)
        except FileNotFoundError:
            raise
        except (ValueError, OSError, pa.ArrowException) as error:
            raise unreadable(self._file.place, error) from None


def coded(column: pa.Array) -> tuple[np.ndarray, list]:
    """Return a code for each row of a text column, and the words that the codes stand for."""
    if not isinstance(column, pa.DictionaryArray):
        column = column.dictionary_encode()
    indices = column.indices if not column.indices.null_count else pc.fill_null(column.indices, len(column.dictionary))
    return indices.to_numpy(zero_copy_only=False), [*column.dictionary.to_pylist(), ""]


def bins(column: pa.Array, rows: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return how many bins each row has [rows], and the exponents and counts of them all, one after the other.

    Args:
        column: the map of exponents to counts of all rows of a group.
        rows: the positions of the wanted rows; None for all.
    """
    ends = column.offsets.to_numpy()
    keys, counts = column.keys.to_numpy(), column.items.to_numpy()  # these are whole, also of a sliced map
    if rows is None:
        return np.diff(ends), keys[ends[0] : ends[-1]], counts[ends[0] : ends[-1]]
    first, many = ends[rows], ends[rows + 1] - ends[rows]
    # The places of each row's bins: one range after the other.
    places = np.arange(many.sum()) + np.repeat(first - np.cumsum(many) + many, many)
    return many, keys[places], counts[places]


def joined(column: pa.ChunkedArray) -> pa.Array:
    """Return a column in one piece; text with one dictionary."""
    if column.num_chunks == 1:
        return column.chunk(0)
    if pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries()
    whole = column.combine_chunks()
    return whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole


def _numbers(column: pa.Array) -> np.ndarray:
    return column.to_numpy(zero_copy_only=False)
