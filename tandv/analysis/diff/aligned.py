"""Two logs beside each other: the tensors and steps that both have, and their statistics as arrays."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from tandv.analysis.diff.names import check_phase, grids_of, paired, tensors_of
from tandv.log import logframe
from tandv.log.door import AnyLog
from tandv.log.grid import Grid
from tandv.log.order import order_of
from tandv.log.shown import named
from tandv.log.store.layers import Tensor

# What is compared of a tensor, as far as both logs have it.
SIZES = ("rm2", "mean_abs", "std", "mean")  # differences are taken as a share of the root mean square
LARGEST = ("max_abs", "rm4", "rm8")  # as a share of themselves
COUNTS = ("zeros", "nans", "infs", "numel")


class Aligned(NamedTuple):
    """What two logs have in common.

    >>> from tandv.log.example import example_log
    >>> both = aligned(example_log(), example_log())
    >>> both.a["rm2"].shape == (len(both.tensors), len(both.steps))
    True

    Args:
        tensors: tensor type and name in A of each tensor that both have, in the order of execution of A.
        others: what B calls them.
        steps: the steps that both have, ascending.
        a: the statistics of A, each [tensors, steps], NaN where it is NaN and where there is no row.
        b: those of B.
        logged: where both have a row, [tensors, steps] booleans.
        alone: where only A, and where only B, has one, likewise.
        only_a: tensors of A alone.
        only_b: tensors of B alone.
        missed: how many steps only A, and only B, has.
    """

    tensors: list[Tensor]
    others: list[Tensor]
    steps: np.ndarray
    a: dict[str, np.ndarray]
    b: dict[str, np.ndarray]
    logged: np.ndarray
    alone: tuple[np.ndarray, np.ndarray]
    only_a: list[Tensor]
    only_b: list[Tensor]
    missed: tuple[int, int]


def aligned(a: AnyLog, b: AnyLog, names: Mapping[str, str] | None = None, phase: str | None = None) -> Aligned:
    """Return what two logs have in common.

    Args:
        a: a log, or the place of one.
        b: another one.
        names: names of A to names of B, see `paired`.
        phase: the phase of `tracker.phase(...)` that is compared; None for the rows outside of any.

    Raises ValueError if they have no tensor, or no step, in common, UnknownName for a phase that neither has.
    """
    ours, theirs = tensors_of(a), tensors_of(b)
    pairs = paired(ours, theirs, names)
    check_phase(a, b, phase)
    place = order_of(a, ours)
    tensors = sorted(pairs, key=lambda one: place.get((one[0], named(one[1])), len(place)))
    others = [pairs[one] for one in tensors]
    if not tensors:
        raise ValueError(
            "A and B have no tensor in common: no name of one is a name of the other; `proposed_map(a, b)`, in a shell "
            "--propose-map names.json, proposes which is which"
        )
    steps = [np.asarray(logframe.steps(log)) for log in (a, b)]
    common = np.intersect1d(steps[0], steps[1])
    if not len(common):
        raise ValueError(
            f"A and B have no step in common: A has {_range(steps[0])}, B {_range(steps[1])}; record the same steps"
        )
    has = [set(logframe.scalar_metrics(log)) for log in (a, b)]
    statistics = [name for name in (*SIZES, *LARGEST, *COUNTS) if name in has[0] & has[1]]
    if "rm2" not in statistics:
        raise ValueError("runs are compared by their statistic rm2, which A and B must both have")
    values_a, seen_a = _arrays(a, tensors, common, statistics, phase)
    values_b, seen_b = _arrays(b, others, common, statistics, phase)
    if not (seen_a & seen_b).any():
        raise ValueError(
            "A and B have no row in common: no tensor has one in both at the same step; record the same tensor types "
            "at the same steps"
        )
    taken = set(others)
    return Aligned(
        tensors, others, common, values_a, values_b, seen_a & seen_b, (seen_a & ~seen_b, seen_b & ~seen_a),
        [one for one in ours if one not in pairs], [one for one in theirs if one not in taken],
        (len(steps[0]) - len(common), len(steps[1]) - len(common)),
    )  # fmt: skip


def _arrays(
    log: AnyLog, tensors: list[Tensor], steps: np.ndarray, statistics: list[str], phase: str | None
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return statistics as arrays [tensors, steps], and where there is a row."""
    shape = len(tensors), len(steps)
    out = {name: np.full(shape, np.nan) for name in statistics}
    seen = np.zeros(shape, bool)
    for kind in dict.fromkeys(kind for kind, _ in tensors):
        at = np.array([i for i, one in enumerate(tensors) if one[0] == kind])
        wanted = [tensors[i][1] for i in at]
        for name, found in grids_of(log, kind, statistics, wanted, phase).items():
            rows, columns = _places(found, wanted, steps)
            into = np.ix_(at[rows >= 0], np.flatnonzero(columns >= 0))
            out[name][into] = found.values[np.ix_(rows[rows >= 0], columns[columns >= 0])]
            if name == "rm2":
                seen[into] = found.logged[np.ix_(rows[rows >= 0], columns[columns >= 0])]
    return out, seen


def _places(found: Grid, layers: list[str], steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the row of each layer and the column of each step in a grid, -1 where it has none."""
    row = {name: i for i, name in enumerate(found.layers)}
    column = {int(step): i for i, step in enumerate(found.steps)}
    return np.array([row.get(name, -1) for name in layers]), np.array([column.get(int(one), -1) for one in steps])


def _range(steps: np.ndarray) -> str:
    return f"steps {steps[0]:,} to {steps[-1]:,}" if len(steps) else "none"
