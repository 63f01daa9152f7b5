"""Where the overview opens: at the first step with NaN or infinity, else the last, and at the layer that stands out.

>>> import numpy as np
>>> from tandv.log.logframe import example_log, select
>>> from tandv.viz.of_log.maps import cells_of
>>> cells = cells_of(select(example_log(), tt="Activation"), "rm2")
>>> opening(cells, np.zeros(cells.values.shape))  # the example overflows in the last tenth of its steps
('head', 45)
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tandv.formats import Format, exponent
from tandv.log.door import AnyLog, log_at
from tandv.log.grid import grid
from tandv.log.sound import counts_of
from tandv.messages import UnknownName, unknown
from tandv.tensor_types import ACTIVATION
from tandv.viz.layout.heat import MISSING
from tandv.viz.of_log.maps import Cells

OUTLINED_SHARE = 0.001  # of the values: less overflow than this is not outlined


def opening_type(df: AnyLog, types: Sequence[str], metric: str) -> str:
    """Return the tensor type that has NaN or infinity first, else activations, else the first one of the log."""
    if not types:
        raise UnknownName(
            "this log has no rows; nothing was logged (was tracker.step() called, and any layer selected?)"
        )
    usual = ACTIVATION if ACTIVATION in types else types[0]
    first: dict[str, int] = {}
    for kind in dict.fromkeys([usual, *types]):
        if not isinstance(df, pd.DataFrame) and log_at(df).is_finite(kind):  # which needs no row
            continue
        try:
            found = grid(df, kind, metric)
        except UnknownName:  # its rows lie in phases, of which none was chosen
            continue
        if (bad := (found.nans + found.infs > 0).any(axis=0)).any():
            first[kind] = int(found.steps[np.argmax(bad)])
    return min(first, key=lambda kind: first[kind]) if first else usual


def opening(
    cells: Cells,
    overflow: np.ndarray,
    layer: str | None = None,
    step: float | None = None,
    of_values: bool = True,
    order: Sequence[str] = (),
) -> tuple[str, float]:
    """Return the layer and step at which to open, as far as they are not given.

    `overflow` is [layers, steps]: the share of values beyond a format's limit. `of_values` tells whether the statistic
    is one that only a tensor without any finite value lacks, which a log without counts of NaN tells by it. `order` are
    the layers in the order of execution: of those that are not finite at a step the first is where it began.

    Raises UnknownName for a layer that is not there.
    """
    if layer is not None and layer not in cells.names:
        raise UnknownName(unknown("layer", layer, cells.names, "this log"))
    there = cells.values != MISSING
    bad = np.where(there, cells.not_finite.sum(axis=0), 0.0)
    bad = np.maximum(bad, of_values & there & ~np.isfinite(cells.values))
    rows = np.arange(len(cells.names)) if layer is None else np.array([cells.names.index(layer)])
    if step is None:
        column = _first(bad[rows] > 0)
        column = int(np.flatnonzero(there[rows].any(axis=0))[-1]) if column is None else column
        step = int(cells.steps[column])
    elif step not in cells.steps:
        return layer or cells.names[0], step
    if layer is None:
        column = int(np.searchsorted(cells.steps, step))
        if (broken := np.flatnonzero(bad[:, column] > 0)).size:
            return _begun(cells, broken, column, order), step
        rank = standing_out(cells, overflow, column)
        layer = cells.names[int(np.argmax(np.where(there[:, column], rank, -1.0)))]
    return layer, step


def _begun(cells: Cells, broken: np.ndarray, column: int, order: Sequence[str]) -> str:
    """Return the layer in which it began that some are not finite: infinities alone never come of NaN."""
    nans, infs = cells.not_finite[:, broken, column]
    if (alone := broken[(infs > 0) & (nans == 0)]).size:
        broken = alone
    place = {name: at for at, name in enumerate(order or cells.names)}
    return min((cells.names[row] for row in broken), key=lambda name: place.get(name, len(place)))


def standing_out(cells: Cells, overflow: np.ndarray, column: int) -> np.ndarray:
    """Return how much each layer stands out at a step: by overflow, then by its size.

    The size is compared with the layer's usual one, which is its median over the steps; of a single step with that of
    all layers.
    """
    over = overflow[:, column]
    with np.errstate(divide="ignore", invalid="ignore"):
        sizes = np.log2(np.abs(np.where(cells.values == MISSING, np.nan, cells.values)))
    sizes[~np.isfinite(sizes)] = np.nan
    usual = np.array([_median(row) for row in sizes])
    apart = np.nan_to_num(np.abs(sizes[:, column] - usual))
    if not apart.any():
        apart = np.nan_to_num(np.abs(sizes[:, column] - _median(sizes[:, column])))
    return 1e6 * np.where(over > OUTLINED_SHARE, over, 0.0) + apart


def overflow_of(rows: pd.DataFrame, to: Format, cells: Cells, out: np.ndarray) -> None:
    """Put the least share of values that overflow a format into `out`, [layers, steps], where there are rows."""
    limit = exponent(to.overflows_above)
    high = [n for top, n in rows.columns if top == "exponent_counts" and float(n) > limit]
    over = np.zeros(len(rows), np.int64)
    for n in high:
        over += rows[("exponent_counts", n)].to_numpy(np.int64)
    if ("scalar_stats", "numel") in rows.columns:
        total = rows[("scalar_stats", "numel")].to_numpy(float, na_value=np.nan)
    else:
        total = counts_of(rows).to_numpy().sum(axis=1, dtype=float)
    column = rows[("metadata", "name")]
    codes, found = pd.factorize(column.array if isinstance(column.dtype, pd.CategoricalDtype) else column.to_numpy())
    row = np.array([cells.names.index(str(name)) for name in found])[codes]
    shares = np.nan_to_num(over / np.maximum(total, 1))
    out[row, np.searchsorted(cells.steps, rows[("metadata", "step")].to_numpy())] = shares


def _first(found: np.ndarray) -> int | None:
    columns = np.flatnonzero(found.any(axis=0))
    return int(columns[0]) if len(columns) else None


def _median(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else 0.0
