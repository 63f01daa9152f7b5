"""A log as arrays for screens, kept up to date while it is written.

>>> from tandv.log.example import example_log
>>> from tandv.log.files import write_parquet
>>> write_parquet(example_log(), "log.parquet")
>>> log = LiveLog("log.parquet")
>>> log.matrix("Gradient", "rm2").values.shape
(5, 50)
>>> log.firsts()[-1]
First(kind='nan', tt='Gradient', layer='head', step=49, many=4096, of=4096)
"""

import os
from threading import RLock

import numpy as np

from tandv.log import logframe
from tandv.log.execution import guessed_order
from tandv.log.grid import grid
from tandv.log.opened import Log
from tandv.log.shown import ABSENT, INFINITE, NAN, Cell, Exponents, First, Matrix, Shares, shares_of
from tandv.log.status import run_status
from tandv.log.store.layers import Tensor
from tandv.place import AnyPath, Place, place_of

__all__ = ["LiveLog"]


class LiveLog:
    """A log at a place, of which a screen asks arrays; `refresh` takes in what was added.

    >>> from tandv.log.example import example_log
    >>> from tandv.log.files import write_parquet
    >>> write_parquet(example_log(), "log.parquet")
    >>> LiveLog("log.parquet").cell("Weight", "head", step=0).statistics["numel"]
    65536

    Args:
        place: where it lies: the folder of a run, or a file, on this machine or at an address.
        phase: the phase of `tracker.phase(...)` that is shown; None for what is outside of any, if there is such.
        rank: the rank that is shown; None merges all, of a large log it chooses the first.
    """

    def __init__(self, place: AnyPath | Place, phase: str | None = None, rank: int | None = None):
        self.place = place_of(place)
        self.phase, self.rank = phase, rank
        self.version = 0
        self._lock = RLock()
        self._log = Log(place)

    @property
    def name(self) -> str:
        """The name of the run or file."""
        return os.path.basename(os.path.normpath(self.place.name)) or self.place.name

    @property
    def status(self) -> str:
        """How the run stands, as `run_status` says it; "finished" for a log that is no run's folder."""
        try:
            return run_status(self.place.name)
        except FileNotFoundError:
            return "finished"

    @property
    def notes(self) -> list[str]:
        """Sentences about what is not shown, or was chosen."""
        return list(self._log.damaged)

    @property
    def tensors(self) -> list[Tensor]:
        """(tensor type, name) of each tensor in the order of the model."""
        return self._log.tensors

    @property
    def steps(self) -> np.ndarray:
        """The logged steps, ascending, [n] int64."""
        return np.array(self._log.steps(), np.int64)

    @property
    def metrics(self) -> list[str]:
        """The names of the statistics."""
        return self._log.scalar_metrics()

    @property
    def phases(self) -> list[str]:
        """The phases of `tracker.phase(...)`; "" is outside of any."""
        return self._log.phases()

    @property
    def ranks(self) -> list[int]:
        """The ranks whose rows are kept."""
        return self._log.ranks()

    @property
    def exponents(self) -> tuple[int, int]:
        """The lowest and the highest exponent that a value has."""
        found = self._log.exponents()
        return (found[0], found[-1]) if found else (0, 0)

    def layers(self, tt: str) -> list[str]:
        """Return the layers of a tensor type in model order.

        Args:
            tt: the tensor type.
        """
        return [name for kind, name in self.tensors if kind == tt]

    def refresh(self) -> bool:
        """Take in what was added to the log; tell whether anything changed."""
        with self._lock:
            new = Log(self.place)
            changed = new.signature != self._log.signature
            if changed:
                self._log = new
                self.version += 1
            return changed

    def matrix(self, tt: str, metric: str) -> Matrix:
        """Return a statistic of the layers of a tensor type over all steps.

        Args:
            tt: the tensor type.
            metric: the name of the statistic.

        Raises UnknownName for what is not in the log.
        """
        found = grid(self._log, tt, metric, phase=self.phase, rank=self.rank)
        layers, steps = self.layers(tt), self.steps
        values = np.full((len(layers), len(steps)), np.nan, np.float32)
        flags = np.full(values.shape, ABSENT, np.uint8)
        row, column = np.array([layers.index(name) for name in found.layers]), np.searchsorted(steps, found.steps)
        at = row[:, None], column[None, :]
        values[at] = found.values
        flags[at] = (found.nans > 0) * NAN | (found.infs > 0) * INFINITE | ~found.logged * ABSENT
        return Matrix(layers, values, flags)

    def exponents_of(self, tt: str, layer: str) -> Exponents:
        """Return how many values of a tensor have each exponent, at each step of the log.

        Args:
            tt: the tensor type.
            layer: the layer.

        Raises UnknownName for a tensor that is not in the log.
        """
        lanes = ("nans", "infs", "zeros", "numel")
        columns = [label for label in self._log.labels() if label[0] == "exponent_counts" or label[1] in lanes]
        rows = logframe.select(self._log, layer, tt, phase=self.phase, rank=self.rank, columns=columns)
        steps = self.steps
        at = np.searchsorted(steps, rows[("metadata", "step")].to_numpy())
        bins = np.array(logframe.exponents(rows), np.int16)
        counts = np.zeros((len(steps), len(bins)), np.int64)
        counts[at] = rows[[("exponent_counts", one) for one in bins.tolist()]].to_numpy()
        logged = np.zeros(len(steps), bool)
        logged[at] = True
        out = {name: np.zeros(len(steps), np.int64) for name in lanes}
        for name in lanes:
            if name in self.metrics:
                out[name][at] = np.nan_to_num(rows[("scalar_stats", name)].to_numpy(np.float64))
        out["zeros"][at] = rows[("exponent_counts", -np.inf)]
        out["infs"][at] = rows[("exponent_counts", np.inf)]
        return Exponents(steps, bins, counts, out["nans"], out["infs"], out["zeros"], out["numel"], logged)

    def shares(
        self, tt: str, layer: str, first: int | None = None, last: int | None = None, columns: int = 600
    ) -> Shares:
        """Return which share of the values of a tensor has each exponent, in as many columns as a screen has.

        Args:
            tt: the tensor type.
            layer: the layer.
            first: the first step; None for that of the log.
            last: the last step, which is included; None for that of the log.
            columns: how many columns there may be.

        Raises UnknownName for a tensor that is not in the log.
        """
        return shares_of(self.exponents_of(tt, layer), first, last, columns)

    def cell(self, tt: str, layer: str, step: int) -> Cell | None:
        """Return everything that is logged of a tensor at a step; None if nothing is.

        Args:
            tt: the tensor type.
            layer: the layer.
            step: the step.

        Raises UnknownName for a tensor that is not in the log.
        """
        try:
            rows = logframe.select(self._log, layer, tt, step, self.phase, self.rank)
        except logframe.UnknownName:
            return None
        row = {tuple(label): rows.iloc[0, at] for at, label in enumerate(rows.columns)}
        row = {label: value.item() if isinstance(value, np.generic) else value for label, value in row.items()}
        statistics = {str(name): value for (top, name), value in row.items() if top == "scalar_stats"}
        bins = (label for label in row if label[0] == "exponent_counts" and np.isfinite(label[1]))
        counts = {int(label[1]): int(row[label]) for label in bins if row[label]}
        text = {name: str(row["metadata", name]) for name in ("type", "dtype")}
        zeros, infs = int(row["exponent_counts", -np.inf]), int(row["exponent_counts", np.inf])
        return Cell(statistics, counts, zeros, int(statistics.get("nans", 0)), infs, text)

    def firsts(self) -> list[First]:
        """Return the first NaN and the first infinity of each tensor, and from where on it is zero, by step.

        A tensor is "dead" if all its values are zero from some step to its last logged one, at five steps or more.
        """
        out = []
        for tt in dict.fromkeys(kind for kind, _ in self.tensors):
            found = grid(self._log, tt, "numel", phase=self.phase, rank=self.rank)
            for kind, counts in (("nan", found.nans), ("inf", found.infs)):
                for row in np.flatnonzero((counts > 0).any(axis=1)):
                    at = int((counts[row] > 0).argmax())
                    numel = 0 if np.isnan(found.values[row, at]) else int(found.values[row, at])
                    out.append(First(kind, tt, found.layers[row], int(found.steps[at]), int(counts[row, at]), numel))
        order = guessed_order(self.tensors)
        return sorted(out, key=lambda one: (one.step, order[one.tt, one.layer], one.kind))

    def overflows(self, tt: str, limit: float) -> np.ndarray:
        """Return where the largest magnitude of a tensor is above a limit, [layers, steps] booleans.

        Args:
            tt: the tensor type.
            limit: of a number format, its `overflows_above`.

        Raises UnknownName for a tensor type that is not in the log, or a log without `max_abs`.
        """
        return self.matrix(tt, "max_abs").values > np.float64(limit)

    def order(self) -> dict[Tensor, int]:
        """Return the place of each tensor among those of a step, guessed from the names."""
        return guessed_order(self.tensors)
