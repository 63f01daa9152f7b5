"""Where a run's log has NaN and infinity first: the step, and the layers that have it there."""

import numpy as np

from tandv.log import logframe
from tandv.log.door import AnyLog
from tandv.log.grid import grid
from tandv.log.opened import Log
from tandv.messages import UnknownName, some


def first_not_finite(log: AnyLog) -> list[str]:
    """Return a sentence for each tensor type with NaN or infinity, the earliest first.

    >>> from tandv.log.logframe import example_log
    >>> first_not_finite(example_log(layers=3, tensor_types=["Gradient"]))
    ['Gradient has NaN first at step 49, in head']

    Args:
        log: the log, or the place of one. Rows in phases are not looked at if other rows are there.
    """
    found: list[tuple[int, str]] = []
    for tt in logframe.tensor_types(log):
        if isinstance(log, Log) and log.is_finite(tt):  # which needs no row
            continue
        try:
            counts = grid(log, tt, "nans")
        except UnknownName:  # a log without these counts, or whose rows all lie in phases
            continue
        for words, bad in (("NaN", counts.nans > 0), ("infinities", counts.infs > 0)):
            if bad.any():
                at = int(np.argmax(bad.any(axis=0)))
                layers = [str(counts.layers[i]) for i in np.flatnonzero(bad[:, at])]
                step = int(counts.steps[at])
                found.append((step, f"{tt} has {words} first at step {step:,}, in {some(layers)}"))
    return [sentence for _, sentence in sorted(found, key=lambda one: one[0])]
