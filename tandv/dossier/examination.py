"""The findings of a dossier: what changes at each transition, compared with chance or with other times."""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from tandv import __version__
from tandv.analysis.findings import examined
from tandv.analysis.findings.report import summary as summary_of
from tandv.analysis.generalisation import grokking
from tandv.analysis.moments import (
    CriticalMoment,
    MissingCheckpoint,
    compare_moments,
    coordination,
    get_experiment_summary,
    identify_moments,
    loss_falls,
    nearest_checkpoint,
)
from tandv.analysis.moments.finder import detected
from tandv.analysis.norms import norm_curves
from tandv.analysis.transitions import Transition
from tandv.checkpoints import Checkpoint, UnreadableCheckpoint
from tandv.curves import learning_rate_of
from tandv.curves.of_layers import largest_family, of_whole_run
from tandv.dossier.changes import changes_between, usual_changes
from tandv.dossier.material import Material
from tandv.dossier.not_finite import first_not_finite
from tandv.messages import UnknownName


def examine(
    material: Material,
    *,
    num_jumps: int = 5,
    transitions: Sequence[Transition] | None = None,
    lr: str | None = None,
    within: int | None = None,
) -> dict[str, Any]:
    """Return all findings about a run, ready for JSON: what is wrong by rules, transitions, moments, changes, NaN, and
    what is missing.

    >>> from tandv.dossier.material import gather
    >>> found = examine(gather({"test_acc": [0.1] * 20 + [0.2, 0.5, 0.8] + [0.9] * 20}))
    >>> found["moments"][0]["during"]
    21

    Args:
        material: what `gather` returns.
        num_jumps: how many transitions are examined closely, the largest first.
        transitions: by default those of `find_transitions`.
        lr: the curve that is the learning rate; by default the first that is called lr or learning_rate.
        within: a checkpoint belongs to a moment if it is at most so many steps away; by default as many as the
            transition takes, but at least 10.
    """
    curves = of_whole_run(material.curves)
    rate = learning_rate_of(material.curves.columns) if lr is None else lr
    found = detected(material.curves, rate) if transitions is None else list(transitions)
    steps = [one.step for one in material.checkpoints]
    summary = get_experiment_summary(curves, transitions=found, checkpoints=steps)
    not_finite = summary.pop("not_finite") + (first_not_finite(material.log) if material.log is not None else [])
    missing = [*material.missing, *(one for one in summary.pop("missing") if one != "no checkpoints")]
    moments = identify_moments(curves, num_jumps, transitions=found, experiment_name=material.name)
    layers = _layers(material)
    if layers[1] is None:
        missing.append("no curves of single layers: which layers move together is not known; track the run")
    threes = [moments[i : i + 3] for i in range(0, len(moments), 3)]
    return {
        "tandv": __version__,
        "name": material.name,
        "wrong": _wrong(material),
        "summary": summary,
        "learning_rate": rate,
        "transitions": [one._asdict() | {"evidence": one.evidence._asdict()} for one in found],
        "generalisation": _generalisation(curves),
        "moments": [_moment(three, material, *layers, within) for three in threes],
        "loss_falls": _loss_falls(curves, found),
        "not_finite": not_finite,
        "missing": missing,
    }


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: NaN becomes None, an infinity becomes text.

    >>> plain({"p": float("nan"), "lift": float("inf"), "steps": (1, 2)})
    {'p': None, 'lift': 'inf', 'steps': [1, 2]}
    """
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def _wrong(material: Material) -> dict[str, Any] | None:
    """Return what the rules find wrong in the log, and the gravest of it in words; None without a log."""
    if material.log is None:
        return None
    found = examined(material.log)
    return {
        "words": summary_of(found),
        "findings": [one.as_dict() for one in found.findings],
        "not_checked": found.not_checked,
    }


def _moment(
    three: Sequence[CriticalMoment], material: Material, by: str, layers: pd.DataFrame | None, within: int | None
) -> dict[str, Any]:
    before, during, after = three
    info = before.jump_info or {}
    around = compare_moments(of_whole_run(material.curves), before, after)
    out: dict[str, Any] = {
        **info,
        "before": before.step,
        "during": during.step,
        "after": after.step,
        "before_value": info["before"],
        "after_value": info["after"],
        "curves": around.reset_index().to_dict("records"),
        "missing": [],
    }
    if layers is not None:
        jump = Transition(info["quantity"], info["start"], info["step"], info["end"], 0.0, 0.0, None)  # type: ignore[arg-type]
        together = coordination(layers, jump)
        out["coordination"] = together._asdict() if not math.isnan(together.share) else None
        out["layers_by"] = by
        if out["coordination"] is None:
            out["missing"].append("no layer has values on both sides of it")
    reach = max(10, info["end"] - info["start"]) if within is None else within
    sides: dict[str, Checkpoint] = {}
    for side, moment in (("before", before), ("after", after)):
        try:
            at = nearest_checkpoint(moment, [one.step for one in material.checkpoints], within=reach)
            sides[side] = next(one for one in material.checkpoints if one.step == at)
        except MissingCheckpoint as error:
            out["missing"].append(str(error))
    out["checkpoints"] = {
        side: {"step": one.step, "file": str(one.path), "why": _why(one)} for side, one in sides.items()
    }
    if len(sides) == 2:
        _weights(out, sides["before"], sides["after"], material.checkpoints)
    return out


def _weights(out: dict[str, Any], before: Checkpoint, after: Checkpoint, checkpoints: Sequence[Checkpoint]) -> None:
    """Add how far each layer moved between two checkpoints, and how far it usually moves."""
    try:
        table, problems = changes_between(before, after)
        usual, pairs = usual_changes(checkpoints, before.step, after.step)
    except UnreadableCheckpoint as error:
        out["missing"].append(f"a checkpoint cannot be read: {error}")
        return
    out["missing"] += problems
    if usual is not None:
        table["usual"] = usual.reindex(table.index)
        table["times_usual"] = table["relative"] / table["usual"].where(table["usual"] > 0)
        out["usual_from"] = pairs
    else:
        out["missing"].append(
            "no other checkpoints lie as far apart: whether the layers usually move as far is not known"
        )
    out["weights"] = table.reset_index().to_dict("records")


def _why(checkpoint: Checkpoint) -> str | None:
    """Return the reason that a tracker stored in a checkpoint; None for other checkpoints."""
    if checkpoint.path.suffix != ".safetensors":
        return None
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(checkpoint.path, framework="numpy") as file:
            return json.loads((file.metadata() or {}).get("tandv", "{}")).get("why")
    except (SafetensorError, ValueError, OSError):
        return None


def _layers(material: Material) -> tuple[str, pd.DataFrame | None]:
    """Return a quantity and its curve for each layer: weight norms from the log, else the largest family of curves."""
    if material.log is not None:
        try:
            norms = norm_curves(material.log, per_layer=True)
            own = [name for name in norms.columns if name.startswith("weight_norm:")]
            if own:
                return "weight_norm", norms[own].rename(columns=lambda name: name.partition(":")[2])
        except UnknownName:
            pass
    return largest_family(material.curves)


def _generalisation(curves: pd.DataFrame) -> dict[str, Any] | None:
    for train, test in (("train_acc", "test_acc"), ("train_acc", "val_acc"), ("train_accuracy", "test_accuracy")):
        if train in curves.columns and test in curves.columns:
            found = grokking(curves, train=train, test=test)
            reached = {"memorisation": found.memorisation._asdict(), "generalisation": found.generalisation._asdict()}
            return found._asdict() | reached
    return None


def _loss_falls(curves: pd.DataFrame, transitions: Sequence[Transition]) -> dict[str, Any] | None:
    """Test whether the loss falls where another quantity changes; at its own transitions it does by definition."""
    loss = next((name for name in ("train_loss", "loss") if name in curves.columns), None)
    steps = [one.step for one in transitions if "loss" not in one.quantity]
    if loss is None or not steps:
        return None
    return {"loss": loss} | loss_falls(curves[[loss]], steps)._asdict()
