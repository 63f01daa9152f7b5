"""Functions that change nnx objects in place: run as functions of their state, which is written back after."""

import functools
import sys
from collections.abc import Callable
from typing import Any

import jax

from tandv.track.jax._tag import naming

Call = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]


def is_object(value: Any) -> bool:
    """Tell whether a value is a model or optimiser of flax.nnx, which change in place."""
    nnx = sys.modules.get("flax.nnx")
    return nnx is not None and isinstance(value, nnx.Module | nnx.Optimizer)


def through_state(call: Call, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a function through `call`, which sees arrays only, and update the nnx objects among its arguments."""
    nnx = sys.modules.get("flax.nnx")
    # What nnx calls Pytree was an Object in flax 0.11.0.
    kinds = (nnx.Module, nnx.Optimizer, nnx.Rngs, getattr(nnx, "Pytree", nnx.Object)) if nnx is not None else ()

    def objects_in(tree: Any) -> list[Any]:
        leaves = jax.tree.leaves(tree, is_leaf=lambda x: isinstance(x, kinds))
        return [leaf for leaf in leaves if isinstance(leaf, kinds)]

    objects = objects_in((args, kwargs))
    if nnx is None or not objects:
        return call(function, args, kwargs)
    graph, state = nnx.split((args, kwargs))
    pure = _pure(function, graph)
    state = call(pure, (state,), {})
    (args, kwargs), output = nnx.merge(pure.graph_after, state)
    for one, new in zip(objects, objects_in((args, kwargs)), strict=True):
        nnx.update(one, nnx.state(new))
    return output


class _Pure:
    """A function of the state of its arguments that returns their state after, and its output's."""

    def __init__(self, function: Callable[..., Any], graph: Any):
        functools.update_wrapper(self, function, updated=())
        self._function, self._graph = function, graph

    def __call__(self, state: Any) -> Any:
        nnx = sys.modules["flax.nnx"]
        args, kwargs = nnx.merge(self._graph, state)
        if naming.namer is not None:
            naming.namer.models.append((args, kwargs))
        output = self._function(*args, **kwargs)
        self.graph_after, after = nnx.split(((args, kwargs), output))
        return after


@functools.lru_cache(maxsize=64)
def _pure(function: Callable[..., Any], graph: Any) -> _Pure:
    return _Pure(function, graph)
