"""Whether the loss changes much over a stretch of a run, beside other stretches of the same length."""

import math

import numpy as np
import pandas as pd

from tandv.curves.outcomes import data_of, way_of


def loss_curve(table: pd.DataFrame) -> pd.Series:
    """Return the loss of a run: the training loss if there is one, else the first loss.

    >>> loss_curve(pd.DataFrame({"val_loss": [1.0], "train_loss": [0.5]})).name
    'train_loss'

    Args:
        table: curves as `as_curves` returns them.

    Raises ValueError if no curve is a loss, by its name.
    """
    losses = [name for name in table.columns if way_of(name) == "falls"]
    if not losses:
        raise ValueError(f"no curve is a loss, by its name; there are {', '.join(map(repr, table.columns))}")
    return table[min(losses, key=lambda name: ("loss" not in name.lower(), data_of(name) == "unseen"))]


def share_that_changes_less(loss: pd.Series, start: float, end: float) -> float:
    """Return over which share of the stretches elsewhere, as long as one, the loss changes less than over that one.

    Changes of a positive loss are ratios, so that the steep beginning of a run does not outdo all that follows. NaN if
    there is no stretch elsewhere.

    >>> loss = pd.Series([1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.4, 0.4, 0.4])
    >>> share_that_changes_less(loss, 2, 3)
    1.0

    Args:
        loss: the loss by step.
        start: the first step of the stretch.
        end: its last.
    """
    curve = loss[np.isfinite(loss.to_numpy())].sort_index()
    steps, values = curve.index.to_numpy(), curve.to_numpy(np.float64)
    if len(steps) < 2:
        return math.nan
    values = np.log(values) if (values > 0).all() else values
    first = max(int(np.searchsorted(steps, start, "right")) - 1, 0)
    last = min(int(np.searchsorted(steps, end, "left")), len(steps) - 1)
    last = first + 1 if last <= first else last
    if last >= len(steps):
        first, last = first - 1, last - 1
    width = last - first
    changes = np.abs(values[width:] - values[:-width])
    at = np.arange(len(changes))
    elsewhere = changes[(at + width <= first) | (at >= last)]
    return float((elsewhere < changes[first]).mean()) if len(elsewhere) else math.nan
