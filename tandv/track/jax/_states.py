"""Training states: objects of users that hold a model's parameters together with its optimiser's state."""

from collections.abc import Mapping
from typing import Any

from tandv.track.jax._objects import is_object

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
    """
    if is_object(state) and not _is_optimizer(state) and not _has(state, _OPTIMIZERS):
        return state, None
    model = _first(state, _MODELS)
    if _is_optimizer(state):
        return (model, state) if model is not None else (state, None)
    optimizer = _first(state, _OPTIMIZERS)
    if model is None or optimizer is None:
        return state, None
    return model, optimizer


def _is_optimizer(state: Any) -> bool:
    return is_object(state) and hasattr(state, "opt_state")


def _has(state: Any, names: tuple[str, ...]) -> bool:
    return _first(state, names) is not None


def _first(state: Any, names: tuple[str, ...]) -> Any:
    if isinstance(state, Mapping):
        return next((state[name] for name in names if state.get(name) is not None), None)
    return next((found for name in names if (found := getattr(state, name, None)) is not None), None)
