"""The schema of a log: its columns, and a message for every way in which a table can differ from it."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from tandv.formats import is_format
from tandv.log._unreadable import SchemaError
from tandv.messages import listed

METADATA = ("name", "type", "tensor_type", "step", "dtype")
TEXT = ("name", "type", "tensor_type", "dtype")
MAY_BE_EMPTY = ("type", "phase")  # text that is "" where nothing is known, or nothing was named
PARTS = ("metadata", "scalar_stats", "exponent_counts")
INFINITE = (float("-inf"), float("inf"))

LogFrame = pd.DataFrame


SchemaException = SchemaError  # the published name


def validate(df: pd.DataFrame) -> pd.DataFrame:
    """Return `df` if it is a tandv log, else raise SchemaError naming every problem.

    >>> from tandv.log.example import example_log
    >>> validate(example_log()).shape
    (1250, 60)

    Args:
        df: a table.
    """
    if found := list(problems(df)):
        raise SchemaError("not a tandv log:\n  " + "\n  ".join(found))
    return df


def check_repeats(df: pd.DataFrame) -> None:
    """Raise SchemaError if rows repeat the tensor and step of another, as in logs joined twice: sums count them twice.

    >>> from tandv.log.example import example_log
    >>> check_repeats(example_log())

    Args:
        df: a table with the metadata of a log.
    """
    columns: dict[tuple, pd.Series] = {label: df[label] for label in df.columns if label[0] == "metadata"}  # type: ignore
    if found := list(_repeats(_key(columns), columns)):
        raise SchemaError(f"not a tandv log: {found[0]}; df.drop_duplicates() drops those that are the same throughout")


def problems(df: Any) -> Iterator[str]:
    """Yield every way in which `df` is not a log: what is wrong, what is allowed, what to do.

    >>> list(problems({}))
    ['it is a dict, not a pandas DataFrame; open log files with tandv.track.common']

    Args:
        df: a table, or anything else.
    """
    if not isinstance(df, pd.DataFrame):
        yield f"it is a {type(df).__name__}, not a pandas DataFrame; open log files with tandv.track.common"
        return
    if not isinstance(df.columns, pd.MultiIndex) or df.columns.nlevels != 2:
        levels = f"a MultiIndex of {df.columns.nlevels} levels" if df.columns.nlevels > 1 else "one flat level"
        yield (
            f'the columns are {levels}, not a MultiIndex of two levels such as ("metadata", "name"); '
            "build them with pandas.MultiIndex.from_tuples"
        )
        return
    columns: dict[tuple, pd.Series] = {}
    for position, label in enumerate(df.columns):
        if label in columns:
            yield f"column {label} is there more than once; keep one of them"
        columns.setdefault(label, df.iloc[:, position])
    for top in dict.fromkeys(t for t, _ in columns if t not in PARTS):
        yield f"top-level column {top!r} is unknown; allowed are {', '.join(PARTS)}; rename or drop it"
    if not len(df):
        yield "it has no rows; nothing was logged (was tracker.step() called, and any layer selected?)"
    yield from _metadata_problems(columns)
    yield from _scalar_problems(columns)
    yield from _count_problems(columns)


def _metadata_problems(columns: Mapping[tuple, pd.Series]) -> Iterator[str]:
    fill = {
        "type": "add it, with empty strings if the kind of module is not known",
        "step": "add the training step of every row as an integer",
        "dtype": 'add the number format of every tensor, such as "float32"',
    }
    for name in METADATA:
        label = ("metadata", name)
        if label not in columns:
            yield f"column {label} is missing; {fill.get(name, 'add it as text')}"
        elif name == "step":
            step = columns[label]
            if not pd.api.types.is_integer_dtype(step.dtype) or step.hasnans:
                yield f'column {label} is {_kind(step)}, allowed are whole numbers; use .round().astype("int64")'
        else:
            yield from _text_problems(label, columns[label])
    if all(("metadata", name) in columns for name in ("name", "tensor_type", "step")):
        yield from _repeats(_key(columns), columns)


def _text_problems(label: tuple, column: pd.Series) -> Iterator[str]:
    try:
        values = numbered(column)[1]
    except TypeError:
        yield f"column {label} holds things that are not text; use .astype(str)"
        return
    if wrong := [v for v in values if not isinstance(v, str)]:
        yield f"column {label} holds {listed(wrong, 3)}, allowed is text; use .astype(str)"
    # The kind of module may be unknown, and was left empty by the published logs.
    if label[1] != "type" and column.isna().any():
        yield f"column {label} has {int(column.isna().sum())} rows without a value; fill them in"
    if label[1] == "dtype" and (wrong := [v for v in values if isinstance(v, str) and not is_format(v)]):
        yield (
            f"column {label} holds {listed(wrong, 3)}, which ml_dtypes.finfo does not know; allowed are names "
            'of floating-point formats such as "float32", "bfloat16", "float8_e4m3fn"'
        )


def _key(columns: Mapping[tuple, pd.Series]) -> list[pd.Series]:
    """Return the columns that tell a row from others."""
    return [c for label, c in columns.items() if label[0] == "metadata" and label[1] not in ("type", "dtype")]


def _repeats(key: Iterable[pd.Series], columns: Mapping[tuple, pd.Series]) -> Iterator[str]:
    # The codes of all columns as one integer per row, so that a million rows are compared in milliseconds.
    combined = None
    try:
        for column in key:
            codes, values = pd.factorize(column.array.codes if is_category(column) else column)
            combined = codes if combined is None else combined * (len(values) + 1) + codes
    except TypeError:  # a value that cannot be hashed: the problems of text columns name it
        return
    repeated = np.flatnonzero(pd.Series(combined).duplicated().to_numpy())
    if len(repeated):
        row = tuple(columns[("metadata", name)].iloc[repeated[0]] for name in ("name", "tensor_type", "step"))
        first = ", ".join(repr(value) if isinstance(value, str) else str(value) for value in row)
        count = f"{len(repeated)} rows repeat" if len(repeated) > 1 else "1 row repeats"
        yield (
            f"{count} the name, tensor_type and step of another, first ({first}); keep one "
            'row per tensor and step, or tell them apart by a further column such as ("metadata", "rank")'
        )


def _scalar_problems(columns: Mapping[tuple, pd.Series]) -> Iterator[str]:
    scalars = {label: column for label, column in columns.items() if label[0] == "scalar_stats"}
    if not scalars:
        yield 'there is no ("scalar_stats", ...) column; add at least one, such as ("scalar_stats", "std")'
    for label, column in scalars.items():
        if not isinstance(label[1], str):
            yield f"column {label} has a name that is not text; rename it to {('scalar_stats', str(label[1]))}"
        if not pd.api.types.is_numeric_dtype(column.dtype):
            yield f"column {label} is {_kind(column)}, allowed are numbers; use pandas.to_numeric"


def _count_problems(columns: Mapping[tuple, pd.Series]) -> Iterator[str]:
    counts = {label: column for label, column in columns.items() if label[0] == "exponent_counts"}
    if wrong := [label[1] for label in counts if not _is_exponent(label[1])]:
        yield (
            f"exponent_counts columns {listed(wrong, 3)} are not labelled by an integer, "
            'float("-inf") or float("inf"); convert the labels (tandv\'s readers of csv and parquet do)'
        )
    whole = {n: c for (_, n), c in counts.items() if pd.api.types.is_integer_dtype(c.dtype) and not c.hasnans}
    if wrong := [label[1] for label in counts if label[1] not in whole]:
        kind = _kind(counts[("exponent_counts", wrong[0])])
        yield (
            f"exponent_counts columns {listed(wrong, 3)} are {kind}, allowed are whole numbers; "
            'use .fillna(0).astype("int64")'
        )
    if wrong := [n for n, column in whole.items() if len(column) and column.min() < 0]:
        yield f"exponent_counts columns {listed(wrong, 3)} hold negative counts; a count is at least 0"
    for end, what in zip(INFINITE, ("underflow", "overflow"), strict=True):
        if ("exponent_counts", end) not in columns:
            yield f'column ("exponent_counts", float("{end}")) is missing; add it as zeros if nothing can {what}'


def _is_exponent(label: Any) -> bool:
    if isinstance(label, int | np.integer):
        return not isinstance(label, bool)
    return isinstance(label, float) and math.isinf(label)


def _kind(column: pd.Series) -> str:
    return f"{column.dtype} with missing values" if column.hasnans else str(column.dtype)


def is_category(column: pd.Series) -> bool:
    return isinstance(column.dtype, pd.CategoricalDtype)


def numbered(column: pd.Series) -> tuple[np.ndarray, list]:
    """Return a code for each row (-1: missing) and the values that the codes stand for, in order of first appearance.

    >>> codes, values = numbered(pd.Series(["b", "a", "b"]))
    >>> codes.tolist(), values
    ([0, 1, 0], ['b', 'a'])

    Args:
        column: a column of text or of categories.

    Raises TypeError for anything else.
    """
    if not isinstance(column, pd.Series):
        raise TypeError(f'a column is one pandas Series, such as df[("metadata", "name")], not {type(column).__name__}')
    if not is_category(column):
        codes, values = pd.factorize(column)
        return codes, list(values)
    codes = column.array.codes  # type: ignore[attr-defined]
    seen = pd.unique(codes)
    seen = seen[seen >= 0]
    names = column.cat.categories
    if not np.array_equal(seen, np.arange(len(seen))):  # rows were selected or the categories sorted
        new = np.full(len(names) + 1, -1)
        new[seen] = np.arange(len(seen))
        codes = new[codes]
    return codes, names[seen].tolist()
