"""Transition, the type that every detector returns, with its evidence."""

import warnings
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from tandv.curves.curves import check_curve

Axis = Literal["linear", "log"]  # of the steps, on which a pace is measured
Kind = Literal["step", "ramp", "divergence", "schedule", "spike", "teeth"]


class Evidence(NamedTuple):
    """The statistics of a transition; NaN where a detector does not compute one.

    >>> Evidence(effect=8.0, p=0.01).p
    0.01

    Args:
        effect: its change in standard deviations of the noise of the level.
        ratio: its highest pace over the pace before or after, whichever is faster; at most 1,000.
        z: by how many standard errors its pace exceeds that before and after; for `jumps` the robust z-score.
        p: the chance that noise alone, as autocorrelated and heavy-tailed as that of the curve, makes a change as
            certain anywhere in it. Where the curve ends in NaNs, the chance that missing values are its last ones;
            where it ends in infinities NaN, as they are no matter of chance.
        false_alarms: how many as certain are found in 1,000 steps of null curves.
        noise: the standard deviation of the noise there, in units of the curve.
        kind: "step" or "ramp", sudden or not; "divergence", upward and under way at the end, or not finite there, be
            it NaN, inf or -inf; "schedule", a step or ramp where the learning rate jumps; "spike", taken back; "teeth",
            jumps with a period: `start` and `end` are then those of the curve, `step` is in its second cycle. Empty for
            the other rules.
        values: the scale on which it was judged: "linear", "log" or "share".
    """

    effect: float = np.nan
    ratio: float = np.nan
    z: float = np.nan
    p: float = np.nan
    false_alarms: float = np.nan
    noise: float = np.nan
    kind: Kind | Literal[""] = ""
    values: str = "linear"


class Transition(NamedTuple):
    """A change that is faster than the curve is before and after it.

    >>> Transition("loss", 10, 12, 14, before=2.0, after=0.5, evidence=Evidence()).step
    12

    Args:
        quantity: the name of the curve.
        start: the recorded step nearest to where a tenth of the change has happened, not before.
        step: the recorded step nearest to where half of it has; of two that are as near, the later.
        end: the recorded step nearest to where nine tenths have, not after.
        before: the level before it, the median of the nearest values.
        after: the level after it.
        evidence: its statistics.
    """

    quantity: str
    start: int | float
    step: int | float
    end: int | float
    before: float
    after: float
    evidence: Evidence


P = 0.02  # the largest p of a transition, of one curve
P_RATE = 1e-4  # the same for each value of a shorter curve: 0.1 false alarms in 1,000 values
FEWEST = 8  # finite values that a curve needs
MOST = 4000  # values that are analysed; longer curves are averaged down


def known(curve: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps and values of a curve, ascending, without NaNs and infinities.

    A step that comes more than once has the mean of its values, and a warning says so. Raises ValueError for values or
    steps that are not real numbers, TypeError for what is no Series.
    """
    check_curve(curve)
    if wrong := _not_numbers(curve):
        raise ValueError("\n".join(wrong))
    steps = curve.index.to_numpy(np.float64)
    values = curve.to_numpy(np.float64)
    keep = np.isfinite(values) & np.isfinite(steps)
    order = np.argsort(steps[keep], kind="stable")
    steps, values = steps[keep][order], values[keep][order]
    if (np.diff(steps) > 0).all():
        return steps, values
    different, first, count = np.unique(steps, return_index=True, return_counts=True)
    warnings.warn(
        f"{curve.name}: {int((count > 1).sum())} of {len(different)} steps come more than once, the first is "
        f"{different[count > 1][0]:g}; the mean of their values is used",
        UserWarning,
        stacklevel=2,
    )
    return different, np.add.reduceat(values, first) / count


def _not_numbers(curve: pd.Series) -> list[str]:
    wrong = []
    if curve.dtype.kind == "c":
        wrong.append(f"values of {curve.name} are complex; give their real part, or their absolute value")
    if curve.index.dtype.kind in "mMc":
        wrong.append(f"steps of {curve.name} are {curve.index.dtype}; give numbers, such as seconds since the start")
    return wrong


def as_step(step: float) -> int | float:
    """Return a step as a whole number if it is one.

    >>> as_step(3.0), as_step(0.5)
    (3, 0.5)
    """
    return int(step) if float(step).is_integer() else float(step)
