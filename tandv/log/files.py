"""Logs in files: pickle, parquet and csv, each checked when it is opened."""

import csv
import os
import secrets
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tandv.curves import TrainingStats
from tandv.curves.exact import EXACTLY
from tandv.curves.separated import decimal_of, separator_of
from tandv.log import _parquet, _pickling, _unpickling, logframe
from tandv.log._opening import TEXT_LABELS, AnyPath, PublishedLog, as_log, as_text, existing, naming, of_run
from tandv.log._unreadable import WHAT_TO_DO, UnreadableFile
from tandv.log.door import AnyLog

__all__ = [
    "PublishedLog",
    "UnreadableFile",
    "read_csv",
    "read_parquet",
    "read_pickle",
    "read_training_stats",
    "write_csv",
    "write_parquet",
    "write_pickle",
]


# ---------------------------------------------------------------------------------------------- reading


def read_pickle(path: AnyPath) -> pd.DataFrame:
    """Open a pickled log without running any code that the file names.

    Text columns come back as categories, rows are numbered from 0; a `.gz` file is decompressed.

    >>> write_pickle(logframe.example_log(), "log.pkl")
    >>> read_pickle("log.pkl").shape
    (1250, 60)

    Args:
        path: the pickle file.

    Raises UnreadableFile, naming what the file asks for that no log needs, and SchemaError, naming everything in
    which the table differs from a log.
    """
    read = _unpickled(path)
    if isinstance(read, TrainingStats):
        raise UnreadableFile(f"cannot read {path}: it holds TrainingStats; open it with read_training_stats")
    return of_run(as_log(read), Path(path).parent)


def read_training_stats(path: AnyPath) -> TrainingStats:
    """Open pickled training curves, of this package or of the published tandv 0.1, as safely as `read_pickle`.

    >>> import pickle
    >>> _ = Path("loss.pkl").write_bytes(pickle.dumps(TrainingStats(steps=[0, 10], train_loss=[2.0, 1.5])))
    >>> read_training_stats("loss.pkl").train_loss
    [2.0, 1.5]

    Args:
        path: the pickle file.

    Raises UnreadableFile if it holds anything else.
    """
    read = _unpickled(path)
    if not isinstance(read, TrainingStats):
        raise UnreadableFile(f"cannot read {path}: it holds a table, not TrainingStats; open it with read_pickle")
    return read


def read_parquet(path: AnyPath) -> pd.DataFrame:
    """Open a log in parquet, of this package or of the published tandv 0.1, with its column labels restored.

    >>> write_parquet(logframe.example_log(), "log.parquet")
    >>> read_parquet("log.parquet").shape
    (1250, 60)

    Args:
        path: the parquet file.

    Raises UnreadableFile if it is not parquet, SchemaError naming everything in which the table differs from a log.
    """
    if _parquet.is_of_a_run(existing(path)):
        from tandv.log.opened import Log  # which reads the other formats by this file

        return Log(path).frame()
    return of_run(as_log(_parquet.from_table(_parquet.read_table(existing(path)))), Path(path).parent)


def read_csv(path: AnyPath) -> pd.DataFrame:
    """Open a log in csv, which begins with two lines of column labels; numbers come back with 64 bits.

    It may be compressed by gzip, and have row numbers in front. Semicolons or tabs may stand between values, with
    decimals after a comma, as spreadsheets save them.

    >>> write_csv(logframe.example_log(), "log.csv")
    >>> read_csv("log.csv").shape
    (1250, 60)

    Args:
        path: the csv file.

    Raises UnreadableFile if it is not csv, SchemaError naming everything in which the table differs from a log.
    """
    with naming(path) as existing_path, as_text(existing_path) as file, warnings.catch_warnings():
        lines = [line for line in (file.readline(), file.readline()) if line]
        separator = separator_of(lines[0]) if lines else ","
        heads = [next(csv.reader([line], delimiter=separator)) for line in lines]
        if len(heads) < 2 or len(heads[0]) != len(heads[1]):
            raise UnreadableFile("its first two lines are not the two levels of column labels that a log has")
        flat = [f"{i}" for i in range(len(heads[0]))]
        labels = [(top, _parquet.label(top, name)) for top, name in zip(*heads, strict=True)]
        text = [i for i, label in zip(flat, labels, strict=True) if label in TEXT_LABELS]
        try:
            warnings.filterwarnings("error", category=pd.errors.ParserWarning)  # a row with too many fields
            df = pd.read_csv(
                file,
                header=None,
                names=flat,
                sep=separator,
                decimal=_decimal_of(existing_path, separator),
                index_col=False,
                dtype=dict.fromkeys(text, "category"),
                keep_default_na=False,  # a layer may be called "None" or nothing at all
                **EXACTLY,
                na_values={i: ["", "nan", "NaN", "NA"] for i in flat if i not in text},
            )
        except pd.errors.EmptyDataError:
            df = pd.DataFrame(columns=flat)
        df.columns = logframe.column_labels(*zip(*labels, strict=True))
        if [head[0] for head in heads] == ["", ""]:  # row numbers, which pandas writes unless it is told not to
            df = df.iloc[:, 1:].copy()
        short = df.iloc[:, [top == "exponent_counts" for top, _ in df.columns]].isna().any(axis=1)
        if short.sum() == 1 and short.iloc[-1]:
            raise UnreadableFile(f"its last row has no value in some columns: it was damaged or cut off; {WHAT_TO_DO}")
    return of_run(as_log(df), Path(path).parent)


def _decimal_of(path: Path, separator: str) -> str:
    if separator == ",":
        return "."
    with as_text(path) as file:
        return decimal_of([file.readline() for _ in range(3)][2:], separator)


def _unpickled(path: AnyPath) -> pd.DataFrame | TrainingStats:
    with naming(path) as existing_path:
        data = existing_path.read_bytes()
        for start, what in OTHER_FILES.items():
            if data.startswith(start):
                raise UnreadableFile(f"it is {what}, not a pickle")
        if not data:
            raise UnreadableFile(f"it is empty, which means that it was cut off; {WHAT_TO_DO}")
        return _unpickling.loads(data)


OTHER_FILES = {
    b"PK\x03\x04": "a zip archive (a checkpoint of torch.save?)",
    b"PAR1": "parquet (open it with read_parquet)",
    b"metadata,": "csv (open it with read_csv)",
    b"\xff\xfe": "a text in UTF-16 (save it as csv in UTF-8)",
    b"BZh": "compressed by bzip2 (decompress it first)",
    b"\xfd7zXZ": "compressed by xz (decompress it first)",
    b"\x28\xb5\x2f\xfd": "compressed by zstd (decompress it first)",
}


# ---------------------------------------------------------------------------------------------- writing


def write_pickle(df: AnyLog, path: AnyPath) -> None:
    """Write a log as one compressed pickle, which `pandas.read_pickle` reads as well, without tandv.

    >>> write_pickle(logframe.example_log(), "log.pkl")
    >>> pd.read_pickle("log.pkl").shape
    (1250, 60)

    Args:
        df: the log, or the place of one: a run's folder or a file.
        path: the file to write; it appears only when it is complete.

    Raises FileNotFoundError if its folder does not exist.
    """
    data = _pickling.dumps(logframe.loaded(df))
    _write_then_rename(path, lambda temporary: temporary.write_bytes(data))


def write_parquet(df: AnyLog, path: AnyPath) -> None:
    """Write a log in parquet with flat column names such as "exponent_counts/-3".

    >>> write_parquet(logframe.example_log(), "log.parquet")
    >>> pq.read_schema("log.parquet").names[0]
    'metadata/name'

    Args:
        df: the log, or the place of one: a run's folder or a file.
        path: the file to write; it appears only when it is complete.

    Raises FileNotFoundError if its folder does not exist.
    """
    table = _parquet.to_table(logframe.loaded(df))
    text = [name for name in table.column_names if pa.types.is_dictionary(table.schema.field(name).type)]
    _write_then_rename(
        path,
        lambda temporary: pq.write_table(
            table,
            temporary,
            compression="zstd",
            compression_level=1,
            use_dictionary=text,  # type: ignore
            # The first bytes of all numbers, then all second bytes, and so on: floats compress best that way.
            column_encoding={f.name: "BYTE_STREAM_SPLIT" for f in table.schema if f.type in _parquet.SPLIT},  # type: ignore
            write_statistics=[n for n in table.column_names if n.startswith("metadata/")],  # type: ignore
            store_schema=False,
            write_page_checksum=True,
            row_group_size=100_000,
        ),
    )


def write_csv(df: AnyLog, path: AnyPath) -> None:
    """Write a log as csv: two lines of column labels, then the rows.

    >>> write_csv(logframe.example_log(), "log.csv")
    >>> Path("log.csv").read_text()[:17]
    'metadata,metadata'

    Args:
        df: the log, or the place of one: a run's folder or a file.
        path: the file to write; it appears only when it is complete.

    Raises FileNotFoundError if its folder does not exist.
    """
    table = logframe.loaded(df)
    _write_then_rename(path, lambda temporary: table.to_csv(temporary, index=False))


def _write_then_rename(path: AnyPath, write: Callable[[Path], Any]) -> None:
    """Write to a temporary name in the same folder, then rename: a reader never sees an incomplete file."""
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: there is no folder {path.parent}; make it first")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        write(temporary)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
