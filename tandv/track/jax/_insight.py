"""Insight into JAX's optimisers: the gradients given to `step`, and the weights before and after it.

JAX has no hook around an optimiser, so the weights before the step are held until it ends: the arrays themselves,
or copies where they are donated to the step. Arrays on one CPU are read in place.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from tandv.log.raster import codes_of
from tandv.measure.insight.host import KINDS, HostKept, Memory, Moving, available
from tandv.track.insight.numbers import InsightSettings, Moved, Numbers, numbers
from tandv.track.insight.numbers import joined as all_of
from tandv.track.insight.raster import RasterWriter
from tandv.track.jax import _names
from tandv.track.jax._insight_arrays import JaxKept
from tandv.track.jax._names import Leaf

_THREADS = 2  # as `_trees` takes
_MOMENTA, _SQUARES = ("mu", "trace"), "nu"


class _NameGroup(NamedTuple):
    """Tensors that are compared at a time, and what is kept of them."""

    kept: Any  # HostKept or JaxKept
    names: list[str]


class JaxInsight:
    """Compares each step's gradients and weights with those before."""

    def __init__(self, tracker: Any, asked: InsightSettings, raster: RasterWriter | None):
        self._tracker, self._asked, self._raster = tracker, asked, raster
        self._place: dict[str, tuple[_NameGroup, int]] = {}
        self._given: dict[str, Any] = {}  # the weights before the step
        self._copied: dict[str, Any] = {}
        self._are_donated = True  # until a step does not donate them

    @property
    def nbytes(self) -> int:
        """Bytes that are kept from step to step."""
        return sum({id(group): group.kept.nbytes for group, _ in self._place.values()}.values())

    def start_of_step(self, weights: list[Leaf]) -> None:
        """Hold the weights before the step."""
        self._given = {leaf.name: leaf.array for leaf in weights}
        in_place = {name: array for name, array in self._given.items() if isinstance(array, np.ndarray)}
        others = self._given.keys() - in_place.keys() if self._are_donated else ()
        self._copied = {name: array.copy() for name, array in in_place.items()}
        self._copied |= {name: jax.numpy.copy(self._given[name]) for name in others}

    def let_go(self) -> None:
        """Release the weights."""
        self._given, self._copied = {}, {}

    def end_of_step(
        self, gradients: list[Leaf], after: list[Leaf], opt_state: Any, model: Any
    ) -> Callable[[], Numbers] | None:
        """Compare gradients and measure updates; return a function that makes the step's numbers."""
        gone = {name for name, array in self._given.items() if isinstance(array, jax.Array) and array.is_deleted()}
        before = {name: array for name, array in self._given.items() if name not in gone} | self._copied
        self._are_donated = bool(gone)
        fitting = {leaf.name: leaf.array for leaf in after}
        before = {
            name: array
            for name, array in before.items()
            if name in fitting and fitting[name].shape == array.shape  # a layer may have been replaced
        }
        self.let_go()
        given = {leaf.name: leaf.array for leaf in gradients if leaf.array.dtype.itemsize > 1}
        if not given:
            return None
        if self._raster is not None and not self._place:
            self._raster.begin(list(given), [array.size for array in given.values()])
        try:
            found = [
                (group, *self._of_group(group, names, given, before, fitting, _states(opt_state, model)))
                for group, names in self._grouped(given)
            ]
        except Exception as error:
            if all(len(_devices(array)) == 1 for array in given.values()):
                raise
            self._tracker.warn_once(f"insight leaves arrays out that are spread in a way it does not know: {error}")
            return None
        asked, raster, signs = self._asked, self._raster, self._signs(found)

        def make() -> Numbers:
            if raster is not None:
                raster.put({name: codes_of(*map(np.asarray, bits)) for name, bits in signs.items()})
            return all_of(
                [numbers(asked, group.names, group.kept.layout, compared, moved) for group, compared, moved in found]
            )

        return make

    def _of_group(
        self, group: _NameGroup, names: list[str], given: Any, before: Any, after: Any, states: "_States"
    ) -> tuple[Any, Moved | None]:
        of = [self._place[name][1] for name in names]
        kept = group.kept
        changed = [name for name in names if name in before]
        there = [self._place[name][1] for name in changed]
        momenta, squares = ([table.get(name) for name in changed] for table in (states.momenta, states.squares))
        scaled = np.array([one is not None for one in squares], bool)
        # Where other parameters have a momentum, one without may not be trained, such as a frozen part.
        asked = np.array([not states.momenta or name in states.momenta for name in changed], bool)
        eps, beta2 = self._asked.adam
        if isinstance(kept, HostKept):
            compared = kept.compare(
                of, [_memory(given[name]) for name in names], [_memory_if(before.get(name)) for name in names], _THREADS
            )
            limit = eps**2 * (1 - beta2 ** float(states.count)) if scaled.any() else 0.0
            moving = [
                Moving(_memory(before[name]), _memory(after[name]), _memory_if(m), _memory_if(s), limit)
                for name, m, s in zip(changed, momenta, squares, strict=True)
            ]
            result = kept.moved(there, moving, _THREADS) if moving else None
        else:
            compared = kept.compare(of, [given[name] for name in names], [before.get(name) for name in names])
            limit = eps**2 * (1 - beta2 ** jax.numpy.asarray(states.count, np.float32))
            changes = [before[name] for name in changed], [after[name] for name in changed]
            result = kept.moved(there, *changes, momenta, squares, limit) if changed else None
        return compared, None if result is None else Moved(there, scaled, asked, *result)

    def _grouped(self, given: dict[str, Any]) -> list[tuple[_NameGroup, list[str]]]:
        """Return names with the group that each belongs to; new ones, and those that have grown, get a new one."""
        new: dict[tuple[bool, str], list[str]] = {}
        for name, array in given.items():
            if name not in self._place or not self._fits(name, array):
                new.setdefault((_on_host(array), "float64" if array.dtype == np.float64 else "float32"), []).append(
                    name
                )
        for (on_host, dtype), names in new.items():
            sizes = [given[name].size for name in names]
            thresholds = self._asked.thresholds
            kept: Any = HostKept(sizes, thresholds) if on_host else JaxKept(sizes, thresholds, dtype)
            group = _NameGroup(kept, names)
            self._place |= {name: (group, number) for number, name in enumerate(names)}
        out: dict[int, tuple[_NameGroup, list[str]]] = {}
        for name in given:
            group = self._place[name][0]
            out.setdefault(id(group), (group, []))[1].append(name)
        return list(out.values())

    def _fits(self, name: str, array: Any) -> bool:
        group, number = self._place[name]
        return isinstance(group.kept, HostKept) == _on_host(array) and group.kept.layout.sizes[number] == array.size

    def _signs(self, found: Sequence[Any]) -> dict[str, tuple[Any, ...]]:
        """Return the bits of which the raster of this step is made."""
        if self._raster is None:
            return {}
        within, places = 1 + len(self._asked.thresholds), self._raster.places
        return {
            name: tuple(group.kept.bits(tensor, plane, places[name]) for plane in (0, 1, within))
            for group, compared, _ in found
            for tensor in compared.tensors
            if (name := group.names[tensor]) in places
        }


class _States(NamedTuple):
    momenta: dict[str, Any]
    squares: dict[str, Any]
    count: Any  # of the steps that Adam has taken


def _states(opt_state: Any, model: Any) -> _States:
    """Return the state of each parameter, by the names of optax."""
    if opt_state is None or model is None:
        return _States({}, {}, 1)
    fields: dict[str, dict[str, Any]] = {}
    for leaf in _names.optimizer_states(opt_state, model):
        field = leaf.tensor_type.partition(".")[2].partition("@")[0]
        fields.setdefault(field, {})[leaf.name] = leaf.array
    momenta = next((fields[field] for field in _MOMENTA if field in fields), {})
    return _States(momenta, fields.get(_SQUARES, {}), _names.count_of(opt_state))


def _devices(array: Any) -> Any:
    return array.devices() if isinstance(array, jax.Array) else (None,)


def _on_host(array: Any) -> bool:
    if str(array.dtype) not in KINDS or not available():
        return False
    return isinstance(array, np.ndarray) or [device.platform for device in array.devices()] == ["cpu"]


def _memory(array: Any) -> Memory:
    kind = KINDS.index(str(array.dtype))
    if isinstance(array, np.ndarray):
        array = np.ascontiguousarray(array)
        return Memory(kind, array.ctypes.data, array.size, array)
    # By address: a NumPy view would be cached by JAX, and prevent donation of the array.
    return Memory(kind, array.block_until_ready().unsafe_buffer_pointer(), array.size, array)


def _memory_if(array: Any) -> Memory | None:
    return None if array is None or str(array.dtype) not in KINDS else _memory(array)
