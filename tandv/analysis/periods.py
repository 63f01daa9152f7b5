"""Critical periods: when more layers move at the same time than layers that move on their own would.

>>> import numpy as np
>>> rng = np.random.default_rng(0)
>>> jump = 1.0 * (np.arange(100) >= 60)
>>> layers = {f"fc{i}": jump + 0.01 * rng.standard_normal(100) for i in range(6)}
>>> [(period.start, period.end, period.share) for period in critical_periods(layers)]
[(59, 60, 1.0)]
"""

import math
from typing import NamedTuple

import numpy as np

from tandv.analysis.coordination import moving
from tandv.curves import Curves, as_curves

__all__ = ["CriticalPeriod", "critical_periods"]

_FEWEST_ROWS, _FEWEST_LAYERS = 20, 2
_SHIFTS, _LEAST_SHIFTS = 199, 19  # null runs: the least p-value is 1 / 200, of large runs 1 / 20
_WORK = 2e8  # values that are shifted at most, a few seconds
_P = 0.05


class CriticalPeriod(NamedTuple):
    """A stretch of a run in which many layers move together.

    >>> CriticalPeriod(10, 12, 14, share=0.8, base_rate=0.1, lift=8.0, p=0.005, moved=("fc1",)).lift
    8.0

    Args:
        start: the recorded step before it.
        step: the recorded step nearest to its middle.
        end: the recorded step after it.
        share: the share of layers that move in it, 0 to 1.
        base_rate: the share that move in any stretch of its length.
        lift: share over base rate.
        p: how often layers that move on their own move together as much anywhere in the run.
        moved: the names of the layers that move.
    """

    start: int | float
    step: int | float
    end: int | float
    share: float
    base_rate: float
    lift: float
    p: float
    moved: tuple[str, ...]


def critical_periods(layers: Curves, *, least_share: float = 0.5, seed: int = 0) -> list[CriticalPeriod]:
    """Return the stretches of a run in which many layers move together, first to last.

    A layer moves over a stretch if its curve changes much more there than just before and after, and much more than its
    noise, as in `coordination`. Stretches of 1, 2, 4, ... recorded values are tried. The null is the same run with the
    curve of each layer shifted in time on its own, around the end: layers then move as often, but not together. There
    are 199 such runs, of many layers and steps fewer, at least 19.

    >>> critical_periods({"fc1": [0.0] * 30, "fc2": [1.0] * 30})
    []

    Args:
        layers: a curve for each layer; only steps at which all are known count.
        least_share: the share of layers that move at least, 0 to 1.
        seed: of the shifts.

    Raises ValueError for fewer than 2 layers or 20 such steps, and for a share outside of 0 to 1.
    """
    table = as_curves(layers).sort_index().dropna()
    wrong = [] if 0 < least_share <= 1 else [f"least_share={least_share} is not above 0 and at most 1"]
    if len(table.columns) < _FEWEST_LAYERS or len(table) < _FEWEST_ROWS:
        wrong.append(
            f"{len(table.columns)} layers are known together at {len(table)} steps; give {_FEWEST_LAYERS} layers and "
            f"{_FEWEST_ROWS} steps or more"
        )
    if wrong:
        raise ValueError("; ".join(wrong))
    steps, names = table.index.to_numpy(), [str(name) for name in table.columns]
    curves = table.to_numpy(np.float64).T
    widths = [2**power for power in range(int(math.log2(len(steps) / 8)) + 1)]
    moves = {width: np.stack([moving(curve, width) for curve in curves]) for width in widths}
    excess = {width: _excess(each.sum(0), each) for width, each in moves.items()}
    null = _null(moves, np.random.default_rng(seed))
    limit = float(np.quantile(null, 1 - _P))
    candidates = [
        (float(excess[width][at]), width, int(at))
        for width, each in moves.items()
        for at in np.flatnonzero((excess[width] > limit) & (each.mean(0) >= least_share))
    ]
    found: list[CriticalPeriod] = []
    taken = np.zeros(len(steps), bool)
    for size, width, at in sorted(candidates, key=lambda one: (-one[0], one[1], one[2])):
        if taken[at : at + width + 1].any():
            continue
        taken[at : at + width + 1] = True
        each = moves[width]
        share, base = float(each[:, at].mean()), float(each.mean())
        first, last = steps[at].item(), steps[at + width].item()
        middle = steps[int(np.abs(steps - (first + last) / 2).argmin())].item()
        p = (1 + int((null >= size).sum())) / (1 + len(null))
        moved = tuple(name for name, moves_here in zip(names, each[:, at], strict=True) if moves_here)
        found.append(CriticalPeriod(first, middle, last, share, base, share / base, p, moved))
    return sorted(found, key=lambda one: one.start)


def _excess(counts: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """Return by how many standard deviations more layers move at each place than if each moved on its own."""
    rates = moves.mean(1)
    spread = math.sqrt(float((rates * (1 - rates)).sum()))
    return (counts - rates.sum()) / spread if spread else np.zeros(len(counts))


def _null(moves: dict[int, np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Return the largest excess anywhere, at any width, in each of the null runs."""
    runs = int(np.clip(_WORK / sum(each.size for each in moves.values()), _LEAST_SHIFTS, _SHIFTS))
    largest = np.zeros(runs)
    layers = len(next(iter(moves.values())))
    for run in range(runs):
        turns = rng.random(layers)
        for each in moves.values():
            length = each.shape[1]
            counts = np.zeros(length, np.int32)
            for row, by in zip(each, (turns * length).astype(np.int64), strict=True):
                counts[: length - by] += row[by:]
                counts[length - by :] += row[:by]
            largest[run] = max(largest[run], float(_excess(counts, each).max()))
    return largest
