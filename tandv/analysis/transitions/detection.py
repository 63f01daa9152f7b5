"""Find transitions: where a curve of a training run changes faster than before and after.

>>> import numpy as np
>>> loss = pd.Series(np.where(np.arange(200) < 120, 2.0, 0.5), name="loss")
>>> [found] = find_transitions(loss)
>>> found.quantity, found.step, found.before, found.after
('loss', 120, 2.0, 0.5)

A plain decay has none: it is fastest at its beginning. Neither has a curve whose changes are small compared with its
noise (less than 3 standard deviations) or with its range (less than a hundredth; for an accuracy a twentieth of the
whole scale). Changes with others the other way on both sides, as in an oscillation, do not count.
"""

import warnings
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

import numpy as np
import pandas as pd

from tandv.analysis.transitions.discovery import discoveries
from tandv.analysis.transitions.rules import change_points, jumps, relative_jumps, threshold_crossings
from tandv.analysis.transitions.scale import Values
from tandv.analysis.transitions.search import search
from tandv.analysis.transitions.transition import Axis, Evidence, Kind, Transition
from tandv.curves import Curves, as_curves
from tandv.curves.curves import several_runs
from tandv.curves.steps import steps_in
from tandv.messages import UnknownName, check_choices, named_arguments, unknown

__all__ = [
    "DETECTORS",
    "Axis",
    "Detector",
    "Evidence",
    "Transition",
    "change_points",
    "discoveries",
    "find_transitions",
    "jumps",
    "p_value",
    "relative_jumps",
    "threshold_crossings",
    "transitions",
]

KINDS: tuple[Kind, ...] = ("step", "ramp", "divergence", "schedule")  # of event that are transitions


class Detector(Protocol):
    """A function of one curve that returns its transitions, first to last.

    >>> detector: Detector = transitions
    >>> detector(pd.Series([2.0, 1.0]), axis="linear", nulls=0)
    []
    """

    def __call__(self, curve: pd.Series, *, axis: Axis = "linear", nulls: int = 0) -> list[Transition]: ...


@named_arguments
def transitions(
    curve: pd.Series,
    *,
    axis: Axis = "linear",
    nulls: int = 0,
    values: Values = "auto",
    lr: pd.Series | None = None,
    kinds: Kind | Collection[Kind] = KINDS,
) -> list[Transition]:
    """Return the transitions of a curve: where it changes faster than before and after, and where it diverges.

    A curve of fewer than 8 known values or a constant one has none, unless it ends in infinities or, if it was known at
    nearly every step, NaNs. Others of these are skipped, steps may be uneven, and curves of more than 4,000 values are
    averaged down. Each transition has a p-value of at most 0.02, of a curve of fewer than 200 values at most 0.0001 for
    each of them (not of a divergence); an end in infinities has none, being no matter of chance. Few values hardly tell
    autocorrelation from a change: fewer than 80 are compared with autocorrelated noise on a trend, and a positive curve
    of so few must have it on the scale of logarithms as well (with values="auto", axis="linear"). Steps that come twice
    and infinities elsewhere are said in a warning.

    >>> accuracy = pd.Series([0.1, 0.1, 0.1, 0.1, 0.12, 0.5, 0.88, 0.9, 0.9, 0.9, 0.9], name="accuracy")
    >>> [(t.start, t.step, t.end) for t in transitions(accuracy)]
    [(5, 5, 5)]

    Args:
        curve: values by step.
        axis: "linear", or "log" for the pace per factor of 1 + step: for curves recorded at steps 1, 2, 4, 8, ...;
            there every plain decay is a transition.
        nulls: accepted for compatibility with the other detectors; it makes no difference, p-values are always there.
        values: the scale on which it is judged, where its noise should be even: "linear", "log", "share" (for shares of
            m examples), or "auto", the one that its noise asks for.
        lr: the learning rate by step; transitions where it jumps are of the kind "schedule".
        kinds: of event that are returned, one or several; besides transitions there are "spike" and "teeth".

    Raises ValueError if the values of the curve do not fit the scale, or values or steps are not real numbers.
    """
    kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    check_choices(axis=(axis, Axis), values=(values, Values))
    for kind in kinds:
        check_choices(kinds=(kind, Kind))
    events = search(curve, axis=axis, values=values, lr=lr).events
    return [event for event in events if event.evidence.kind in kinds]


@named_arguments
def p_value(curve: pd.Series, *, axis: Axis = "linear", values: Values = "auto") -> float:
    """Return how likely noise alone, as that of the curve, is to make something as sure as the surest change in it.

    >>> noise = pd.Series([0.3, -0.1, 0.2, -0.4, 0.1, 0.0, 0.3, -0.2, 0.1, -0.3] * 10, name="noise")
    >>> p_value(noise) > 0.01
    True

    Args:
        curve: values by step.
        axis: "linear", or "log" for the pace per factor of 1 + step.
        values: the scale on which it is judged, as of `transitions`.
    """
    check_choices(axis=(axis, Axis), values=(values, Values))
    return search(curve, axis=axis, values=values, surest=True).p


DETECTORS: dict[str, Detector] = {
    "transitions": transitions,
    "relative_jumps": relative_jumps,
    "threshold_crossings": threshold_crossings,
    "change_points": change_points,
    "jumps": jumps,
}


@named_arguments
def find_transitions(
    curves: Curves,
    detector: str | Callable[..., list[Transition]] = "transitions",
    *,
    axis: Axis = "linear",
    nulls: int | None = None,
    values: Values | None = None,
    lr: pd.Series | str | None = None,
    kinds: Kind | Collection[Kind] | None = None,
    false_discoveries: float | None = 0.05,
) -> list[Transition]:
    """Return the transitions of every curve, ordered by step.

    >>> find_transitions({"loss": [1.0, 0.5, 0.25, 0.12, 0.06, 0.03, 0.015, 0.007, 0.004]})
    []

    Args:
        curves: whatever `as_curves` takes; rows of the same step are averaged, which a warning says.
        detector: a name in DETECTORS ("transitions", "relative_jumps", "threshold_crossings", "change_points",
            "jumps"), or a function like these.
        axis: "linear", or "log" for the pace per factor of 1 + step: for curves recorded at steps 1, 2, 4, 8, ...;
            there every plain decay is a transition.
        nulls: how many null curves are made for each curve; by default as many as the detector makes.
        values: of the default detector: the scale on which curves are judged, "auto", "linear", "log" or "share".
        lr: of the default detector: the learning rate by step, or the name of the curve that it is.
        kinds: of the default detector: the kinds of event that are returned, as of `transitions`.
        false_discoveries: the share of null curves among those in which something is found, at most as far as their
            p-values are true (see `discoveries`; docs/transitions.md says what was measured): of many curves searched
            together only the surer transitions stay. None keeps all that are sure enough for their own curve.

    Raises ValueError naming the detectors for an unknown name, and for what else is not allowed, UnknownName for a
    learning rate that is no curve.
    """
    check_choices(axis=(axis, Axis))
    if isinstance(detector, str):
        check_choices(detector=(detector, DETECTORS))
        detector = DETECTORS[detector]
    table = _table(curves)
    if isinstance(lr, str):
        if lr not in table.columns:
            raise UnknownName(unknown("curve", lr, table.columns))
        rate = table.pop(lr)
    else:
        rate = lr
    given = {"nulls": nulls, "values": values, "lr": rate, "kinds": kinds}
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if detector is not transitions and (wrong := chosen.keys() - {"nulls"}):
        raise ValueError(f"{', '.join(sorted(wrong))}: only detector='transitions' takes this")
    found = [t for name in table.columns for t in detector(_without_last(table, name), axis=axis, **chosen)]
    if false_discoveries is not None and detector is transitions:
        found = discoveries(found, len(table.columns), share=false_discoveries)
    return sorted(found, key=lambda t: (t.step, t.quantity))


def _table(curves: Curves) -> pd.DataFrame:
    """Return curves as one table; rows of the same step are averaged, and a warning says so."""
    if isinstance(curves, pd.Series):
        curves = curves.to_frame(name="value" if curves.name is None else curves.name)
    elif several_runs(curves):
        return as_curves(curves)  # which says that it takes those of one
    elif isinstance(curves, Mapping) and len({len(values) for values in curves.values()}) == 1:
        curves = pd.DataFrame({name: np.asarray(values) for name, values in curves.items()})
    if not isinstance(curves, pd.DataFrame) or isinstance(curves.columns, pd.MultiIndex):
        return as_curves(curves)
    column, steps, _ = steps_in(curves)
    numbers = pd.Series(np.asarray(steps))
    others = curves if column is None else curves.drop(columns=[column])
    if not numbers.duplicated().any() or not all(kind.kind in "biuf" for kind in others.dtypes):
        return as_curves(curves)  # which says what is no number
    twice = numbers[numbers.duplicated()]
    warnings.warn(
        f"{twice.nunique()} of {numbers.nunique()} steps come more than once, the first is {twice.min():g}; the mean "
        "of their values is used",
        UserWarning,
        stacklevel=4,
    )
    averaged = others.set_axis(numbers, axis=0).groupby(level=0).mean()
    return as_curves(averaged.rename_axis(index="step"))


def _without_last(table: pd.DataFrame, name: str) -> pd.Series:
    """Return a curve; without its last row, if others go on there by one and it was not recorded."""
    curve = table[name]
    if len(curve) > 1 and np.isnan(curve.iloc[-1]) and np.isfinite(table.iloc[-1]).any():
        return curve.iloc[:-1]
    return curve
