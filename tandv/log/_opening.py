"""What every reader of a log shares: errors that name the file, and the validation of the table.

Logs of the package that Graphcore published as tandv 0.1 open too. Their tensor types `Weights` and
`Weight_Gradients` are read as `Weight` and `Weight_Gradient`. Their exponents are one too high: column n
holds values of 2**(n - 1) up to 2**n, and zeros stand in column 0. They are left as they are; a
PublishedLog warning says so once, and so does `df.attrs["exponents"]`.
"""

import csv
import gzip
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import pandas as pd
import pyarrow as pa

from tandv.log import logframe
from tandv.log._unreadable import WHAT_TO_DO, unreadable
from tandv.log.logframe import TEXT
from tandv.log.schema import MAY_BE_EMPTY
from tandv.messages import warn
from tandv.tensor_types import WEIGHT, WEIGHT_GRADIENT

AnyPath = str | os.PathLike[str]
GZIP = b"\x1f\x8b"  # what a compressed file begins with


class PublishedLog(UserWarning):
    """The log was written by the published tandv 0.1, whose exponents are one too high."""


def existing(path: AnyPath) -> Path:
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"cannot read {path}: it is a folder; open the folder of a run with read_run")
    if not path.exists():
        raise FileNotFoundError(f"cannot read {path}: {_why_missing(path)}")
    return path


def _why_missing(path: Path) -> str:
    if (path.parent / "run.json").is_file():
        return (
            f"a run writes this file when it ends; tandv.read({str(path.parent)!r}) opens what it has recorded so far"
        )
    return "there is no such file; give tracker.out_path of a run that has ended, or a log in a file"


@contextmanager
def as_text(path: Path) -> Iterator[TextIO]:
    """Open a file of text, which may be compressed by gzip."""
    with open(path, "rb") as file:
        compressed = file.read(len(GZIP)) == GZIP
    with (
        gzip.open(path, "rt", encoding="utf-8-sig", newline="")  # Excel begins what it saves with a mark of its order
        if compressed
        else open(path, encoding="utf-8-sig", newline="") as file
    ):
        try:
            yield file
        except (EOFError, zlib.error) as error:
            raise ValueError(f"it is damaged or was cut off ({error}); {WHAT_TO_DO}") from error


@contextmanager
def naming(path: AnyPath) -> Iterator[Path]:
    """Turn every error while a file is read into an UnreadableFile that names the file; yield its path."""
    path = existing(path)
    try:
        yield path
    except (FileNotFoundError, PermissionError, logframe.SchemaError):
        raise
    except (ValueError, OSError, pa.ArrowException, pd.errors.ParserWarning, csv.Error) as error:
        raise unreadable(path, error) from None


def as_log(df: pd.DataFrame) -> pd.DataFrame:
    """Bring a table read from a file into the form of a log (text as categories, current names), and validate it."""
    if not isinstance(df.columns, pd.MultiIndex):
        return logframe.validate(df)
    for label in (label for label in TEXT_LABELS if label in df.columns):
        column = df[label]
        # The published log leaves out the type of weights; parts of a run from before its first phase have none.
        if label[1] in MAY_BE_EMPTY and column.isna().any():
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
        warn(
            "this log was written by the published tandv 0.1: its exponents are one too high (column n counts "
            "2**(n-1) <= abs(x) < 2**n) and its zeros are in column 0; they are shown as they are in the file",
            PublishedLog,
            stacklevel=3,
        )
    return df


def of_run(df: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Note the folder of the run that a log was read from, if it is one, so that the curves of the run are found."""
    if (folder / "run.json").is_file():
        df.attrs["run"] = str(folder.absolute())
    return df


TEXT_LABELS = tuple(("metadata", name) for name in (*TEXT, "phase"))
_PUBLISHED = {"Weights": WEIGHT, "Weight_Gradients": WEIGHT_GRADIENT}
_PUBLISHED_STATISTICS = {"mean", "mean_abs", "std", "max_abs", "min_abs", "rm2", "rm4", "rm8"}
