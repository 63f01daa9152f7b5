"""Sorted files become one, in bounded memory; its row groups end where a tensor ends."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tandv.log.store import columns
from tandv.log.store.exchange import sync
from tandv.log.store.layers import Tensor

GROUP = 8_000  # rows of a row group, about
IN_MEMORY = 40_000  # rows of all files that are merged, about

Piece = tuple[pa.Table, np.ndarray]  # sorted rows, and the number of the tensor of each


def write(
    path: Path,
    groups: Iterable[pa.Table],
    schema: pa.Schema,
    about: Mapping[str, str],
    lasting: bool = True,
) -> Iterator[None]:
    """Write row groups as one file with what it says about itself, and have it reach the disk; yield after each."""
    with pq.ParquetWriter(path, schema, **columns.encoding(schema, lasting)) as out:
        for table in groups:
            out.write_table(table, row_group_size=max(len(table), 1))
            yield
        out.add_key_value_metadata(about)
    sync(path)


def in_memory(tables: Sequence[pa.Table], numbers: Mapping[Tensor, int]) -> Iterator[Piece]:
    """Yield the rows of a few sorted tables, of ascending steps, as one sorted piece."""
    table = pa.concat_tables(tables).unify_dictionaries()
    number = numbered(table, numbers)
    order = np.lexsort([table[columns.STEP].to_numpy(), number])
    yield table.take(pa.array(order)), number[order]


def merged(files: Sequence[pq.ParquetFile], numbers: Mapping[Tensor, int], schema: pa.Schema) -> Iterator[Piece]:
    """Yield the rows of sorted files as sorted pieces.

    In memory are a few rows of each file: those from the last row on that every file has reached are taken together.
    """
    steps = [one for file in files for one in _steps(file.metadata)]
    first, reach = min(steps), max(steps) - min(steps) + 1
    size = max(IN_MEMORY // len(files), 16)
    cursors = [_Cursor(file, numbers, schema, first, reach, size) for file in files]
    while cursors := [one for one in cursors if len(one.places) or not one.ended]:
        # Rows below the last one in memory of every file are complete.
        bound = min((one.places[-1] for one in cursors if not one.ended), default=None)
        pieces = [one.below(bound) for one in cursors]
        places = np.concatenate([place for _, place in pieces])
        if len(places):
            order = np.argsort(places, kind="stable")
            table = pa.concat_tables([table for table, _ in pieces if len(table)]).unify_dictionaries()
            yield table.take(pa.array(order)), places[order] // reach
        for one in cursors:
            if not one.ended and (len(one.places) < size or (not len(places) and one.places[-1] == bound)):
                one.more()


def in_groups(pieces: Iterable[Piece], size: int = GROUP) -> Iterator[pa.Table]:
    """Yield row groups of at least `size` rows and less than twice that; a tensor of more rows is in several."""
    held: list[Piece] = []
    for piece in pieces:
        held.append(piece)
        if sum(len(table) for table, _ in held) >= 4 * size:
            table, number = _joined(held)
            ends = _ends(number, size, False)
            yield from _slices(table, ends)
            held = [(table.slice(ends[-1]), number[ends[-1] :])] if ends else [(table, number)]
    if held:
        table, number = _joined(held)
        yield from _slices(table, _ends(number, size, True))


def opened(path: Path) -> pq.ParquetFile:
    """Open a file of a log; read are only the pages that are asked for."""
    return pq.ParquetFile(path, read_dictionary=list(columns.TEXT), pre_buffer=False, page_checksum_verification=True)


def numbered(table: pa.Table, numbers: Mapping[Tensor, int]) -> np.ndarray:
    """Return the number of the tensor of each row.

    Raises KeyError for a tensor that has none.
    """
    place, found = tensors(table)
    return np.array([numbers[one] for one in found], np.int64)[place]


def tensors(table: pa.Table) -> tuple[np.ndarray, list[Tensor]]:
    """Return the tensors of a table, and the place of each row's among them."""
    (kind, kinds), (name, names) = (codes(table[column]) for column in columns.TENSOR)
    there, place = np.unique(kind.astype(np.int64) * len(names) + name, return_inverse=True)
    of_kind, of_name = np.divmod(there, len(names))
    return place, list(zip([kinds[i] for i in of_kind.tolist()], [names[i] for i in of_name.tolist()], strict=True))


def codes(column: pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    """Return a code for each row of a column of text, and the text that each code stands for."""
    chunk: Any = column.unify_dictionaries().combine_chunks()
    chunk = chunk.chunk(0) if isinstance(chunk, pa.ChunkedArray) else chunk
    return chunk.indices.to_numpy(), chunk.dictionary.to_pylist()


def _steps(metadata: pq.FileMetaData) -> Iterator[int]:
    """Yield the lowest and highest step of each row group."""
    at = next(i for i in range(metadata.num_columns) if metadata.schema.column(i).path == columns.STEP)
    for group in range(metadata.num_row_groups):
        found = metadata.row_group(group).column(at).statistics
        yield from (found.min, found.max)


class _Cursor:
    """The rows of one sorted file that are in memory, and the place of each in the order of all files.

    A place is the number of a tensor times the reach of the steps, plus the step.
    """

    def __init__(
        self, file: pq.ParquetFile, numbers: Mapping[Tensor, int], schema: pa.Schema, first: int, reach: int, size: int
    ):
        self._batches = file.iter_batches(size, use_threads=False)
        self._numbers, self._schema, self._first, self._reach = numbers, schema, first, reach
        self.table, self.places, self.ended = schema.empty_table(), np.empty(0, np.int64), False
        self.more()

    def more(self) -> None:
        """Read some more rows."""
        batch = next(self._batches, None)
        if batch is None:
            self.ended = True
            return
        table = columns.fitted(pa.Table.from_batches([batch]), self._schema)
        places = numbered(table, self._numbers) * self._reach + (table[columns.STEP].to_numpy() - self._first)
        self.table = pa.concat_tables([self.table, table]) if len(self.table) else table
        self.places = np.concatenate([self.places, places])

    def below(self, bound: int | None) -> Piece:
        """Take the rows below a place, all of them if there is none."""
        end = len(self.places) if bound is None else int(np.searchsorted(self.places, bound))
        taken = self.table.slice(0, end), self.places[:end]
        self.table, self.places = self.table.slice(end), self.places[end:]
        return taken


def _joined(held: Sequence[Piece]) -> Piece:
    table = pa.concat_tables([table for table, _ in held]).unify_dictionaries().combine_chunks()
    return table, np.concatenate([number for _, number in held])


def _slices(table: pa.Table, ends: Sequence[int]) -> Iterator[pa.Table]:
    for start, end in zip([0, *ends], ends, strict=False):
        yield table.slice(start, end - start)


def _ends(number: np.ndarray, size: int, complete: bool) -> list[int]:
    """Return where row groups end: with tensors, but one of twice the size or more is cut.

    Unless the rows are complete, the last tensor may go on.
    """
    found: list[int] = []
    start = begin = 0  # of a row group, and of a tensor
    for end in [*(np.flatnonzero(np.diff(number)) + 1).tolist(), len(number)]:
        last = end == len(number)
        if last and not complete:
            end -= size  # keep some rows, to cut them when more of the tensor are there
        if end - begin >= 2 * size:
            found += [begin] if begin > start else []
            found += np.linspace(begin, end, (end - begin) // size + 1).astype(int)[1:].tolist()
        elif (end - start >= size and not (last and not complete)) or (last and complete and end > start):
            found.append(end)
        start = found[-1] if found else 0
        begin = end
    return found
