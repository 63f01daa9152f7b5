"""Find transitions: where a curve of a training run changes faster than before and after.

>>> import numpy as np
>>> loss = pd.Series(np.where(np.arange(200) < 120, 2.0, 0.5), name="loss")
>>> [found] = find_transitions(loss)
>>> found.quantity, found.step, found.before, found.after
('loss', 120, 2.0, 0.5)

A plain decay has none: it is fastest at its beginning. Neither has a curve that only oscillates, or one whose changes
are small compared with its noise (less than 3 standard deviations) or with its range (less than a hundredth, where it
drifts smoothly a twentieth; for an accuracy a twentieth of the whole scale).
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import pandas as pd

from tandv.analysis.transitions import bumps as bumps
from tandv.analysis.transitions.nulls import largest
from tandv.analysis.transitions.pace import FLOOR
from tandv.analysis.transitions.rules import change_points, jumps, relative_jumps, threshold_crossings
from tandv.analysis.transitions.transition import FEWEST, MOST, Axis, Evidence, Transition, known
from tandv.curves import Curves, as_curves
from tandv.messages import check_choices

__all__ = [
    "DETECTORS",
    "Axis",
    "Detector",
    "Evidence",
    "Transition",
    "change_points",
    "find_transitions",
    "jumps",
    "relative_jumps",
    "threshold_crossings",
    "transitions",
]

LEAST_ACCURACY = 0.05  # of the whole scale of an accuracy


class Detector(Protocol):
    """A function of one curve that returns its transitions, first to last.

    >>> detector: Detector = transitions
    >>> detector(pd.Series([2.0, 1.0]), axis="linear", nulls=0)
    []
    """

    def __call__(self, curve: pd.Series, *, axis: Axis = "linear", nulls: int = 0) -> list[Transition]: ...


def transitions(curve: pd.Series, *, axis: Axis = "linear", nulls: int = 99) -> list[Transition]:
    """Return the transitions of a curve: where it changes faster than before and after.

    A curve of fewer than 8 known values or a constant one has none. NaNs and infinities are skipped, steps may be
    uneven, and curves of more than 4,000 values are averaged down.

    >>> accuracy = pd.Series([0.1, 0.1, 0.1, 0.1, 0.12, 0.5, 0.88, 0.9, 0.9, 0.9, 0.9], name="accuracy")
    >>> [(t.start, t.step, t.end) for t in transitions(accuracy)]
    [(4, 5, 6)]

    Args:
        curve: values by step.
        axis: "linear", or "log" for the pace per factor of 1 + step: for curves recorded at steps 1, 2, 4, 8, ...;
            there every plain decay is a transition.
        nulls: how many null curves the p-values are computed from; 0 leaves them out.
    """
    check_choices(axis=(axis, Axis))
    name = "value" if curve.name is None else str(curve.name)
    steps, values = known(curve)
    if len(values) < FEWEST or np.ptp(values) <= FLOOR * np.abs(values).max():
        return []
    steps, values = _averaged_down(steps, values)
    time = steps if axis == "linear" else np.log1p(steps - min(0.0, float(steps[0])))
    found = bumps.find(time, values, _least(name, values))
    chance = largest(found, nulls) if nulls and found.bumps else np.zeros(0)
    out = []
    for bump in found.bumps:
        p = float((1 + (chance >= bump.change).sum()) / (1 + nulls)) if nulls else np.nan
        start, middle, end = np.interp([bump.start, bump.middle, bump.end], time, steps)
        reach = min(max(2, (bump.right - bump.left) // 2), 10)
        before = values[max(0, bump.left + 1 - reach) : bump.left + 1]
        after = values[bump.right + 1 : bump.right + 1 + reach]
        rate = 1000 * p / float(steps[-1] - steps[0])
        evidence = Evidence(bump.effect, min(bump.ratio, 1e3), bump.z, p, rate, bump.change / bump.effect)
        levels = float(np.median(before)), float(np.median(after))
        # `start` is rounded up and `end` down, so that the change lies within the recorded steps
        step = round(middle)
        first, last = min(int(np.ceil(start)), step), max(int(np.floor(end)), step)
        out.append(Transition(name, first, step, last, levels[0], levels[1], evidence))
    return out


def _least(name: str, values: np.ndarray) -> float:
    """Return the least change that counts for any range: for an accuracy a share of its whole scale."""
    if "acc" in name.lower() and values.min() >= 0 and values.max() <= 100:
        return LEAST_ACCURACY if values.max() <= 1 else 100 * LEAST_ACCURACY
    return 0.0


def _averaged_down(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    each = -(-len(values) // MOST)
    if each == 1:
        return steps, values
    starts = np.arange(0, len(values), each)
    count = np.diff(np.append(starts, len(values)))
    return np.add.reduceat(steps, starts) / count, np.add.reduceat(values, starts) / count


DETECTORS: dict[str, Detector] = {
    "transitions": transitions,
    "relative_jumps": relative_jumps,
    "threshold_crossings": threshold_crossings,
    "change_points": change_points,
    "jumps": jumps,
}


def find_transitions(
    curves: Curves,
    detector: str | Callable[..., list[Transition]] = "transitions",
    *,
    axis: Axis = "linear",
    nulls: int | None = None,
) -> list[Transition]:
    """Return the transitions of every curve, ordered by step.

    >>> find_transitions({"loss": [1.0, 0.5, 0.25, 0.12, 0.06, 0.03, 0.015, 0.007, 0.004]})
    []

    Args:
        curves: whatever `as_curves` takes.
        detector: a name in DETECTORS ("transitions", "relative_jumps", "threshold_crossings", "change_points",
            "jumps"), or a function like these.
        axis: "linear", or "log" for the pace per factor of 1 + step: for curves recorded at steps 1, 2, 4, 8, ...;
            there every plain decay is a transition.
        nulls: how many null curves are made for each curve; by default as many as the detector makes.

    Raises ValueError naming the detectors for an unknown name.
    """
    check_choices(axis=(axis, Axis))
    if isinstance(detector, str):
        check_choices(detector=(detector, DETECTORS))
        detector = DETECTORS[detector]
    chosen = {} if nulls is None else {"nulls": nulls}
    table = as_curves(curves)
    found = [t for name in table.columns for t in detector(table[name], axis=axis, **chosen)]
    return sorted(found, key=lambda t: (t.step, t.quantity))
