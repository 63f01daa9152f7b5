"""A log that is a table in memory, as the arrays that answers are made of."""

from typing import Any

import numpy as np
import pandas as pd

from tandv.log import logframe
from tandv.log.narrowed import narrowed
from tandv.log.order import order_of
from tandv.log.shown import (
    ABSENT,
    INFINITE,
    NAN,
    Cell,
    Exponents,
    First,
    Matrix,
    Shares,
    as_levels,
    fractions_of,
    named,
    shares_of,
)
from tandv.tensor_types import OPTIMISER_STATE, WEIGHT

_DEAD = 5  # logged steps to the end at which all values are zero, at least, as in `tandv.log.live.LiveLog.firsts`
_MADE_SO = (WEIGHT, OPTIMISER_STATE)  # types that are zero from the first step on because they begin so


class TableSource:
    """A log in memory: nothing is added to it any more.

    >>> from tandv.log.example import example_log
    >>> source = TableSource(example_log(), "demo")
    >>> source.matrix("Gradient", "rm2").values.shape, source.exponents
    ((5, 50), (-24, 15))

    Args:
        df: the log.
        name: what the page calls it.
        phase: a phase of a log that has several; None for the rows outside of any, or of the first if all are in one.
        rank: a rank; None merges those of all.
    """

    status = "finished"
    version = 1

    def __init__(self, df: pd.DataFrame, name: str, phase: str | None = None, rank: int | None = None):
        self.df, self.name, self.rank = df, name, rank
        self.phases, self.ranks = logframe.phases(df), logframe.ranks(df)
        self.phase = phase if phase is not None or not self.phases else "" if "" in self.phases else self.phases[0]
        self.notes: list[str] = []
        rows = logframe.select(df, phase=self.phase, rank=rank)
        self._rows = rows
        self.metrics = logframe.scalar_metrics(rows)
        bins = logframe.exponents(rows)
        self.exponents = (bins[0], bins[-1]) if bins else (0, 0)
        self._bins = bins
        kinds, types = logframe.numbered(rows[("metadata", "tensor_type")])
        names, layers = logframe.numbered(rows[("metadata", "name")])
        self.steps, self._step_of = np.unique(rows[("metadata", "step")].to_numpy(np.int64), return_inverse=True)
        pairs, tensor_of = np.unique(kinds.astype(np.int64) * len(layers) + names, return_inverse=True)
        self._tensor_of = tensor_of
        self.tensors = [(types[pair // len(layers)], named(layers[pair % len(layers)])) for pair in pairs.tolist()]
        self._number = {tensor: i for i, tensor in enumerate(self.tensors)}
        self._row_of = np.full((len(self.tensors), len(self.steps)), -1, np.int64)
        self._row_of[tensor_of, self._step_of] = np.arange(len(rows))

    def refresh(self) -> bool:
        """Nothing comes to a table."""
        return False

    def build(self) -> None:
        """Nothing has to be made for it."""

    def close(self) -> None:
        """No file is open."""

    def everything(self) -> pd.DataFrame:
        """Return the rows of all phases and ranks."""
        return self.df

    def reopened(self, phase: str | None, rank: int | None) -> "TableSource":
        """Return the log in another phase or of another rank."""
        return TableSource(self.df, self.name, phase, rank)

    def layers(self, tt: str) -> list[str]:
        """Return the layers that have a tensor type, in the order of the log."""
        return [name for kind, name in self.tensors if kind == tt]

    def matrix(self, tt: str, metric: str) -> Matrix:
        """Return a statistic of a tensor type, [layers, steps]."""
        at = self._at(tt)
        flags = np.where(at < 0, ABSENT, 0).astype(np.uint8)
        flags[self._counts("nans", at) > 0] |= NAN
        flags[self._counts("infs", at) > 0] |= INFINITE
        values = narrowed(self._scalar(metric, at))
        flags[np.isinf(values)] |= INFINITE
        # With counts of NaN a statistic is NaN by itself only where it was not logged.
        flags[np.isnan(values) & (flags == 0)] |= ABSENT if "nans" in self.metrics else NAN
        return Matrix(self.layers(tt), values, flags)

    def exponents_of(self, tt: str, layer: str) -> Exponents:
        """Return the counts of one tensor, [steps, exponents]."""
        at = self._row_of[self._number[tt, layer]]
        logged = at >= 0
        counts = self._rows["exponent_counts"]
        ends = [np.where(logged, counts[end].to_numpy(np.int64)[at], 0) for end in logframe.INFINITE]
        table = np.zeros((len(at), len(self._bins)), np.int64)
        for column, n in enumerate(self._bins):
            table[logged, column] = counts[n].to_numpy()[at[logged]]
        nans = self._counts("nans", at)
        return Exponents(
            self.steps,
            np.array(self._bins, np.int16),
            table,
            nans,
            ends[1],
            ends[0],
            table.sum(1) + sum(ends) + nans,
            logged,
        )

    def shares(
        self, tt: str, layer: str, first: int | None = None, last: int | None = None, columns: int = 600
    ) -> Shares:
        """Return the shares of one tensor in each power of two, pooled to columns."""
        return shares_of(self.exponents_of(tt, layer), first, last, columns)

    def pooled_exponents(self, tt: str, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the levels and lanes of all tensors of a type, in columns that begin at some steps."""
        edges, shares, lanes = np.searchsorted(self.steps, starts), [], []
        for layer in self.layers(tt):
            share, lane = fractions_of(self.exponents_of(tt, layer))
            shares.append(np.maximum.reduceat(as_levels(share), edges, axis=0))
            lanes.append(np.maximum.reduceat(lane, edges, axis=1))
        return np.array(shares, np.uint8), np.array(lanes, np.float32)

    def order(self) -> dict[tuple[str, str], int]:
        """Return the place of each tensor among those of a step, as the run keeps it, else guessed from the names."""
        return order_of(self.df, self.tensors)

    def cell(self, tt: str, layer: str, step: int) -> Cell | None:
        """Return the exact row of a tensor at a step; None if it was not logged there."""
        if (tensor := self._number.get((tt, layer))) is None or step not in self.steps:
            return None
        row = self._row_of[tensor, int(np.searchsorted(self.steps, step))]
        if row < 0:
            return None
        stats = {name: _plain(self._rows[("scalar_stats", name)].iloc[row]) for name in self.metrics}
        found = {n: int(count) for n, count in self._rows["exponent_counts"].iloc[row].items()}
        zeros, infs = (found.pop(end) for end in logframe.INFINITE)
        text = {name: str(self._rows[("metadata", name)].iloc[row]) for name in ("type", "dtype")}
        counts = {int(n): count for n, count in found.items() if count}
        return Cell(stats, counts, zeros, int(stats.get("nans", 0)), infs, text)

    def firsts(self) -> list[First]:
        """Return the first NaN and infinity of each tensor, and from when on it is zero until the end."""
        at = self._row_of
        numel, logged = self._counts("numel", at), at >= 0
        dead = (self._counts("zeros", at) == numel) & (numel > 0) & logged
        dead = np.logical_and.accumulate((dead | ~logged)[:, ::-1], axis=1)[:, ::-1] & logged
        begun_so = np.array([tt.partition(".")[0] in _MADE_SO for tt, _ in self.tensors]) & (dead == logged).all(1)
        dead &= ((dead.sum(1) >= _DEAD) & ~begun_so)[:, None]
        out = []
        of: dict[str, np.ndarray] = {"nan": self._counts("nans", at), "inf": self._counts("infs", at)}
        of["dead"] = np.where(dead, numel, 0)
        for kind, counts in of.items():
            for tensor in np.flatnonzero((counts > 0).any(1)):
                step = int((counts[tensor] > 0).argmax())
                tt, layer = self.tensors[tensor]
                found = int(self.steps[step]), int(counts[tensor, step]), int(numel[tensor, step])
                out.append(First(kind, tt, layer, *found))
        return out

    def overflows(self, tt: str, limit: float) -> np.ndarray:
        """Return where the largest value of a tensor is above a limit, [layers, steps] booleans."""
        return self._scalar("max_abs", self._at(tt)) > limit

    def _at(self, tt: str) -> np.ndarray:
        return self._row_of[[i for i, (kind, _) in enumerate(self.tensors) if kind == tt]]

    def _scalar(self, metric: str, at: np.ndarray) -> np.ndarray:
        if metric not in self.metrics:
            return np.full(at.shape, np.nan)
        values = self._rows[("scalar_stats", metric)].to_numpy(np.float64, na_value=np.nan)
        return np.where(at < 0, np.nan, values[at])

    def _counts(self, name: str, at: np.ndarray) -> np.ndarray:
        return np.nan_to_num(self._scalar(name, at)).astype(np.int64)


def _plain(value: Any) -> int | float:
    return int(value) if isinstance(value, int | np.integer) else float(value)
