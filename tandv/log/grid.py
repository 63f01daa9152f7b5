"""One statistic of every layer at every step as arrays: what a heat map needs of a log, whatever its size."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from tandv.log import logframe
from tandv.log.door import AnyLog, Names, Steps, log_at
from tandv.messages import UnknownName, unknown

__all__ = ["Grid", "grid", "grids"]


class Grid(NamedTuple):
    """A statistic of layers over steps, with what its value does not show: how much of a tensor is not finite.

    >>> Grid(["fc"], np.array([0]), *(np.ones((1, 1)) for _ in range(4)), np.ones((1, 1), bool)).values.shape
    (1, 1)

    Args:
        layers: the layers in model order.
        steps: the steps, ascending, [n] integers.
        values: the statistic, [layers, steps] floats; NaN where it is NaN and where nothing was logged.
        nans: how many values of the tensor are NaN, [layers, steps] integers.
        infs: how many are infinite, likewise.
        numel: how many values it has, at least wherever some are NaN or infinite; 0 where that is not known.
        logged: whether there is a row, [layers, steps] booleans.
    """

    layers: list[str]
    steps: np.ndarray
    values: np.ndarray
    nans: np.ndarray
    infs: np.ndarray
    numel: np.ndarray
    logged: np.ndarray


def grid(
    df: AnyLog,
    tt: str,
    scalar_metric: str,
    layer: Names | None = None,
    step: Steps | None = None,
    phase: Names | None = None,
    rank: int | None = None,
) -> Grid:
    """Return a statistic of one tensor type as arrays [layers, steps], with its counts of NaN and infinity.

    >>> found = grid(logframe.example_log(), "Gradient", "rm2", layer="head")
    >>> found.values.shape, int(found.nans[0, -1])
    ((1, 50), 4096)

    Args:
        df: the log, or the place of one: a run's folder or a file.
        tt: the tensor type.
        scalar_metric: the name of a scalar statistic.
        layer: a layer's name, a compiled pattern, or a list of these; None for all.
        step: an integer, a list, or a slice, which ends before its stop like `range`; None for all.
        phase: the phase of `tracker.phase(...)`, as in `select`.
        rank: a rank of a log that keeps the rows of each; None merges the rows of all ranks.

    Raises UnknownName for what is not in the log, ValueError if a step has several rows of one tensor.
    """
    return grids(df, tt, [scalar_metric], layer, step, phase, rank)[scalar_metric]


def grids(
    df: AnyLog,
    tt: str,
    scalar_metrics: Sequence[str],
    layer: Names | None = None,
    step: Steps | None = None,
    phase: Names | None = None,
    rank: int | None = None,
) -> dict[str, Grid]:
    """Return several statistics of one tensor type, each as of `grid`; rows of a table are chosen once for all of them.

    >>> found = grids(logframe.example_log(), "Gradient", ["rm2", "zeros"], layer="head")
    >>> {name: one.values.shape for name, one in found.items()}
    {'rm2': (1, 50), 'zeros': (1, 50)}

    Args:
        df: the log, or the place of one: a run's folder or a file.
        tt: the tensor type.
        scalar_metrics: the names of scalar statistics.
        layer: a layer's name, a compiled pattern, or a list of these; None for all.
        step: an integer, a list, or a slice, which ends before its stop like `range`; None for all.
        phase: the phase of `tracker.phase(...)`, as in `select`.
        rank: a rank of a log that keeps the rows of each; None merges the rows of all ranks.

    Raises UnknownName for what is not in the log, ValueError if a step has several rows of one tensor.
    """
    if phase is None and rank is None and not isinstance(df, pd.DataFrame):
        df = log_at(df)
        indexed = {name: df.grid(tt, name, layer, step) for name in scalar_metrics}
        known = {name: one for name, one in indexed.items() if one is not None}
        if len(known) == len(indexed):
            return known
    has = logframe.scalar_metrics(df)
    for name in scalar_metrics:
        if name not in has:
            raise UnknownName(unknown("statistic", name, has, logframe.LOG))
    counts = [name for name in ("nans", "infs", "numel") if name in has]
    counted = list(dict.fromkeys((*scalar_metrics, *counts)))
    columns = [("scalar_stats", name) for name in counted]
    rows = logframe.select(df, layer, tt, step, phase, rank, columns)
    codes, layers = logframe.numbered(rows[("metadata", "name")])
    steps, at = np.unique(rows[("metadata", "step")].to_numpy(), return_inverse=True)
    columns = {name: rows[("scalar_stats", name)].to_numpy() for name in counted}
    return {name: arranged(layers, steps.astype(np.int64), codes, at, columns, name) for name in scalar_metrics}


def arranged(
    layers: list[str],
    steps: np.ndarray,
    layer_of: np.ndarray,
    step_of: np.ndarray,
    columns: dict[str, np.ndarray],
    scalar_metric: str,
) -> Grid:
    """Return rows in any order as a Grid.

    >>> arranged(["a", "b"], np.array([5]), np.array([1]), np.array([0]), {"std": np.ones(1)}, "std").values.tolist()
    [[nan], [1.0]]

    Args:
        layers: the names of the layers.
        steps: the steps, ascending.
        layer_of: the position of each row's layer, [rows].
        step_of: the position of each row's step, [rows].
        columns: the statistic, and `nans`, `infs` and `numel` as far as they are known, [rows] each.
        scalar_metric: the name of the statistic.

    Raises ValueError if a cell has several rows.
    """
    shape = len(layers), len(steps)
    cell = layer_of.astype(np.int64) * len(steps) + step_of
    logged = np.zeros(shape[0] * shape[1], bool)
    logged[cell] = True
    if len(cell) > np.count_nonzero(logged):
        raise ValueError(
            "a step has several rows of one tensor; choose one tensor type, one phase and one rank of them, or one "
            "of rows that are there twice"
        )
    values = np.full(len(logged), np.nan)
    values[cell] = columns[scalar_metric]
    counts = {name: np.zeros(len(logged), np.int64) for name in ("nans", "infs", "numel")}
    for name in counts.keys() & columns.keys():
        counts[name][cell] = np.nan_to_num(columns[name])
    arrays = (values, *counts.values(), logged)
    values, nans, infs, numel, logged = (array.reshape(shape) for array in arrays)
    return Grid(layers, steps, values, nans, infs, numel, logged)
