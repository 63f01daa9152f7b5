"""Rows of several ranks: choose some, or merge those of one tensor at one step into one row.

Counts add. Moments are those of all finite values together, from each rank's moments and how many finite values it has.
A tensor of which every rank holds a copy is counted as often: its moments are those of one copy.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from tandv.glossary import insight_meaning, is_block_sum, is_share
from tandv.log.building import column_labels
from tandv.log.door import AnyLog, Label, Ranks, is_table, log_at
from tandv.messages import UnknownName, unknown, warn
from tandv.statistics import COUNTS

RANK = ("metadata", "rank")

_LIKE_THE_FIRST = ("type", "dtype")  # metadata that does not tell rows apart
_POWERS = {"mean": 1, "mean_abs": 1, "rm2": 2, "rm4": 4, "rm8": 8}  # (mean of x^p)^(1/p), of the finite values
_EXTREMES = {"max_abs": np.fmax, "min_abs": np.fmin, "mantissa_bits": np.fmax}


class _Groups(NamedTuple):
    """Rows sorted by the tensor that they are of; a tensor begins at each of `starts`."""

    order: np.ndarray  # of the rows
    starts: np.ndarray
    of: np.ndarray  # the number of its tensor, of each sorted row
    finite: np.ndarray  # how many finite values each sorted row has


def ranks(df: AnyLog) -> list[int]:
    """Return the ranks whose rows a log keeps, ascending; none if it has the rows of all ranks merged.

    >>> from tandv.log.example import example_log
    >>> ranks(example_log())
    []

    Args:
        df: the log, or the place of one: a run's folder or a file.
    """
    if not is_table(df):
        return log_at(df).ranks()
    return sorted(map(int, pd.unique(df[RANK]))) if RANK in df.columns else []


def rows_of(df: pd.DataFrame, rank: Ranks) -> np.ndarray:
    """Return which rows [rows] of a log are those of a rank, or of one of several.

    Args:
        df: the log, or the place of one: a run's folder or a file.
        rank: a rank, or several.

    Raises UnknownName for a rank that the log does not have, ValueError for no rank.
    """
    wanted = [rank] if isinstance(rank, int | np.integer) else list(rank)
    there = ranks(df)
    if not wanted:
        raise ValueError("rank is an empty list; choose some ranks, or None to merge all")
    if RANK not in df.columns:
        raise UnknownName(f"no rank {wanted[0]} in this log: it has no rank of its rows, those of all are merged")
    if lacking := [one for one in wanted if one not in there]:
        raise UnknownName(unknown("rank", lacking[0], there, "this log"))
    return np.isin(df[RANK].to_numpy(), wanted)


def needed(labels: Iterable[Label], there: Sequence[Label]) -> list[Label]:
    """Return the columns that have to be read to merge the ranks of some columns.

    >>> there = [("scalar_stats", name) for name in ("std", "rm2", "mean", "numel")]
    >>> needed(there[:1], there)
    [('scalar_stats', 'std'), ('scalar_stats', 'mean'), ('scalar_stats', 'numel')]

    Args:
        labels: the columns that are asked for.
        there: the columns that the log has.
    """
    asked = list(dict.fromkeys(labels))
    if not any(top == "scalar_stats" for top, _ in asked):
        return asked
    more = [("scalar_stats", name) for name in (*(("mean",) if ("scalar_stats", "std") in asked else ()), "numel")]
    more += [("scalar_stats", name) for name in ("nans", "infs")]
    if ("scalar_stats", "numel") not in there:
        more += [label for label in there if label[0] == "exponent_counts"]
    has = set(there)
    return list(dict.fromkeys([*asked, *(label for label in more if label in has)]))


def merged(rows: pd.DataFrame, columns: Sequence[Label] | None = None) -> pd.DataFrame:
    """Return one row for each tensor, step and phase, without a rank; rows of a single rank are returned as they are.

    A statistic of which tandv does not know how it combines, such as one of `stash_value=`, keeps the value that all
    ranks have; where they differ it is NaN, and a warning says so.

    >>> from tandv.log.example import example_log
    >>> df = pd.concat([example_log(layers=1, steps=1, tensor_types=["Weight"])] * 2)
    >>> df[RANK] = [0, 1]
    >>> merged(df)[("scalar_stats", "numel")].tolist()
    [131072]

    Args:
        rows: rows of a log.
        columns: the columns of the result; None for all.
    """
    kept = list(rows.columns) if columns is None else list(columns)
    if len(ranks(rows)) < 2:
        return rows if columns is None else rows[kept]
    kept = [label for label in kept if label != RANK]
    metadata = [label for label in rows.columns if label[0] == "metadata" and label != RANK]
    number = _numbers(rows[label] for label in metadata if label[1] not in _LIKE_THE_FIRST)
    order = np.argsort(number, kind="stable")
    new = np.diff(number[order], prepend=-1) != 0
    groups = _Groups(order, np.flatnonzero(new), np.cumsum(new) - 1, _finite(rows)[order])
    if new.all():  # each tensor is on one rank only, as in a pipeline
        return rows[kept]

    parts = [rows[[label for label in kept if label[0] == "metadata"]].take(order[groups.starts])]
    index = parts[0].index
    scalars = {label: _statistic(str(label[1]), rows, groups) for label in kept if label[0] == "scalar_stats"}
    if scalars:
        table = pd.DataFrame({i: values for i, (values, _) in enumerate(scalars.values())}, index=index)
        table.columns = column_labels(*map(list, zip(*scalars, strict=True)))
        parts.append(table)
    if counts := [label for label in kept if label[0] == "exponent_counts"]:
        table = pd.DataFrame(_added(rows[counts].to_numpy(), groups), index=index)
        table.columns = column_labels(*map(list, zip(*counts, strict=True)))
        parts.append(table)
    if differ := [str(name) for (_, name), (_, agreed) in scalars.items() if not agreed]:
        warn(
            f"the ranks differ in {', '.join(differ)}, of which it is not known how they combine: NaN where ranks "
            "are merged; choose one, such as rank=0",
            stacklevel=4,
        )
    return pd.concat(parts, axis=1)[kept]


def _numbers(columns: Iterable[pd.Series]) -> np.ndarray:
    """Return a number for each row, equal where all columns are, in order of first appearance."""
    number: np.ndarray | None = None
    for column in columns:
        codes, values = pd.factorize(column.array if isinstance(column.dtype, pd.CategoricalDtype) else column)
        number = codes if number is None else pd.factorize(number * np.int64(len(values) + 1) + codes)[0]
    assert number is not None
    return number


def _finite(rows: pd.DataFrame) -> np.ndarray:
    """Return how many finite values each row has, from its counts of statistics or else of exponents."""

    def count(name: str) -> np.ndarray | float:
        label = ("scalar_stats", name)
        return np.nan_to_num(_floats(rows[label])) if label in rows.columns else 0.0

    if ("scalar_stats", "numel") in rows.columns:
        return np.asarray(count("numel") - count("nans") - count("infs"))
    counted = [label for label in rows.columns if label[0] == "exponent_counts" and label[1] != np.inf]
    return rows[counted].to_numpy().sum(axis=1, dtype=np.float64)


def _statistic(name: str, rows: pd.DataFrame, groups: _Groups) -> tuple[np.ndarray, bool]:
    """Return a statistic of all ranks together, in the dtype of its column, and whether it is known."""
    column = rows[("scalar_stats", name)]
    if column.dtype.kind in "iu" and _is_count(name):
        return _added(column.to_numpy(), groups), True
    values, known = _floats(column)[groups.order], True
    if name in _POWERS:
        out = _power_mean(values, _POWERS[name], groups)
    elif name == "std" and ("scalar_stats", "mean") in rows.columns:
        out = _std(values, _floats(rows[("scalar_stats", "mean")])[groups.order], groups)
    elif name in _EXTREMES:
        out = _EXTREMES[name].reduceat(values, groups.starts)
    elif _is_count(name):
        out = np.add.reduceat(values, groups.starts)
    else:
        out = values[groups.starts]
        alike = (values == out[groups.of]) | (np.isnan(values) & np.isnan(out)[groups.of])
        alike = np.logical_and.reduceat(alike, groups.starts)
        out, known = np.where(alike, out, np.nan), bool(alike.all())
    return out.astype(np.float32 if column.dtype == np.float32 else np.float64), known


def _is_count(name: str) -> bool:
    return (
        name in COUNTS
        or is_block_sum(name)
        or (name.startswith("zeros_") and bool(insight_meaning(name)) and not is_share(name))
    )


def _added(values: np.ndarray, groups: _Groups) -> np.ndarray:
    """Return the sums of counts, [rows] or [rows, columns]."""
    return np.add.reduceat(values[groups.order], groups.starts, axis=0, dtype=np.int64)


def _power_mean(values: np.ndarray, power: int, groups: _Groups) -> np.ndarray:
    """Return (mean of x^p)^(1/p) from that of each rank; divided by the largest first, lest a power overflows."""
    used = np.where(groups.finite > 0, values, 0.0)
    top = np.maximum.reduceat(np.abs(used), groups.starts)
    scale = np.where(top > 0, top, 1.0)
    return scale * _mean((used / scale[groups.of]) ** power, groups) ** (1 / power)


def _std(std: np.ndarray, mean: np.ndarray, groups: _Groups) -> np.ndarray:
    """Return the standard deviation from each rank's squares around its own mean, and its mean around that of all."""
    std, mean = (np.where(groups.finite > 0, of, 0.0) for of in (std, mean))
    return _power_mean(np.hypot(std, mean - _mean(mean, groups)[groups.of]), 2, groups)


def _mean(values: np.ndarray, groups: _Groups) -> np.ndarray:
    """Return the mean of values over all ranks, each as often as its rank has finite values; NaN without any."""
    total = np.add.reduceat(groups.finite, groups.starts)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.add.reduceat(values * groups.finite, groups.starts) / total


def _floats(column: pd.Series) -> np.ndarray:
    return column.to_numpy(dtype=np.float64, na_value=np.nan)
