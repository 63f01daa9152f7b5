"""Transition, the type that every detector returns, with its evidence."""

from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

Axis = Literal["linear", "log"]  # of the steps, on which a pace is measured


class Evidence(NamedTuple):
    """The statistics of a transition; NaN where a detector does not compute one.

    >>> Evidence(effect=8.0, p=0.01).p
    0.01

    Args:
        effect: its change in standard deviations of the noise of the level.
        ratio: its highest pace over the pace before or after, whichever is faster; at most 1,000.
        z: by how many standard errors its pace exceeds that before and after; for `jumps` the robust z-score.
        p: the share of null curves (the same curve without its transitions, its noise shuffled in blocks) in which a
            change at least as large and as certain is found.
        false_alarms: how many the detector finds in 1,000 steps of null curves.
        noise: the standard deviation of the noise there, in units of the curve.
    """

    effect: float = np.nan
    ratio: float = np.nan
    z: float = np.nan
    p: float = np.nan
    false_alarms: float = np.nan
    noise: float = np.nan


class Transition(NamedTuple):
    """A change that is faster than the curve is before and after it.

    >>> Transition("loss", 10, 12, 14, before=2.0, after=0.5, evidence=Evidence()).step
    12

    Args:
        quantity: the name of the curve.
        start: the step at which a tenth of the change has happened.
        step: the step at which half of it has.
        end: the step at which nine tenths have.
        before: the level before it, the median of the nearest values.
        after: the level after it.
        evidence: its statistics.
    """

    quantity: str
    start: int
    step: int
    end: int
    before: float
    after: float
    evidence: Evidence


FEWEST = 8  # finite values that a curve needs
MOST = 4000  # values that are analysed; longer curves are averaged down


def known(curve: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps and values of a curve, ascending, without NaNs and infinities."""
    steps = curve.index.to_numpy(np.float64)
    values = curve.to_numpy(np.float64)
    order = np.argsort(steps, kind="stable")
    steps, values = steps[order], values[order]
    keep = np.isfinite(values) & np.isfinite(steps)
    return steps[keep], values[keep]
