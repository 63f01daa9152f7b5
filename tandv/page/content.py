"""Curves as plain data for other programs: the values of each run, a summary of each curve, and transitions.

>>> float(content({"loss": [2.0, 1.0, 1.5]})["summary"][0]["smallest"])
1.0
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tandv.curves.runs import Runs, as_runs

if TYPE_CHECKING:
    from tandv.analysis.transitions import Transition

    Marks = Sequence[Transition] | Mapping[str, Sequence[Transition]]


def content(curves: Runs, *, transitions: Marks = ()) -> dict[str, Any]:
    """Return curves, what they come to and their transitions in the form that JSON can hold.

    NaN is None, infinity a text.

    >>> content({"loss": [2.0, float("inf")]})["runs"]
    [{'name': '', 'steps': [0, 1], 'values': {'loss': [2.0, 'inf']}}]

    Args:
        curves: the curves of a run, or a dict of them by the run's name.
        transitions: transitions of the curves; of several runs, a dict of them by the run's name.
    """
    runs = as_runs(curves)
    marks = marks_of(runs, transitions)
    return {
        "runs": [
            {
                "name": name,
                "steps": table.index.tolist(),
                "values": {metric: [plain(value) for value in table[metric].tolist()] for metric in table.columns},
            }
            for name, table in runs.items()
        ],
        "summary": [
            {"run": run, "metric": metric, **summary(table[metric])}
            for run, table in runs.items()
            for metric in table.columns
        ],
        "transitions": [
            {"run": run, "metric": one.quantity, **_as_dict(one)} for run in runs for one in marks.get(run, ())
        ],
    }


def marks_of(runs: Mapping[str, pd.DataFrame], transitions: Marks) -> Mapping[str, Sequence[Transition]]:
    """Return transitions by the name of their run.

    Args:
        runs: the curves of each run by its name.
        transitions: those of the first run, or a dict of them by the run's name.
    """
    return transitions if isinstance(transitions, Mapping) else {next(iter(runs), ""): transitions}


def summary(curve: pd.Series) -> dict[str, Any]:
    """Return the ends of a curve, its extremes and their steps, its mean and standard deviation.

    The standard deviation is of the population; NaNs and infinities are left out and counted.

    >>> summary(pd.Series([3.0, 1.0, np.nan], index=[0, 5, 9]))["smallest_at"]
    5

    Args:
        curve: values by step.
    """
    values = curve.to_numpy(np.float64)
    finite = curve[np.isfinite(values)]
    out: dict[str, Any] = {
        "known": len(finite),
        "missing": int(np.isnan(values).sum()),
        "infinite": int(np.isinf(values).sum()),
    }
    if not len(finite):
        return out
    low, high = int(finite.to_numpy().argmin()), int(finite.to_numpy().argmax())
    with np.errstate(over="ignore"):
        mean, std = float(finite.mean()), float(finite.std(ddof=0))
    if finite.iloc[low] == finite.iloc[high]:  # exact, where summing would round
        mean, std = float(finite.iloc[0]), 0.0
    return out | {
        "first": finite.iloc[0],
        "last": finite.iloc[-1],
        "smallest": float(finite.iloc[low]),
        "smallest_at": np.asarray(finite.index)[low].item(),
        "largest": finite.iloc[high],
        "largest_at": np.asarray(finite.index)[high].item(),
        "mean": plain(mean),
        "std": plain(std),
    }


def plain(value: float) -> float | str | None:
    """Return a number as JSON can hold it: NaN as None, an infinity as text."""
    return value if np.isfinite(value) else None if np.isnan(value) else str(value)


def _as_dict(one: Transition) -> dict[str, Any]:
    from tandv.analysis.transitions.wording import is_uncertain, kind_of

    numbers = {name: plain(value) for name, value in one.evidence._asdict().items() if name in ("effect", "p")}
    places = {"start": plain(one.start), "step": plain(one.step), "end": plain(one.end)}
    levels = {"before": plain(one.before), "after": plain(one.after)}
    return {**places, **levels, **numbers, "kind": kind_of(one), "uncertain": is_uncertain(one)}
