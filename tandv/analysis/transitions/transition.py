"""The noun that every detector returns."""

from typing import NamedTuple

import numpy as np
import pandas as pd


class Evidence(NamedTuple):
    """Why a transition is believed; NaN where a rule does not say.

    effect: its change in standard deviations of the noise of the level
    ratio: its highest pace over the pace before or after, whichever is faster; at most 1,000
    z: by how many standard errors its pace is above what it was before and after; for `jumps` its robust z-score
    p: share of null curves (the same curve, its transitions taken out, its noise shuffled in blocks) in which a
        change at least as large is found as surely
    false_alarms: how many the rule finds in 1,000 steps of null curves
    noise: standard deviation of the noise at that place, in units of the curve
    """

    effect: float = np.nan
    ratio: float = np.nan
    z: float = np.nan
    p: float = np.nan
    false_alarms: float = np.nan
    noise: float = np.nan


class Transition(NamedTuple):
    """A change that is faster than what was before and after, in steps.

    It runs from `start`, where a tenth of it has happened, over `step`, its middle, to `end`, where nine tenths have.
    `before` and `after` are the levels around it: medians of the nearest values.
    """

    quantity: str
    start: int
    step: int
    end: int
    before: float
    after: float
    evidence: Evidence


FEWEST = 8  # known points that a curve needs
MOST = 4000  # points that are looked at; longer curves are averaged down to fewer


def known(curve: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Return steps and values of a curve, ascending, without what is not finite."""
    steps = curve.index.to_numpy(np.float64)
    values = curve.to_numpy(np.float64)
    order = np.argsort(steps, kind="stable")
    steps, values = steps[order], values[order]
    keep = np.isfinite(values) & np.isfinite(steps)
    return steps[keep], values[keep]
