"""The checkpoints before and after a moment, how far each layer moved between them, and what your measures give."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tandv.analysis.moments import CriticalMoment, MissingCheckpoint, nearest_checkpoint
from tandv.checkpoints import Checkpoint, UnreadableCheckpoint
from tandv.checkpoints.readers.opening import opened
from tandv.checkpoints.weights import trained
from tandv.dossier.changes import changes_between, usual_changes

Measures = Mapping[str, Callable[[np.ndarray], float]]


def between(
    before: CriticalMoment,
    after: CriticalMoment,
    checkpoints: Sequence[Checkpoint],
    within: float | None = None,
    measures: Measures | None = None,
) -> dict[str, Any]:
    """Return the checkpoints that bracket a moment, how far they are from it, and how far each layer moved between.

    Keys: `checkpoints` (for each side `step`, `file`, `why`, `away` in steps, and whether it
    is the `first` of the run), `missing`, and if both are there
    `weights`, a row for each layer, `usual_from`, and `measures`.

    Args:
        before: the moment before the transition.
        after: the moment after it.
        checkpoints: all checkpoints of the run, ascending.
        within: how many steps a checkpoint may be away; None for any number.
        measures: functions of the weights of one layer by name; a number is taken from each, before and after.
    """
    out: dict[str, Any] = {"checkpoints": {}, "missing": []}
    if not checkpoints:
        return out
    sides: dict[str, Checkpoint] = {}
    for side, moment in (("before", before), ("after", after)):
        try:
            found = nearest_checkpoint(
                moment, [one.step for one in checkpoints], within=float("inf") if within is None else within
            )
        except MissingCheckpoint as error:
            out["missing"].append(_none(side, moment, checkpoints) if within is None else str(error))
            continue
        sides[side] = next(one for one in checkpoints if one.step == found)
        out["checkpoints"][side] = {
            "step": found,
            "file": str(sides[side].path),
            "why": _why(sides[side]),
            "away": abs(found - moment.step),
            "first": found == checkpoints[0].step,
        }
    if len(sides) == 2:
        _compare(out, sides["before"], sides["after"], checkpoints, measures or {})
    return out


def _none(side: str, moment: CriticalMoment, checkpoints: Sequence[Checkpoint]) -> str:
    ends = {"before": ("first", "earlier", checkpoints[0]), "after": ("last", "later", checkpoints[-1])}
    place, way, near = ends[side]
    return (
        f"no checkpoint at step {moment.step:,} or {way}: the {place} one is of step {near.step:,}, so weights before "
        "and after it are not compared"
    )


def _compare(
    out: dict[str, Any], before: Checkpoint, after: Checkpoint, checkpoints: Sequence[Checkpoint], measures: Measures
) -> None:
    """Add how far each layer moved between two checkpoints, and how far it usually moves."""
    try:
        table, problems = changes_between(before, after)
        usual, pairs = usual_changes(checkpoints, before.step, after.step)
        measured = _measured(before, after, measures, out["missing"]) if measures else []
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
    if measured:
        out["measures"] = measured


def _measured(before: Checkpoint, after: Checkpoint, measures: Measures, missing: list[str]) -> list[dict[str, Any]]:
    """Return a row for each measure and layer: its value before and after; a measure that fails is said once."""
    values: list[dict[tuple[str, str], float]] = []
    failed: dict[str, str] = {}
    for one in (before, after):
        found: dict[tuple[str, str], float] = {}
        with opened(one.path) as file:
            for weight in trained(file.entries, file.updated)[0]:
                array = np.asarray(weight.entry.read(), np.float64)
                for name, measure in measures.items():
                    try:
                        found[name, weight.name] = float(measure(array))
                    except Exception as error:  # a user's function may raise anything
                        failed.setdefault(name, f"{weight.name}: {type(error).__name__}: {error}")
        values.append(found)
    missing += [f"your measure {name} failed at {words}" for name, words in failed.items()]
    return [
        {"measure": name, "layer": layer, "before": value, "after": values[1][name, layer]}
        for (name, layer), value in values[0].items()
        if (name, layer) in values[1]
    ]


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
