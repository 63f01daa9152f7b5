"""What an overview reads of a log: of one at a place arrays of a statistic, and counts of exponents where they matter.

>>> from tandv.formats import known
>>> from tandv.log.example import example_log
>>> cells = read_cells(example_log(layers=3), "rm2", tt="Activation")
>>> read_overflow(example_log(layers=3), known("float8_e4m3fn")[0], cells, tt="Activation").shape == cells.values.shape
True
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from tandv.formats import Format, exponent
from tandv.log import logframe
from tandv.log.door import AnyLog
from tandv.log.grid import grid
from tandv.viz.layout.heat import MISSING
from tandv.viz.layout.layer_axis import kinds_of
from tandv.viz.of_log.maps import Cells, cells_at, cells_of
from tandv.viz.of_log.not_finite import COUNTS, columns_of_exponents, with_counts
from tandv.viz.of_log.opening import overflow_of

_AT_ONCE = 4_000_000  # counts of exponents that are in memory at a time


def read_cells(log: AnyLog, metric: str, **of: Any) -> Cells:
    """Return a statistic of one tensor type; `of` are the choices of `logframe.select`."""
    there = logframe.labels(log)
    if not isinstance(log, pd.DataFrame) and all(("scalar_stats", name) in there for name in COUNTS):
        found = grid(log, scalar_metric=metric, **of)
        return cells_at(found, found.steps)
    return cells_of(logframe.select(log, **of, columns=with_counts(log, [metric])), metric)


def read_overflow(log: AnyLog, to: Format, cells: Cells, metric: str = "", **of: Any) -> np.ndarray:
    """Return the least share of values that overflow a format, [layers, steps].

    Exponents are read only of the layers, and from the first to the last step, whose largest value allows that.
    `metric` is the statistic that the cells have.
    """
    beyond = np.ones(cells.values.shape, bool)
    if ("scalar_stats", "max_abs") in logframe.labels(log):
        largest = cells if metric == "max_abs" else read_cells(log, "max_abs", **of)
        beyond = ~(largest.values < 2.0 ** (exponent(to.overflows_above) + 1)) | (largest.not_finite[1] > 0)
        beyond &= largest.values != MISSING
    out = np.zeros(cells.values.shape)
    columns = np.flatnonzero(beyond.any(axis=0))
    if not len(columns):
        return out
    steps = slice(int(cells.steps[columns[0]]), int(cells.steps[columns[-1]]) + 1)
    layers = [cells.names[i] for i in np.flatnonzero(beyond.any(axis=1))]
    labels = columns_of_exponents(log)
    width = (columns[-1] - columns[0] + 1) * len(labels or [0])
    many = len(layers) if labels is None else max(int(_AT_ONCE // width), 1)
    for first in range(0, len(layers), many):
        rows = logframe.select(log, layers[first : first + many], step=steps, columns=labels, **of)
        overflow_of(rows, to, cells, out)
    return out


def read_kinds(log: AnyLog, names: Sequence[str], step: int, **of: Any) -> list[str]:
    """Return the kind of module of each of some layers: as at one step, for those that are there, else at any."""
    if isinstance(log, pd.DataFrame):
        return kinds_of(log, names)
    rows = logframe.select(log, step=step, columns=[], **of)
    there = set(rows[("metadata", "name")])
    if others := [name for name in names if name not in there]:
        rows = pd.concat([rows, logframe.select(log, others, columns=[], **of)])
    return kinds_of(rows, names)
