"""The first step at which a quantity reaches a threshold and stays there: when each capability appears.

Each answer has `words`: a sentence that also says what cannot be known from the curves.

>>> [(found.quantity, found.step) for found in emergence({"addition": [0, 1], "carrying": [0, 0]}, 0.5)]
[('addition', 1), ('carrying', None)]
"""

import math
import warnings
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from tandv.curves import Curves, as_curves
from tandv.curves.curves import check_curve
from tandv.curves.outcomes import in_percent
from tandv.messages import some


class Passage(NamedTuple):
    """The first step at which a quantity reaches its threshold.

    >>> first_passage(pd.Series({0: 0.1, 5: 0.9}, name="acc"), 0.8).step
    5

    Args:
        quantity: the name of the curve.
        threshold: the threshold.
        step: the step, an int unless the curve's steps are fractions; None if there is none.
        after: the last step before it that has a value; None if the threshold is reached at the first one.
        words: a sentence, which also says why there is no step.
    """

    quantity: str
    threshold: float
    step: int | float | None
    after: int | float | None
    words: str


def first_passage(curve: pd.Series, threshold: float, *, stays: int = 1, window: int = 0) -> Passage:
    """Return the first step at which a curve reaches a threshold and stays there. Missing values are skipped.

    >>> first_passage(pd.Series({0: 0.1, 5: 0.9, 10: 0.4, 15: 0.9, 20: 1.0}, name="acc"), 0.8, stays=2).step
    15

    Args:
        curve: values by step; its name is used in the words.
        threshold: the threshold.
        stays: how many values in a row must be at or above it.
        window: the median of the values in so many following steps must be at or above it too, so that a single dip
            does not matter.

    Raises TypeError for what is no Series.
    """
    check_curve(curve)
    name = str(curve.name)
    known = curve.dropna().sort_index()
    if known.empty:
        return Passage(name, threshold, None, None, f"{name} has no known value")
    steps, values = known.index.to_numpy(), known.to_numpy(np.float64)
    above = values >= threshold
    for at in np.flatnonzero(above).tolist():
        if (
            at + stays <= len(above)
            and above[at : at + stays].all()
            and _median_holds(steps, values, at, threshold, window)
        ):
            step, after = steps[at].item(), steps[at - 1].item() if at else None
            return Passage(name, threshold, step, after, _describe(curve, threshold, step, after))
    last, best, unit = steps[-1].item(), int(values.argmax()), _unit(curve)
    if not above.any():
        highest = f"{values[best]:.4g} at {steps[best].item():,}"
        words = f"{name} did not reach {threshold:g} by {unit} {last:,} (highest: {highest})"
    else:
        need = f"for {stays} points" if stays > 1 else f"over {window:,} {unit}s"
        first = steps[above][0].item()
        words = f"{name} reached {threshold:g} at {unit} {first:,} but did not stay there {need} by {unit} {last:,}"
    return Passage(name, threshold, None, None, words)


def _median_holds(steps: np.ndarray, values: np.ndarray, at: int, threshold: float, window: int) -> bool:
    inside = (steps >= steps[at]) & (steps <= steps[at] + window)
    return bool(np.median(values[inside]) >= threshold)


def _unit(curve: pd.Series) -> str:
    return str(curve.attrs.get("unit", "step"))


def _describe(curve: pd.Series, threshold: float, step: float, after: float | None) -> str:
    name, unit = curve.name, _unit(curve)
    if after is None:
        return f"{name} is at or above {threshold:g} at its first known {unit}, {step:,}: it was reached then or before"
    missing = int(curve[(curve.index > after) & (curve.index < step)].isna().sum())
    words = f"{name} reached {threshold:g} at {unit} {step:,}, after {after:,}"
    return words + (f" ({missing} values between are missing)" if missing else "")


def emergence(curves: Curves, thresholds: float | Mapping[str, float], *, stays: int = 1) -> list[Passage]:
    """Return the first step at which each capability reaches its threshold and stays there, in the order asked.

    >>> curves = {"step": [0, 100, 200], "addition": [0.0, 0.6, 0.9], "carrying": [0.0, 0.1, 0.7]}
    >>> [(found.quantity, found.step) for found in emergence(curves, 0.5)]
    [('addition', 100), ('carrying', 200)]

    Args:
        curves: a curve for each capability.
        thresholds: one for all curves, or a dict of one for each capability of interest.
        stays: how many values in a row must be at or above it.

    Raises ValueError for a capability without a curve. A threshold of at most 1 beside a curve in percent is said in a
    warning.
    """
    table = as_curves(curves).sort_index()
    wanted = thresholds if isinstance(thresholds, Mapping) else dict.fromkeys(table.columns, thresholds)
    problems = [f"there is no curve {name!r}" for name in wanted if name not in table.columns]
    if stays < 1:
        problems.append(f"stays is {stays}; a capability has to be there for at least 1 point")
    if problems:
        raise ValueError("; ".join(problems) + f"; the curves are {', '.join(map(repr, table.columns))}")
    shares = {name: level for name, level in wanted.items() if "loss" not in name.lower()}
    high = {name: _highest(table[name]) for name in shares}
    percents = [name for name, level in shares.items() if level <= 1 and in_percent(high[name]) and high[name] <= 100]
    if percents:
        warnings.warn(
            f"{some([f'{name} (up to {high[name]:.4g})' for name in percents])}: this looks like percent, "
            "while the threshold is at most 1; give the threshold in percent, or divide the curve by 100",
            UserWarning,
            stacklevel=2,
        )
    return [first_passage(table[name], float(level), stays=stays) for name, level in wanted.items()]


def _highest(curve: pd.Series) -> float:
    return float(np.nanmax(curve.to_numpy(), initial=-math.inf))
