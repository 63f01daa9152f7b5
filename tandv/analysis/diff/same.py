"""Two runs that should be the same computation: what differs beyond rounding, and what differs at all."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from tandv.analysis.diff.aligned import Aligned
from tandv.analysis.diff.difference import Gap
from tandv.analysis.diff.rounding import floors, gaps, rounding_of_zero, zeros_moved
from tandv.log.store.layers import Tensor
from tandv.tensor_types import OPTIMISER_STATE, WEIGHT, WEIGHT_GRADIENT, WEIGHT_UPDATE


class Compared(NamedTuple):
    """Gaps of a comparison, before they are put into words.

    Args:
        scores: how many times what is expected, [tensors, steps]; NaN where nothing was compared.
        first: the first gap beyond, None where there is none.
        first_bit: the first that is not 0.
        by_type: of the step of `first`, the first of each tensor type.
        ranked: the largest gap of each tensor that is beyond, the largest first.
        nearest: the largest gap of all.
        left_out: names of biases whose gradients are zero but for rounding.
    """

    scores: np.ndarray
    first: Gap | None
    first_bit: Gap | None
    by_type: dict[str, Gap]
    ranked: list[Gap]
    nearest: Gap | None
    left_out: list[str]


def same_computation(both: Aligned, epsilons: Mapping[Tensor, float]) -> Compared:
    """Return where two runs of one computation part.

    Args:
        both: the runs beside each other, tensors in the order of execution.
        epsilons: of each tensor the distance from 1 to the next number in the finer of its two formats.
    """
    worst, which, names = gaps(both)
    unequal = np.flatnonzero((worst > 0).any(axis=0))
    floor = floors(both, epsilons, int(unequal[0]) if len(unequal) else 0)
    zeros = zeros_moved(both, floor)
    scores = np.fmax(worst / floor, zeros)
    differs = (worst > 0) | (zeros > 0)

    noise = [name for _, name in rounding_of_zero(both)]
    for i, (kind, name) in enumerate(both.tensors):
        if name in noise and kind.partition(".")[0] in (WEIGHT, WEIGHT_GRADIENT, WEIGHT_UPDATE, OPTIMISER_STATE):
            scores[i, int(kind == WEIGHT) :] = np.nan  # a weight is what it is until it is first updated

    def at(i: int, j: int) -> Gap:
        kind, layer = both.tensors[i]
        by_zeros = not worst[i, j] / floor[i, j] >= zeros[i, j]
        name = "zeros" if by_zeros else names[which[i, j]]
        a, b = float(both.a[name][i, j]), float(both.b[name][i, j])
        size = abs(a - b) / max(float(both.a["numel"][i, j]), 1.0) if by_zeros else float(worst[i, j])
        return Gap(kind, layer, int(both.steps[j]), name, a, b, size, float(scores[i, j]))

    first = _first(scores > 1)
    bit = _first(differs)
    by_type: dict[str, Gap] = {}
    if first is not None:
        for i in np.flatnonzero(scores[:, first[1]] > 1):
            by_type.setdefault(both.tensors[i][0], at(int(i), first[1]))
    compared = np.where(np.isnan(scores), -1.0, scores)
    furthest = compared.argmax(axis=1) if compared.size else np.zeros(0, int)
    largest = compared[np.arange(len(compared)), furthest]
    order = np.argsort(-largest, kind="stable")
    ranked = [at(int(i), int(furthest[i])) for i in order if largest[i] > 1]
    nearest = at(int(order[0]), int(furthest[order[0]])) if len(order) and largest[order[0]] >= 0 else None
    return Compared(scores, at(*first) if first else None, at(*bit) if bit else None, by_type, ranked, nearest, noise)


def _first(true: np.ndarray) -> tuple[int, int] | None:
    """Return the row and column of the first of a matrix [tensors, steps] that is true: first step, then first row."""
    steps = np.flatnonzero(true.any(axis=0))
    return (int(np.flatnonzero(true[:, steps[0]])[0]), int(steps[0])) if len(steps) else None
