"""The findings of a dossier: what happened, what changes at each transition, compared with chance or other times."""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from tandv import __version__
from tandv.analysis.findings import examined
from tandv.analysis.findings.report import summary as gravest_in_words
from tandv.analysis.generalisation import Grokking, grokking
from tandv.analysis.moments import (
    CriticalMoment,
    compare_moments,
    coordination,
    critical_periods,
    loss_falls,
)
from tandv.analysis.moments.finder import detected, stands, strength
from tandv.analysis.transitions import Evidence, Transition, find_transitions
from tandv.curves import learning_rate_of, unit_of
from tandv.curves.of_layers import of_whole_run
from tandv.curves.outcomes import accuracies_of, is_outcome
from tandv.dossier.choice import layers_of, moments_of, summary_of
from tandv.dossier.heads import as_dicts, entropy_words, head_changes, head_curves_of
from tandv.dossier.material import Material
from tandv.dossier.not_finite import first_not_finite
from tandv.dossier.story import story
from tandv.dossier.weights import Measures, between
from tandv.messages import named_arguments


@named_arguments
def examine(
    material: Material,
    *,
    num_jumps: int = 5,
    transitions: Sequence[Transition] | None = None,
    lr: str | None = None,
    within: float | None = None,
    measures: Measures | None = None,
) -> dict[str, Any]:
    """Return all findings about a run, ready for JSON: what happened in plain words, what is wrong by rules,
    transitions, moments, changes, attention, NaN, and what is missing.

    >>> from tandv.dossier.material import gather
    >>> found = examine(gather({"test_acc": [0.1] * 20 + [0.2, 0.5, 0.8] + [0.9] * 20}))
    >>> found["story"][0][:48], found["moments"][0]["during"]
    ('test_acc rose from 0.1 (step 0) to 0.9 (step 42)', 21)

    Args:
        material: what `gather` returns.
        num_jumps: how many transitions are examined closely, the largest first.
        transitions: by default those of `find_transitions`.
        lr: the curve that is the learning rate; by default the first that is called lr or learning_rate.
        within: how many steps a checkpoint may be away from a moment; None for any number, which is said.
        measures: functions of the weights of one layer by name; a number is taken from each before and after a moment.
    """
    curves = of_whole_run(material.curves)
    unit = unit_of(material.curves)
    rate = learning_rate_of(material.curves.columns) if lr is None else lr
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = detected(material.curves, rate) if transitions is None else list(transitions)
    summary = summary_of(material, found)
    not_finite = summary.pop("not_finite") + (first_not_finite(material.log) if material.log is not None else [])
    missing = [*material.missing, *(one for one in summary.pop("missing") if one != "no checkpoints")]
    missing += [f"in the search for transitions: {one.message}" for one in caught]
    by, layers = layers_of(material)
    if layers is None:
        missing.append("no curves of single layers: which layers move together is not known; track the run")
    own = material.phase1.jumps is None or transitions is not None
    threes = moments_of(material, num_jumps, transitions=found if own else None, lr=rate)
    moments = []
    for before, during, after in zip(threes[::3], threes[1::3], threes[2::3], strict=True):
        one = _moment(before, during, after, curves, found, by, layers)
        weights = between(before, after, material.checkpoints, within, measures)
        one["missing"] += weights.pop("missing")
        moments.append(one | weights)
    generalisation = _generalisation(curves)
    table = head_curves_of(material.curves, material.probes)
    heads = head_changes(table) if table is not None else []
    told = story(curves, found, _spikes(curves, rate), generalisation, moments, heads, unit)
    return {
        "tandv": __version__,
        "name": material.name,
        "unit": unit,
        "story": told,
        "wrong": _wrong(material),
        "summary": summary,
        "learning_rate": rate,
        "transitions": [one._asdict() | {"evidence": one.evidence._asdict()} for one in found],
        "generalisation": None if generalisation is None else _as_dict(generalisation),
        "moments": moments,
        "periods": _periods(layers),
        "layers_by": by,
        "loss_falls": _loss_falls(curves, [one for one in found if stands(one)]),
        "attention": None if table is None else {"heads": as_dicts(heads), "entropy": entropy_words(table)},
        "not_finite": not_finite,
        "missing": missing,
    }


def _wrong(material: Material) -> dict[str, Any] | None:
    """Return what the rules find wrong in the log, and the gravest of it in words; None without a log."""
    if material.log is None:
        return None
    found = examined(material.log)
    return {
        "words": gravest_in_words(found),
        "findings": [one.as_dict() for one in found.findings],
        "not_checked": found.not_checked,
    }


def _moment(
    before: CriticalMoment,
    during: CriticalMoment,
    after: CriticalMoment,
    curves: pd.DataFrame,
    found: Sequence[Transition],
    by: str,
    layers: pd.DataFrame | None,
) -> dict[str, Any]:
    """Describe a moment: what changes at it, outcomes first, and which layers move."""
    info = before.jump_info or {}
    out: dict[str, Any] = {
        **info,
        "before": before.step,
        "during": during.step,
        "after": after.step,
        "before_value": info.get("before", math.nan),
        "after_value": info.get("after", math.nan),
        "changes": _changes(info, before.step, after.step, curves, found),
        "curves": compare_moments(curves, before, after).reset_index().to_dict("records"),
        "missing": [],
    }
    if layers is not None and math.isfinite(info.get("after", 0.0)):  # norms that are NaN neither move nor stay
        at = Transition("", before.step, during.step, after.step, math.nan, math.nan, Evidence())
        together = coordination(layers, at)
        out["coordination"] = together._asdict() if not math.isnan(together.share) else None
        out["layers_by"] = by
        if out["coordination"] is None:
            out["missing"].append("no layer has values on both sides of it")
    return out


def _changes(
    info: Mapping[str, Any], first: float, last: float, curves: pd.DataFrame, found: Sequence[Transition]
) -> list[dict[str, Any]]:
    """Return the largest transition of each quantity at a moment, outcomes first, each by its strength."""
    out = []
    names = [info["quantity"], *info["also"]] if info["quantity"] in curves.columns else list(curves.columns)
    for name in names:
        here = [one for one in found if one.quantity == name and one.start <= last and first <= one.end and stands(one)]
        if here:
            largest = max(here, key=lambda one: strength(curves[name], one))
            fields = {key: getattr(largest, key) for key in ("quantity", "start", "step", "end", "before", "after")}
            out.append(fields | {"strength": strength(curves[name], largest)})
    return sorted(out, key=lambda one: (not is_outcome(one["quantity"]), -one["strength"]))


def _spikes(curves: pd.DataFrame, rate: str | None) -> list[Transition]:
    """Return where a loss, an accuracy, ... jumped and came back."""
    names = [name for name in curves.columns if is_outcome(name)]
    if not names:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the search for transitions has said what it leaves out
        return find_transitions(curves[names], lr=curves[rate] if rate in curves.columns else None, kinds="spike")


def _periods(layers: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Return the periods in which many layers move together; none where there is too little to tell."""
    if layers is None:
        return []
    try:
        return [one._asdict() for one in critical_periods(layers)]
    except ValueError:  # too few layers or steps
        return []


def _generalisation(curves: pd.DataFrame) -> Grokking | None:
    pair = accuracies_of(curves.columns)
    return None if pair is None else grokking(curves, train=pair[0], test=pair[1])


def _as_dict(found: Grokking) -> dict[str, Any]:
    reached = {"memorisation": found.memorisation._asdict(), "generalisation": found.generalisation._asdict()}
    return found._asdict() | reached


def _loss_falls(curves: pd.DataFrame, transitions: Sequence[Transition]) -> dict[str, Any] | None:
    """Test whether the loss falls where a quantity that is no outcome changes."""
    loss = next((name for name in ("train_loss", "loss") if name in curves.columns), None)
    steps = [one.step for one in transitions if not is_outcome(one.quantity)]
    if loss is None or not steps:
        return None
    return {"loss": loss} | loss_falls(curves[[loss]], steps)._asdict()
