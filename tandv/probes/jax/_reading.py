"""Pass an array through some modules of a model."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tandv.probes.jax._models import Prepared, below, prepared
from tandv.probes.jax._outputs import as_numpy

Module = Callable[[jax.Array], jax.Array]


def reader(model: Any, names: Sequence[str], batch: Any, call: Any = None) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function of an array that calls some modules one after the other; the model stays as it is.

    >>> from flax import nnx
    >>> reader(nnx.Sequential(jnp.negative, jnp.abs), ["layers.0"], None)(np.ones(2)).tolist()
    [-1.0, -1.0]

    Args:
        model: a flax.nnx or an equinox module, of which modules are called on each row, or a flax.linen module bound to
            its variables.
        names: of its modules, or of functions in them.
        batch: an input on which the model calls them: a module of flax.linen may exist only then.
        call: `call(model, batch)` runs the model, for models that take their input in another way.
    """
    ready = prepared(model, call)
    modules = _called(ready, names, batch) if ready.place is None else _kept(ready.build(), names)

    def read(array: np.ndarray) -> np.ndarray:
        x = jnp.asarray(array)
        for module in modules:
            x = module(x)
        return as_numpy(x)

    return read


def matrices(model: Any, shape: tuple[int, int]) -> list[np.ndarray]:
    """Return the parameters of a model that have a shape.

    >>> from flax import nnx
    >>> [array.shape for array in matrices(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), (2, 3))]
    [(2, 3)]

    Args:
        model: as for `reader`.
        shape: of the matrices.
    """
    nnx, linen = sys.modules.get("flax.nnx"), sys.modules.get("flax.linen")
    if nnx is not None and isinstance(model, nnx.Module):
        model = nnx.state(model)
    elif linen is not None and isinstance(model, linen.Module):
        model = model.variables
    return [as_numpy(leaf) for leaf in jax.tree.leaves(model) if getattr(leaf, "shape", None) == shape]


def _kept(whole: Any, names: Sequence[str]) -> list[Module]:
    equinox = sys.modules.get("equinox")
    modules = [below(whole, name) for name in names]
    return [_of_rows(one) if equinox is not None and isinstance(one, equinox.Module) else one for one in modules]


def _of_rows(module: Any) -> Module:
    def call(x: jax.Array) -> jax.Array:
        return jax.vmap(module)(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], -1)

    return call


def _called(ready: Prepared, names: Sequence[str], batch: Any) -> list[Module]:
    """Return modules of flax.linen with their variables, which they have only while the model is called."""
    linen = sys.modules["flax.linen"]
    found: dict[str, Module] = {}

    def watch(method: Any, args: Any, kwargs: Any, context: Any) -> Any:
        name = ".".join(map(str, context.module.path))
        if name in names and name not in found and context.method_name == "__call__":
            module, variables = context.module.unbind()
            found[name] = lambda x: module.apply(variables, x)
        return method(*args, **kwargs)

    with linen.intercept_methods(watch):
        ready.call(ready.build(), batch)
    return [found[name] for name in names]
