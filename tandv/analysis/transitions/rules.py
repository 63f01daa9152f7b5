"""Other common rules for changes. None compares with the pace before and after, so none is the default."""

import numpy as np
import pandas as pd

from tandv.analysis.transitions.nulls import false_alarms
from tandv.analysis.transitions.pace import FLOOR
from tandv.analysis.transitions.transition import FEWEST, Axis, Evidence, Transition, as_step, known
from tandv.messages import check_choices, named_arguments


@named_arguments
def relative_jumps(
    curve: pd.Series, *, axis: Axis = "linear", nulls: int = 0, threshold: float = 0.2
) -> list[Transition]:
    """Return every pair of neighbouring values that differ by more than a share of the first: the rule of Phase-Viz.

    It depends on where zero lies and on how often the curve was recorded, and reports any noisy or falling curve.

    >>> [t.step for t in relative_jumps(pd.Series([1.0, 1.1, 1.5, 1.5], name="loss"))]
    [2]

    Args:
        curve: values by step.
        axis: accepted for compatibility with `transitions`; it makes no difference.
        nulls: how many null curves the rate of false alarms is counted on; 0 leaves it out.
        threshold: the share.
    """
    check_choices(axis=(axis, Axis))
    steps, values = known(curve)
    with np.errstate(divide="ignore", invalid="ignore"):
        change = np.abs(np.diff(values)) / np.abs(values[:-1])
    at = np.flatnonzero((change > threshold) & (np.abs(np.diff(values)) > _floor(values)))

    def rule(curve: pd.Series, nulls: int = 0) -> list[Transition]:
        return relative_jumps(curve, threshold=threshold, nulls=nulls)

    return _between(curve, steps, values, at, _rate(curve, rule, nulls), np.full(len(at), np.nan))


@named_arguments
def threshold_crossings(
    curve: pd.Series, *, axis: Axis = "linear", nulls: int = 0, thresholds: tuple[float, ...] | None = None
) -> list[Transition]:
    """Return where a curve crosses thresholds for the first time.

    >>> [t.step for t in threshold_crossings(pd.Series([0.1, 0.2, 0.9, 0.3, 0.8], name="acc"), thresholds=(0.5,))]
    [2]

    Args:
        curve: values by step.
        axis: accepted for compatibility with `transitions`; it makes no difference.
        nulls: how many null curves the rate of false alarms is counted on; 0 leaves it out.
        thresholds: by default the middle between the extremes of the curve.
    """
    check_choices(axis=(axis, Axis))
    steps, values = known(curve)
    if len(values) < 2 or np.ptp(values) <= FLOOR * np.abs(values).max():
        return []
    at = []
    for level in thresholds or (float(values.min() + values.max()) / 2,):
        passed = np.flatnonzero((values[1:] >= level) != (values[0] >= level))
        at += passed[:1].tolist()
    positions = np.array(sorted(set(at)), dtype=np.int64)

    def rule(curve: pd.Series, nulls: int = 0) -> list[Transition]:
        return threshold_crossings(curve, thresholds=thresholds, nulls=nulls)

    return _between(curve, steps, values, positions, _rate(curve, rule, nulls), np.full(len(positions), np.nan))


@named_arguments
def jumps(curve: pd.Series, *, axis: Axis = "linear", nulls: int = 0, threshold: float = 5.0) -> list[Transition]:
    """Return differences between neighbouring values that are outliers among all differences, by their robust z-score.

    The score is the distance from the median over 1.4826 median absolute deviations (Iglewicz & Hoaglin 1993). Only
    changes between two recorded steps are detected, not slower ones.

    >>> [t.step for t in jumps(pd.Series([0.0, 0.1, 0.0, 0.1, 0.0, 5.0, 5.1, 5.0], name="norm"))]
    [5]

    Args:
        curve: values by step.
        axis: accepted for compatibility with `transitions`; it makes no difference.
        nulls: how many null curves the rate of false alarms is counted on; 0 leaves it out.
        threshold: the z-score above which a difference is an outlier.
    """
    check_choices(axis=(axis, Axis))
    steps, values = known(curve)
    if len(values) < 3:
        return []
    pace = np.diff(values) / np.diff(steps)
    deviation = pace - np.median(pace)
    usual = np.maximum(1.4826 * np.median(np.abs(deviation)), _floor(values) / np.diff(steps))
    z = np.abs(deviation) / np.maximum(usual, 1e-300)
    at = np.flatnonzero(z > threshold)

    def rule(curve: pd.Series, nulls: int = 0) -> list[Transition]:
        return jumps(curve, threshold=threshold, nulls=nulls)

    return _between(curve, steps, values, at, _rate(curve, rule, nulls), z[at])


@named_arguments
def change_points(curve: pd.Series, *, axis: Axis = "linear", nulls: int = 0, penalty: float = 3.0) -> list[Transition]:
    """Return where the distribution of values changes: kernel change points of ruptures (Celisse et al. 2018).

    They divide a curve into segments, and any smooth decay has many: use them as stages of a run; see `segments`.

    >>> [t.step for t in change_points(pd.Series([2.0] * 20 + [0.5] * 20, name="loss"))]
    [20]

    Args:
        curve: values by step.
        axis: accepted for compatibility with `transitions`; it makes no difference.
        nulls: how many null curves the rate of false alarms is counted on; 0 leaves it out.
        penalty: a further change point must improve the fit by `penalty` · log(n).

    Raises ModuleNotFoundError without ruptures.
    """
    check_choices(axis=(axis, Axis))
    from tandv.analysis.transitions.segments import breaks

    steps, values = known(curve)
    at = np.array(breaks(values, penalty), dtype=np.int64) - 1

    def rule(curve: pd.Series, nulls: int = 0) -> list[Transition]:
        return change_points(curve, penalty=penalty, nulls=nulls)

    return _between(curve, steps, values, at, _rate(curve, rule, nulls), np.full(len(at), np.nan))


def _floor(values: np.ndarray) -> np.ndarray:
    return FLOOR * np.maximum(np.abs(values[1:]), np.abs(values[:-1]))


def _rate(curve: pd.Series, rule, nulls: int) -> float:
    return false_alarms(curve, rule, count=nulls) if nulls else np.nan


def _between(curve, steps, values, at, rate: float, z: np.ndarray) -> list[Transition]:
    """Return a transition for each k of `at`, between the k-th value and the next."""
    noise = np.nan
    if len(values) >= FEWEST:
        spread = np.median(np.abs(np.diff(values, 2))) / 0.6745 / np.sqrt(6)
        noise = max(float(spread), FLOOR * float(np.abs(values).max()))
    out = []
    for k, score in zip(at.tolist(), z.tolist(), strict=True):
        before, after = float(values[k]), float(values[k + 1])
        effect = abs(after - before) / noise if noise > 0 else np.nan
        evidence = Evidence(effect=effect, z=score, false_alarms=rate, noise=noise)
        start, end = as_step(steps[k]), as_step(steps[k + 1])
        out.append(Transition(str(curve.name), start, end, end, before, after, evidence))
    return out
