"""Measure inside a compiled CPU program by the kernel that measures on the host.

XLA calls it as a typed FFI target, not as a host callback: no Python runs, no lock is taken and nothing is copied.
"""

import ctypes
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tandv import statistics

_TARGET = "tandv_measure"
WORDS = 2 * statistics.WORDS  # of a row, as uint32


@functools.cache
def available() -> bool:
    """Tell whether programs for the CPU can call the kernel here, by trying it; not to be called within a trace."""
    try:
        from tandv.measure import ffi

        jax.ffi.register_ffi_target(_TARGET, capsule(ffi.measure_operands.address or 0), platform="cpu")
        with jax.default_device(jax.local_devices(backend="cpu")[0]):
            words = jax.jit(measure)(jnp.array([3.0, -4.0], jnp.float32))
        row = rows_of(np.asarray(words))[0]
        return int(row["numel"]) == 2 and float(row["sum_abs"]) == 7.0
    except Exception:  # no numba, or another interface of XLA: its own operations are used instead
        return False


def measurable(dtype: Any) -> bool:
    """Tell whether the kernel measures a dtype."""
    from tandv.measure.ffi import XLA_TYPES

    return str(dtype) in XLA_TYPES


def measure(x: jax.Array, as_matrix: bool = False) -> jax.Array:
    """Return the words of a row that has measured `x`.

    The kernel reads a copy after a barrier. A further use of the value itself would change what XLA fuses with the
    operation that computes it, and so the last bits of other results. For a flat copy XLA computes the value again.
    `as_matrix` gives a value of more than two axes the shape [all others, last axis], in which products with weights
    read it, too: one copy serves both. But there are models of which that changes the last bits of other results.
    """
    shape = (x.size // x.shape[-1], x.shape[-1]) if as_matrix and x.ndim > 2 and x.size else (x.size,)
    return _call(jax.lax.optimization_barrier(jax.lax.reshape(x, shape)))


def merge(one: jax.Array, other: jax.Array) -> jax.Array:
    """Return the words of two rows merged."""
    return _call(one, other)


def empty() -> np.ndarray:
    """Return the words of a row that has measured nothing."""
    return statistics.empty_rows(1).view(np.uint32).reshape(-1)


def rows_of(words: np.ndarray) -> np.ndarray:
    """Return the rows whose words, [..., WORDS], came out of a program."""
    return np.ascontiguousarray(words).reshape(-1).view(statistics.ROW)


def _call(*operands: jax.Array) -> jax.Array:
    call = jax.ffi.ffi_call(_TARGET, jax.ShapeDtypeStruct((WORDS,), jnp.uint32), vmap_method="sequential")
    return call(*operands)


def capsule(address: int) -> Any:
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
    return new(address, None, None)
