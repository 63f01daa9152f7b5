"""The columns of a run's files, the same in each: how rows of a log become them, and how counts come back.

Text, steps and statistics are flat columns, "metadata/name", "scalar_stats/mean". The counts of exponents are one
column that maps each exponent to its count, without those that are zero, so that no file has to name the exponents of
others and every engine that opens the folder finds all of them.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FORMAT = 1  # of the files; a reader refuses those with a higher one
EXPONENTS = "exponent_counts"
UNDERFLOW, OVERFLOW = "exponent_counts/-inf", "exponent_counts/inf"
TEXT = ("metadata/tensor_type", "metadata/name", "metadata/type", "metadata/dtype", "metadata/phase")
STEP, RANK, PHASE = "metadata/step", "metadata/rank", "metadata/phase"
TENSOR = ("metadata/tensor_type", "metadata/name")
SORTED_BY = (*TENSOR, STEP, PHASE, RANK)
_WORDS = pa.dictionary(pa.int32(), pa.string())  # in memory; in a file it is text
_ABOUT = "tandv"  # key of what a file says about itself
_WITH_EXTREMES = ("scalar_stats/nans", "scalar_stats/infs")  # columns whose extremes the footer keeps, with metadata
_STATISTIC = "scalar_stats/"


class Rows(NamedTuple):
    """Rows as they are recorded, in the order of their steps."""

    metadata: Mapping[str, Sequence[Any]]  # a value for each row: text by name, "step", and "rank" where ranks are kept
    scalars: Mapping[str, np.ndarray]  # [rows] of each statistic
    counts: np.ndarray  # [rows, -inf, exponents from `lowest`, inf]
    lowest: int


def schema_of(rows: Rows) -> pa.Schema:
    """Return the schema that holds some rows.

    >>> text = dict.fromkeys(["tensor_type", "name", "type", "dtype", "phase"], [""])
    >>> rows = Rows({**text, "step": [3]}, {"std": np.ones(1, np.float32)}, np.array([[1, 5, 0]]), -2)
    >>> schema_of(rows).field("exponent_counts").type
    MapType(map<int16, int64>)
    """
    statistics = {name: pa.from_numpy_dtype(values.dtype) for name, values in rows.scalars.items()}
    return _schema(statistics, "rank" in rows.metadata)


def _schema(statistics: Mapping[str, pa.DataType], ranks: bool) -> pa.Schema:
    rank = [pa.field(RANK, pa.int32())] if ranks else []
    return pa.schema(
        [
            *(pa.field(name, _WORDS) for name in TEXT),
            pa.field(STEP, pa.int64()),
            *rank,
            *(pa.field(_STATISTIC + name, kind) for name, kind in statistics.items()),
            pa.field(UNDERFLOW, pa.int64()),
            pa.field(OVERFLOW, pa.int64()),
            pa.field(EXPONENTS, pa.map_(pa.int16(), pa.int64())),
        ]
    )


def statistics(schema: pa.Schema) -> dict[str, pa.DataType]:
    """Return the statistics of a schema, by name, with the type of each column."""
    return {f.name.removeprefix(_STATISTIC): f.type for f in schema if f.name.startswith(_STATISTIC)}


def wider(one: pa.Schema, other: pa.Schema) -> pa.Schema:
    """Return a schema that holds the rows of both; it is equal to `one` where that has every column already."""
    found = statistics(one)
    for name, kind in statistics(other).items():
        found[name] = kind if found.get(name, kind) == kind else pa.float64()
    return _schema(found, RANK in one.names or RANK in other.names)


def fitted(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table with the columns of a schema; one that it lacks has no values."""
    if table.schema.equals(schema):
        return table
    columns = [
        table[field.name].cast(field.type, safe=False)
        if field.name in table.column_names
        else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def to_table(rows: Rows, schema: pa.Schema) -> pa.Table:
    """Return rows as a table of a schema, sorted by tensor type and name (as text), step, phase and rank."""
    text = {name: pa.array(rows.metadata[name.partition("/")[2]], pa.string()).dictionary_encode() for name in TEXT}
    step = np.asarray(rows.metadata["step"], np.int64)
    columns: dict[str, Any] = {**text, STEP: step}
    keys = [*(_places(text[name]) for name in TENSOR), step, _places(text[PHASE])]
    if "rank" in rows.metadata:
        columns[RANK] = np.asarray(rows.metadata["rank"], np.int32)
        keys.append(columns[RANK])
    order = np.lexsort(keys[::-1])
    columns |= {_STATISTIC + name: values for name, values in rows.scalars.items()}
    columns = {
        name: values.take(pa.array(order)) if name in text else values[order] for name, values in columns.items()
    }
    columns[UNDERFLOW], columns[OVERFLOW] = rows.counts[order, 0], rows.counts[order, -1]
    columns[EXPONENTS] = packed(rows.counts[:, 1:-1][order], rows.lowest)
    return fitted(pa.table(columns), schema)


def _places(text: pa.DictionaryArray) -> np.ndarray:
    """Return the place of each row's text among all in their order."""
    order = np.argsort(text.dictionary.to_numpy(zero_copy_only=False), kind="stable")
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order))
    return place[text.indices.to_numpy()]


def packed(counts: np.ndarray, lowest: int) -> pa.MapArray:
    """Return counts [rows, exponents from `lowest`] as a column that maps exponents to those that are not zero.

    >>> packed(np.array([[0, 7, 2]]), -4).to_pylist()
    [[(-3, 7), (-2, 2)]]
    """
    rows, width = counts.shape
    at = np.flatnonzero(counts != 0)  # in the order of rows
    ends = np.searchsorted(at, np.arange(rows + 1) * width).astype(np.int32)
    exponents = (at % max(width, 1) + lowest).astype(np.int16)
    return pa.MapArray.from_arrays(pa.array(ends), pa.array(exponents), pa.array(counts.ravel()[at].astype(np.int64)))


def counted(column: pa.ChunkedArray) -> tuple[int, int] | None:
    """Return the lowest and the highest exponent that a column counts; None if it counts none."""
    held = []
    for chunk in column.chunks:
        ends = chunk.offsets.to_numpy()
        held.append(chunk.keys.to_numpy()[ends[0] : ends[-1]] if len(chunk) else np.empty(0, np.int16))
    found = [(int(keys.min()), int(keys.max())) for keys in held if len(keys)]
    return joined_range(found)


def joined_range(ranges: Sequence[tuple[int, int] | None]) -> tuple[int, int] | None:
    """Return the range of exponents that holds all of some.

    >>> joined_range([(-3, 0), None, (-1, 4)])
    (-3, 4)
    """
    there = [one for one in ranges if one is not None]
    return (min(low for low, _ in there), max(high for _, high in there)) if there else None


def about(exponents: tuple[int, int] | None, run: str) -> dict[str, str]:
    """Return what a file says about itself: its format, the lowest and highest exponent in it, and its run."""
    return {_ABOUT: json.dumps({"format": FORMAT, "exponents": exponents, "run": run})}


def exponents_of(metadata: pq.FileMetaData) -> tuple[int, int] | None:
    """Return the lowest and highest exponent that a file counts; None if it counts none."""
    said = json.loads((metadata.metadata or {})[_ABOUT.encode()])["exponents"]
    return (said[0], said[1]) if said else None


def row_size(schema: pa.Schema, exponents: tuple[int, int] | None) -> int:
    """Return the bytes of a row in a frame: text as numbers of categories, and a count of every exponent.

    >>> row_size(_schema({"std": pa.float32()}, ranks=False), (-3, 0))
    46
    """
    lowest, highest = exponents or (0, -1)
    numbers = [*statistics(schema).values(), pa.int64(), *([pa.int32()] if RANK in schema.names else [])]
    return 2 * len(TEXT) + sum(kind.bit_width // 8 for kind in numbers) + 4 * (highest - lowest + 3)


def encoding(schema: pa.Schema, lasting: bool = True) -> dict[str, Any]:
    """Return how columns are written: options of `pyarrow.parquet.ParquetWriter`.

    A file that is not lasting, because it is joined with others soon, is written in less time and is a little larger.
    """
    # The first bytes of all numbers, then all second bytes, and so on: they compress best that way.
    numbers = [f.name for f in schema if pa.types.is_integer(f.type) or pa.types.is_floating(f.type)]
    split = [*numbers, f"{EXPONENTS}.key_value.key", f"{EXPONENTS}.key_value.value"]
    extremes = [name for name in schema.names if name.startswith("metadata/") or name in _WITH_EXTREMES]
    return {
        **({"compression": "zstd", "compression_level": 1} if lasting else {"compression": "lz4"}),
        "use_dictionary": list(TEXT),
        "column_encoding": dict.fromkeys(split, "BYTE_STREAM_SPLIT"),
        "write_statistics": extremes,
        "store_schema": False,
        "write_page_checksum": True,  # a byte that changes on the way is noticed when it is read
    }
