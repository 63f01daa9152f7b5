"""Keras on JAX: its function of a step is intercepted, its layers mark their outputs, its variables become trees."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tandv.integrations._trainers_run import TrainersRun
from tandv.track.common.keras_names import Keys, layer_paths, own_variables
from tandv.track.jax import JaxTracker, tag, track

__all__ = ["stepping", "track"]


def stepping(
    model: Any, function: Callable[[Any, Any], Any], run: TrainersRun
) -> tuple[JaxTracker, Callable[[Any, Any], Any]]:
    """Return a tracker of a model, and Keras's function of a step with the end of the step.

    Args:
        model: the model.
        function: what Keras calls for a batch: (state, iterator) -> (logs, state).
        run: what owns the tracker.
    """
    layers = layer_paths(model)
    weights = [_path_of(variable, layers) for variable in model.trainable_variables]
    states = [_state_of(variable, model.trainable_variables, weights) for variable in model.optimizer.variables]
    rate = next((i for i, one in enumerate(model.optimizer.variables) if one.name == "learning_rate"), None)
    tracker = track(
        model_state=_tree(weights, [variable.value for variable in model.trainable_variables]),
        optimizer_state=_tree(states, [variable.value for variable in model.optimizer.variables]),
        **run.settings,
    )

    def step(state: Any, iterator: Any) -> Any:
        if run.running is not tracker:
            return function(state, iterator)
        with run.harmless():
            run.numbers({} if rate is None else {"lr": state[2][rate]})
        with _marking(layers):
            logs, state = tracker.intercept(function, state, iterator)
        with run.harmless():
            run.numbers(dict(logs))
            tracker.step(_tree(weights, state[0]), _tree(states, state[2]))
        return logs, state

    return tracker, step


@contextmanager
def _marking(layers: Mapping[Any, Keys]) -> Iterator[None]:
    """Have each layer mark what it returns, while JAX traces it."""
    own = {layer: vars(layer)["call"] for layer in layers if "call" in vars(layer)}
    for layer, path in layers.items():
        object.__setattr__(layer, "call", _marked(layer.call, ".".join(path) or type(layer).__name__))
    try:
        yield
    finally:
        for layer in layers:
            object.__delattr__(layer, "call")
        for layer, call in own.items():
            object.__setattr__(layer, "call", call)


def _marked(call: Callable[..., Any], name: str) -> Callable[..., Any]:
    @functools.wraps(call)
    def marked(*arguments: Any, **named: Any) -> Any:
        return tag(call(*arguments, **named), name)

    return marked


def _path_of(variable: Any, layers: Mapping[Any, Keys]) -> Keys:
    for layer, path in layers.items():
        for name, own in own_variables(layer):
            if own is variable:
                return (*path, name)
    return tuple(variable.path.split("/"))


def _state_of(variable: Any, weights: Sequence[Any], paths: Sequence[Keys]) -> Keys:
    """Return the path of a variable of the optimiser: its kind, then the path of the weight whose state it is."""
    for weight, path in zip(weights, paths, strict=True):
        own = weight.path.replace("/", "_") + "_"
        if variable.name.startswith(own) and variable.shape == weight.shape:
            return (variable.name.removeprefix(own), *path)
    return (variable.name,)


def _tree(paths: Sequence[Keys], values: Sequence[Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, value in zip(paths, values, strict=True):
        inner = tree
        for key in path[:-1]:
            inner = inner.setdefault(key, {})
        inner[path[-1]] = value
    return tree
