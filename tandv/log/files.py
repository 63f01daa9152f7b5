"""Logs on disk: pickle, parquet, csv and the folder of a run, each checked when it is opened.

In parquet the columns are flat, "metadata/name", "scalar_stats/mean", "exponent_counts/-3", so that any
engine reads them; here they come back as the labels of a log, integers and infinities included.

Logs of the package that Graphcore published as tandv 0.1 open too. Their tensor types `Weights` and
`Weight_Gradients` are read as `Weight` and `Weight_Gradient`. Their exponents are one too high: column n
holds values of 2**(n - 1) up to 2**n, and zeros stand in column 0. They are left as they are; a
PublishedLog warning says so once, and so does `df.attrs["exponents"]`.
"""

import ast
import csv
import os
import secrets
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tandv.curves import TrainingStats
from tandv.log import _pickling, _unpickling, logframe
from tandv.log._unpickling import UnreadableFile
from tandv.log.logframe import INFINITE, METADATA, PARTS, TEXT

AnyPath = str | os.PathLike[str]


__all__ = [
    "DamagedPart",
    "PublishedLog",
    "UnreadableFile",
    "parts",
    "read_csv",
    "read_parquet",
    "read_pickle",
    "read_run",
    "read_training_stats",
    "write_csv",
    "write_parquet",
    "write_pickle",
]


class PublishedLog(UserWarning):
    """The log was written by the published tandv 0.1, whose exponents are one too high."""


class DamagedPart(UserWarning):
    """Some files of a run's folder could not be read; what the others hold was returned."""


# ---------------------------------------------------------------------------------------------- reading


def read_pickle(path: AnyPath) -> pd.DataFrame:
    """Open a pickled log without running anything that the file asks for.

    Text columns come back as categories, rows numbered from 0; `.gz` is fine. Raises UnreadableFile, naming
    what the file asks for that no log needs, and SchemaError naming everything that is no log.

    >>> df = read_pickle("tandv-runs/demo/log.pkl")
    """
    found = _unpickled(path)
    if isinstance(found, TrainingStats):
        raise UnreadableFile(f"cannot read {path}: it holds TrainingStats; open it with read_training_stats")
    return _opened(found)


def read_training_stats(path: AnyPath) -> TrainingStats:
    """Open pickled training curves, of this package or the published one, as safely as `read_pickle`."""
    found = _unpickled(path)
    if not isinstance(found, TrainingStats):
        raise UnreadableFile(f"cannot read {path}: it holds a table, not TrainingStats; open it with read_pickle")
    return found


def read_parquet(path: AnyPath) -> pd.DataFrame:
    """Open a log in parquet, of this package or the published one; every column label is what it was.

    Raises UnreadableFile if it is not parquet, SchemaError naming everything that is no log.

    >>> df = read_parquet("tandv-runs/demo/log.parquet")
    """
    return _opened(_from_table(_read_table(_file(path))))


def read_csv(path: AnyPath) -> pd.DataFrame:
    """Open a log in csv (two lines of column labels); labels are what they were, numbers are 64 bit.

    Raises UnreadableFile if it is not csv, SchemaError naming everything that is no log.
    """
    with _reading(path) as found, open(found, newline="", encoding="utf-8") as file, warnings.catch_warnings():
        heads = [next(csv.reader([line])) for line in (file.readline(), file.readline()) if line]
        if len(heads) < 2 or len(heads[0]) != len(heads[1]):
            raise UnreadableFile("its first two lines are not the two levels of column labels that a log has")
        flat = [f"{i}" for i in range(len(heads[0]))]
        labels = [(top, _label(top, name)) for top, name in zip(*heads, strict=True)]
        text = [i for i, label in zip(flat, labels, strict=True) if label in _TEXT_LABELS]
        try:
            warnings.filterwarnings("error", category=pd.errors.ParserWarning)  # a row with too many fields
            df = pd.read_csv(
                file,
                header=None,
                names=flat,
                index_col=False,
                dtype=dict.fromkeys(text, "category"),
                keep_default_na=False,  # a layer may be called "None" or nothing at all
                na_values={i: ["", "nan", "NaN", "NA"] for i in flat if i not in text},
            )
        except pd.errors.EmptyDataError:
            df = pd.DataFrame(columns=flat)
        df.columns = logframe.column_labels(*zip(*labels, strict=True))
    return _opened(df)


def read_run(folder: AnyPath) -> pd.DataFrame:
    """Open the log of a run that is finished, was killed, or still goes on.

    A finished run has `log.pkl` or `log.parquet`; without one, what counts is `parts/*.parquet`. A part that
    is damaged is named in one DamagedPart warning, the others are returned. Raises FileNotFoundError if
    there is no such folder, UnreadableFile if nothing in it can be read, SchemaError if it has no rows yet.

    >>> df = read_run("tandv-runs/demo")
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = "is a file; open it with read_pickle, read_parquet or read_csv" if folder.exists() else "is missing"
        raise FileNotFoundError(f"cannot open the run {folder}: the folder {what}")
    damaged: list[str] = []
    for name, read in {"log.pkl": read_pickle, "log.parquet": read_parquet}.items():
        if (folder / name).exists():
            try:
                return _warned(read(folder / name), damaged, folder)
            except UnreadableFile as error:
                damaged.append(str(error))
    tables = []
    for part in parts(folder):
        try:
            tables.append(_read_table(part))
        except FileNotFoundError:  # the run ended just now, and its parts became the log
            if any((folder / name).exists() for name in ("log.pkl", "log.parquet")) and not damaged:
                return read_run(folder)
            damaged.append(f"{part} vanished while it was read")
        except UnreadableFile as error:
            damaged.append(str(error))
    if not tables and damaged:
        raise UnreadableFile(f"cannot open the run {folder}:\n  " + "\n  ".join(damaged))
    if not any(len(table) for table in tables):
        raise logframe.SchemaError(
            f"the run {folder} has no rows yet: wait until it has flushed its first steps, or check that "
            "tracker.step() is called"
        )
    joined = pa.concat_tables(tables, promote_options="permissive")
    return _warned(_opened(_from_table(joined)), damaged, folder)


def parts(folder: AnyPath) -> list[Path]:
    """Return the part files of a run in order; names beginning with "." are not finished."""
    found = (Path(folder) / "parts").glob("*.parquet")
    return sorted((p for p in found if not p.name.startswith(".")), key=lambda p: (len(p.name), p.name))


def _warned(df: pd.DataFrame, damaged: Sequence[str], folder: Path) -> pd.DataFrame:
    if damaged:
        listed = "\n  ".join(damaged)
        warnings.warn(f"the rest of the run {folder} was read without:\n  {listed}", DamagedPart, stacklevel=3)
    return df


def _unpickled(path: AnyPath) -> pd.DataFrame | TrainingStats:
    with _reading(path) as found:
        data = found.read_bytes()
        for start, what in _OTHER_FILES.items():
            if data.startswith(start):
                raise UnreadableFile(f"it is {what}, not a pickle")
        if not data:
            raise UnreadableFile("it is empty")
        return _unpickling.loads(data)


_OTHER_FILES = {
    b"PK\x03\x04": "a zip archive (a checkpoint of torch.save?)",
    b"PAR1": "parquet (open it with read_parquet)",
    b"metadata,": "csv (open it with read_csv)",
    b"BZh": "compressed by bzip2 (decompress it first)",
    b"\xfd7zXZ": "compressed by xz (decompress it first)",
    b"\x28\xb5\x2f\xfd": "compressed by zstd (decompress it first)",
}


def _file(path: AnyPath) -> Path:
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"cannot read {path}: it is a folder; open the folder of a run with read_run")
    if not path.exists():
        raise FileNotFoundError(f"cannot read {path}: there is no such file")
    return path


@contextmanager
def _reading(path: AnyPath) -> Iterator[Path]:
    """Name the file in whatever goes wrong while it is read."""
    path = _file(path)
    try:
        yield path
    except (FileNotFoundError, PermissionError, logframe.SchemaError):
        raise
    except (ValueError, OSError, pa.ArrowException, pd.errors.ParserWarning, csv.Error) as error:
        raise UnreadableFile(f"cannot read {path}: {error}") from None


def _opened(df: pd.DataFrame) -> pd.DataFrame:
    """Bring what a reader found into the form of a log, and check it."""
    if not isinstance(df.columns, pd.MultiIndex):
        return logframe.validate(df)
    for label in (label for label in _TEXT_LABELS if label in df.columns):
        column = df[label]
        if label[1] == "type" and column.isna().any():  # the published log leaves it out for weights
            column = column.astype(object).where(column.notna(), "")
        column = pd.Series(logframe.in_order(column), index=df.index)
        renamed = {old: new for old, new in _PUBLISHED.items() if old in set(column.cat.categories)}
        if label[1] == "tensor_type" and renamed:
            column = column.cat.rename_categories(renamed)
        df[label] = column
    logframe.validate(df)
    statistics = {name for top, name in df.columns if top == "scalar_stats"}
    if statistics == _PUBLISHED_STATISTICS and logframe.exponents(df) == list(range(-16, 17)):
        df.attrs["exponents"] = "one too high: column n counts 2**(n-1) <= abs(x) < 2**n, and zeros are in column 0"
        warnings.warn(
            "this log was written by the published tandv 0.1: its exponents are one too high (column n counts "
            "2**(n-1) <= abs(x) < 2**n) and its zeros are in column 0; they are shown as they are in the file",
            PublishedLog,
            stacklevel=3,
        )
    return df


_TEXT_LABELS = tuple(("metadata", name) for name in TEXT)
_PUBLISHED = {"Weights": "Weight", "Weight_Gradients": "Weight_Gradient"}
_PUBLISHED_STATISTICS = {"mean", "mean_abs", "std", "max_abs", "min_abs", "rm2", "rm4", "rm8"}


# ---------------------------------------------------------------------------------------------- writing


def write_pickle(df: pd.DataFrame, path: AnyPath) -> None:
    """Write a log as one compressed pickle, which `pandas.read_pickle` reads as well, without tandv."""
    data = _pickling.dumps(df)
    _write_aside(path, lambda aside: aside.write_bytes(data))


def write_parquet(df: pd.DataFrame, path: AnyPath) -> None:
    """Write a log in parquet with flat column names such as "exponent_counts/-3"."""
    table = _to_table(df)
    text = [name for name in table.column_names if pa.types.is_dictionary(table.schema.field(name).type)]
    _write_aside(
        path,
        lambda aside: pq.write_table(
            table,
            aside,
            compression="zstd",
            compression_level=1,
            use_dictionary=text,  # type: ignore
            # Bytes of equal significance together: numbers of one size compress best that way.
            column_encoding={f.name: "BYTE_STREAM_SPLIT" for f in table.schema if f.type in _SPLIT},  # type: ignore
            write_statistics=[n for n in table.column_names if n.startswith("metadata/")],  # type: ignore
            store_schema=False,
            row_group_size=100_000,
        ),
    )


def write_csv(df: pd.DataFrame, path: AnyPath) -> None:
    """Write a log as csv: two lines of column labels, then the rows."""
    _write_aside(path, lambda aside: df.to_csv(aside, index=False))


def _write_aside(path: AnyPath, write: Callable[[Path], Any]) -> None:
    """Write under another name in the same folder and rename: a reader never sees half a file."""
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: there is no folder {path.parent}; make it first")
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        write(aside)
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


# ---------------------------------------------------------------------------------------------- parquet

_SPLIT = (pa.float32(), pa.float64(), pa.int32(), pa.int64())


def _to_table(df: pd.DataFrame) -> pa.Table:
    columns: dict[str, Any] = {}
    for place, (top, name) in enumerate(df.columns.tolist()):
        column = df.iloc[:, place]
        if pd.api.types.is_numeric_dtype(column.dtype):
            values: Any = pa.array(column.to_numpy() if isinstance(column.dtype, np.dtype) else column)
        else:
            codes, names = logframe.numbered(column)
            codes = pa.array(codes.astype(np.int32), mask=codes < 0)
            values = pa.DictionaryArray.from_arrays(codes, pa.array(names, pa.string()))
        columns[f"{top}/{name}"] = values
    return pa.table(columns)


def _read_table(path: Path) -> pa.Table:
    with _reading(path):
        metadata = pq.read_metadata(path)
        text = [name for name in metadata.schema.names if _split(name) in _TEXT_LABELS]
        with pq.ParquetFile(path, metadata=metadata, read_dictionary=text) as file:
            return file.read(use_threads=metadata.num_rows > 100_000)  # a part is too small for threads to pay


def _split(flat: str) -> tuple | None:
    """Return the label of a flat column name: "exponent_counts/-3", or the text of a tuple as pandas has it."""
    top, slash, name = flat.partition("/")
    if slash and top in PARTS:
        return top, _label(top, name)
    try:
        label = ast.literal_eval(flat)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    return (label[0], _label(*label)) if isinstance(label, tuple) and len(label) == 2 else None


def _label(top: str, name: Any) -> Any:
    if top != "exponent_counts" or not isinstance(name, str):
        return name
    for end in INFINITE:
        if name == str(end):
            return end
    return int(name) if len(name) < 10 and name.removeprefix("-").isdecimal() else name


def _from_table(table: pa.Table) -> pd.DataFrame:
    table = table.drop_columns([name for name in table.column_names if name.startswith("__index_level_")])
    labels = [label for label in map(_split, table.column_names) if label]
    if len(labels) < table.num_columns:
        return table.replace_schema_metadata(None).to_pandas()  # no log, as the check of its columns will say
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
