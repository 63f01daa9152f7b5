"""Run a PyTorch model with the weights of a checkpoint, without touching its own."""

import gc
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from tandv.arrays import as_array
from tandv.messages import some
from tandv.track.torch.names import unwrap

_PREFIXES = ("module.", "_orig_mod.", "model.")  # of DistributedDataParallel, torch.compile, Lightning


def with_weights(model: nn.Module, state: Mapping[str, Any]) -> Callable[[Any, Any], Any]:
    """Return a function of the model and a batch that runs it with other weights than its own, which stay as they are.

    >>> layer = nn.Linear(1, 1, bias=False)
    >>> with_weights(layer, {"weight": [[3.0]]})(layer, torch.ones(1, 1)).item()
    3.0

    Args:
        model: a PyTorch module, which may be wrapped (DistributedDataParallel, torch.compile).
        state: its `state_dict` at another time: tensors or arrays by name.

    Raises ValueError naming what is missing, what is too much, and what has another shape.
    """
    inner = unwrap(model)
    own = _tensors(inner)
    given = _without_prefix(state, own)
    lacking, unknown = sorted(_needed(inner) - given.keys()), sorted(given.keys() - own.keys())
    wrong = [f"it lacks the model's {some(lacking)}"] if lacking else []
    wrong += [f"it has {some(unknown)}, which the model lacks"] if unknown else []
    shapes = {name: tuple(as_array(value).shape) for name, value in given.items() if name in own}
    wrong += [
        f"{name} is {shape} and in the model {tuple(own[name].shape)}"
        for name, shape in shapes.items()
        if shape != tuple(own[name].shape)
    ]
    if wrong:
        raise ValueError(f"a checkpoint is not of this {type(inner).__name__}: {'; '.join(wrong)}")
    tensors = {name: _like(given[name], own[name]) for name in shapes}

    def call(model: nn.Module, batch: Any) -> Any:
        if isinstance(batch, Mapping):
            return functional_call(unwrap(model), tensors, (), dict(batch))
        return functional_call(unwrap(model), tensors, tuple(batch) if isinstance(batch, tuple | list) else (batch,))

    return call


def models_of(state: Mapping[str, Any]) -> list[nn.Module]:
    """Return the models in memory that have exactly these weights by name and shape; of equal ones only the last.

    >>> models_of({"weights of no model": torch.ones(1)})
    []

    Args:
        state: a `state_dict`.
    """
    shapes = {name: tuple(as_array(value).shape) for name, value in state.items() if hasattr(value, "shape")}
    found: dict[str, nn.Module] = {}
    for one in gc.get_objects():
        if issubclass(type(one), nn.Module) and _fits(one, shapes):
            found[f"{type(one).__module__}.{one!r}"] = one
    return list(found.values())


def _fits(model: nn.Module, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    if not shapes or "_modules" not in model.__dict__:  # one that is still being made
        return False
    own = _tensors(model)
    return own.keys() >= shapes.keys() >= _needed(model) and all(
        tuple(own[name].shape) == shape for name, shape in shapes.items()
    )


def _tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    return dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers(remove_duplicate=False))


def _needed(model: nn.Module) -> set[str]:
    return {name for name, _ in model.named_parameters()}


def _without_prefix(state: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state by the names of the model, without what wrappers and trainers put before all of them."""
    for prefix in _PREFIXES:
        if not own.keys() & state.keys() and state and all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return dict(state)


def _like(value: Any, own: torch.Tensor) -> torch.Tensor:
    if isinstance(value, torch.Tensor):
        return value.detach().to(own.device, own.dtype)
    array = as_array(value)
    if array.dtype.kind not in "iub" and array.dtype.name not in ("float64", "float32", "float16"):
        array = array.astype("float32")  # a format that torch does not take from NumPy
    return torch.tensor(array).to(own.device, own.dtype)
