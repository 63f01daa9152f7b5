"""A user's own statistics: `stash_value` is called with each tensor, and what it returns becomes the row."""

import math
import numbers
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tandv import measure
from tandv.track.common.execution_order import ExecutionOrder
from tandv.track.common.measurements import Block, Key, Later, Quantity, in_phase, lived_in, settled
from tandv.track.common.readings import LAST, LEFT_OVER

_SHAPE = (
    "it must return named scalars, {'scalar_stats': {'std': 0.1}, 'exp_hist': {'hist': [...], 'bins': [...]}} "
    "or a flat dict such as {'std': 0.1}"
)


class _Returned(NamedTuple):
    dtype: str
    scalars: Mapping[str, Any]
    counts: Mapping[float, Any]  # by exponent
    tensor: np.ndarray | None


class Stashed:
    """What a user's function returned for each quantity in the current step; the last call of a step counts."""

    def __init__(self, stash_value: Callable[[Any], Any]):
        self._stash_value = stash_value
        self._alone = threading.RLock()  # several threads may measure, such as those of autograd
        self.phase = ""  # the current one
        self.execution = ExecutionOrder()
        self.clear()

    def clear(self) -> None:
        self._values: dict[Key, tuple[Quantity, _Returned, int]] = {}
        self._zero: dict[Key, bool] = {}  # of readings that count only with zeros, or without

    def __bool__(self) -> bool:
        return bool(self._values)

    def add(self, tensors: Sequence[Any], quantities: Sequence[Quantity]) -> list[Any]:
        """Call the user's function on each tensor; its numbers are read only when the step is taken."""
        self.execution.note((one.tensor_type, one.name) for one in quantities)
        handles = []
        for tensor, quantity in zip(tensors, quantities, strict=True):
            if quantity.reading in (LAST, LEFT_OVER):
                self._zero[quantity.key] = not bool((tensor != 0).any())
            handles.append(self.put(self._stash_value(tensor), measure.dtype_name(tensor), quantity))
        return handles

    def put(self, answer: Any, dtype: str, quantity: Quantity, calls: int = 1) -> Any:
        """Keep what the user's function returned in the last of `calls`; return a handle to `share` it."""
        said = _checked(dtype, answer, self._stash_value)
        self._keep(quantity, said, calls)
        return said

    def share(self, handle: Any, quantity: Quantity) -> bool:
        """Let the numbers of a tensor count for another quantity as well."""
        self.execution.note([(quantity.tensor_type, quantity.name)])
        self._keep(quantity, handle)
        return True

    def take(self, step: int) -> Block:
        """Return the step's rows in model order and start the next step."""
        with self._alone:
            values, zero = list(self._values.values()), [self._zero.get(key, False) for key in self._values]
            self.clear()
        kept = settled([quantity for quantity, *_ in values], zero)
        values = sorted((values[i] for i in kept), key=lambda value: value[0].order)
        quantities, said = [quantity for quantity, _, _ in values], [one for _, one, _ in values]
        calls = np.array([times for *_, times in values], np.int64)
        names = dict.fromkeys(name for one in said for name in one.scalars)
        columns = {name: np.array([float(one.scalars.get(name, math.nan)) for one in said]) for name in names}
        bins = [int(n) for one in said for n in one.counts if math.isfinite(n)]
        lowest, highest = (min(bins), max(bins)) if bins else (0, 0)
        counts = np.zeros((len(said), highest - lowest + 3), np.int64)
        for row, one in zip(counts, said, strict=True):
            for n, count in one.counts.items():
                row[0 if n == -math.inf else -1 if n == math.inf else int(n) - lowest + 1] += int(count)
        tensors = {
            "/".join((*filter(None, [quantity.phase]), quantity.tensor_type, quantity.name)): one.tensor
            for quantity, one in zip(quantities, said, strict=True)
            if one.tensor is not None
        }
        dtypes = lived_in(quantities, [one.dtype for one in said])
        return Block(step, quantities, dtypes, columns | {"calls": calls}, counts, lowest, tensors)

    def take_later(self, step: int) -> Later:
        """Return what `take` returns; it is read now, because the user's tensors may change later."""
        taken = self.take(step)
        return Later.at_once(taken._replace(tensors={name: values.copy() for name, values in taken.tensors.items()}))

    def _keep(self, quantity: Quantity, said: _Returned, times: int = 1) -> None:
        (quantity,) = in_phase([quantity], self.phase)
        with self._alone:
            first, _, calls = self._values.get(quantity.key, (quantity, said, 0))
            self._values[quantity.key] = first, said, calls + times


def _checked(dtype: str, answer: Any, function: Any) -> _Returned:
    """Return what the user's function returned, checked; raise TypeError that says what it must return."""
    called = getattr(function, "__name__", "stash_value")
    if not isinstance(answer, Mapping) or not answer:
        raise TypeError(f"{called} returned {type(answer).__name__} {str(answer)[:60]}; {_SHAPE}")
    answer = dict(answer)
    tensor = answer.pop("full_tensor", None)
    nested = "scalar_stats" in answer or "exp_hist" in answer
    scalars = answer.get("scalar_stats", {}) if nested else answer
    histogram = answer.get("exp_hist", {}) if nested else {}
    wrong = [f"{name!r}: {type(v).__name__}" for name, v in scalars.items() if not _is_scalar(v)]
    if wrong:
        raise TypeError(f"{called} returned what is not a number for {', '.join(wrong)}; {_SHAPE}")
    hist, bins = list(histogram.get("hist", ())), list(histogram.get("bins", ()))
    if len(hist) != len(bins):
        raise TypeError(f"{called} returned {len(hist)} counts for {len(bins)} exponents; there must be one for each")
    values = None if tensor is None else np.asarray(tensor)
    return _Returned(dtype, dict(scalars), dict(zip(map(float, bins), hist, strict=True)), values)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, numbers.Real) or getattr(value, "shape", None) == ()
