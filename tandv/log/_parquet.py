"""Convert between a log and the Arrow table that is written to parquet.

The columns are flat, "metadata/name", "scalar_stats/mean", "exponent_counts/-3", so that any engine
reads them; when read they become the labels of a log again, integers and infinities included.
"""

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tandv.log import logframe
from tandv.log._opening import TEXT_LABELS, naming
from tandv.log.logframe import INFINITE, METADATA, PARTS, SchemaError
from tandv.log.store.columns import EXPONENTS
from tandv.messages import some

SPLIT = (pa.float32(), pa.float64(), pa.int32(), pa.int64())


def to_table(df: pd.DataFrame) -> pa.Table:
    columns: dict[str, Any] = {}
    for position, (top, name) in enumerate(df.columns.tolist()):
        column = df.iloc[:, position]
        if pd.api.types.is_numeric_dtype(column.dtype):
            values: Any = pa.array(column.to_numpy() if isinstance(column.dtype, np.dtype) else column)
        else:
            codes, names = logframe.numbered(column)
            codes = pa.array(codes.astype(np.int32), mask=codes < 0)
            values = pa.DictionaryArray.from_arrays(codes, pa.array(names, pa.string()))
        columns[f"{top}/{name}"] = values
    return pa.table(columns)


def is_of_a_run(path: Path) -> bool:
    """Tell whether a file is one of those that a run's folder is made of, with the counts of exponents as a map."""
    with naming(path):
        schema = pq.read_schema(path)
    return EXPONENTS in schema.names and pa.types.is_map(schema.field(EXPONENTS).type)


def read_table(path: Path) -> pa.Table:
    with naming(path):
        metadata = pq.read_metadata(path)
        text = [name for name in metadata.schema.to_arrow_schema().names if _split(name) in TEXT_LABELS]
        with pq.ParquetFile(path, metadata=metadata, read_dictionary=text, page_checksum_verification=True) as file:
            return file.read(
                use_threads=metadata.num_rows > 100_000
            )  # for a small part threads cost more than they save


def _split(flat: str) -> tuple | None:
    """Return the label of a flat column name: "exponent_counts/-3", or the text of a tuple as pandas has it."""
    top, slash, name = flat.partition("/")
    if slash and top in PARTS:
        return top, label(top, name)
    try:
        pair = ast.literal_eval(flat)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    return (pair[0], label(*pair)) if isinstance(pair, tuple) and len(pair) == 2 else None


def label(top: str, name: Any) -> Any:
    if top != "exponent_counts" or not isinstance(name, str):
        return name
    for end in INFINITE:
        if name == str(end):
            return end
    return int(name) if len(name) < 10 and name.removeprefix("-").isdecimal() else name


def from_table(table: pa.Table) -> pd.DataFrame:
    table = table.drop_columns([name for name in table.column_names if name.startswith("__index_level_")])
    labels = [label for label in map(_split, table.column_names) if label]
    if labels and (others := [name for name in table.column_names if not _split(name)]):
        raise SchemaError(
            f"not a tandv log: of its columns {some(list(map(repr, others)))} belong to no part, as "
            f"'metadata/name' and 'scalar_stats/std' do; rename them, such as to 'metadata/{others[0]}', or drop them"
        )
    if len(labels) < table.num_columns:
        return table.replace_schema_metadata(None).to_pandas()  # not a log: `validate` will name its columns
    tables: dict[str, dict] = {top: {} for top in [*PARTS, *(top for top, _ in labels)]}
    for (top, name), column in zip(labels, table.columns, strict=True):
        tables[top][name] = _values(column, 0 if top == "exponent_counts" else None)
    tables["metadata"] = {n: tables["metadata"][n] for n in sorted(tables["metadata"], key=_metadata_order)}
    if not any(isinstance(label, str) for label in tables["exponent_counts"]):
        tables["exponent_counts"] = dict(sorted(tables["exponent_counts"].items()))
    return logframe.assemble({top: _frame(columns, len(table)) for top, columns in tables.items()})


def _metadata_order(name: str) -> int:
    return METADATA.index(name) if name in METADATA else len(METADATA)


def _frame(columns: dict, rows: int) -> pd.DataFrame:
    index, labels = pd.RangeIndex(rows), pd.Index(list(columns), dtype=object)
    if columns and all(isinstance(values, np.ndarray) and values.dtype.kind == "i" for values in columns.values()):
        return pd.DataFrame(np.stack(list(columns.values())).T, index=index, columns=labels, copy=False)
    df = pd.DataFrame(dict(enumerate(columns.values())), index=index)
    df.columns = labels
    return df


def _values(column: pa.ChunkedArray, missing: int | None) -> Any:
    if pa.types.is_dictionary(column.type):
        joined = column.unify_dictionaries().combine_chunks()
        joined = joined.chunk(0) if isinstance(joined, pa.ChunkedArray) else joined
        codes = pc.fill_null(joined.indices, -1).to_numpy(zero_copy_only=False)
        return pd.Categorical.from_codes(codes, categories=pd.Index(joined.dictionary.to_pylist(), dtype=object))
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return logframe.categories(column.to_pylist())
    if missing is not None and column.null_count and pa.types.is_integer(column.type):
        column = pc.fill_null(column, missing)
    return column.to_numpy()
