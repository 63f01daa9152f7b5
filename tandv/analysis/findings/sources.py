"""The statistics of a log's rows, of a table or of a run that is read in part."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd

from tandv.analysis.findings.order import Tensor
from tandv.log import logframe
from tandv.log.door import AnyLog, log_at
from tandv.log.opened import Log
from tandv.log.sound import formats_of


class ExponentRows(NamedTuple):
    """How many values of some tensors lie in each power of two.

    >>> ExponentRows(np.array(["fc"]), np.array([7]), [-1, 0], np.array([[3, 1]])).counts.sum()
    np.int64(4)

    Args:
        names: the layer of each row, [rows].
        steps: its step, [rows].
        powers: the powers of two, [powers].
        counts: how many values, [rows, powers].
    """

    names: np.ndarray
    steps: np.ndarray
    powers: Sequence[int]
    counts: np.ndarray


class Source(Protocol):
    """Where matrices come from."""

    steps: np.ndarray
    tensors: list[Tensor]
    types: dict[Tensor, str]
    dtypes: dict[Tensor, str]
    statistics: list[str]

    def values(self, tensor_type: str, statistic: str, layers: Sequence[str]) -> np.ndarray: ...

    def exponents(self, tensor_type: str, layers: Sequence[str], steps: Sequence[int]) -> ExponentRows: ...


def phase_of(log: AnyLog) -> str | None:
    """Return the phase whose rows are looked at: None for those outside of any, where there are some.

    Args:
        log: the log, or the place of one.
    """
    phases = logframe.phases(log)
    return None if not phases or "" in phases else phases[0]


def other_phases(log: AnyLog) -> list[str]:
    """Return the phases of a log whose rows `Matrices` leaves out.

    Args:
        log: the log, or the place of one.
    """
    looked_at = phase_of(log) or ""
    return [name for name in logframe.phases(log) if name != looked_at]


def source_of(log: AnyLog, phase: str | None) -> Source:
    """Return the statistics of a log's rows.

    Args:
        log: the log, or the place of one.
        phase: the phase whose rows are taken; None for the one that is looked at.
    """
    if not isinstance(log, pd.DataFrame):
        log = log_at(log)
        if log.whole is None and not log.phases() and not log.ranks():
            return _Placed(log)
    columns = [("scalar_stats", name) for name in logframe.scalar_metrics(log)]
    phase = phase_of(log) if phase is None else phase
    return _Framed(logframe.select(log, phase=phase, columns=columns), log, phase)


def _exponents_of(
    log: AnyLog, tensor_type: str, layers: Sequence[str], steps: Sequence[int], phase: str | None
) -> ExponentRows:
    rows = logframe.select(
        log, list(layers), tensor_type, list(steps), phase, None,
        [("exponent_counts", power) for power in logframe.exponents(log)],
    )  # fmt: skip
    labels = [label for label in rows.columns if label[0] == "exponent_counts" and np.isfinite(label[1])]
    codes, names = logframe.numbered(rows[("metadata", "name")])
    return ExponentRows(
        np.array(names, object)[codes], rows[("metadata", "step")].to_numpy(), [int(label[1]) for label in labels],
        rows[labels].to_numpy(),
    )  # fmt: skip


class _Placed:
    """Matrices of a run that is read in part, a statistic at a time."""

    def __init__(self, log: Log):
        self._log = log
        self.steps = np.array(log.steps(), np.int64)
        self.tensors = list(log.tensors)
        self.statistics = log.scalar_metrics()
        self.types: dict[Tensor, str] = {}
        self.dtypes: dict[Tensor, str] = {}
        # Some tensors are not there in every step: the state of an optimiser comes with its first step.
        for at in sorted({0, min(1, len(self.steps) - 1), len(self.steps) - 1}) if len(self.steps) else []:
            rows = log.frame(step=int(self.steps[at]), columns=[])
            for kind, name, of, dtype in _about(rows):
                self.types.setdefault((kind, name), of)
                self.dtypes.setdefault((kind, name), dtype)

    def values(self, tensor_type: str, statistic: str, layers: Sequence[str]) -> np.ndarray:
        out = np.full((len(layers), len(self.steps)), np.nan)
        if statistic not in self.statistics:
            return out
        if statistic in ("nans", "infs") and self._log.is_finite(tensor_type):
            out[:] = 0
            return out
        found = self._log.grid(tensor_type, statistic)
        assert found is not None  # there are no phases or ranks
        values = np.where(found.logged, found.values, np.nan)
        at = {name: row for row, name in enumerate(layers)}
        rows = np.array([at[name] for name in found.layers], np.intp)
        out[rows[:, None], np.searchsorted(self.steps, found.steps)[None, :]] = values
        return out

    def exponents(self, tensor_type: str, layers: Sequence[str], steps: Sequence[int]) -> ExponentRows:
        return _exponents_of(self._log, tensor_type, layers, steps, None)


class _Framed:
    """Matrices of a table."""

    def __init__(self, df: pd.DataFrame, log: AnyLog, phase: str | None):
        self._df, self._phase = df, phase
        self._log = log  # with the counts of exponents
        self.statistics = logframe.scalar_metrics(df)
        self.steps, self._step = np.unique(df[("metadata", "step")].to_numpy(), return_inverse=True)
        codes = [logframe.numbered(df[("metadata", name)]) for name in ("tensor_type", "name")]
        pair = codes[0][0].astype(np.int64) * len(codes[1][1]) + codes[1][0]
        number, pairs = pd.factorize(pair)
        self.tensors = [(codes[0][1][one // len(codes[1][1])], codes[1][1][one % len(codes[1][1])]) for one in pairs]
        first = np.zeros(len(pairs), np.intp)
        first[number[::-1]] = np.arange(len(number))[::-1]
        about = [(kind, name, of, dtype) for kind, name, of, dtype in _about(df.take(first))]
        self.types = {(kind, name): of for kind, name, of, _ in about}
        self.dtypes = {(kind, name): dtype for kind, name, _, dtype in about}
        self._row = np.zeros(len(pairs), np.intp)  # of each tensor among those of its type
        rows: dict[str, int] = {}
        for at, (kind, _) in enumerate(self.tensors):
            self._row[at] = rows.setdefault(kind, 0)
            rows[kind] += 1
        kinds = np.array([list(rows).index(kind) for kind, _ in self.tensors], np.intp)
        order = np.argsort(kinds[number], kind="stable")
        ends = np.searchsorted(kinds[number][order], np.arange(len(rows) + 1))
        self._of = {kind: order[ends[at] : ends[at + 1]] for at, kind in enumerate(rows)}
        self._number = number

    def values(self, tensor_type: str, statistic: str, layers: Sequence[str]) -> np.ndarray:
        out = np.full((len(layers), len(self.steps)), np.nan)
        if statistic in self.statistics and tensor_type in self._of:
            rows = self._of[tensor_type]
            column = self._df[("scalar_stats", statistic)].to_numpy(dtype=np.float64, na_value=np.nan)
            out[self._row[self._number[rows]], self._step[rows]] = column[rows]
        return out

    def exponents(self, tensor_type: str, layers: Sequence[str], steps: Sequence[int]) -> ExponentRows:
        return _exponents_of(self._log, tensor_type, layers, steps, self._phase)


def _about(rows: pd.DataFrame) -> list[tuple[str, str, str, str]]:
    """Return tensor type, name, kind of module and number format of each row."""
    formats_of(rows.iloc[:1])
    columns = [rows[("metadata", name)].astype(object) for name in ("tensor_type", "name", "type", "dtype")]
    text = [column.where(column.notna(), "").tolist() for column in columns]
    return list(zip(*text, strict=True))
