"""A log at a place, of which an index of its row groups is kept, so that only what is asked for is read."""

import copy
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TypeVar

import numpy as np
import pandas as pd

from tandv import names as rule
from tandv.log import _contents, logframe
from tandv.log._cells import cells_of
from tandv.log._frames import Columns, frame_of
from tandv.log._looking import TRIES, look
from tandv.log._rows import Numbering, Query
from tandv.log._unreadable import UnreadableFile
from tandv.log._whole import chosen_rows
from tandv.log.choice_of_rows import LOG, choices_text, steps_there
from tandv.log.choice_of_steps import check_steps_there, steps_meant
from tandv.log.door import Label, Names, Steps
from tandv.log.finding import lies_at
from tandv.log.grid import Grid
from tandv.log.ranks import needed
from tandv.log.store.layers import Tensor
from tandv.messages import UnknownName, listed, unknown
from tandv.place import AnyPath, Place, place_of

Answer = TypeVar("Answer")


class Log:
    """A log at a place, of which an index is kept: names, types, steps, and where the rows of each tensor are.

    A run that goes on is as it was when it was opened; `opened` looks again. A log of an older tandv, or in one file,
    is read whole.

    >>> from tandv.log.example import example_log
    >>> from tandv.log.files import write_parquet
    >>> write_parquet(example_log(), "log.parquet")
    >>> Log("log.parquet").steps()[:3]
    [0, 1, 2]

    Args:
        place: where it lies: the folder of a run, or a file.
        ranks: only these are opened, where ranks have folders of their own; None for all.
    """

    def __init__(self, place: AnyPath | Place, ranks: Sequence[int] | None = None):
        self._kind = lies_at(place)
        self.place, self._chosen = place_of(place), ranks
        self._state = look(self.place, self._kind, ranks)
        self.looked = time.monotonic()  # when the place was last asked whether something was added

    def __repr__(self) -> str:
        return f"<Log {self.place}: {self.rows:,} rows of {len(self.tensors):,} tensors>"

    def of_ranks(self, ranks: Sequence[int]) -> "Log":
        """Return the log without the files that have rows of other ranks only; itself where a rank has no file.

        Args:
            ranks: the ranks.
        """
        files = [[file for file in self._state.files if file.ranks is None or _is_in(file.ranks, one)] for one in ranks]
        if self.whole is not None or not ranks or not all(files):
            return self
        log = copy.copy(self)
        log._state = self._state._replace(
            files=[one for one in self._state.files if any(one in some for some in files)]
        )
        for known in ("_steps", "_phases", "_ranks"):
            log.__dict__.pop(known, None)
        return log

    @property
    def whole(self) -> pd.DataFrame | None:
        """The whole log, where it is of an older tandv or in one file; None where files are read in part."""
        return self._state.whole

    @property
    def damaged(self) -> list[str]:
        """What could not be read of it, a sentence for each file."""
        return self._state.damaged

    @property
    def signature(self) -> tuple:
        """What changes when rows are added: names and sizes of the files."""
        return self._state.signature

    @property
    def rows(self) -> int:
        """How many rows it has."""
        if self.whole is not None:
            return len(self.whole)
        return _contents.rows(self._state.files)

    @cached_property
    def _numbers(self) -> Numbering:
        """The number of each tensor, in the order of the model."""
        if self._state.model is not None:
            return Numbering((tensor, i) for i, tensor in enumerate(self._state.model))
        return self._reading(lambda: _contents.tensors(self._state.files))

    @property
    def tensors(self) -> list[Tensor]:
        """The tensors as (tensor type, name), in the order of the model."""
        if self.whole is not None:
            codes = [logframe.numbered(self.whole[("metadata", name)]) for name in ("tensor_type", "name")]
            pairs = pd.unique(codes[0][0].astype(np.int64) * len(codes[1][1]) + codes[1][0])
            return [(codes[0][1][pair // len(codes[1][1])], codes[1][1][pair % len(codes[1][1])]) for pair in pairs]
        return list(self._numbers)

    def layers(self, tt: Names | None = None) -> list[str]:
        """Return the layers in model order.

        Args:
            tt: only layers that have one of these tensor types; None for all.
        """
        if self.whole is not None:
            return logframe.layers(self.whole, tt)
        kinds = self.tensor_types() if tt is None else rule.chosen(self.tensor_types(), tt, "tensor type", LOG)
        return list(dict.fromkeys(name for kind, name in self._numbers if kind in kinds))

    def tensor_types(self) -> list[str]:
        """Return the tensor types in the order of the log."""
        if self.whole is not None:
            return logframe.tensor_types(self.whole)
        return list(dict.fromkeys(kind for kind, _ in self._numbers))

    def scalar_metrics(self) -> list[str]:
        """Return the names of the scalar statistics in the order of their columns."""
        if self.whole is not None:
            return logframe.scalar_metrics(self.whole)
        return _contents.scalar_metrics(self._state.files)

    def exponents(self) -> list[int]:
        """Return the exponents from the lowest to the highest that a value has."""
        if self.whole is not None:
            return logframe.exponents(self.whole)
        return _contents.exponents(self._state.files)

    def steps(self) -> list[int]:
        """Return the logged steps, ascending; the column of steps is read once."""
        return logframe.steps(self.whole) if self.whole is not None else self._steps.tolist()

    @cached_property
    def _steps(self) -> np.ndarray:
        return self._reading(lambda: _contents.steps(self._state.files))

    def phases(self) -> list[str]:
        """Return the phases of `tracker.phase(...)` in the order of text; "" is outside of any."""
        return logframe.phases(self.whole) if self.whole is not None else self._phases

    @cached_property
    def _phases(self) -> list[str]:
        return self._reading(lambda: _contents.phases(self._state.files))

    def ranks(self) -> list[int]:
        """Return the ranks whose rows are kept, ascending; none where those of all are merged."""
        return logframe.ranks(self.whole) if self.whole is not None else self._ranks

    @cached_property
    def _ranks(self) -> list[int]:
        return self._reading(lambda: _contents.ranks(self._state.files))

    def labels(self) -> list[Label]:
        """Return the labels of the columns that a frame of it has."""
        if self.whole is not None:
            return self.whole.columns.tolist()
        metadata = [*logframe.METADATA, *(["rank"] if self.ranks() else []), *(["phase"] if self.phases() else [])]
        counts = [logframe.INFINITE[0], *self.exponents(), logframe.INFINITE[1]]
        out: list[Label] = [("metadata", name) for name in metadata]
        out += [("scalar_stats", name) for name in self.scalar_metrics()]
        return out + [("exponent_counts", n) for n in counts]

    def frame(
        self,
        layer: Names | None = None,
        tt: Names | None = None,
        step: Steps | None = None,
        columns: Sequence[Label] | None = None,
    ) -> pd.DataFrame:
        """Return the rows of some layers, tensor types and steps as a log, of all phases and ranks.

        Args:
            layer: a layer's name, a compiled pattern, or a list of these; None for all.
            tt: a tensor type, a compiled pattern, or a list of these; None for all.
            step: an integer, a list, or a slice; None for all.
            columns: the labels of the columns that are needed, such as ("scalar_stats", "rm2"), or ("exponent_counts",
                3) for all counts; those of metadata always come. None for all.

        Raises UnknownName for what is not in the log.
        """
        if columns is not None and self.ranks():
            columns = needed(columns, self.labels())  # to merge them, of which `columns` are made
        wanted = self._columns(columns)
        if self.whole is not None:
            read = chosen_rows(self.whole, layer, tt, step, columns)
            if not len(read) and any(choice is not None for choice in (layer, tt, step)):
                self._nothing(layer, tt, step)
            if self._kind == "run":
                read.attrs["run"] = self.place.absolute()
            return read
        query = self._query(layer, tt, step)
        read = self._reading(lambda: frame_of(self._state.files, self._numbers, query, wanted, str(self.place)))
        self._check(step, read[("metadata", "step")].to_numpy(), layer, tt)
        read.attrs["run"] = self.place.absolute()
        return read

    def grid(self, tt: str, scalar_metric: str, layer: Names | None = None, step: Steps | None = None) -> Grid | None:
        """Return a statistic of one tensor type as arrays; None where phases or ranks have to be told apart first.

        Args:
            tt: the tensor type.
            scalar_metric: the name of a scalar statistic.
            layer: a layer's name, a compiled pattern, or a list of these; None for all.
            step: an integer, a list, or a slice; None for all.
        """
        if self.whole is not None or self.phases() or self.ranks():
            return None
        self._columns([("scalar_stats", scalar_metric)])
        query = self._query(layer, tt, step)
        found = self._reading(lambda: cells_of(self._state.files, self._numbers, query, scalar_metric))
        self._check(step, found.steps, layer, tt)
        return found

    def is_finite(self, tt: str) -> bool:
        """Tell whether the footers say that no tensor of a type has NaN or infinity; False where they do not tell.

        Args:
            tt: the tensor type.
        """
        return self.whole is None and _contents.is_finite(self._state.files, tt)

    def _columns(self, columns: Sequence[Label] | None) -> Columns:
        has = self.scalar_metrics()
        if columns is None:
            return Columns(has, True)
        scalars = [name for top, name in columns if top == "scalar_stats"]
        if lacking := [name for name in scalars if name not in has]:
            raise UnknownName("\n  ".join(unknown("statistic", name, has, LOG) for name in lacking))
        return Columns(list(dict.fromkeys(scalars)), any(top == "exponent_counts" for top, _ in columns))

    def _query(self, layer: Names | None, tt: Names | None, step: Steps | None) -> Query:
        tensors = None
        if layer is not None or tt is not None:
            chosen, problems = [], []
            for names, wanted, noun in ((self.layers(), layer, "layer"), (self.tensor_types(), tt, "tensor type")):
                try:
                    chosen.append(set(names if wanted is None else rule.chosen(names, wanted, noun, LOG)))
                except UnknownName as error:
                    problems.append(str(error))
            if problems:
                raise UnknownName("\n  ".join(problems))
            in_names, in_kinds = chosen
            tensors = sorted(one for one in self._numbers if one[0] in in_kinds and one[1] in in_names)
            if not tensors:
                self._nothing(layer, tt, step)
        return Query(tensors, *self._at(step))

    def _at(self, step: Steps | None) -> tuple[tuple[int, int] | None, Callable[[np.ndarray], np.ndarray] | None]:
        """Return the lowest and the highest of some steps, and what tells which of those in between are wanted."""
        if step is None:
            return None, None
        meant, (first, last) = steps_meant(step), _contents.limits(self._state.files)
        return meant.limits(first, last), None if meant.fills_limits else lambda at: meant.among(at, first)

    def _check(self, step: Steps | None, read: np.ndarray, layer: Names | None, tt: Names | None) -> None:
        """Raise UnknownName if a wanted step is nowhere in the log, or nothing was found at all."""
        if step is not None and (meant := steps_meant(step)).lacking(read):
            check_steps_there(meant, self._steps, LOG)  # they may be there, of other tensors
        if not len(read):
            self._nothing(layer, tt, step)

    def _nothing(self, layer: Names | None, tt: Names | None, step: Steps | None) -> None:
        asked = {"layer": layer, "tensor type": tt, "step": step}
        chosen = choices_text(asked)
        if layer is None:
            raise UnknownName(f"no row has {chosen}; {steps_there(self.steps())}")
        names = set(rule.chosen(self.layers(), layer, "layer", LOG))
        has = list(dict.fromkeys(kind for kind, name in self.tensors if name in names))
        raise UnknownName(f"no row has {chosen} at once; this layer has {listed(has)}")

    def _reading(self, action: Callable[[], Answer]) -> Answer:
        """Read from a run that is written meanwhile: where a file has been joined with others, look again."""
        for _ in range(TRIES):
            try:
                return action()
            except FileNotFoundError:
                self._state = look(self.place, self._kind, self._chosen)
        raise UnreadableFile(f"cannot read {self.place}: its files change faster than they are read; try again")


def _is_in(limits: tuple[int, int], rank: int) -> bool:
    return limits[0] <= rank <= limits[1]
