"""The measurements of the current step: rows of one preallocated buffer, and the quantity of each."""

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Self, SupportsFloat

import numpy as np

from tandv import measure, statistics
from tandv.log.store.layers import Tensor
from tandv.tensor_types import is_of_modules
from tandv.track.common.execution_order import ExecutionOrder
from tandv.track.common.readings import FINAL, chosen

_AT_FIRST = 256  # rows


Key = tuple[str, str, str, int]  # tensor type, name, phase, reading


class Quantity(NamedTuple):
    """A tensor that is measured at every step; together with a step it identifies a row of the log."""

    order: tuple[Any, ...]  # its place in the model
    name: str
    type: str
    tensor_type: str
    part: Any = None  # which part of a tensor that lies on several devices, in a form that the framework defines
    phase: str = ""  # of the step, as the user calls it
    reading: int = FINAL  # which of several readings of the tensor in a step, see `readings`
    lived: str = ""  # its number format, where it was measured in another, without the scale of a loss

    @property
    def key(self) -> Key:
        """What a step has one row of, until one of several readings has been chosen."""
        return self.tensor_type, self.name, self.phase, self.reading


class Block(NamedTuple):
    """The rows of one step, as columns."""

    step: int
    quantities: list[Quantity]
    dtypes: list[str]
    scalars: dict[str, np.ndarray]
    counts: np.ndarray  # [rows, -inf, exponents from `lowest`, inf]
    lowest: int
    tensors: Mapping[str, np.ndarray] = {}  # whole tensors that the user wants kept
    rank: int | None = None  # whose rows they are, where every rank keeps its own
    order: list[Tensor] | None = None  # of execution, from this step on, where it is another than before
    over_ranks: "Block | None" = None  # the smallest and largest value of statistics over the ranks that were merged


class Later(NamedTuple):
    """A step's rows that are still to be summarised, from numbers that no longer change."""

    make: Callable[[], Block]
    size: int  # bytes that it holds

    @classmethod
    def at_once(cls, block: Block) -> Self:
        """Return rows that have been made already."""
        return cls(lambda: block, block.counts.nbytes + sum(values.nbytes for values in block.tensors.values()))


def in_phase(quantities: Sequence[Quantity], phase: str) -> list[Quantity]:
    """Return quantities with a phase of the step; "" leaves them the phase that they have.

    So a gradient whose backward pass runs outside of any phase belongs to that of its forward pass.
    """
    if not phase:
        return list(quantities)
    return [one._replace(phase=phase) if is_of_modules(one.tensor_type) else one for one in quantities]


Merged = tuple[list[Quantity], list[str], np.ndarray]  # a dtype and a row for each quantity (`statistics.ROW`)


class StepMeasurements:
    """The measurements of one step.

    Each tensor gets a row of its own when it appears; rows of the same quantity merge when the step is
    taken. So a tensor that several modules return is measured once and counts for each of them. Several threads may
    measure, such as those of autograd: one at a time has the buffer.
    """

    at_most = 4096  # rows of a step before they are merged within it (a cell called thousands of times)

    def __init__(self, exponents: tuple[int, int] | None = None, threads: Callable[[], int] = lambda: 1):
        self._alone = threading.RLock()  # held by the thread that measures or takes
        self.exponents = exponents
        self.phase = ""  # the current one
        self.execution = ExecutionOrder()
        self._threads = threads  # as many as the framework itself computes with
        self._rows = {
            statistics.ROW: statistics.empty_rows(_AT_FIRST),
            statistics.WIDE_ROW: statistics.empty_rows(0, statistics.WIDE_ROW),
        }
        self._address = self._rows[statistics.ROW].ctypes.data
        self._used = dict.fromkeys(self._rows, 0)
        self.clear()

    def clear(self) -> None:
        """Forget what was measured since the last `take`."""
        for layout, used in self._used.items():
            statistics.clear(self._rows[layout][:used])
        self._used = dict.fromkeys(self._rows, 0)
        self._entries: list[tuple[Quantity, str, np.dtype, int]] = []
        self._early: Merged | None = None  # merged within this step, where it has very many calls
        self.round = 0  # a handle is good only within the round it was given in

    def __bool__(self) -> bool:
        return bool(self._entries or self._early)

    def add(self, tensors: Sequence[Any], quantities: Sequence[Quantity]) -> list[Any]:
        """Measure each tensor for its quantity; return a handle for each, to `share` it."""
        self.execution.note([(one.tensor_type, one.name) for one in quantities])
        with self._alone:
            return self._add(tensors, in_phase(quantities, self.phase))

    def share(self, handle: Any, quantity: Quantity) -> bool:
        """Let a measured tensor count for another quantity too; False if it must be measured again."""
        self.execution.note([(quantity.tensor_type, quantity.name)])
        with self._alone:
            return self._share(handle, *in_phase([quantity], self.phase))

    def _add(self, tensors: Sequence[Any], quantities: Sequence[Quantity]) -> list[Any]:
        if len(tensors) == 1 and (handle := self._add_one(tensors[0], quantities[0])) is not None:
            return [handle]
        if sum(self._used.values()) + len(tensors) > max(self.at_most, len(tensors)):
            self._merge_early()
        names = [measure.dtype_name(tensor) for tensor in tensors]
        if "float64" not in names:
            return self._add_alike(statistics.ROW, tensors, names, quantities)
        handles: list[Any] = [None] * len(tensors)
        for layout in self._rows:
            mine = [i for i, name in enumerate(names) if (name == "float64") == (layout == statistics.WIDE_ROW)]
            some, theirs = [tensors[i] for i in mine], [quantities[i] for i in mine]
            found = self._add_alike(layout, some, [names[i] for i in mine], theirs)
            for i, handle in zip(mine, found, strict=True):
                handles[i] = handle
        return handles

    def _add_one(self, tensor: Any, quantity: Quantity) -> Any:
        """Measure a tensor with less work than many, where no row must be found room for; None where it cannot be.

        Hooks measure one at a time, between operations that have emptied the caches of a processor, where all that is
        run and read takes 30 times as long.
        """
        layout, place = statistics.ROW, self._used[statistics.ROW]
        full = place >= len(self._rows[layout]) or place + self._used[statistics.WIDE_ROW] >= self.at_most
        if full or not measure.add_one(tensor, self._address + place * layout.itemsize, self._threads()):
            return None
        self._used[layout] = place + 1
        name = measure.dtype_name(tensor)
        self._entries.append((quantity, name, layout, place))
        return self.round, name, layout, place

    def _add_alike(
        self, layout: np.dtype, tensors: Sequence[Any], names: Sequence[str], quantities: Sequence[Quantity]
    ) -> list[Any]:
        """Measure tensors into rows of one layout."""
        first = self._used[layout]
        places = range(first, first + len(tensors))
        measure.add(tensors, places, self._reserve(layout, places.stop), self._threads())
        self._entries += zip(quantities, names, [layout] * len(names), places, strict=True)
        return [(self.round, name, layout, place) for name, place in zip(names, places, strict=True)]

    def _share(self, handle: Any, quantity: Quantity) -> bool:
        given_in, name, layout, place = handle
        if given_in != self.round:
            return False
        self._entries.append((quantity, name, layout, place))
        return True

    def take(self, step: int) -> Block:
        """Return the step's rows in model order, one for each quantity, and start the next step."""
        return self.take_later(step).make()

    def take_later(self, step: int) -> Later:
        """Return what `take` returns, still to be summarised, which another thread can do; start the next step."""
        with self._alone:
            parts, exponents = self._parts(), self.exponents
            self.clear()
        return Later(lambda: block(step, parts, exponents), sum(rows.nbytes for *_, rows in parts))

    def _reserve(self, layout: np.dtype, size: int) -> np.ndarray:
        """Return the buffer with room for `size` rows; it grows to the largest step and then stays."""
        rows = self._rows[layout]
        if size > len(rows):
            grown = statistics.empty_rows(max(size, 2 * len(rows)), layout)
            grown[: len(rows)] = rows
            self._rows[layout] = rows = grown
            self._address = self._rows[statistics.ROW].ctypes.data
        self._used[layout] = size
        return rows

    def _merge_early(self) -> None:
        early, following = merged(self._parts()), self.round + 1
        self.clear()
        self._early, self.round = early, following

    def _parts(self) -> list[Merged]:
        """Return copies of what was measured so far, not yet merged."""
        parts = [self._early] if self._early else []
        for layout, buffer in self._rows.items():
            if entries := [entry for entry in self._entries if entry[2] == layout]:
                rows = buffer[[place for *_, place in entries]]
                parts.append(([entry[0] for entry in entries], [entry[1] for entry in entries], rows))
        return parts


def block(step: int, parts: Sequence[Merged], exponents: tuple[int, int] | None = None) -> Block:
    """Return a step's rows, measured elsewhere, in model order and one for each quantity.

    Each part has quantities, dtypes and rows (`statistics.ROW` or `WIDE_ROW`).
    """
    return in_model_order(step, merged(parts), exponents)


def in_model_order(step: int, found: Merged, exponents: tuple[int, int] | None) -> Block:
    """Return a step's rows in model order, of several readings of a tensor the one that counts."""
    quantities, dtypes, rows = found
    if any(quantity.reading != FINAL for quantity in quantities):
        kept = settled(quantities, (rows["zeros"] == rows["numel"]).tolist())
        quantities = [quantities[i]._replace(reading=FINAL) for i in kept]
        dtypes, rows = [dtypes[i] for i in kept], rows[kept]
    in_order = sorted(range(len(quantities)), key=lambda i: quantities[i].order)
    dtypes, rows = [dtypes[i] for i in in_order], rows[in_order]
    low, high = exponents or statistics.exponent_range(rows)
    scalars, counts = statistics.summarise(rows), statistics.exponent_counts(rows, low, high)
    quantities = [quantities[i] for i in in_order]
    scalars = _compact(scalars, dtypes)
    return Block(step, quantities, lived_in(quantities, dtypes), scalars, counts, low)


def lived_in(quantities: Sequence[Quantity], dtypes: Sequence[str]) -> list[str]:
    """Return the number format in which each tensor was computed, given that in which it was measured."""
    return [quantity.lived or dtype for quantity, dtype in zip(quantities, dtypes, strict=True)]


def merged(parts: Sequence[Merged]) -> Merged:
    """Merge parts into one row for each quantity, in rows wide enough for all."""
    return _joined([_merged(*part) for part in parts])


def _joined(parts: list[Merged]) -> Merged:
    if len(parts) < 2:
        return parts[0] if parts else ([], [], statistics.empty_rows(0))
    wide = any(rows.dtype == statistics.WIDE_ROW for *_, rows in parts)
    widened = [statistics.widen(rows) if wide and rows.dtype == statistics.ROW else rows for *_, rows in parts]
    return _merged(
        [quantity for quantities, _, _ in parts for quantity in quantities],
        [dtype for _, dtypes, _ in parts for dtype in dtypes],
        np.concatenate(widened),
    )


def settled(quantities: Sequence[Quantity], zero: Sequence[bool]) -> list[int]:
    """Return the places of the readings that count, one for each tensor; `zero` tells which are zero throughout."""
    read: dict[Any, dict[int, bool]] = defaultdict(dict)
    keys = [quantity.key[:-1] for quantity in quantities]
    for key, quantity, nothing in zip(keys, quantities, zero, strict=True):
        read[key][quantity.reading] = nothing
    counts = {key: chosen(readings) for key, readings in read.items()}
    return [i for i, quantity in enumerate(quantities) if counts[keys[i]] == quantity.reading]


def _merged(quantities: list[Quantity], dtypes: list[str], rows: np.ndarray) -> Merged:
    """Merge rows of one tensor type, name, phase and reading; dtype and place are the first's."""
    numbers: dict[Key, int] = {}
    groups = [numbers.setdefault(quantity.key, len(numbers)) for quantity in quantities]
    first = dict(zip(reversed(groups), zip(reversed(quantities), reversed(dtypes), strict=True), strict=True))
    known = [first[number] for number in range(len(numbers))]
    return [quantity for quantity, _ in known], [dtype for _, dtype in known], statistics.merge(rows, np.array(groups))


def _compact(scalars: dict[str, np.ndarray], dtypes: list[str]) -> dict[str, np.ndarray]:
    """Keep moments as float32, to which they are exact, unless a float64 tensor needs its range."""
    if "float64" in dtypes:
        return scalars
    return {k: v.astype(np.float32) if v.dtype == np.float64 else v for k, v in scalars.items()}


def with_step(block: Block, of_step: Mapping[str, SupportsFloat], order: list[Tensor] | None) -> Block:
    """Return a step's rows with further columns that have one value for the whole step, and the order of execution."""
    more = {name: np.full(len(block.dtypes), float(value)) for name, value in of_step.items()}
    return block._replace(scalars=block.scalars | more, order=order)
