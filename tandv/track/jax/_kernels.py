"""The kernels that measure a value inside a program, and read their words as rows."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from tandv import statistics
from tandv.track.jax import _native, _xla


@dataclass(frozen=True, eq=False)
class Kernel:
    """Measures a value as one vector of words (uint32), merges two of them, and reads them on the host."""

    measure: Callable[[jax.Array, tuple[str, ...]], jax.Array]  # the value and the mesh axes it is sharded over
    merge: Callable[[jax.Array, jax.Array], jax.Array]
    empty: np.ndarray
    rows_of: Callable[[np.ndarray], Any]  # of words [..., of one measurement]


Choose = Callable[[Any, bool], Kernel]  # for a value, and whether it is a part within a shard_map


@functools.cache
def xla(dtype: np.dtype) -> Kernel:
    """Return the kernel made of XLA's operations, for values of a dtype."""
    return Kernel(
        _xla.measure,
        functools.partial(_xla.merge, dtype=dtype),
        _xla.empty(dtype),
        functools.partial(_xla.rows_of, dtype=dtype),
    )


@functools.cache
def native(as_matrix: bool = False) -> Kernel:
    """Return the kernel that programs for one CPU call, on values of more than two axes as matrices or flat."""
    return Kernel(lambda x, _: _native.measure(x, as_matrix), _native.merge, _native.empty(), _native.rows_of)


@functools.cache
def host(wide: bool) -> Kernel:
    """Return the kernel that reads rows which were measured on the host."""
    layout = statistics.WIDE_ROW if wide else statistics.ROW
    empty = statistics.empty_rows(1, layout).view(np.uint32).reshape(-1)
    return Kernel(_only_read, _only_read, empty, lambda words: np.ascontiguousarray(words).reshape(-1).view(layout))


def _only_read(*_: Any) -> jax.Array:
    raise NotImplementedError("rows of the host are measured there")


def chooser(one_cpu: bool, as_matrix: bool = False) -> Choose:
    """Return the choice of a kernel for programs on one CPU, or on any other devices."""
    is_native = one_cpu and _native.available()

    def choose(x: Any, in_shard: bool) -> Kernel:
        if is_native and not in_shard and _native.measurable(x.dtype):
            return native(as_matrix)
        return xla(np.dtype(x.dtype))

    return choose
