"""Segments: the stages of a run, in which the level of a curve differs.

They are not transitions: a curve that falls smoothly has no transition, but still has stages.

>>> import numpy as np
>>> curve = pd.Series(np.repeat([2.0, 1.0, 0.2], 50), name="loss")
>>> [(s.start, s.end, s.level) for s in segments(curve)]
[(0, 49, 2.0), (50, 99, 1.0), (100, 149, 0.2)]
"""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tandv.analysis.transitions.pace import FLOOR
from tandv.analysis.transitions.transition import FEWEST, known
from tandv.messages import missing


class Segment(NamedTuple):
    """One stage: first and last step, the median of its values, and the slope of a fitted line per step."""

    quantity: str
    start: int
    end: int
    level: float
    slope: float


def segments(curve: pd.Series, *, penalty: float = 3.0, shortest: int = 2) -> list[Segment]:
    """Return the stages of a curve; one of fewer than 8 known values, or a constant one, is one stage.

    Args:
        curve: values by step.
        penalty: each further stage must improve the fit by `penalty` · log(n).
        shortest: how many values a stage has at least.
    """
    steps, values = known(curve)
    if not len(values):
        return []
    ends = [0, *breaks(values, penalty, shortest), len(values)]
    out = []
    for first, last in pairwise(ends):
        x, y = steps[first:last], values[first:last]
        slope = float(np.polyfit(x - x.mean(), y, 1)[0]) if len(y) > 1 else 0.0
        out.append(Segment(str(curve.name), int(x[0]), int(x[-1]), float(np.median(y)), slope))
    return out


def breaks(values: np.ndarray, penalty: float = 3.0, shortest: int = 2) -> list[int]:
    """Return the positions at which a new segment begins, by kernel change-point detection (PELT of ruptures)."""
    if len(values) < max(FEWEST, 2 * shortest) or np.ptp(values) <= FLOOR * np.abs(values).max():
        return []
    try:
        import ruptures
    except ModuleNotFoundError as error:
        raise missing("ruptures", "analysis", "finding change points") from error

    signal = ((values - np.median(values)) / np.ptp(values)).reshape(-1, 1)
    search = ruptures.KernelCPD(kernel="rbf", min_size=shortest).fit(signal)
    found: Any = search.predict(pen=penalty * np.log(len(values))) or []
    return [int(k) for k in found[:-1]]
