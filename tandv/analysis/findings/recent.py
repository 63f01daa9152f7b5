"""The matrices of a run that goes on, of which the first and the last recorded steps are kept."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tandv.analysis.findings.matrices import Matrices
from tandv.analysis.findings.order import Place, Tensor, places
from tandv.analysis.findings.sources import ExponentRows
from tandv.analysis.findings.stretches import BACK
from tandv.log.order import in_order
from tandv.tensor_types import GRADIENT

FIRST, LAST = BACK, 64  # recorded steps that are kept; the first ones are what rules about a beginning look at
_GAP = BACK  # steps without values between them, so that no stretch and no history reaches across
_NOTHING = FIRST + LAST  # the row of the arrays that is always NaN
_WITH_COUNTS = 16  # last steps whose counts of exponents are kept: of outputs' gradients, for what underflows


class StepRows(NamedTuple):
    """The rows of one step as columns.

    >>> StepRows(7, [("Weight", "fc")], ["Linear"], ["float32"], {"rm2": np.ones(1)}, np.zeros((1, 3)), 0).step
    7

    Args:
        step: its number.
        tensors: the tensor type and name of each row.
        types: the class of each row's module.
        dtypes: the number format of each row.
        scalars: each statistic, [rows].
        counts: how many values are zero, lie in each power of two, and are infinite, [rows, powers + 2].
        lowest: the lowest of these powers.
    """

    step: int
    tensors: Sequence[Tensor]
    types: Sequence[str]
    dtypes: Sequence[str]
    scalars: Mapping[str, np.ndarray]
    counts: np.ndarray
    lowest: int


class RecentSteps:
    """The rows of a run's first 20 and last 64 recorded steps, as a source of `Matrices`.

    Where steps between them have been dropped, the last 20 of those are there without values.

    >>> recent = RecentSteps()
    >>> for step in range(100):
    ...     scalars = {"rm2": np.array([float(step)])}
    ...     recent.add(StepRows(step, [("Weight", "fc")], ["Linear"], ["float32"], scalars, np.zeros((1, 2)), 0))
    >>> recent.matrices({})("Weight", "rm2")[0, [0, 19, 20, 36, -1]].tolist()
    [0.0, 19.0, nan, 36.0, 99.0]
    """

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self.types: dict[Tensor, str] = {}
        self.dtypes: dict[Tensor, str] = {}
        self._number: dict[Tensor, int] = {}
        self._added = 0  # steps so far
        self._steps: deque[int] = deque(maxlen=LAST + _GAP)  # of the last ones and the gap
        self._first_steps: list[int] = []
        self._columns: dict[str, np.ndarray] = {}  # of each statistic, [FIRST + LAST + 1, tensors]
        self._losses = np.full(FIRST + LAST + 1, np.nan)
        self._has_loss = False
        self._counts: deque[tuple[StepRows, np.ndarray]] = deque(maxlen=_WITH_COUNTS)
        self._like: Sequence[Tensor] = []  # the tensors of the step before, and their numbers
        self._at: np.ndarray | slice = slice(0, 0)
        self._gradients = np.zeros(0, np.intp)
        self._order: Sequence[Tensor] | None = None
        self._places: dict[Tensor, Place] | None = None

    @property
    def edge(self) -> int | None:
        """The first of the last steps, where steps before it have been dropped, else None."""
        return self._steps[-LAST] if self._added > FIRST + LAST else None

    def set_order(self, order: Sequence[Tensor]) -> None:
        """Set the order of execution from now on.

        Args:
            order: the outputs of modules and their gradients in it.
        """
        self._order, self._places = order, None

    def add(self, rows: StepRows, loss: float | None = None) -> None:
        """Take the rows of a step that comes after those before.

        Args:
            rows: the rows.
            loss: the loss of the step, None if it has none.
        """
        if rows.tensors is not self._like and rows.tensors != self._like:
            self._learn(rows)
        place = self._added if self._added < FIRST else FIRST + (self._added - FIRST) % LAST
        (self._first_steps if self._added < FIRST else self._steps).append(rows.step)
        self._added += 1
        for name in self._columns.keys() - rows.scalars.keys():
            self._columns[name][place] = np.nan
        for name, values in rows.scalars.items():
            column = self._column(name, values.dtype)[place]
            if len(values) < len(self.tensors):
                column[:] = np.nan
            column[self._at] = values
        self._losses[place] = np.nan if loss is None else loss
        self._has_loss = self._has_loss or loss is not None
        if len(self._gradients):
            kept = rows._replace(scalars={}, counts=rows.counts[self._gradients])
            self._counts.append((kept, self._gradients))

    def matrices(self, facts: Mapping[str, Any], newest: int | None = None) -> Matrices:
        """Return the matrices of the steps that are kept.

        Args:
            facts: what run.json says of the run.
            newest: of how many of the last steps, all by default.
        """
        if self._places is None:
            known = None if self._order is None else in_order(self.tensors, self._order)
            self._places = places(self.tensors, self.types, known)
        kept = self._kept()
        kept = kept if newest is None else kept[-newest:]
        at = np.array([place for _, place in kept], np.intp)
        source = _Kept(self, np.array([step for step, _ in kept], np.int64), at)
        loss = self._losses[at] if self._has_loss else None
        return Matrices.of(source, self._places, self._order, loss, facts)

    def _kept(self) -> list[tuple[int, int]]:
        """Return each step that is kept, and its place in the arrays."""
        kept = list(zip(self._first_steps, range(FIRST), strict=False))
        later, steps = self._added - len(self._first_steps), list(self._steps)
        held = min(later, LAST)
        dropped = len(steps) - held
        kept += [(step, _NOTHING) for step in steps[:dropped]]
        numbers = range(later - held, later)
        return kept + [(step, FIRST + number % LAST) for step, number in zip(steps[dropped:], numbers, strict=True)]

    def _learn(self, rows: StepRows) -> None:
        """Note the tensors of a step that has others than the one before."""
        new = [one for one in rows.tensors if one not in self._number]
        for one in new:
            self._number[one] = len(self.tensors)
            self.tensors.append(one)
        if new:
            self._places = None
            for name, columns in self._columns.items():
                wider = np.full((len(columns), len(self.tensors)), np.nan, columns.dtype)
                wider[:, : columns.shape[1]] = columns
                self._columns[name] = wider
        for one, kind, dtype in zip(rows.tensors, rows.types, rows.dtypes, strict=True):
            self.types.setdefault(one, kind)
            self.dtypes.setdefault(one, dtype)
        at = np.array([self._number[one] for one in rows.tensors], np.intp)
        straight = len(at) > 0 and bool((at == np.arange(len(at))).all())
        self._at = slice(0, len(at)) if straight else at
        self._gradients = np.array([row for row, one in enumerate(rows.tensors) if one[0] == GRADIENT], np.intp)
        self._like = rows.tensors

    def _column(self, name: str, dtype: np.dtype) -> np.ndarray:
        """Return the array of a statistic; counts need float64, which is exact to 2^53."""
        if name not in self._columns:
            narrow = dtype == np.float32
            self._columns[name] = np.full((_NOTHING + 1, len(self.tensors)), np.nan, np.float32 if narrow else float)
        return self._columns[name]


class _Kept:
    """The source of matrices of the steps that are kept now."""

    def __init__(self, recent: RecentSteps, steps: np.ndarray, at: np.ndarray):
        self.steps = steps
        self.tensors, self.types, self.dtypes = list(recent.tensors), recent.types, recent.dtypes
        self._columns, self._number, self._at = recent._columns, recent._number, at
        self._counts = recent._counts
        self.statistics = list(self._columns)

    def values(self, tensor_type: str, statistic: str, layers: Sequence[str]) -> np.ndarray:
        if statistic not in self._columns:
            return np.full((len(layers), len(self.steps)), np.nan)
        rows = np.array([self._number[tensor_type, name] for name in layers], np.intp)
        return self._columns[statistic].T[rows[:, None], self._at[None, :]]

    def exponents(self, tensor_type: str, layers: Sequence[str], steps: Sequence[int]) -> ExponentRows:
        chosen, wanted = set(layers), set(steps)
        there = [(rows, at) for rows, at in self._counts if rows.step in wanted]
        low = min((rows.lowest for rows, _ in there), default=0)
        high = max((rows.lowest + rows.counts.shape[1] - 2 for rows, _ in there), default=0)
        names, of, counts = [], [], []
        for rows, at in there:
            for row, number in enumerate(at.tolist()):
                kind, name = rows.tensors[number]
                if kind == tensor_type and name in chosen:
                    line = np.zeros(high - low, np.int64)
                    inside = rows.counts[row, 1:-1]
                    line[rows.lowest - low : rows.lowest - low + len(inside)] = inside
                    names.append(name)
                    of.append(rows.step)
                    counts.append(line)
        return ExponentRows(
            np.array(names, object), np.array(of, np.int64), list(range(low, high)),
            np.array(counts).reshape(len(counts), high - low),
        )  # fmt: skip
