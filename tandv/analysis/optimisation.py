"""What `track(insight=True)` measured of each weight gradient, of the whole model: zeros, sign flips, norms.

>>> from tandv.log.logframe import example_log
>>> log = example_log(layers=2, steps=1, tensor_types=["Weight_Gradient"]).copy()
>>> log[("scalar_stats", "gradient_norm")] = [3.0, 4.0]
>>> insight_curves(log)["gradient_norm"].tolist()
[5.0]
"""

import math
import re

import numpy as np
import pandas as pd

from tandv.curves import epoch_means
from tandv.log.door import AnyLog, is_table, loaded
from tandv.log.logframe import scalar_metrics
from tandv.log.ranks import Ranks, rows_of
from tandv.log.schema import check_repeats
from tandv.messages import UnknownName
from tandv.tensor_types import WEIGHT_GRADIENT

_THRESHOLD = re.compile(r"zeros_(?:retained_|released_)?(\d.*)")
NORMS = ("gradient_norm", "update_norm")


def insight_curves(
    df: AnyLog, *, per_layer: bool = False, steps_per_epoch: int | None = None, rank: Ranks | None = None
) -> pd.DataFrame:
    """Return what optimisation does with the whole model: zero gradients, how many are released, sign flips, norms.

    Counts are sums over all tensors, shares are those of all their weights together, and norms those of all in one
    vector. `update_norm` is the norm of the difference of the weights from one step to the next. A sum of a step that
    lacks a tensor which other steps have is NaN, since it would be too small; a share is of the tensors that are known.

    >>> from tandv.log.logframe import example_log
    >>> log = example_log(layers=2, steps=3, tensor_types=["Weight_Gradient"]).copy()
    >>> log[("scalar_stats", "zeros_1e-05")] = 4.0
    >>> insight_curves(log, per_layer=True)["zeros_1e-05"].tolist()
    [8.0, 8.0, 8.0]

    Args:
        df: the log, or the place of one, of a run with `track(insight=True)`.
        per_layer: whether to add a column for each tensor, such as "sign_flips:layers.0".
        steps_per_epoch: how many training steps an epoch has: means of epochs are returned, indexed by epoch; None for
            a row per step.
        rank: a rank of a log that keeps the rows of each, or several, whose rows are parts of one tensor; None for all.

    Raises UnknownName if the log has none of these numbers, ValueError if `steps_per_epoch` is less than 1, SchemaError
    for rows that are there twice.
    """
    there = scalar_metrics(df)
    thresholds = list(dict.fromkeys(match[1] for name in there if (match := _THRESHOLD.fullmatch(name))))
    named = [f"zeros{of}_{one}" for one in thresholds for of in ("", "_retained", "_released")]
    counts = [name for name in named if name in there]
    flips = [name for name in ("sign_flips", "signed") if name in there]
    norms = [name for name in NORMS if name in there]
    if not (counts or len(flips) == 2 or norms):
        raise UnknownName("the log has no numbers of insight; record them with track(..., insight=True)")
    wanted = [("scalar_stats", name) for name in ("numel", *counts, *flips, *norms) if name in there]
    if is_table(df):
        check_repeats(df)
    rows = loaded(df, tt=[WEIGHT_GRADIENT], columns=wanted)
    if rank is not None:
        rows = rows[rows_of(rows, rank)]
    values = {name: rows["scalar_stats", name].to_numpy(np.float64, na_value=math.nan) for _, name in wanted}
    names = rows["metadata", "name"].astype(str).to_numpy()
    layers = list(dict.fromkeys(names))
    sums = {name: values[name] for name in counts} | {name: values[name] ** 2 for name in norms}
    if len(flips) == 2:
        signed = values["signed"] * values["numel"]
        sums |= {"_signed": signed, "_flips": np.where(signed == 0, 0.0, values["sign_flips"] * signed)}
    index = pd.MultiIndex.from_arrays([rows["metadata", "step"].to_numpy(), names], names=["step", "layer"])
    each = pd.DataFrame(sums, index).groupby(level=["step", "layer"]).sum(min_count=1)  # parts of several ranks
    whole = _shares_and_roots(_of_model(each, len(layers), counts + norms), thresholds, norms)
    if per_layer:
        layer_of = each.index.get_level_values("layer")
        parts_of = {name: each[layer_of == name].droplevel("layer") for name in layers}
        of_layers = {name: _shares_and_roots(part, thresholds, norms) for name, part in parts_of.items()}
        parts = [of.add_suffix(f":{name}") for name, of in of_layers.items()]
        whole = pd.concat([whole, *parts], axis=1)
    whole.index = whole.index.astype(np.int64)
    if steps_per_epoch is None:
        return whole.rename_axis("step")
    means = epoch_means(whole.rename_axis("step"), steps_per_epoch)
    means.index = pd.Index(means.index // steps_per_epoch, name="step")
    means.attrs["unit"] = "epoch"
    return means


def _of_model(each: pd.DataFrame, layers: int, complete: list[str]) -> pd.DataFrame:
    """Return sums over all tensors; those of `complete` need all of them, as far as any step has them."""
    by_step = each.groupby(level="step")
    total, known = by_step.sum(min_count=1), by_step.count()
    for name in complete:
        most = min(layers, int(known[name].max()))
        total[name] = total[name].where(known[name] == most, math.nan)
    return total


def _shares_and_roots(sums: pd.DataFrame, thresholds: list[str], norms: list[str]) -> pd.DataFrame:
    """Return the columns of insight from sums over weights."""
    out: dict[str, pd.Series] = {}
    for one in thresholds:
        zeros, retained, released = f"zeros_{one}", f"zeros_retained_{one}", f"zeros_released_{one}"
        out |= {name: sums[name] for name in (zeros, retained, released) if name in sums}
        if released in sums and retained in sums:
            out[f"zeros_released_share_{one}"] = _share(sums[released], sums[released] + sums[retained])
    if "_flips" in sums:
        out["sign_flips"] = _share(sums["_flips"], sums["_signed"])
    return pd.DataFrame(out | {name: np.sqrt(sums[name]) for name in norms}, index=sums.index)


def _share(part: pd.Series, whole: pd.Series) -> pd.Series:
    return part / whole.where(whole > 0)
