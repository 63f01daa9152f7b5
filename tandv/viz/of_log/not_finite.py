"""How much of a tensor is NaN and how much infinite: without it no statistic of its finite values is shown.

>>> from tandv.log.logframe import example_log, select
>>> shares = not_finite(select(example_log(), "head", "Gradient"))
>>> shares[:, [0, -1]].tolist()
[[0.0, 1.0], [0.0, 0.0]]
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from tandv.log import logframe
from tandv.log.door import AnyLog, Label
from tandv.viz.layout.heat import SOME_INF, SOME_NAN

COUNTS = ("numel", "nans", "infs")
_INFINITE = ("exponent_counts", float("inf"))


def with_counts(df: AnyLog, metrics: Sequence[str]) -> list[Label]:
    """Return the columns of some statistics, and of the counts of what is not finite."""
    there = logframe.labels(df)
    counts = [("scalar_stats", name) for name in COUNTS if ("scalar_stats", name) in there]
    if ("scalar_stats", "numel") not in there:  # then the exponents tell how many values there are
        counts += [label for label in there if label[0] == "exponent_counts"]
    elif ("scalar_stats", "infs") not in there:
        counts += [_INFINITE]
    return list(dict.fromkeys([*(("scalar_stats", metric) for metric in metrics), *counts]))


def columns_of_exponents(df: AnyLog) -> list[Label] | None:
    """Return the columns that a picture of exponents needs; None for all of a table, which has them at hand."""
    if isinstance(df, pd.DataFrame):
        return None
    exponents = [label for label in logframe.labels(df) if label[0] == "exponent_counts"]
    return list(dict.fromkeys([*with_counts(df, ()), *exponents]))


def not_finite(rows: pd.DataFrame) -> np.ndarray:
    """Return the shares of each row's values that are NaN and that are infinite, [2, rows].

    A log without counts of infinities has them, with what lies above its exponents, in the last of these.
    """

    def count(label: tuple[str, Any]) -> np.ndarray:
        if label not in rows.columns:
            return np.zeros(len(rows))
        return np.nan_to_num(rows[label].to_numpy(dtype=np.float64, na_value=np.nan))

    nans, infs = count(("scalar_stats", "nans")), ("scalar_stats", "infs")
    infs = count(infs if infs in rows.columns else _INFINITE)
    if ("scalar_stats", "numel") in rows.columns:
        total = count(("scalar_stats", "numel"))
    else:
        labels = [label for label in rows.columns if label[0] == "exponent_counts"]
        total = rows[labels].to_numpy().sum(axis=1, dtype=np.float64) + nans
    return np.stack([nans, infs]) / np.maximum(total, np.maximum(nans + infs, 1.0))


def marks_of(shares: np.ndarray) -> np.ndarray:
    """Return the marks of cells from their shares of NaN and of infinity, [2, ...]."""
    return (SOME_NAN * (shares[0] > 0) + SOME_INF * (shares[1] > 0)).astype(np.uint8)
