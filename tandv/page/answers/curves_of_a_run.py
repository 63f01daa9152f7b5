"""The curves of a run: a float per quantity and step, beside its log, or all that there is of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from tandv.curves import Curves, as_curves, run_curves
from tandv.curves.of_run import is_loss, nan_is_given
from tandv.curves.runs import metrics_of
from tandv.messages import check_choices, kept_warnings
from tandv.place import Place

if TYPE_CHECKING:
    from tandv.analysis.transitions import Transition

Axis = Literal["linear", "log"]
FINITE, NAN, INFINITE, MINUS_INFINITE, NO_VALUE = 0, 1, 2, 3, 8  # states of a value
REST = 10  # times as long as reading took, before the curves of a run that goes on are read again
TOGETHER = 12  # curves shown at first beside a log


class RunCurves:
    """The curves in the folder of a run, read again when they have grown.

    Args:
        place: the folder of the run, or its log; None for no curves.
    """

    def __init__(self, place: Place | Any | None):
        self._place, self._again, self._state = place, 0.0, None
        self.version = 0
        self.notes: list[str] = []
        self.table = pd.DataFrame(index=pd.Index([], dtype=np.int64, name="step"))
        self.refresh()

    def refresh(self) -> bool:
        """Read them if they may have changed; tell whether they have."""
        if self._place is None or time.monotonic() < self._again:
            return False
        start = time.monotonic()
        with kept_warnings() as kept:
            try:
                found = run_curves(self._place)
            except (OSError, ValueError) as error:
                found, self.notes = None, [f"the curves of the run cannot be read: {error}"]
        self.notes = [str(one) for one in kept] or self.notes
        end = time.monotonic()
        self._again = end + REST * (end - start)
        if found is None or (len(found) == len(self.table) and found.equals(self.table)):
            return False
        self.table = found.sort_index()
        self.version += 1
        return True


class CurvesOnly:
    """Curves alone, such as those of checkpoints.

    >>> CurvesOnly({"loss": [2.0, 1.0]}, "run").curves.table.columns.tolist()
    ['loss']

    Args:
        curves: whatever `as_curves` takes.
        name: what the page calls them.
        transitions: their transitions; None to look for them.
        rule: how the transitions were found, in words.
        title: the title of the page.
        notes: sentences below the charts.
        axis: the scale of the step axis that is shown first.
    """

    version = 1
    status = ""

    def __init__(
        self,
        curves: Curves,
        name: str = "",
        transitions: Sequence[Transition] | None = None,
        rule: str = "",
        title: str = "",
        notes: Sequence[str] = (),
        axis: Axis = "linear",
    ):
        self.name, self.transitions, self.rule, self.title, self.notes = name, transitions, rule, title, list(notes)
        check_choices(axis=(axis, Axis))
        self.axis = axis
        self.curves = RunCurves(None)
        self.curves.table = as_curves(curves).sort_index()

    def refresh(self) -> bool:
        """Nothing comes to a table."""
        return False


def states(table: pd.DataFrame) -> np.ndarray:
    """Return for each curve and step what its value is, [curves, steps] of uint8: FINITE, NAN, ..., NO_VALUE.

    Args:
        table: curves as `as_curves` or `run_curves` returns them.
    """
    values = table.to_numpy(np.float64).T
    out = np.zeros(values.shape, np.uint8)
    out[np.isposinf(values)], out[np.isneginf(values)], out[np.isnan(values)] = INFINITE, MINUS_INFINITE, NO_VALUE
    for row, name in enumerate(table.columns):
        if nan_is_given(table, name):
            out[row, np.isnan(values[row]) & table.index.isin(table.attrs["nan"].get(name, []))] = NAN
    return out


def shown(table: pd.DataFrame, most: int | None = TOGETHER) -> list[str]:
    """Return the names of the curves that are shown at first: losses before others, none of a single tensor.

    Args:
        table: the curves.
        most: how many there are at most; None for all.
    """
    names = metrics_of({"": table}) if len(table.columns) else []
    return sorted(names, key=lambda name: not is_loss(name))[:most]
