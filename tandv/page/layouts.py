"""The columns that steps of logs are pooled to in one file: of the same steps in all its runs.

Columns begin at steps that the page leads to and at the last step of each log, as far as two of them do not share one.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tandv.page.answers.columns import Columns


class Layout(NamedTuple):
    """The columns of one run in a file.

    Args:
        columns: which of its steps are in each.
        steps: how many are, [C].
        numbers: which of the columns of all runs they are, [C].
    """

    columns: Columns
    steps: np.ndarray
    numbers: np.ndarray


def layouts(logged: Sequence[np.ndarray], most: int, told: Sequence[int] = ()) -> list[Layout]:
    """Return the columns of each of some logs: of the same steps in all, and in each those in which it has a step.

    >>> [one.columns.starts.tolist() for one in layouts([np.arange(10)], 3)]
    [[0.0, 4.0, 9.0, 9.0]]
    >>> [one.columns.starts.tolist() for one in layouts([np.arange(10)], 3, [5])]
    [[0.0, 5.0, 9.0, 9.0]]

    Args:
        logged: the steps of each log, ascending.
        most: how many columns there are at most.
        told: steps at which a column begins where there is room, beside the last step of each log.
    """
    steps = np.unique(np.concatenate([np.zeros(0, np.int64), *logged]))
    count = min(len(steps), most)
    even = np.arange(count) * (len(steps) - 1) // max(1, count - 1)  # the last step is a column of its own
    lasts = sorted({int(own[-1]) for own in logged if len(own)}, reverse=True)
    begins = _beginning_at([*lasts, *sorted({int(step) for step in told} & set(steps.tolist()))], steps[even])
    out = []
    for own in logged:
        edges = np.searchsorted(own, begins)
        counts = np.diff(edges, append=len(own))
        used = counts > 0
        starts = np.append(own[edges[used]], own[-1:] if len(own) else 0).astype(np.float64)
        columns = Columns(0, len(own), edges[used], starts, int(counts.max(initial=0)))
        out.append(Layout(columns, counts[used].astype(np.int32), np.flatnonzero(used).astype(np.int32)))
    return out


def _beginning_at(wanted: Sequence[int], begins: np.ndarray) -> np.ndarray:
    """Return the first steps of columns, of which some are moved to wanted steps, those named first before others."""
    begins, taken = begins.copy(), set[int]()
    for step in wanted:
        at = int(np.searchsorted(begins, step, "right")) - 1
        if begins[at] == step:
            taken.add(at)
            continue
        # The first column begins where the first step is; the next one may begin earlier.
        free = [one for one in (at, at + 1) if 0 < one < len(begins) and one not in taken]
        if free:
            begins[free[0]] = step
            taken.add(free[0])
    return begins
