"""A number that may be a JAX array: copied when it is given, without waiting for the device."""

from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from tandv.track.common.numbers import Reading, known


def reading(value: Any) -> Reading:
    """Return how a number is read; the array may be donated or deleted afterwards.

    >>> loss = jax.numpy.float32(2.0)
    >>> read = reading(loss)
    >>> loss.delete()
    >>> read(True)
    2.0

    Args:
        value: an array of one number, or what `known` takes.

    Raises TypeError or ValueError saying what is wrong.
    """
    if isinstance(value, Tracer):
        raise TypeError("it is being traced (call this outside of jit, with what the jitted function returns)")
    if not isinstance(value, jax.Array):
        return known(value)
    if value.size != 1:
        raise ValueError(f"it is an array of shape {value.shape}")
    if getattr(value.dtype, "kind", "") not in tuple("biufV"):  # keys of random numbers have none
        raise TypeError(f"it is an array of {value.dtype}")
    if value.is_deleted():
        raise ValueError("it is an array that has been donated or deleted (give it before it is)")
    one = value.addressable_data(0)  # of an array on several devices or hosts, what this process has
    with jax.transfer_guard("allow"), jax.debug_nans(False), jax.debug_infs(False):
        copied = jax.numpy.copy(one)
        copied.copy_to_host_async()
    return lambda wait: _number(copied) if wait or copied.is_ready() else None  # pyright: ignore


def _number(one: jax.Array) -> float:
    with jax.transfer_guard("allow"):  # the user may have forbidden it in all threads
        return float(np.asarray(one).reshape(()).astype(np.float64))
