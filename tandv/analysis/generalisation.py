"""When a network has memorised, when it generalises, when each capability is there, and what it relies on.

What the curves do not say is said in words, not guessed: every answer about a step has `words`.

>>> run = {"step": [0, 10, 20, 30], "train_acc": [0.1, 1, 1, 1], "test_acc": [0.1, 0.1, 0.5, 1]}
>>> found = grokking(run)
>>> found.is_grokking, found.delay, found.ratio
(True, 20, 3.0)
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from tandv.analysis.reliance import (
    Reliance,
    WorstGroup,
    feature_reliance,
    group_curves,
    worst_group_accuracy,
)
from tandv.curves import Curves, as_curves

__all__ = [
    "Grokking",
    "Passage",
    "Reliance",
    "WorstGroup",
    "emergence",
    "feature_reliance",
    "first_passage",
    "generalisation_gap",
    "grokking",
    "group_curves",
    "worst_group_accuracy",
]


class Passage(NamedTuple):
    """The first step at which a quantity is at its threshold; None if there is none, and `words` say why.

    It was passed after the step `after`, the last known one before; None if it is there from the first on.
    """

    quantity: str
    threshold: float
    step: int | None
    after: int | None
    words: str


def first_passage(curve: pd.Series, threshold: float, *, stays: int = 1, window: int = 0) -> Passage:
    """Find the first step at which a curve reaches its threshold and stays there.

    It stays if this and the next known values, `stays` in all, are at or above it, and if so is the median of
    what is known of the following `window` steps, so that a single dip is forgiven. Missing values are passed over.

    >>> first_passage(pd.Series({0: 0.1, 5: 0.9, 10: 0.4, 15: 0.9, 20: 1.0}, name="acc"), 0.8, stays=2).step
    15
    """
    name = str(curve.name)
    known = curve.dropna().sort_index()
    if known.empty:
        return Passage(name, threshold, None, None, f"{name} has no known value")
    steps, values = known.index.to_numpy(), known.to_numpy(np.float64)
    above = values >= threshold
    for at in np.flatnonzero(above).tolist():
        if at + stays <= len(above) and above[at : at + stays].all() and _holds(steps, values, at, threshold, window):
            after = int(steps[at - 1]) if at else None
            return Passage(name, threshold, int(steps[at]), after, _passed(curve, threshold, int(steps[at]), after))
    last, best = int(steps[-1]), int(values.argmax())
    if not above.any():
        words = f"{name} did not reach {threshold:g} by step {last:,} (highest: {values[best]:.4g} at {steps[best]:,})"
    else:
        need = f"for {stays} points" if stays > 1 else f"over {window:,} steps"
        first = int(steps[above][0])
        words = f"{name} reached {threshold:g} at step {first:,} but did not stay there {need} by step {last:,}"
    return Passage(name, threshold, None, None, words)


def _holds(steps: np.ndarray, values: np.ndarray, at: int, threshold: float, window: int) -> bool:
    inside = (steps >= steps[at]) & (steps <= steps[at] + window)
    return bool(np.median(values[inside]) >= threshold)


def _passed(curve: pd.Series, threshold: float, step: int, after: int | None) -> str:
    name = curve.name
    if after is None:
        return f"{name} is at or above {threshold:g} at its first known step, {step:,}: it was reached then or before"
    missing = int(curve[(curve.index > after) & (curve.index < step)].isna().sum())
    said = f"{name} reached {threshold:g} at step {step:,}, after {after:,}"
    return said + (f" ({missing} values between are missing)" if missing else "")


class Grokking(NamedTuple):
    """When a run memorised and when it generalised, and whether the second came so late that it is grokking.

    `delay` in steps; `ratio` of the two steps; `gap` is training less test accuracy at memorisation. What
    cannot be known is None.
    """

    memorisation: Passage
    generalisation: Passage
    delay: int | None
    ratio: float | None
    gap: float | None
    is_grokking: bool | None
    words: str


def grokking(
    curves: Curves,
    *,
    threshold: float = 0.95,
    train_threshold: float | None = None,
    window: int = 100,
    train: str = "train_acc",
    test: str = "test_acc",
    least_ratio: float = 2.0,
    least_gap: float = 0.3,
) -> Grokking:
    """Say when a run memorised, when it generalised, and whether that is grokking (Power et al. 2022).

    Memorisation is the first step at which training accuracy is at `train_threshold` (by default `threshold`)
    and its median over the following `window` steps is too; generalisation the same of test accuracy. It is
    grokking if generalisation takes at least `least_ratio` times as many steps, and if at memorisation the test
    accuracy was still `least_gap` below that of training: else it is the slow end of ordinary learning.

    Raises ValueError if `train` or `test` is not a column of the curves.
    """
    table = as_curves(curves)
    if missing := [name for name in (train, test) if name not in table.columns]:
        raise ValueError(
            f"the curves lack {' and '.join(map(repr, missing))}; they have {', '.join(map(repr, table.columns))}: "
            "name yours by train= and test="
        )
    table = table.sort_index()
    memorised = first_passage(table[train], threshold if train_threshold is None else train_threshold, window=window)
    generalised = first_passage(table[test], threshold, window=window)
    if memorised.step is None:
        unknown = table[train].notna().sum() == 0
        return Grokking(memorised, generalised, None, None, None, None if unknown else False, memorised.words)
    gap, gap_words = _gap(table, train, test, memorised.step, window)
    if generalised.step is None:
        unknown = table[test].notna().sum() == 0
        words = f"{memorised.words}; {generalised.words}"
        return Grokking(memorised, generalised, None, None, gap, None if unknown else False, words)
    delay = generalised.step - memorised.step
    ratio = generalised.step / memorised.step if memorised.step > 0 else (math.inf if delay > 0 else None)
    late = ratio is not None and delay > 0 and ratio >= least_ratio
    is_grokking = None if gap is None and late else late and gap is not None and gap >= least_gap
    words = f"{memorised.words}; {generalised.words}; "
    if delay <= 0:
        words += "it did not generalise later than it memorised"
    else:
        words += f"that is {delay:,} steps later" + (f", {ratio:.3g} times as many" if ratio != math.inf else "")
        words += f"; {gap_words}"
    return Grokking(memorised, generalised, delay, ratio, gap, is_grokking, words)


def _gap(table: pd.DataFrame, train: str, test: str, step: int, window: int) -> tuple[float | None, str]:
    """Return training less test accuracy at the step, or at the nearest one within the window where both are known."""
    known = table[[train, test]].dropna()
    if known.empty:
        return None, f"{train} and {test} are never known at the same step, so the gap at {step:,} is not known"
    away = np.abs(known.index.to_numpy() - step)
    nearest = int(away.argmin())
    near = int(known.index.to_numpy()[nearest])
    if away.min() > window:
        return None, f"no {test} within {window:,} steps of {step:,}, the nearest is at {near:,}: the gap is not known"
    gap = float(known[train].iloc[nearest] - known[test].iloc[nearest])
    return gap, f"at {near:,} {test} was {gap:.3g} below {train}"


_TESTED = ("test", "val", "valid", "validation")


def generalisation_gap(curves: Curves, *, missing_ok: bool = False) -> pd.DataFrame:
    """Return how much worse a network is on what it has not seen: curves `loss_gap` and `accuracy_gap`.

    `loss_gap` is test_loss - train_loss, `accuracy_gap` train_acc - test_acc (val_loss, train_accuracy, ... will do),
    so that more is worse in both. NaN where one of the two is not known. Raises ValueError if there is no such pair.

    >>> generalisation_gap({"train_acc": [0.5, 1.0], "test_acc": [0.5, 0.25]})["accuracy_gap"].tolist()
    [0.0, 0.75]
    """
    table = as_curves(curves).sort_index()
    out = {}
    for gap, words in (("loss_gap", ("loss",)), ("accuracy_gap", ("acc", "accuracy"))):
        for word in words:
            seen, unseen = f"train_{word}", [f"{tested}_{word}" for tested in _TESTED]
            found = next((name for name in unseen if name in table.columns), None)
            if found is not None and seen in table.columns and gap not in out:
                worse, better = (found, seen) if word == "loss" else (seen, found)
                out[gap] = table[worse] - table[better]
    if not out and not missing_ok:
        raise ValueError(
            "a gap needs train_loss and test_loss (or val_loss), or train_acc and test_acc; "
            f"the curves are {', '.join(map(repr, table.columns))}"
        )
    return pd.DataFrame(out, index=table.index)


def emergence(curves: Curves, thresholds: float | Mapping[str, float], *, stays: int = 1) -> list[Passage]:
    """Find the first step at which each capability passes its threshold, and stays for `stays` points.

    `thresholds` is one for all columns, or one for each capability that is asked about. In the order asked.

    >>> curves = {"step": [0, 100, 200], "addition": [0.0, 0.6, 0.9], "carrying": [0.0, 0.1, 0.7]}
    >>> [(found.quantity, found.step) for found in emergence(curves, 0.5)]
    [('addition', 100), ('carrying', 200)]
    """
    table = as_curves(curves).sort_index()
    wanted = thresholds if isinstance(thresholds, Mapping) else dict.fromkeys(table.columns, thresholds)
    problems = [f"there is no curve {name!r}" for name in wanted if name not in table.columns]
    if stays < 1:
        problems.append(f"stays is {stays}; a capability has to be there for at least 1 point")
    if problems:
        raise ValueError("; ".join(problems) + f"; the curves are {', '.join(map(repr, table.columns))}")
    return [first_passage(table[name], float(level), stays=stays) for name, level in wanted.items()]
