"""Pass an array through some modules of a model."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tandv.probes.jax._models import below, prepared
from tandv.probes.jax._outputs import as_numpy


def reader(model: Any, names: Sequence[str]) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function of an array that calls some modules one after the other; the model stays as it is.

    >>> from flax import nnx
    >>> reader(nnx.Sequential(jnp.negative, jnp.abs), ["layers.0"])(np.ones(2)).tolist()
    [-1.0, -1.0]

    Args:
        model: a flax.nnx or an equinox module; modules of equinox are called on each row.
        names: of its modules, or of functions in them.

    Raises TypeError for a flax.linen module, whose modules exist only while it is called.
    """
    ready = prepared(model, None)
    if ready.place is None:
        raise TypeError(f"modules of {ready.name} cannot be called alone, since flax.linen makes them in each call")
    whole = ready.build()
    equinox = sys.modules.get("equinox")
    modules = [below(whole, name) for name in names]

    def read(array: np.ndarray) -> np.ndarray:
        x = jnp.asarray(array)
        for module in modules:
            if equinox is not None and isinstance(module, equinox.Module):
                rows = jax.vmap(module)(x.reshape(-1, x.shape[-1]))
                x = rows.reshape(*x.shape[:-1], -1)
            else:
                x = module(x)
        return as_numpy(x)

    return read
