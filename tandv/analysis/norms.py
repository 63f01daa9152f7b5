"""Norms of weights, gradients and updates over training, from a log.

>>> from tandv.log.logframe import example_log
>>> list(norm_curves(example_log()))
['weight_norm', 'gradient_norm']
"""

import math

import numpy as np
import pandas as pd

from tandv.log.door import AnyLog, loaded
from tandv.log.logframe import numbered, scalar_metrics, tensor_types
from tandv.log.logframe import steps as logged_steps
from tandv.messages import UnknownName
from tandv.tensor_types import WEIGHT, WEIGHT_GRADIENT, WEIGHT_UPDATE

KINDS = {"weight_norm": WEIGHT, "gradient_norm": WEIGHT_GRADIENT, "update_norm": WEIGHT_UPDATE}
_NEEDED = (("scalar_stats", "rm2"), ("scalar_stats", "numel"))


def norm_curves(df: AnyLog, *, per_layer: bool = False) -> pd.DataFrame:
    """Return the 2-norms of all weights, gradients and updates together, a column for each that the log has.

    Each is the square root of the sum of rm2² · numel over all tensors of its type. A step that lacks a tensor which
    other steps have is NaN, since its norm would be too small.

    >>> from tandv.log.logframe import example_log
    >>> norm_curves(example_log(layers=2, steps=2), per_layer=True).columns.tolist()[:2]
    ['weight_norm', 'weight_norm:embed']

    Args:
        df: the log, or the place of one: a run's folder or a file.
        per_layer: whether to add a column for each tensor, such as "weight_norm:layers.0".

    Raises UnknownName if the log has none of the tensor types, or lacks rm2 or numel.
    """
    if missing := [name for _, name in _NEEDED if name not in scalar_metrics(df)]:
        raise UnknownName(
            f"the log lacks {' and '.join(missing)}, of which norms are made; record tandv's own statistics"
        )
    present = {name: kind for name, kind in KINDS.items() if kind in tensor_types(df)}
    if not present:
        raise UnknownName(
            f"the log has none of {', '.join(KINDS.values())}, only {', '.join(tensor_types(df))}; "
            "track with track_weights=True"
        )
    out: dict[str, pd.Series] = {}
    steps = pd.Index(np.array(logged_steps(df), np.int64), name="step")
    df = loaded(df, tt=list(present.values()), columns=_NEEDED)
    for name, kind in present.items():
        rows = df[(df[("metadata", "tensor_type")] == kind).to_numpy()]
        codes, layers = numbered(rows[("metadata", "name")])
        at = np.searchsorted(steps, rows[("metadata", "step")].to_numpy())
        mean_square = rows[_NEEDED[0]].to_numpy(np.float64, na_value=math.nan) ** 2
        power = np.zeros((len(layers), len(steps)))
        known = np.zeros((len(layers), len(steps)), bool)
        # the rows of several ranks hold parts of one tensor
        np.add.at(power, (codes, at), mean_square * rows[_NEEDED[1]].to_numpy(np.float64))
        known[codes, at] = True
        measured = known.any(0)
        power[~known] = math.nan
        out[name] = pd.Series(np.sqrt(np.where(measured, power.sum(0), math.nan)), steps)
        if per_layer:
            out |= {f"{name}:{layer}": pd.Series(np.sqrt(power[i]), steps) for i, layer in enumerate(layers)}
    return pd.DataFrame(out).rename_axis("step")
