"""Training states: objects of users that hold a model's parameters together with its optimiser's state."""

from collections.abc import Mapping
from typing import Any

import jax

from tandv.track.jax._objects import is_object
from tandv.track.jax._tag import is_float

# Usual names of parameters or a model, and of the optimiser's state.
_MODELS = ("params", "model", "model_state", "parameters")
_OPTIMIZERS = ("opt_state", "optimizer_state", "opt", "optimizer")


def parts_of(state: Any) -> tuple[Any, Any]:
    """Return the model (or its parameters) and the optimiser's state of a training state; else `state` and None.

    flax's `TrainState`, `nnx.ModelAndOptimizer`, and dicts, dataclasses, named tuples and trainers that hold `params`
    (or `model`) beside `opt_state` (or `optimizer`) are training states.

    >>> parts_of({"params": {"w": 1.0}, "opt_state": {"mu": 0.5}, "step": 3})
    ({'w': 1.0}, {'mu': 0.5})
    >>> parts_of({"w": 1.0})
    ({'w': 1.0}, None)

    Those whose parts have other names or none are known by the states of optax in them: a tuple of parameters, states
    and a key.

    >>> import jax.numpy as jnp, optax
    >>> params = {"w": jnp.ones(1)}
    >>> state = params, optax.adam(0.1).init(params), 3
    >>> parts_of(state) == state[:2]
    True
    """
    if is_object(state) and not _is_optimizer(state) and not _has(state, _OPTIMIZERS):
        return state, None
    model = _first(state, _MODELS)
    if _is_optimizer(state):
        return (model, state) if model is not None else (state, None)
    optimizer = _first(state, _OPTIMIZERS)
    if model is None or optimizer is None:
        return _known_by_optax(state, model)
    return model, optimizer


def mixed_problems(model: Any, argument: str) -> list[str]:
    """Return what is wrong with a model that holds states of an optimiser, which would be taken for weights.

    Args:
        model: what `parts_of` takes for the model.
        argument: what it was given as, for the message.
    """
    if is_object(model) or not any(map(_is_of_optax, jax.tree.leaves(model, is_leaf=_is_of_optax))):
        return []
    return [
        f"{argument}={type(model).__name__} holds states of an optimiser beside parameters, and not one of each; give "
        "them apart, as in track(model_state=state.params, optimizer_state=state.opt_state) and "
        "tracker.step(state.params, state.opt_state)"
    ]


def _known_by_optax(state: Any, model: Any) -> tuple[Any, Any]:
    """Return the model and the one part of a state that is optax's; else `state` and None.

    Args:
        state: the training state.
        model: its part with the name of a model; without one, the part that the optimiser's state was made for.
    """
    parts = jax.tree.leaves(state, is_leaf=lambda part: part is not state)
    optimizers = [part for part in parts if _is_optimizer_state(part)]
    if len(optimizers) != 1:
        return state, None
    if model is not None:
        return model, optimizers[0]
    others = [part for part in parts if not _is_optimizer_state(part) and _has_floats(part)]
    fitting = [part for part in others if len(others) == 1 or _is_made_for(optimizers[0], part)]
    return (fitting[0], optimizers[0]) if len(fitting) == 1 else (state, None)


def _is_of_optax(part: Any) -> bool:
    return isinstance(part, tuple) and hasattr(part, "_fields") and type(part).__module__.partition(".")[0] == "optax"


def _is_optimizer_state(part: Any) -> bool:
    """Tell whether a part of a state is one of optax, or a chain of several."""
    return _is_of_optax(part) or (type(part) is tuple and any(map(_is_optimizer_state, part)))


def _is_made_for(optimizer: Any, part: Any) -> bool:
    structure = jax.tree.structure(part)
    return structure.num_nodes > 1 and any(
        jax.tree.structure(one) == structure
        for one in jax.tree.leaves(optimizer, is_leaf=lambda one: jax.tree.structure(one) == structure)
    )


def _has_floats(part: Any) -> bool:
    return any(map(is_float, jax.tree.leaves(part)))


def _is_optimizer(state: Any) -> bool:
    return is_object(state) and hasattr(state, "opt_state")


def _has(state: Any, names: tuple[str, ...]) -> bool:
    return _first(state, names) is not None


def _first(state: Any, names: tuple[str, ...]) -> Any:
    if isinstance(state, Mapping):
        return next((state[name] for name in names if state.get(name) is not None), None)
    return next((found for name in names if (found := getattr(state, name, None)) is not None), None)
