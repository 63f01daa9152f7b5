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

import numpy as np

from tandv.log import _arranging as arranging
from tandv.log._firsts import firsts_of
from tandv.log._live_state import LiveState
from tandv.log._reads import is_block
from tandv.log._saved import save
from tandv.log._sweep import pooled_exponents
from tandv.log.door import AnyLog, log_at
from tandv.log.order import order_of
from tandv.log.shown import Cell, Exponents, First, Matrix, Shares, shares_of
from tandv.log.status import run_status
from tandv.log.store.layers import Tensor

__all__ = ["LiveLog"]

_EXACT = 4  # steps for each column of a screen, above which exponents come from levels


class LiveLog(LiveState):
    """A log at a place, of which a screen asks arrays; `refresh` takes in what was added.

    Of a run only new files are read; what was read is kept within some 50 MB. It may be asked from several threads.

    >>> from tandv.log.example import example_log
    >>> from tandv.log.files import write_parquet
    >>> write_parquet(example_log(), "log.parquet")
    >>> LiveLog("log.parquet").cell("Weight", "head", step=0).statistics["numel"]
    65536

    Args:
        place: where it lies: the folder of a run, or a file, on this machine or at an address.
        phase: the phase of `tracker.phase(...)` that is shown; None for what is outside of any, if there is such.
        rank: the rank that is shown; None merges all, and of a large log it chooses the first.

    Raises FileNotFoundError and UnreadableFile for what is no log, UnknownName for a phase or rank that is not there.
    """

    @property
    def name(self) -> str:
        """The name of the run or file."""
        return os.path.basename(os.path.normpath(self.place.name)) or self.place.name

    @property
    def status(self) -> str:
        """How the run stands, as `run_status` says it: "finished" for a file, "unknown" where nothing tells."""
        if self._source.is_file:
            return "finished"
        try:
            return run_status(self.place)
        except (OSError, ValueError):
            return "unknown"

    @property
    def notes(self) -> list[str]:
        """Sentences about what is not shown, and about what was chosen."""
        return list(dict.fromkeys([*self._source.notes, *self._reads.damaged.values()]))

    @property
    def phases(self) -> list[str]:
        """The phases of `tracker.phase(...)` in the order of text; "" is outside of any; none for a log without."""
        return self._source.phases

    @property
    def phase(self) -> str | None:
        """The phase that is shown; None for a log without."""
        return self._source.chosen.phase if self.phases else None

    @property
    def ranks(self) -> list[int]:
        """The ranks whose rows are kept; none where those of all are merged in the log."""
        return self._source.ranks

    @property
    def rank(self) -> int | None:
        """The rank that is shown; None where all are merged."""
        return self._source.chosen.rank

    def reopened(self, phase: str | None = None, rank: int | None = None) -> "LiveLog":
        """Return the same log with another phase or rank shown.

        Args:
            phase: the phase, as for a new one.
            rank: the rank, as for a new one.

        Raises UnknownName for a phase or rank that is not there.
        """
        return LiveLog(self.place, phase, rank)

    def everything(self) -> AnyLog:
        """Return the log as what analyses take: all its phases and ranks, opened where it lies."""
        return log_at(self.place)

    def refresh(self) -> bool:
        """Take in what was added to the log; tell whether anything changed.

        Whatever is wrong with new files is said in `notes`, and all others are shown.
        """
        with self._lock:
            changed = self._source.look()
            if changed:
                self._take()
            return changed

    def build(self) -> None:
        """Begin to make, in a thread of low priority, what shows the exponents of any layer of a large log at once.

        It is kept in the user's cache for the next time; `close` ends it. Of what was added since, call it again.
        """
        with self._lock:
            if self._built == self.version:
                return
            blocks, numbers = list(filter(is_block, self._pieces)), dict(self._source.numbers)
            if self._background.work(self._levels, blocks, lambda: save(self.place, blocks, numbers)):
                self._built = self.version

    def close(self) -> None:
        """Close the files, and end what goes on."""
        with self._lock:
            self._background.close()
            self._source.handles.close()

    def matrix(self, tt: str, metric: str) -> Matrix:
        """Return a statistic of the layers of a tensor type over all steps.

        Args:
            tt: the tensor type.
            metric: the name of the statistic.

        Raises UnknownName for what is not in the log.
        """
        with self._lock:
            self._check(tt, metric=metric)

            def made() -> Matrix:
                rows = self._rows_of(tt)
                found = self._reads.matrix(self._having(tt), tt, metric, rows, self.steps, self.version)
                return Matrix(self.layers(tt), found.values, found.flags)

            return self._asked(made)

    def exponents_of(self, tt: str, layer: str, first: int | None = None, last: int | None = None) -> Exponents:
        """Return how many values of a tensor have each exponent, exactly, at each step of the log.

        Args:
            tt: the tensor type.
            layer: the layer.
            first: the first step; None for that of the log.
            last: the last step, which is included; None for that of the log.

        Raises UnknownName for a tensor that is not in the log.
        """
        with self._lock:
            self._check(tt, layer)
            low, high = self._range(first, last)
            steps = self.steps[low:high]

            def made() -> Exponents:
                found = (
                    (piece.layouts[tt].steps, self._reads.rows(piece, tt, at))
                    for piece, at in self._of(tt, layer)
                    if len(steps)
                    and piece.layouts[tt].steps[0] <= steps[-1]
                    and piece.layouts[tt].steps[-1] >= steps[0]
                )
                return arranging.exponents(found, steps, self.exponents)

            return self._asked(made)

    def shares(
        self, tt: str, layer: str, first: int | None = None, last: int | None = None, columns: int = 600
    ) -> Shares:
        """Return which share of the values of a tensor has each exponent, in as many columns as a screen has.

        Of very many steps the columns begin at every eighth logged step of the tensor, which is quicker.

        Args:
            tt: the tensor type.
            layer: the layer.
            first: the first step; None for that of the log.
            last: the last step, which is included; None for that of the log.
            columns: how many columns there may be.

        Raises UnknownName for a tensor that is not in the log.
        """
        with self._lock:
            self._check(tt, layer)
            low, high = self._range(first, last)
            if high - low <= _EXACT * columns:
                return shares_of(self.exponents_of(tt, layer, first, last), columns=columns)
            steps = self.steps[low:high]
            levels = self._asked(lambda: [self._reads.level(piece, tt, at) for piece, at in self._of(tt, layer)])
            return arranging.pooled([one for one in levels if one is not None], steps, self.exponents, columns)

    def cell(self, tt: str, layer: str, step: int) -> Cell | None:
        """Return everything that is logged of a tensor at a step; None if nothing is.

        Args:
            tt: the tensor type.
            layer: the layer.
            step: the step.

        Raises UnknownName for a tensor that is not in the log.
        """
        with self._lock:
            self._check(tt, layer)
            return self._asked(lambda: self._cell(tt, layer, step))

    def firsts(self) -> list[First]:
        """Return the first NaN and the first infinity of each tensor, and those that are zero at the end, by step.

        "dead" is a tensor whose values are all zero from some step to the last one at which it was logged, at five
        logged steps or more; parameters and states of the optimiser that are zero from their first logged step on do
        not count: they began so. Within a step they are in the order of execution, infinity first.
        """
        with self._lock:
            of = self._reads.summary
            found = self._asked(lambda: firsts_of(self._pieces, self.tensors, self._source.numbers, of))
            order, kinds = self.order(), ("inf", "nan", "dead")
            return sorted(found, key=lambda one: (one.step, order[one.tt, one.layer], kinds.index(one.kind)))

    def overflows(self, tt: str, limit: float) -> np.ndarray:
        """Return where the largest magnitude of a tensor is above a limit, [layers, steps] booleans.

        Args:
            tt: the tensor type.
            limit: of a number format, its `overflows_above`.

        Raises UnknownName for a tensor type that is not in the log, or a log without `max_abs`.
        """
        with self._lock:
            self._check(tt, metric="max_abs")

            def made() -> np.ndarray:
                blocks = ((piece.layouts[tt], self._reads.above(piece, tt, limit)) for piece in self._having(tt))
                return arranging.marked(blocks, self._rows_of(tt), self.steps)

            return self._asked(made)

    def pooled_exponents(self, tt: str, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the exponents of all tensors of a type in columns of steps, in one pass over the log.

        What is returned are levels [layers, columns, exponents] of uint8, from the lowest exponent of the log to the
        highest, and the shares of zeros, infinities and NaN [layers, 3, columns] of float32: the largest in a column.

        Args:
            tt: the tensor type.
            starts: [columns] the step at which each column begins.

        Raises UnknownName for a tensor type that is not in the log.
        """
        with self._lock:
            self._check(tt)
            rows = self._rows_of(tt)
            return self._asked(lambda: pooled_exponents(self._having(tt), tt, rows, starts, self.exponents))

    def order(self) -> dict[Tensor, int]:
        """Return the place of each tensor among those of a step, as the run keeps it, else guessed from the names."""
        with self._lock:
            if not self._order:
                self._order = order_of(self.place, self.tensors)
            return dict(self._order)
