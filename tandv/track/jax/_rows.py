"""Rows of the log from the measurements of programs and pytrees, in the order of the model's modules."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Self

import numpy as np

from tandv.names import natural, natural_path
from tandv.statistics import EXTREMES
from tandv.tensor_types import WEIGHT_GRADIENT
from tandv.tensor_types import order as order_of
from tandv.track.common.attention import layer_of
from tandv.track.common.measurements import Key as MeasuredKey
from tandv.track.common.measurements import Quantity, in_phase
from tandv.track.common.units import Key, Units
from tandv.track.insight.numbers import Numbers
from tandv.track.jax._collect import Record
from tandv.track.jax._loss_scale import LossScale
from tandv.track.jax._names import Leaf
from tandv.track.jax._naming import text
from tandv.track.jax._packing import unpacked
from tandv.track.jax._tag import SCALE
from tandv.track.jax._units import together

Part = tuple[list[Quantity], list[str], Any]  # quantities, dtypes, and rows


class OnDevice(NamedTuple):
    """Measurements that are still on a device, packed into one array."""

    records: list[Record]
    words: Any


class OnHost(NamedTuple):
    """Measurements on the host: a row for each leaf of a tree, whose array is replaced by its dtype."""

    leaves: list[Leaf]
    rows: np.ndarray


class JaxStep(NamedTuple):
    """The measurements of one step."""

    step: int
    programs: list[OnDevice]
    trees: list[OnDevice]
    read: list[OnHost]
    has_gradients: bool  # of the weights, as a tree: those that nnx.Optimizer received are the same
    numbers: Callable[[], Numbers] | None = None  # columns of some rows only
    phases: tuple[str, ...] = ()  # of the programs, if there are any
    loss_scale: Any = None  # that gradients with respect to outputs are still to be divided by

    @property
    def words(self) -> list[Any]:
        """The arrays to copy from the device."""
        return [one.words for one in (*self.programs, *self.trees)]

    @property
    def nbytes(self) -> int:
        """Bytes of all that was measured."""
        return sum(words.nbytes for words in self.words) + sum(rows.nbytes for _, rows in self.read)


class Modules:
    """The modules that were called so far, in that order; they determine the order and type of rows."""

    def __init__(self, root: str | None):
        self._root = root
        self._known: dict[str, tuple[int, str]] = {}

    def as_now(self) -> Self:
        """Return a copy that does not change, for rows that another thread makes."""
        copied = type(self)(self._root)
        copied._known = dict(self._known)
        return copied

    @property
    def names(self) -> list[str]:
        """The names of all modules that were called."""
        return list(self._known)

    def note(self, names: Mapping[str, str], root: str | None) -> None:
        """Add the modules that were called, by name and class, and the model's class."""
        self._root = self._root or root
        for name, kind in names.items():
            self._known.setdefault(name, (len(self._known), kind))

    def parts(self, measured: JaxStep, words: list[np.ndarray], selects: Callable[[str], bool]) -> Iterator[Part]:
        """Yield the rows of a step whose packed words have arrived on the host."""
        scale = LossScale.of(measured.loss_scale)
        for number, phase, record, one in _records(measured, words):
            doubled = WEIGHT_GRADIENT if measured.has_gradients and number < len(measured.programs) else None
            if record.mark.tensor_type not in (doubled, SCALE) and not (record.of_units or record.of_blocks):
                rows_of_one = scale.taken_out(record, record.kernel.rows_of(one))
                for quantities, dtypes, rows in self._of_record(record, rows_of_one, selects):
                    yield in_phase(quantities, phase), dtypes, rows
        for leaves, rows in measured.read:
            quantities = [self._quantity(leaf.tensor_type, leaf.name) for leaf in leaves]
            yield quantities, [str(leaf.array) for leaf in leaves], rows

    def units(self, measured: JaxStep, words: list[np.ndarray], selects: Callable[[str], bool]) -> dict[Key, Units]:
        """Return the units of the tensors of a step, where they were measured."""
        out: dict[Key, Units] = {}
        for _, phase, record, one in _records(measured, words):
            if record.of_units:
                mark, found = record.mark, record.kernel.rows_of(one)
                for numbers, units in zip(np.ndindex(*record.layers), found, strict=True):
                    quantity = self._quantity(mark.tensor_type, text(mark.name, numbers), mark.type)
                    key = quantity.tensor_type, quantity.name, phase
                    if units is not None and selects(quantity.name):
                        out[key] = together(out.get(key), units)
        return out

    def blocks(
        self, measured: JaxStep, words: list[np.ndarray], selects: Callable[[str], bool]
    ) -> dict[MeasuredKey, np.ndarray]:
        """Return the sums of the tensors of a step in block formats, where they were measured so."""
        out: dict[MeasuredKey, np.ndarray] = {}
        scale = LossScale.of(measured.loss_scale)
        for _, phase, record, one in _records(measured, words):
            if not record.of_blocks:
                continue
            mark, found = record.mark, scale.taken_out_of_blocks(record, record.kernel.rows_of(one))
            for numbers, sums in zip(np.ndindex(*record.layers), found, strict=True):
                quantity = self._quantity(mark.tensor_type, text(mark.name, numbers), mark.type)
                (quantity,) = in_phase([quantity], phase)
                if sums is not None and selects(quantity.name):
                    out[quantity.key] = sums + out.get(quantity.key, 0)
        return out

    def _of_record(self, record: Record, rows: Any, selects: Callable[[str], bool]) -> Iterator[Part]:
        """Yield the rows of one mark: of each layer, where layers were scanned over."""
        mark = record.mark
        for i, numbers in enumerate(np.ndindex(*record.layers)):
            row = rows[i : i + 1]
            if not len(row):
                continue
            is_empty = not isinstance(row, list) and not row["calls"][0]  # a branch that was not taken
            quantity = self._quantity(mark.tensor_type, text(mark.name, numbers), mark.type)
            if selects(layer_of(quantity)) and not is_empty:
                yield [quantity], [record.dtype], row

    def _quantity(self, tensor_type: str, name: str, kind: str = "") -> Quantity:
        name = self.called(name)
        module = re.sub(r"\[.*$", "", name)
        place, known_kind = self._place(module)
        group = order_of(tensor_type)
        order = (group, tensor_type, *place, natural_path(module.split(".")), name != module, natural(name))
        return Quantity(order, name, kind or known_kind, tensor_type)

    def named(self, make: Callable[[], Numbers] | None) -> Callable[[], Numbers] | None:
        """Return numbers of parameters by the names that the parameters' rows have."""
        return make and (lambda: _renamed(make(), self.called))

    def called(self, name: str) -> str:
        """Return a name in the log; "" is the model itself."""
        return name or self._root or "model"

    def _place(self, name: str) -> tuple[tuple[Any, ...], str]:
        """Return the place in the model of the module that a name belongs to, and its class."""
        keys = name.split(".")
        for end in range(len(keys), 0, -1):
            whole = ".".join(keys[:end])
            if whole in self._known:
                position, kind = self._known[whole]
                return (position, end < len(keys)), kind
        root = self._known.get(self._root or "", (0, ""))[1] if len(keys) == 1 else ""  # the root's own parameter
        return (-1 if root else len(self._known), True), root


def _records(measured: JaxStep, words: list[np.ndarray]) -> Iterator[tuple[int, str, Record, np.ndarray]]:
    """Yield the number of its program, the phase, and the words of each record of a step."""
    for number, ((records, _), flat) in enumerate(zip((*measured.programs, *measured.trees), words, strict=True)):
        phase = measured.phases[number] if number < len(measured.phases) else ""
        for record, one in unpacked(flat, records):
            yield number, phase, record, one


def loss_scale_of(measured: JaxStep, words: list[np.ndarray]) -> float | None:
    """Return the scale of a step's losses, NaN where they have several; None where none was scaled."""
    given = [] if measured.loss_scale is None else [float(np.asarray(measured.loss_scale))]
    for _, _, record, one in _records(measured, words):
        if record.mark.tensor_type == SCALE:
            rows = record.kernel.rows_of(one)
            given += [float(rows[name].reshape(-1)[0]) for name in EXTREMES if rows["calls"].any()]
    return None if not given else given[0] if len(set(given)) == 1 else np.nan


def _renamed(found: Numbers, called: Callable[[str], str]) -> Numbers:
    return found._replace(keys=[(tensor_type, called(name)) for tensor_type, name in found.keys])
