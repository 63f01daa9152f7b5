"""Two runs: the same tensors at the same steps, whatever the order of either, and the step where they part."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tandv import formats
from tandv.log.shown import ABSENT, Matrix
from tandv.messages import some
from tandv.page.answers.asked import BadQuestion
from tandv.page.answers.ratios import ratios
from tandv.page.answers.run import Run
from tandv.page.answers.sources import LogSource
from tandv.statistics import EXTREMES

ROUNDING = 1e-3  # the relative difference of a statistic beyond which runs have parted, in formats of many digits
SIGNED = {"mean": "rm2"}  # what may be near zero by chance: its rounding is that of what it is the mean of


class Compared(NamedTuple):
    """A statistic of one run over that of another.

    Args:
        ratios: of sizes, [layers, steps] of the run; NaN where either has no value.
        flags: of the other run, ABSENT where it lacks the layer or the step, [layers, steps] of uint8.
        parted: the first step at which a tensor of both differs beyond rounding; None if none does.
        words: what is compared, and what only one of the two has.
    """

    ratios: np.ndarray
    flags: np.ndarray
    parted: int | None
    words: str

    def head(self) -> dict[str, Any]:
        """Return what the head of an answer says of it."""
        return {"parted": self.parted, "base": self.words}


def compared(run: Run, runs: Sequence[Run], number: int, tt: str, metric: str) -> Compared:
    """Return a statistic of a run over that of another, aligned by the names of layers and by steps.

    Args:
        run: the run.
        runs: all runs.
        number: the position of the other among all.
        tt: a tensor type of the run.
        metric: a statistic of the run.

    Raises BadQuestion if there is no such other run, or it lacks the tensor type or the statistic.
    """
    if number >= len(runs):
        raise BadQuestion(f"against {number}: there are {len(runs)} runs, numbered from 0")
    other = runs[number]
    mine, theirs = run.log(), other.like(run).log()
    if lacking := [noun for noun, lacks in _lacking(theirs, tt, metric) if lacks]:
        raise BadQuestion(f"{other.name} cannot be compared with: it has no {' and no '.join(lacking)}")
    first, second = mine.matrix(tt, metric), theirs.matrix(tt, metric)
    rows = _positions(second.layers, first.layers)
    step = np.clip(np.searchsorted(theirs.steps, mine.steps), 0, len(theirs.steps) - 1)
    both = theirs.steps[step] == mine.steps
    values, flags = aligned(second, rows, step, both)
    ratio = ratios(first.values, values)
    scale = np.fmax(np.abs(first.values), np.abs(values))
    if metric in SIGNED and SIGNED[metric] in mine.metrics:
        scale = mine.matrix(tt, SIGNED[metric]).values
    apart = beyond_rounding(first.values, values, scale * _rounding(run, tt, metric))
    apart &= ((first.flags | flags) & ABSENT) == 0
    at = np.flatnonzero(apart.any(0))
    parted = int(mine.steps[at[0]]) if len(at) else None
    return Compared(ratio, flags, parted, _words(run, other, tt, metric, first, second, both, parted))


def aligned(matrix: Matrix, rows: np.ndarray, step: np.ndarray, there: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the values and flags of other rows and steps; what is not there is NaN and ABSENT.

    Args:
        matrix: a statistic of a run.
        rows: which of its rows is wanted for each layer, -1 for none.
        step: which of its steps is wanted for each step.
        there: whether it has this step.
    """
    values = matrix.values[np.maximum(rows, 0)][:, step]
    flags = matrix.flags[np.maximum(rows, 0)][:, step]
    missing = (rows < 0)[:, None] | ~there
    return np.where(missing, np.float32("nan"), values), np.where(missing, np.uint8(ABSENT), flags)


def beyond_rounding(first: np.ndarray, second: np.ndarray, rounding: np.ndarray) -> np.ndarray:
    """Return where two statistics differ by more than rounding can make, or only one is a finite number.

    >>> beyond_rounding(np.array([1.0, 1.0, np.nan]), np.array([1.0001, 1.01, 1.0]), np.array(0.001)).tolist()
    [False, True, True]

    Args:
        first, second: the statistics.
        rounding: what rounding can make.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(first - second) > rounding
    alike = (first == second) | (np.isnan(first) & np.isnan(second))
    return (apart | ~np.isfinite(first) | ~np.isfinite(second)) & ~alike


def _lacking(log: LogSource, tt: str, metric: str) -> list[tuple[str, bool]]:
    return [(tt, all(kind != tt for kind, _ in log.tensors)), (metric, metric not in log.metrics)]


def _positions(names: Sequence[str], wanted: Sequence[str]) -> np.ndarray:
    at = {name: i for i, name in enumerate(names)}
    return np.array([at.get(name, -1) for name in wanted], np.int64)


def _rounding(run: Run, tt: str, metric: str) -> float:
    """Return the relative difference that rounding can make: of an extreme, two units in the last place."""
    name = run.dtype(tt)
    if metric not in EXTREMES or not name:
        return ROUNDING
    of = formats.number_format(name)
    return max(ROUNDING, 2 * of.smallest_subnormal / of.smallest_normal)


def _words(
    run: Run, other: Run, tt: str, metric: str, first: Matrix, second: Matrix, both: np.ndarray, parted: int | None
) -> str:
    out = f"log2 of {metric} over that of {other.name}"
    if set(first.layers).isdisjoint(second.layers):
        return f"{out}; no layer is in both: {some(first.layers)} here, {some(second.layers)} in {other.name}"
    if not both.any():
        return f"{out}; no step is in both"
    if parted is None:
        out += f"; none of this type differs by more than rounding ({ROUNDING:.1%})"
    else:
        out += f"; they part at step {parted:,} by more than rounding ({ROUNDING:.1%})"
    if alone := [name for name in first.layers if name not in set(second.layers)]:
        out += f"; only here: {some(alone)}"
    if alone := [name for name in second.layers if name not in set(first.layers)]:
        out += f"; only in {other.name}: {some(alone)}"
    if not both.all():
        out += f"; {int(both.sum()):,} of {len(both):,} steps are in both"
    return out
