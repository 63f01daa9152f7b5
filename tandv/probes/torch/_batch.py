"""Pass a batch to a model in the way that the model takes it."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn


def run(model: nn.Module, batch: Any, call: Callable[[Any, Any], Any] | None) -> Any:
    """Call the model with a tensor, a tuple of arguments or a dict of named ones; or let `call(model, batch)`."""
    batch = on_device(batch, _device(model))
    if call is not None:
        return call(model, batch)
    if isinstance(batch, Mapping):
        try:
            return model(**batch)
        except TypeError as error:
            error.add_note(
                "a dict is given as named arguments; to a model that takes it whole, call=lambda model, x: model(x)"
            )
            raise
    return model(*batch) if isinstance(batch, tuple | list) else model(batch)


def on_device(batch: Any, device: torch.device | None) -> Any:
    """Return the batch with arrays as tensors, on the model's device."""
    if isinstance(batch, np.ndarray):
        batch = torch.as_tensor(batch)
    if isinstance(batch, torch.Tensor):
        return batch if device is None else batch.to(device)
    if isinstance(batch, Mapping):
        return {name: on_device(value, device) for name, value in batch.items()}
    if isinstance(batch, tuple | list):
        parts = [on_device(value, device) for value in batch]
        return parts if isinstance(batch, list) else tuple(parts)
    return batch


def size(batch: Any) -> int | None:
    """Return how many examples a batch has: the length of its first tensor."""
    if isinstance(batch, torch.Tensor | np.ndarray):
        return len(batch) if batch.ndim else None
    parts = batch.values() if isinstance(batch, Mapping) else batch if isinstance(batch, tuple | list) else ()
    return next((n for part in parts if (n := size(part)) is not None), None)


def _device(model: nn.Module) -> torch.device | None:
    devices = {p.device for p in model.parameters()}
    return devices.pop() if len(devices) == 1 else None


def as_array(tensor: torch.Tensor) -> np.ndarray:
    """Return a copy of a tensor as an array; formats that NumPy lacks become float32, which holds all their values."""
    tensor = tensor.detach()
    if tensor.is_floating_point() and tensor.dtype not in (torch.float32, torch.float64):
        tensor = tensor.float()
    array = tensor.cpu().resolve_conj().resolve_neg().numpy()
    return array.copy() if tensor.is_cpu else array
