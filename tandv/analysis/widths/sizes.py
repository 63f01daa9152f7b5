"""Runs of several widths beside each other: the size of every tensor that all have, at the steps that all have."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from tandv.analysis.diff.names import paired, tensors_of
from tandv.log import logframe
from tandv.log.choice_of_steps import Steps, check_steps_there, steps_meant
from tandv.log.door import AnyLog
from tandv.log.grid import Grid, grid
from tandv.log.order import order_of
from tandv.log.shown import named
from tandv.log.store.layers import Tensor
from tandv.messages import UnknownName, some, unknown

Size = Literal["mean_abs", "rm2", "std", "max_abs"]


class Sizes(NamedTuple):
    """The sizes of the tensors that several runs have.

    >>> Sizes([("Weight", "fc")], np.array([0]), np.ones((1, 1, 2)), np.zeros((1, 1, 2), bool), []).sizes.shape
    (1, 1, 2)

    Args:
        tensors: tensor type and name in the first run, in the order of execution.
        steps: the steps.
        sizes: [tensors, steps, runs]; NaN where a run has no row, or none of the values is finite.
        broken: where some values are NaN or infinite, likewise.
        notes: what only some of the runs have, a sentence each.
    """

    tensors: list[Tensor]
    steps: np.ndarray
    sizes: np.ndarray
    broken: np.ndarray
    notes: list[str]


def sizes_of(runs: Sequence[AnyLog], statistic: str, step: Steps | None, phase: str | None, most: int) -> Sizes:
    """Return the sizes of the tensors that all of some runs have.

    Args:
        runs: logs, or the places of them.
        statistic: the statistic that is the size.
        step: a step, several, or a slice; None for the first steps that all have.
        phase: the phase of `tracker.phase(...)`; None for the rows outside of any.
        most: how many steps are taken where none is asked for.

    Raises ValueError if the runs have no tensor or no step in common, UnknownName for a step, a statistic or a phase
    that a run does not have.
    """
    for run in runs:
        if statistic not in (has := logframe.scalar_metrics(run)):
            raise UnknownName(unknown("statistic", statistic, has, "a run"))
        if phase is not None and phase not in (there := logframe.phases(run)):
            raise UnknownName(unknown("phase", phase, [one for one in there if one], "a run"))
    ours, *theirs = map(tensors_of, runs)
    pairs = [dict(zip(ours, ours, strict=True)), *(paired(ours, tensors) for tensors in theirs)]
    place = order_of(runs[0], ours)
    tensors = [one for one in ours if all(one in pair for pair in pairs)]
    tensors.sort(key=lambda one: place.get((one[0], named(one[1])), len(place)))
    if not tensors:
        raise ValueError("the runs have no tensor in common: no layer of one is a layer of all; give runs of one model")
    steps, notes = _steps([np.asarray(logframe.steps(run)) for run in runs], step, most)
    alone = [f"{kind} of {name}" for kind, name in ours if (kind, name) not in set(tensors)]
    if alone:
        notes.append(f"left out are {len(alone):,} tensors of the first run that not all have: {some(alone, 3)}")
    extra = {len(other) - len(tensors) for other in theirs} - {0}
    if extra and not alone:
        notes.append(f"left out are up to {max(extra):,} tensors that the first run does not have")
    found = [_of_run(run, [pair[one] for one in tensors], steps, statistic, phase) for run, pair in
             zip(runs, pairs, strict=True)]  # fmt: skip
    sizes, broken = np.stack([size for size, _ in found], 2), np.stack([count for _, count in found], 2)
    there = (np.isfinite(sizes) | broken).reshape(len(tensors), -1).any(axis=1)
    kept = np.flatnonzero(there)  # the others have no row at these steps
    return Sizes([tensors[i] for i in kept], steps, sizes[kept], broken[kept], notes)


def _steps(each: list[np.ndarray], step: Steps | None, most: int) -> tuple[np.ndarray, list[str]]:
    """Return the steps to compare, and what is said of others."""
    common = each[0]
    for steps in each[1:]:
        common = np.intersect1d(common, steps)
    if not len(common):
        raise ValueError("the runs have no step in common; record the same steps of every width")
    if step is None:
        left = len(common) > most
        note = f"compared are the first {most} of {len(common):,} common steps; step= chooses others"
        return common[:most], [note] if left else []
    meant = steps_meant(step)
    check_steps_there(meant, common, "what all runs have")
    return common[meant.among(common, int(common[0]))], []


def _of_run(
    run: AnyLog, tensors: list[Tensor], steps: np.ndarray, statistic: str, phase: str | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the sizes of a run [tensors, steps], and where some values are not finite."""
    sizes = np.full((len(tensors), len(steps)), np.nan)
    broken = np.zeros(sizes.shape, bool)
    for kind in dict.fromkeys(kind for kind, _ in tensors):
        at = {name: i for i, (one, name) in enumerate(tensors) if one == kind}
        if (found := _grid(run, kind, statistic, list(at), steps, phase)) is None:
            continue
        column = {int(one): j for j, one in enumerate(found.steps)}
        into = [(j, column[int(one)]) for j, one in enumerate(steps) if int(one) in column]
        for row, name in enumerate(found.layers):
            for j, of in into:
                sizes[at[name], j] = found.values[row, of] if found.logged[row, of] else np.nan
                broken[at[name], j] = found.nans[row, of] + found.infs[row, of] > 0
    return sizes, broken


def _grid(
    run: AnyLog, kind: str, statistic: str, layers: list[str], steps: np.ndarray, phase: str | None
) -> Grid | None:
    """Return a statistic at some steps in a phase; of what has no row in it, such as weights, outside of any."""
    for one in (None,) if phase is None else (phase, ""):
        try:
            return grid(run, kind, statistic, layers, steps.tolist(), one)
        except UnknownName:  # these layers have no row at these steps, or not in this phase
            continue
    return None
