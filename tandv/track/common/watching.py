"""Findings while a run goes on: the rules look at rows as they are written, in the thread that writes them."""

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tandv.analysis.findings.finding import SEVERITIES, Finding
from tandv.analysis.findings.losses import whole_loss
from tandv.analysis.findings.not_finite import not_finite
from tandv.analysis.findings.recent import RecentSteps, StepRows
from tandv.analysis.findings.rules import found_in
from tandv.tensor_types import ACTIVATION, GRADIENT, WEIGHT, WEIGHT_GRADIENT
from tandv.track.common.measurements import Block
from tandv.track.common.numbers import Reading

_FEWEST = 8  # recorded steps before all rules look for the first time
FACTS_AT = _FEWEST - 1  # recorded steps after which run.json has to say what rules ask of the run
_AT_MOST = 32  # recorded steps between two looks of all rules, so that no stretch falls between them
_SHARE = 0.002  # of the run's time that may go into looks of all rules, where that many steps allow it
_NEWEST = 8  # recorded steps that are looked at for values that are not finite


class Watching:
    """Looks for findings in a run that goes on.

    Values that are not finite are looked for in each recorded step; all rules look at the first 20 and the last 64
    recorded steps, at every step where that takes less than 0.2 % of the time, else less often, but at least at every
    32nd. Each finding is told once. After an error of values that are not finite, everything else is its consequence,
    and nothing is looked at any more.

    `add` and `finish` are called in the thread of the writer, everything else in that of training.

    >>> watching = Watching(dict)
    >>> watching.news(), watching.wants_next
    ([], False)

    Args:
        facts: returns what run.json says of the run so far.
    """

    def __init__(self, facts: Callable[[], Mapping[str, Any]]):
        self._facts = facts
        self._recent = RecentSteps()
        self._told: list[Finding] = []
        self._news: deque[Finding] = deque()
        self._losses: deque[tuple[int, Mapping[str, Reading]]] = deque()
        self._quantities: Sequence[Any] = []  # of the step before, with its rows and tensors
        self._rows: np.ndarray | None = None
        self._about: tuple[list[Any], list[str]] = [], []
        self._plain = False  # whether rows outside of any phase were met
        self._bad = b""  # which rows of the step before were not finite
        self._held = False  # gradients that were not finite wait for the step after them
        self._steps = self._looked = 0
        self._began, self._cost = (time.monotonic(), time.process_time()), 0.0
        self._over = False
        self.failure: str | None = None

    # In the thread of training.

    @property
    def wants_next(self) -> bool:
        """Tell whether the next step should be recorded: what a finding is waits for it."""
        return self._held

    def add_numbers(self, step: int, numbers: Mapping[str, Reading]) -> None:
        """Take the numbers of a recorded step, before its rows; the loss among them is read with these.

        Args:
            step: the step.
            numbers: by name.
        """
        self._losses.append((step, numbers))

    def news(self) -> list[Finding]:
        """Return the findings that are new since the last call."""
        return [self._news.popleft() for _ in range(len(self._news))]

    # In the thread of the writer.

    def add(self, block: Block) -> None:
        """Look at the rows of a step.

        Args:
            block: the rows.
        """
        loss = self._loss_of(block.step)
        if self._over:
            return
        try:
            self._look(block, loss)
        except Exception as error:  # a rule that fails must not cost the log
            self._fail(error)

    def close(self, out_path: Path | None) -> None:
        """Look once more at the end of the run.

        Args:
            out_path: the log, None if nothing was recorded.
        """
        if self._over or not self._steps:
            return
        try:
            self._held = False
            self._all()
        except Exception as error:
            self._fail(error)
        self._over = True

    # Inside.

    def _fail(self, error: Exception) -> None:
        self._over, self._held = True, False
        self.failure = f"no more findings are looked for: {type(error).__name__}: {error}"

    def _loss_of(self, step: int) -> float | None:
        while self._losses and self._losses[0][0] < step:
            self._losses.popleft()
        if not self._losses or self._losses[0][0] != step:
            return None
        numbers = self._losses.popleft()[1]
        name = whole_loss(list(numbers))
        try:
            return None if name is None else numbers[name](True)  # it was given before the rows that have arrived
        except Exception:  # of a device; the curves report it
            return None

    def _look(self, block: Block, loss: float | None) -> None:
        if block.order is not None:
            self._recent.set_order(block.order)
        rows = self._rows_of(block)
        if not rows.tensors:
            return
        self._recent.add(rows, loss)
        self._steps += 1
        bad = _not_finite_rows(rows)
        now = bad.tobytes() if bad.any() else b""
        infinite = loss is not None and math.isinf(loss)
        if self._held or infinite or (now and now != self._bad):
            self._look_for_not_finite(rows, bad)
        self._bad = now
        if not self._over and not self._held and self._is_due():
            self._all()

    def _look_for_not_finite(self, rows: StepRows, bad: np.ndarray) -> None:
        m = self._recent.matrices(self._facts(), _NEWEST)
        found = [one for one in not_finite(m) if one.severity == "error"]
        kinds = {rows.tensors[at][0] for at in np.flatnonzero(bad).tolist()}
        lasting = {WEIGHT, ACTIVATION} & set(m.tensor_types)
        # Of gradients alone, the next step tells whether the update was skipped.
        waits = bool(found) and found[0].step == rows.step and kinds <= {GRADIENT, WEIGHT_GRADIENT} and bool(lasting)
        self._held = waits and bool(kinds)
        if found and not self._held:
            self._all()

    def _is_due(self) -> bool:
        """Tell whether all rules look now: their time stays a small share of the run's, and no stretch is missed."""
        since = self._steps - self._looked
        if self._steps < _FEWEST:
            return False
        each = min(time.monotonic() - self._began[0], time.process_time() - self._began[1]) / self._steps
        return since >= _AT_MOST or since * each * _SHARE >= self._cost

    def _all(self) -> None:
        """Let all rules look, and keep what is new."""
        began = time.thread_time()
        facts = self._facts()
        m = self._recent.matrices(facts)
        edge = self._recent.edge
        for one in found_in(m, self._told):
            if one.kind == "not_trained" and "parameters" not in facts:
                continue  # whether it is frozen on purpose is not known yet
            if edge is not None and one.step <= edge and self._knows(one):
                continue  # it holds since the first step that is kept: it is the one that was told then
            self._told.append(one)
            self._news.append(one)
        self._over = any(one.severity == "error" and one.kind in ("not_finite", "overflow") for one in self._told)
        self._looked, self._cost = self._steps, time.thread_time() - began

    def _knows(self, one: Finding) -> bool:
        """Tell whether a finding of its kind, and no less grave, was told."""
        rank = SEVERITIES.index(one.severity)
        return any(two.kind == one.kind and SEVERITIES.index(two.severity) <= rank for two in self._told)

    def _rows_of(self, block: Block) -> StepRows:
        """Return the rows outside of any phase, or of the first phase where all are in one, as `Matrices` does."""
        if block.quantities != self._quantities:
            self._quantities = block.quantities
            phases = [one.phase for one in block.quantities]
            self._plain = self._plain or "" in phases
            phase = "" if self._plain else phases[0] if phases else ""
            chosen = [row for row, one in enumerate(phases) if one == phase]
            self._rows = None if len(chosen) == len(phases) else np.array(chosen, np.intp)
            of = [block.quantities[row] for row in chosen]
            self._about = [(one.tensor_type, one.name) for one in of], [one.type for one in of]
        tensors, types = self._about
        if self._rows is None:
            return StepRows(block.step, tensors, types, block.dtypes, block.scalars, block.counts, block.lowest)
        rows = self._rows
        dtypes = [block.dtypes[row] for row in rows]
        scalars = {name: values[rows] for name, values in block.scalars.items()}
        return StepRows(block.step, tensors, types, dtypes, scalars, block.counts[rows], block.lowest)


def _not_finite_rows(rows: StepRows) -> np.ndarray:
    """Return which rows have NaN or infinity, [rows]."""
    counts = [rows.scalars[name] for name in ("nans", "infs") if name in rows.scalars]
    return np.add.reduce(counts) > 0 if counts else np.zeros(len(rows.tensors), bool)
