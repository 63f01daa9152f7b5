"""The steps of a training run around its strongest transitions: the one finder of them, for tools and reports alike.

>>> accuracy = {"acc": [0.1] * 20 + [0.2, 0.5, 0.8] + [0.9] * 20}
>>> [moment.step for moment in identify_moments(accuracy)]
[20, 21, 22]
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from tandv.analysis.moments.moment import CriticalMoment, MomentType, TransitionLike
from tandv.curves import Curves, as_curves, learning_rate_of


def identify_moments(
    curves: Curves,
    num_jumps: int = 5,
    *,
    transitions: Sequence[TransitionLike] | None = None,
    experiment_name: str = "",
) -> list[CriticalMoment]:
    """Return the steps before, during and after each of the strongest transitions: three for each, first to last.

    Transitions that overlap in time are one, the strongest of them. `jump_info` has its fields, its `strength` (its
    change as a share of the range of its curve), `also`, the other quantities that change at that time, and the
    `evidence` of the detector if there is some. Steps are recorded ones. Fewer transitions give fewer moments.

    >>> accuracy = {"acc": [0.1] * 20 + [0.2, 0.5, 0.8] + [0.9] * 20}
    >>> [moment.step for moment in identify_moments(accuracy)]
    [20, 21, 22]

    Args:
        curves: the curves of a run.
        num_jumps: for how many transitions at most.
        transitions: by default those of `find_transitions`.
        experiment_name: the name of the run, which each moment gets.

    Raises ValueError for a transition of a quantity that the curves lack.
    """
    table = as_curves(curves).sort_index()
    transitions = detected(table) if transitions is None else transitions
    if unknown := [t.quantity for t in transitions if t.quantity not in table.columns]:
        raise ValueError(f"transitions of {unknown} are not of these curves, {', '.join(map(repr, table.columns))}")
    strengths = [(strength(table[t.quantity], t), t) for t in transitions]
    strengths.sort(key=lambda pair: (-pair[0], pair[1].step))
    chosen: list[tuple[TransitionLike, dict[str, Any]]] = []
    for share, transition in strengths:
        overlapping = [
            info for other, info in chosen if other.start <= transition.end and transition.start <= other.end
        ]
        for info in overlapping:
            if transition.quantity != info["quantity"] and transition.quantity not in info["also"]:
                info["also"].append(transition.quantity)
        if not overlapping:
            fields = ("quantity", "start", "step", "end", "before", "after")
            chosen.append((transition, {name: getattr(transition, name) for name in fields}))
            chosen[-1][1].update(strength=share, also=[])
            if (evidence := getattr(transition, "evidence", None)) is not None:
                chosen[-1][1]["evidence"] = evidence._asdict()
    out = []
    for transition, info in sorted(chosen[: max(num_jumps, 0)], key=lambda pair: pair[0].step):
        steps = _around(table[transition.quantity], transition)
        kinds: tuple[MomentType, ...] = ("before_jump", "during_jump", "after_jump")
        out += [CriticalMoment(experiment_name, s, kind, info) for s, kind in zip(steps, kinds, strict=True)]
    return out


def detected(table: pd.DataFrame) -> Sequence[TransitionLike]:
    from tandv.analysis.transitions import find_transitions  # imports SciPy, which takes half a second

    return find_transitions(table, lr=learning_rate_of(table.columns))


def strength(curve: pd.Series, transition: TransitionLike) -> float:
    values = curve.to_numpy()
    values = values[np.isfinite(values)]
    span = float(np.ptp(values)) if len(values) else 0.0
    return abs(transition.after - transition.before) / span if span else 0.0


def _around(curve: pd.Series, transition: TransitionLike) -> tuple[float, float, float]:
    """Return the last known step up to the start, the one nearest to the middle, and the first from the end on."""
    steps = curve.dropna().index.to_numpy()
    before = int(np.searchsorted(steps, transition.start, "right")) - 1
    after = int(np.searchsorted(steps, transition.end, "left"))
    if before == after:  # a transition at a single point: take its neighbours
        before, after = before - 1, after + 1
    during = int(np.abs(steps - transition.step).argmin())
    last = len(steps) - 1
    first, middle, end = steps[[max(before, 0), during, min(after, last)]].tolist()
    return first, middle, end
