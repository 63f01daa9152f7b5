"""The steps of a training run around its strongest transitions: the one finder of them, for tools and reports alike.

>>> accuracy = {"acc": [0.1] * 20 + [0.2, 0.5, 0.8] + [0.9] * 20}
>>> [moment.step for moment in identify_moments(accuracy)]
[20, 21, 22]
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from tandv.analysis.moments.moment import CriticalMoment, MomentType, TransitionLike
from tandv.curves import Curves, as_curves, learning_rate_of
from tandv.curves.of_layers import largest_family, of_whole_run
from tandv.curves.outcomes import is_outcome
from tandv.messages import check_choices

if TYPE_CHECKING:
    from tandv.analysis.transitions import Transition

By = Literal["outcome", "strength", "coordination", "loss"]

SIGNIFICANT = 0.05  # the largest p-value of a transition that gives a moment
_LEAST_INTERNAL = 0.1  # share of its range by which a curve that is no outcome changes at least, beside outcomes
_STRONG = 0.95  # share of other stretches over which the loss changes less, for a strong relation with the loss
_PASSING = ("spike", "teeth")  # kinds that have no level before and after


def identify_moments(
    curves: Curves,
    num_jumps: int = 5,
    *,
    by: By = "outcome",
    transitions: Sequence[TransitionLike] | None = None,
    lr: str | None = None,
    layers: Curves | None = None,
    experiment_name: str = "",
) -> list[CriticalMoment]:
    """Return the steps before, during and after each of the strongest transitions: three for each, first to last.

    Transitions that overlap in time are one moment, named after the strongest outcome (a loss, an accuracy, ...) in it;
    moments without an outcome come after those with one, and if the run has outcomes only if their curve changes by a
    tenth of its range. Transitions with a p-value above 0.05 and spikes that recover give none. `jump_info` has the
    fields of the leading transition, its `strength` (its change as a share of the range of its curve), `also`, the
    other quantities that change at that time, and the `evidence` of the detector if there is some. The moment lasts
    until all outcomes in it have changed. Steps are recorded ones. Fewer transitions give fewer moments.

    >>> accuracy = {"acc": [0.1] * 20 + [0.2, 0.5, 0.8] + [0.9] * 20}
    >>> [moment.step for moment in identify_moments(accuracy)]
    [20, 21, 22]

    Args:
        curves: the curves of a run. Those of single layers, such as "rank:fc1", are not searched if there are others.
        num_jumps: for how many transitions at most.
        by: which are chosen: "outcome" as above, "strength" whatever changes most, "coordination" the periods in which
            most layers move together (see `critical_periods`), "loss" those of other quantities at which the loss
            changes more than over 95 % of the stretches of the same length elsewhere.
        transitions: by default those of `find_transitions`.
        lr: the curve that is the learning rate; by default the first that is called lr or learning_rate.
        layers: of "coordination": a curve for each layer; by default those of the quantity that most layers have.
        experiment_name: the name of the run, which each moment gets.

    Raises ValueError for a transition of a quantity that the curves lack, for "coordination" without curves of layers,
    and for "loss" without a curve of it.
    """
    check_choices(by=(by, By))
    table = as_curves(curves).sort_index()
    if by == "coordination":
        return _of_periods(table, num_jumps, layers, experiment_name)
    found = detected(table, lr) if transitions is None else transitions
    if unknown := [t.quantity for t in found if t.quantity not in table.columns]:
        raise ValueError(f"transitions of {unknown} are not of these curves, {', '.join(map(repr, table.columns))}")
    strengths = {id(t): strength(table[t.quantity], t) for t in found}
    chosen = _ORDERS[by](table, [(strengths[id(t)], t) for t in found if stands(t)])
    return _moments(table, chosen[: max(num_jumps, 0)], experiment_name)


def stands(transition: TransitionLike) -> bool:
    """Return whether a transition has a level before and after it and is no matter of chance, as far as is known.

    >>> from tandv.analysis.transitions import Evidence, Transition
    >>> stands(Transition("loss", 1, 2, 3, 1.0, 0.5, Evidence(p=0.4)))
    False

    Args:
        transition: a transition of any detector, with or without evidence.
    """
    evidence = getattr(transition, "evidence", None)
    return not getattr(evidence, "p", math.nan) > SIGNIFICANT and getattr(evidence, "kind", "") not in _PASSING


def detected(table: pd.DataFrame, lr: str | None = None) -> "list[Transition]":
    """Return the transitions of the curves of a whole run, not of its single layers.

    >>> [one.step for one in detected(pd.DataFrame({"acc": [0.1] * 20 + [0.5] + [0.9] * 20}))]
    [20]

    Args:
        table: curves as `as_curves` returns them.
        lr: the curve that is the learning rate; by default the first that is called lr or learning_rate.
    """
    from tandv.analysis.transitions import find_transitions  # imports SciPy, which takes half a second

    rate = learning_rate_of(table.columns) if lr is None else lr
    searched = of_whole_run(table)
    if rate is not None and rate in table.columns and rate not in searched.columns:
        searched = searched.assign(**{rate: table[rate]})
    return find_transitions(searched, lr=rate)


def strength(curve: pd.Series, transition: TransitionLike) -> float:
    """Return the change at a transition as a share of the range of its curve, 0 to 1; 1 where it ends in NaN.

    >>> from tandv.analysis.transitions import Evidence, Transition
    >>> strength(pd.Series([0.0, 4.0]), Transition("loss", 0, 1, 1, 1.0, 3.0, Evidence()))
    0.5

    Args:
        curve: the curve.
        transition: the transition.
    """
    values = curve.to_numpy()
    values = values[np.isfinite(values)]
    span = float(np.ptp(values)) if len(values) else 0.0
    change = abs(transition.after - transition.before)
    return (change / span if span else 0.0) if math.isfinite(change) else 1.0


Strong = list[tuple[float, TransitionLike]]
Group = tuple[TransitionLike, dict[str, Any], tuple[float, float]]  # the leading one, its `jump_info`, first and last


def _by_outcome(table: pd.DataFrame, strong: Strong) -> list[Group]:
    """Group transitions, outcomes first."""
    ordered = sorted(strong, key=lambda pair: (not is_outcome(pair[1].quantity), -pair[0], pair[1].step))
    groups = _grouped(ordered)
    if any(is_outcome(name) for name in table.columns):
        groups = [one for one in groups if is_outcome(one[0].quantity) or one[1]["strength"] >= _LEAST_INTERNAL]
    return groups


def _by_strength(table: pd.DataFrame, strong: Strong) -> list[Group]:
    return _grouped(sorted(strong, key=lambda pair: (-pair[0], pair[1].step)))


def _by_loss(table: pd.DataFrame, strong: Strong) -> list[Group]:
    """Group transitions of other quantities at which the loss changes much, the largest such change first."""
    from tandv.analysis.moments.loss_change import loss_curve, share_that_changes_less

    loss = loss_curve(table)
    groups = _grouped(sorted((one for one in strong if one[1].quantity != loss.name), key=lambda pair: -pair[0]))
    for group in groups:
        group[1]["loss_rank"] = share_that_changes_less(loss, group[0].start, group[0].end)
    groups = [one for one in groups if one[1]["loss_rank"] >= _STRONG]
    return sorted(groups, key=lambda one: (-one[1]["loss_rank"], -one[1]["strength"]))


_ORDERS: dict[str, Callable[[pd.DataFrame, Strong], list[Group]]] = {
    "outcome": _by_outcome,
    "strength": _by_strength,
    "loss": _by_loss,
}


def _grouped(ordered: Strong) -> list[Group]:
    """Return a group for each transition that overlaps none before it, with what overlaps it."""
    groups: list[Group] = []
    for share, one in ordered:
        overlapping = [i for i, (other, *_) in enumerate(groups) if other.start <= one.end and one.start <= other.end]
        for i in overlapping:
            leading, info, (first, last) = groups[i]
            if one.quantity != info["quantity"] and one.quantity not in info["also"]:
                info["also"].append(one.quantity)
            # outcomes of one event end at different times; what only touches it is another event
            if is_outcome(one.quantity) and leading.start <= one.step <= leading.end:
                groups[i] = leading, info, (min(first, one.start), max(last, one.end))
        if not overlapping:
            fields = ("quantity", "start", "step", "end", "before", "after")
            info = {name: getattr(one, name) for name in fields} | {"strength": share, "also": []}
            if (evidence := getattr(one, "evidence", None)) is not None:
                info["evidence"] = evidence._asdict()
            groups.append((one, info, (one.start, one.end)))
    return groups


def _moments(table: pd.DataFrame, groups: Sequence[Group], experiment_name: str) -> list[CriticalMoment]:
    out = []
    for leading, info, span in sorted(groups, key=lambda group: group[0].step):
        curve = table[leading.quantity]
        ends = not math.isfinite(leading.after)  # what comes after it is no number, and yet recorded
        known = (curve if ends else curve.dropna()).index.to_numpy()
        out += _three(known, leading.step, span, info, experiment_name)
    return out


def _three(
    known: np.ndarray, middle: float, span: tuple[float, float], info: dict[str, Any], experiment_name: str
) -> list[CriticalMoment]:
    """Return the last known step up to the start, the one nearest to the middle, and the first from the end on."""
    before = int(np.searchsorted(known, span[0], "right")) - 1
    after = int(np.searchsorted(known, span[1], "left"))
    if before == after:  # a transition at a single point: take its neighbours
        before, after = before - 1, after + 1
    during, last = int(np.abs(known - middle).argmin()), len(known) - 1
    steps = known[[max(before, 0), during, min(after, last)]].tolist()
    kinds: tuple[MomentType, ...] = ("before_jump", "during_jump", "after_jump")
    return [CriticalMoment(experiment_name, step, kind, info) for step, kind in zip(steps, kinds, strict=True)]


def _of_periods(
    table: pd.DataFrame, num_jumps: int, layers: Curves | None, experiment_name: str
) -> list[CriticalMoment]:
    from tandv.analysis.periods import critical_periods

    quantity, each = ("", as_curves(layers)) if layers is not None else largest_family(table)
    if each is None:
        raise ValueError(
            f"there are no curves of single layers, such as 'rank:fc1' and 'rank:fc2', only "
            f"{', '.join(table.columns)}; give layers=, a curve for each layer"
        )
    known = each.dropna().sort_index().index.to_numpy()
    found = sorted(critical_periods(each), key=lambda one: -one.lift)[: max(num_jumps, 0)]
    out = []
    for period in sorted(found, key=lambda one: one.step):
        info = {"quantity": quantity} | period._asdict()
        out += _three(known, period.step, (period.start, period.end), info, experiment_name)
    return out
