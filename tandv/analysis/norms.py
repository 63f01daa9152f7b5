"""Norms of weights, gradients and updates over training, from a log.

>>> from tandv.log.logframe import example_log
>>> list(norm_curves(example_log()))
['weight_norm', 'gradient_norm']
"""

import math

import numpy as np
import pandas as pd

from tandv.log.door import AnyLog, is_table, loaded
from tandv.log.logframe import numbered, scalar_metrics, tensor_types
from tandv.log.logframe import steps as logged_steps
from tandv.log.ranks import Ranks, rows_of
from tandv.log.schema import check_repeats
from tandv.messages import UnknownName
from tandv.tensor_types import WEIGHT, WEIGHT_GRADIENT, WEIGHT_UPDATE

KINDS = {"weight_norm": WEIGHT, "gradient_norm": WEIGHT_GRADIENT, "update_norm": WEIGHT_UPDATE}
_NEEDED = (("scalar_stats", "rm2"), ("scalar_stats", "numel"))


def norm_curves(df: AnyLog, *, per_layer: bool = False, rank: Ranks | None = None) -> pd.DataFrame:
    """Return the 2-norms of all weights, gradients and updates together, a column for each that the log has.

    Each is the square root of the sum of rm2² · numel over all tensors of its type. It is infinite where a value is,
    and NaN where one is NaN: `attrs["nan"]` lists these steps by column. A step that lacks a tensor which other steps
    have is NaN too, since its norm would be too small.

    >>> from tandv.log.logframe import example_log
    >>> norm_curves(example_log(layers=2, steps=2), per_layer=True).columns.tolist()[:2]
    ['weight_norm', 'weight_norm:embed']

    Args:
        df: the log, or the place of one: a run's folder or a file.
        per_layer: whether to add a column for each tensor, such as "weight_norm:layers.0".
        rank: a rank of a log that keeps the rows of each, or several, whose rows are parts of one tensor; None for all.

    Raises UnknownName if the log has none of the tensor types, or lacks rm2 or numel; SchemaError for rows that are
    there twice.
    """
    if missing := [name for _, name in _NEEDED if name not in scalar_metrics(df)]:
        raise UnknownName(
            f"the log lacks {' and '.join(missing)}, of which norms are made; record tandv's own statistics"
        )
    present = {name: kind for name, kind in KINDS.items() if kind in tensor_types(df)}
    if not present:
        raise UnknownName(
            f"the log has none of {', '.join(KINDS.values())}, only {', '.join(tensor_types(df)) or 'no rows'}; "
            "track with track_weights=True"
        )
    out: dict[str, pd.Series] = {}
    nan: dict[str, list[int]] = {}
    steps = pd.Index(np.array(logged_steps(df), np.int64), name="step")
    counted = [("scalar_stats", name) for name in ("nans", "infs") if name in scalar_metrics(df)]
    if is_table(df):
        check_repeats(df)
    df = loaded(df, tt=list(present.values()), columns=[*_NEEDED, *counted])
    if rank is not None:
        df = df[rows_of(df, rank)]
    for name, kind in present.items():
        rows = df[(df[("metadata", "tensor_type")] == kind).to_numpy()]
        codes, layers = numbered(rows[("metadata", "name")])
        at = np.searchsorted(steps, rows[("metadata", "step")].to_numpy())
        cells, shape = (codes, at), (len(layers), len(steps))
        nans, infs = (
            _total(
                rows[label].to_numpy(np.float64, na_value=0.0) if label in rows.columns else np.zeros(len(rows)),
                cells,
                shape,
            )
            for label in (("scalar_stats", "nans"), ("scalar_stats", "infs"))
        )
        mean_square = rows[_NEEDED[0]].to_numpy(np.float64, na_value=math.nan) ** 2
        power = _total(mean_square * rows[_NEEDED[1]].to_numpy(np.float64), cells, shape)
        power = np.where(nans > 0, math.nan, np.where(infs > 0, math.inf, power))
        known = _total(np.ones(len(rows)), cells, shape) > 0
        power[~known] = math.nan
        out[name] = pd.Series(np.sqrt(np.where(known.any(0), power.sum(0), math.nan)), steps)
        nan[name] = steps[np.flatnonzero(nans.sum(axis=0))].tolist()
        if per_layer:
            out |= {f"{name}:{layer}": pd.Series(np.sqrt(power[i]), steps) for i, layer in enumerate(layers)}
            nan |= {f"{name}:{layer}": steps[nans[i] > 0].tolist() for i, layer in enumerate(layers)}
    found = pd.DataFrame(out).rename_axis("step")
    found.attrs["nan"] = nan
    return found


def _total(values: np.ndarray, cells: tuple[np.ndarray, np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Return the sums of the values of each cell; rows of several ranks hold parts of one tensor."""
    sums = np.zeros(shape)
    np.add.at(sums, cells, values)
    return sums
