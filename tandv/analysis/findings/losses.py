"""The loss that a run trains on."""

import re
from collections.abc import Sequence

import numpy as np

from tandv.curves.of_run import is_loss, losses_of, run_curves
from tandv.log.door import AnyLog

_WHOLE = {"loss", "trainloss", "trainingloss", "losstrain", "totalloss", "losstotal", "train"}  # letters of its name


def loss_of(log: AnyLog, steps: np.ndarray) -> np.ndarray | None:
    """Return the loss of a log's run at its recorded steps, [n] floats; None if it has none.

    Args:
        log: the log, or the place of one.
        steps: the recorded steps, ascending, [n] integers.
    """
    curves = run_curves(log)
    if curves is None or not len(steps):
        return None
    name = whole_loss([str(name) for name in losses_of(curves).columns])
    return None if name is None else curves[name].reindex(steps).to_numpy(np.float64)


def whole_loss(names: Sequence[str]) -> str | None:
    """Return which of a run's numbers is the loss that it trains on; None if none is, or several are.

    >>> whole_loss(["lr", "val_loss", "loss"]), whole_loss(["loss_g", "loss_d"]) is None
    ('loss', True)

    Args:
        names: the names of numbers of the loop.
    """
    named = [name for name in names if is_loss(name) and not re.search(r"val|test|eval", name.lower())]
    whole = [name for name in named if re.sub(r"[^a-z]", "", name.lower()) in _WHOLE] or named
    return whole[0] if len(whole) == 1 else None  # else those of a GAN, of which none is the loss of all
