"""What a run holds: its steps, quantities, transitions and checkpoints, and what is missing."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tandv.analysis.moments.finder import detected, stands, strength
from tandv.analysis.moments.moment import TransitionLike
from tandv.curves import Curves, as_curves, given
from tandv.curves.of_run import nan_is_given

_FEWEST = 8  # known values that a detector needs


def get_experiment_summary(
    curves: Curves, *, transitions: Sequence[TransitionLike] | None = None, checkpoints: Iterable[float] | None = None
) -> dict[str, Any]:
    """Return what a run holds: its steps, quantities, transitions and checkpoints, and what is missing.

    Keys: `steps`, `first_step`, `last_step`, `quantities`, `num_jumps`, `mean_magnitude` (the mean of their strengths
    as in `identify_moments`, None without transitions), `checkpoints` (steps) and two lists of
    sentences: `not_finite`, which curves are NaN or infinite and when, and `missing`.

    >>> get_experiment_summary({"loss": [1.0, 0.5]})["missing"]
    ['loss has 2 known values, too few to look for transitions', 'no checkpoints']

    Args:
        curves: the curves of a run.
        transitions: by default those of `find_transitions`; as in `identify_moments`, spikes that recover and
            those with a p-value above 0.05 do not count.
        checkpoints: the steps of its checkpoints.
    """
    table = as_curves(curves).sort_index()
    transitions = [one for one in (detected(table) if transitions is None else transitions) if stands(one)]
    known = sorted(set(checkpoints or ()))
    strengths = [strength(table[one.quantity], one) for one in transitions]
    steps = table.index.tolist()
    missing, not_finite = [], []
    for name in table.columns:
        curve = given(table, name)
        count = int(np.isfinite(curve.to_numpy()).sum())
        if nan_is_given(table, name):
            not_finite += _where(name, "is NaN", curve, np.isnan(curve.to_numpy()))
        else:
            missing += _where(name, "has no value", curve, np.isnan(curve.to_numpy()))
        not_finite += _where(name, "is infinite", curve, np.isinf(curve.to_numpy()))
        if count < _FEWEST:
            missing.append(f"{name} has {count} known values, too few to look for transitions")
    if not known:
        missing.append("no checkpoints")
    return {
        "steps": len(steps),
        "first_step": steps[0] if steps else None,
        "last_step": steps[-1] if steps else None,
        "quantities": list(table.columns),
        "num_jumps": len(transitions),
        "mean_magnitude": float(np.mean(strengths)) if strengths else None,
        "checkpoints": known,
        "not_finite": not_finite,
        "missing": missing,
    }


def _where(name: str, words: str, curve: pd.Series, bad: np.ndarray) -> list[str]:
    """Return a sentence that says at how many steps of a curve something holds, and when; none if it never does."""
    at = np.flatnonzero(bad)
    if not len(at):
        return []
    first = f"{curve.index[at[0]]:,}"
    if at[0] and at[0] == len(curve) - len(at):  # at all steps up to the last, as after a run has diverged
        return [f"{name} {words} from step {first} on, at {len(at):,} of {len(curve):,} steps"]
    return [f"{name} {words} at {len(at):,} of {len(curve):,} steps, first at step {first}"]
