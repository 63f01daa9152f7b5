"""The steps of a training run around its strongest transitions, and the checkpoints nearest to them.

>>> nearest_checkpoint(1200, [1000, 1195, 1400])
1195
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import pandas as pd

from tandv.analysis.coordination import Coordination, LossFalls, coordination, loss_falls
from tandv.curves import Curves, as_curves, given, learning_rate_of
from tandv.curves.of_run import nan_is_given

__all__ = [
    "Coordination",
    "CriticalMoment",
    "LossFalls",
    "MissingCheckpoint",
    "MomentType",
    "TransitionLike",
    "compare_moments",
    "coordination",
    "get_experiment_summary",
    "identify_moments",
    "loss_falls",
    "nearest_checkpoint",
]

_FEWEST = 8  # known values that a detector needs

MomentType = Literal["before_jump", "during_jump", "after_jump"]


class CriticalMoment(NamedTuple):
    """A step before, during or after a transition.

    >>> CriticalMoment("grok", 1200, "before_jump").step
    1200

    Args:
        experiment_name: the name of the run.
        step: the step.
        moment_type: "before_jump", "during_jump" or "after_jump".
        jump_info: the transition as a dict; see `identify_moments`.
    """

    experiment_name: str
    step: float
    moment_type: MomentType
    jump_info: dict[str, Any] | None = None


class TransitionLike(Protocol):
    """The fields that are needed of a transition; those of `tandv.analysis.transitions` have them.

    >>> from tandv.analysis.transitions import Evidence, Transition
    >>> one: TransitionLike = Transition("loss", 10, 12, 14, 2.0, 0.5, Evidence())
    """

    @property
    def quantity(self) -> str: ...
    @property
    def start(self) -> float: ...
    @property
    def step(self) -> float: ...
    @property
    def end(self) -> float: ...
    @property
    def before(self) -> float: ...
    @property
    def after(self) -> float: ...


class MissingCheckpoint(LookupError):
    """There is no checkpoint near enough; the message names the nearest."""


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
    transitions = _detected(table) if transitions is None else transitions
    if unknown := [t.quantity for t in transitions if t.quantity not in table.columns]:
        raise ValueError(f"transitions of {unknown} are not of these curves, {', '.join(map(repr, table.columns))}")
    strengths = [(_strength(table[t.quantity], t), t) for t in transitions]
    strengths.sort(key=lambda pair: (-pair[0], pair[1].step))
    chosen: list[tuple[TransitionLike, dict[str, Any]]] = []
    for strength, transition in strengths:
        overlapping = [
            info for other, info in chosen if other.start <= transition.end and transition.start <= other.end
        ]
        for info in overlapping:
            if transition.quantity != info["quantity"] and transition.quantity not in info["also"]:
                info["also"].append(transition.quantity)
        if not overlapping:
            fields = ("quantity", "start", "step", "end", "before", "after")
            chosen.append((transition, {name: getattr(transition, name) for name in fields}))
            chosen[-1][1].update(strength=strength, also=[])
            if (evidence := getattr(transition, "evidence", None)) is not None:
                chosen[-1][1]["evidence"] = evidence._asdict()
    out = []
    for transition, info in sorted(chosen[: max(num_jumps, 0)], key=lambda pair: pair[0].step):
        steps = _around(table[transition.quantity], transition)
        kinds: tuple[MomentType, ...] = ("before_jump", "during_jump", "after_jump")
        out += [CriticalMoment(experiment_name, s, kind, info) for s, kind in zip(steps, kinds, strict=True)]
    return out


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
        transitions: by default those of `find_transitions`.
        checkpoints: the steps of its checkpoints.
    """
    table = as_curves(curves).sort_index()
    transitions = _detected(table) if transitions is None else transitions
    known = sorted(set(checkpoints or ()))
    strengths = [_strength(table[one.quantity], one) for one in transitions]
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


def _detected(table: pd.DataFrame) -> Sequence[TransitionLike]:
    from tandv.analysis.transitions import find_transitions  # imports SciPy, which takes half a second

    return find_transitions(table, lr=learning_rate_of(table.columns))


def _strength(curve: pd.Series, transition: TransitionLike) -> float:
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


def nearest_checkpoint(moment: CriticalMoment | float, checkpoints: Iterable[float], *, within: float = 10) -> float:
    """Return the step of the checkpoint nearest to a moment or a step.

    For a moment before a jump that is the last one up to it, for one after a jump the first from it on, so that the
    jump lies between.

    >>> nearest_checkpoint(CriticalMoment("", 1200, "before_jump"), [1000, 1195, 1205])
    1195

    Args:
        moment: a moment, or a step.
        checkpoints: the steps of the checkpoints.
        within: how many steps away it may be at most.

    Raises MissingCheckpoint naming the nearest.
    """
    step, side = (moment.step, moment.moment_type[:6]) if isinstance(moment, CriticalMoment) else (moment, "")
    known = sorted(set(checkpoints))
    if not known:
        raise MissingCheckpoint(f"no checkpoint within {within:,} steps of {step:,}: there is none at all")
    allowed = {"before": [s for s in known if s <= step], "after_": [s for s in known if s >= step]}.get(side, known)
    near = min(allowed, key=lambda s: abs(s - step), default=None)
    if near is not None and abs(near - step) <= within:
        return near
    sides = [f"{s:,}" for s in [*[s for s in known if s <= step][-1:], *[s for s in known if s > step][:1]]]
    where = {"before": "before", "after_": "after"}.get(side, "of")
    raise MissingCheckpoint(
        f"no checkpoint within {within:,} steps {where} {step:,}; the nearest {'are' if len(sides) > 1 else 'is'} "
        f"{' and '.join(sides)}; allow more with within=, or save checkpoints closer together"
    )


def compare_moments(curves: Curves, before: CriticalMoment | float, after: CriticalMoment | float) -> pd.DataFrame:
    """Return how every curve changed from one moment to another: one row per quantity.

    Columns: `before`, `after`, `change`, `relative_change` (over abs(before); NaN from 0). A value that is missing at
    that step is NaN.

    >>> compare_moments({"loss": [2.0, 1.5, 0.5]}, 0, 2).loc["loss", "relative_change"].item()
    -0.75

    Args:
        curves: the curves of a run.
        before: the earlier moment, or step.
        after: the later one.

    Raises ValueError if a step is not in the curves.
    """
    table = as_curves(curves)
    steps = [m.step if isinstance(m, CriticalMoment) else m for m in (before, after)]
    if absent := [step for step in steps if step not in table.index]:
        recorded = table.index.to_numpy()
        near = [recorded[np.abs(recorded - step).argmin()].item() for step in absent]
        listed = ", ".join(f"{step:,} (nearest: {n:,})" for step, n in zip(absent, near, strict=True))
        raise ValueError(f"the curves have no row for step {listed}; choose steps that were recorded")
    out = pd.DataFrame({"before": table.loc[steps[0]], "after": table.loc[steps[1]]})
    out["change"] = out["after"] - out["before"]
    out["relative_change"] = out["change"] / out["before"].abs().where(out["before"] != 0)
    return out.rename_axis("quantity")
