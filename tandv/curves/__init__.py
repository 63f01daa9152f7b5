"""Curves: one row per step, a float column per quantity, whatever the source of the numbers.

>>> from tandv.curves import as_curves
>>> as_curves({"step": [0, 10], "train_loss": [2.0, 1.5]})["train_loss"].to_dict()
{0: 2.0, 10: 1.5}
"""

from tandv.curves._reading import DamagedCurves
from tandv.curves.averages import Band, epoch_means, mean_and_band, mean_and_reach, smoothed
from tandv.curves.curves import Curves, TrainingStats, as_curves, read_curves, write_curves
from tandv.curves.of_run import (
    beside_each_other,
    curves_beside,
    given,
    learning_rate_of,
    losses_of,
    run_curves,
)
from tandv.curves.steps import unit_of

__all__ = [
    "Band",
    "Curves",
    "DamagedCurves",
    "TrainingStats",
    "as_curves",
    "beside_each_other",
    "curves_beside",
    "epoch_means",
    "given",
    "learning_rate_of",
    "losses_of",
    "mean_and_band",
    "mean_and_reach",
    "read_curves",
    "run_curves",
    "smoothed",
    "unit_of",
    "write_curves",
]
