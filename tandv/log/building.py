"""Build a log from columns, and join several logs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tandv.log.door import is_table
from tandv.log.schema import INFINITE, MAY_BE_EMPTY, METADATA, numbered
from tandv.messages import named_arguments


@named_arguments
def frame(
    metadata: Mapping[str, Sequence],
    scalars: Mapping[str, np.ndarray],
    counts: np.ndarray,
    exponents: Sequence[int],
) -> pd.DataFrame:
    """Build a log from its columns; exponents whose counts are all zero get no column.

    Text becomes categories in order of first appearance; scalars keep their dtype.

    >>> text = {"name": ["fc"], "type": ["Linear"], "tensor_type": ["Weight"], "dtype": ["float32"]}
    >>> df = frame({**text, "step": [0]}, {"std": np.ones(1)}, np.array([[1, 0, 7, 0]]), [-1, 0])
    >>> df["exponent_counts"].to_dict("records")
    [{-inf: 1, 0: 7, inf: 0}]

    Args:
        metadata: a sequence of one value per row for each name in METADATA, and for any others.
        scalars: an array [rows] for each statistic.
        counts: [rows, 1 + len(exponents) + 1] integers: -inf first, then each of `exponents`, then inf.
        exponents: the powers of two that the inner columns of `counts` stand for.

    Raises ValueError if shapes disagree or metadata is missing.
    """
    counts = np.asarray(counts)
    if missing := [name for name in METADATA if name not in metadata]:
        raise ValueError(f"metadata lacks {', '.join(missing)}; all of {', '.join(METADATA)} are needed")
    if counts.ndim != 2 or counts.shape[1] != len(exponents) + 2:
        raise ValueError(
            f"counts have shape {counts.shape}, needed is [rows, {len(exponents) + 2}]: "
            f"-inf, the {len(exponents)} exponents, inf"
        )
    rows = len(counts)
    for name, values in [*metadata.items(), *scalars.items()]:
        if len(values) != rows:
            raise ValueError(f"{name!r} has {len(values)} values for {rows} rows of counts; give one per row")

    kept = np.asarray(counts.any(axis=0))
    kept[[0, -1]] = True
    fits = rows == 0 or counts.max() <= np.iinfo(np.int32).max
    # pandas stores a block as [columns, rows]; in that memory order a column is contiguous and quick to read.
    block = np.ascontiguousarray(counts.T[kept], dtype=np.int32 if fits else np.int64)
    order = np.argsort([INFINITE[0], *exponents, INFINITE[1]], kind="stable")
    labels = [INFINITE[0], *map(int, exponents), INFINITE[1]]
    if not np.array_equal(order, np.arange(len(labels))):
        positions = np.cumsum(kept) - 1
        block = block[[positions[i] for i in order if kept[i]]]
    parts = {
        "metadata": pd.DataFrame({name: _metadata(name, values) for name, values in metadata.items()}),
        "scalar_stats": pd.DataFrame(dict(scalars)),
        "exponent_counts": pd.DataFrame(block.T, columns=pd.Index([labels[i] for i in order if kept[i]], dtype=object)),
    }
    return assemble(parts)


def assemble(parts: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Put flat tables of the same rows side by side as the parts of one log.

    >>> parts = {"metadata": pd.DataFrame({"step": [0]}), "scalar_stats": pd.DataFrame({"std": [1.0]})}
    >>> assemble(parts).columns.tolist()
    [('metadata', 'step'), ('scalar_stats', 'std')]

    Args:
        parts: tables of equal length by the name of their part, such as "metadata".

    Raises TypeError for anything else.
    """
    if not (isinstance(parts, Mapping) and all(isinstance(part, pd.DataFrame) for part in parts.values())):
        raise TypeError(f'parts are a dict of tables by the name of their part, such as "metadata", not {parts!r:.60}')
    df = pd.concat(list(parts.values()), axis=1)
    tops = [top for top, part in parts.items() for _ in part.columns]
    names = [label for part in parts.values() for label in part.columns]
    df.columns = column_labels(tops, names)
    return df


@named_arguments
def column_labels(tops: Sequence[str], names: Sequence) -> pd.MultiIndex:
    """Return the column labels of a log, whose text is kept as objects, which every version of pandas can unpickle.

    >>> column_labels(["scalar_stats", "exponent_counts"], ["std", -3]).tolist()
    [('scalar_stats', 'std'), ('exponent_counts', -3)]

    Args:
        tops: the first level: the part that each column belongs to.
        names: the second level: the column's name, or the exponent of a column of counts.
    """
    return pd.MultiIndex.from_arrays([pd.Index(list(tops), dtype=object), pd.Index(list(names), dtype=object)])


def _metadata(name: str, values: Sequence) -> Any:
    if name == "step":
        return np.asarray(values, dtype=np.int64)
    array = np.asarray(values)
    return categories(values) if array.dtype.kind in "OUST" else array


def categories(values: Iterable) -> pd.Categorical:
    """Return text as categories in order of first appearance.

    >>> categories(["b", "a", "b"]).categories.tolist()
    ['b', 'a']

    Args:
        values: one text per row; None and NaN are missing.
    """
    codes, names = pd.factorize(np.asarray(values, dtype=object))
    return pd.Categorical.from_codes(codes, categories=pd.Index(names, dtype=object))


def in_order(column: pd.Series) -> pd.Categorical:
    """Return a text column as categories in order of first appearance, whatever it was before.

    >>> in_order(pd.Series(["b", "a"], dtype="category")).categories.tolist()
    ['b', 'a']

    Args:
        column: a column of text or of categories.
    """
    codes, names = numbered(column)
    return pd.Categorical.from_codes(codes, categories=pd.Index(names, dtype=object))


def _tables(frames: Any) -> list[pd.DataFrame]:
    """Return a list of logs that are tables; raise TypeError for anything else."""
    several = isinstance(frames, Iterable) and not isinstance(frames, str | pd.DataFrame)
    given: list[Any] = list(frames) if several else [frames]
    if not several or not all(map(is_table, given)):
        what = next((type(one).__name__ for one in given if not is_table(one)), "one")
        raise TypeError(f"logs to join are a list of tables, such as [tandv.read(a), tandv.read(b)], not {what}")
    return given


def concat(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Join logs below each other: counts that one lacks are 0, scalars NaN, exponents are sorted.

    >>> from tandv.log.example import example_log
    >>> concat([example_log(steps=10), example_log(steps=20)]).shape[0]
    750

    Args:
        frames: the logs to join.

    Raises ValueError if there is none, TypeError if one is no table, SchemaError if one has no two levels of columns.
    """
    frames = _tables(frames)
    if not frames:
        raise ValueError("there is nothing to join; give at least one log")
    ends = np.cumsum([len(f) for f in frames])
    rows = [slice(end - len(f), end) for f, end in zip(frames, ends, strict=True)]
    pieces: dict[Any, list[tuple[slice, pd.Series]]] = {}
    counts: list[tuple[slice, list, np.ndarray]] = []
    for f, at in zip(frames, rows, strict=True):
        labels = f.columns.tolist()
        positions = [i for i, label in enumerate(labels) if label[0] == "exponent_counts"]
        for i in sorted(set(range(len(labels))) - set(positions)):
            pieces.setdefault(labels[i], []).append((at, f.iloc[:, i]))
        contiguous = positions == list(range(positions[0], positions[-1] + 1))  # a slice copies nothing
        values = f.iloc[:, slice(positions[0], positions[-1] + 1) if contiguous else positions].to_numpy()
        counts.append((at, [labels[i][1] for i in positions], values))

    powers = sorted({power for _, names, _ in counts for power in names})
    row_of = {power: row for row, power in enumerate(powers)}
    block = np.zeros((len(powers), ends[-1]), np.result_type(*{values.dtype for _, _, values in counts}))
    for at, names, values in counts:
        block[[row_of[name] for name in names], at] = values.T
    tables = {
        part: pd.DataFrame({n: _joined(n, p, ends[-1]) for (top, n), p in pieces.items() if top == part})
        for part in ("metadata", "scalar_stats")
    }
    return assemble(tables | {"exponent_counts": pd.DataFrame(block.T, columns=pd.Index(powers, dtype=object))})


def _joined(name: str, pieces: Sequence[tuple[slice, pd.Series]], rows: int) -> Any:
    """Return one column of `rows` values joined from several logs; rows that no log has a value for are missing."""
    columns = [column for _, column in pieces]
    if all(pd.api.types.is_numeric_dtype(c.dtype) for c in columns):
        complete = sum(map(len, columns)) == rows
        dtypes = {np.dtype(c.to_numpy().dtype) for c in columns} | (set() if complete else {np.dtype("f4")})
        out = np.full(rows, 0 if complete else np.nan, np.result_type(*dtypes))
        for at, column in pieces:
            out[at] = column.to_numpy()
        return out
    code_of: dict[str, int] = {"": 0} if name in MAY_BE_EMPTY and sum(map(len, columns)) < rows else {}
    codes = np.full(rows, len(code_of) - 1)
    for at, column in pieces:
        own, names = numbered(column)
        codes[at] = np.array([*(code_of.setdefault(name, len(code_of)) for name in names), -1])[own]
    return pd.Categorical.from_codes(codes, categories=pd.Index(list(code_of), dtype=object))
