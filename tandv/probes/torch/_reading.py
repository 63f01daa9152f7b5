"""Pass an array through some modules of a model."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from tandv.probes.torch._batch import as_array
from tandv.probes.torch._untouched import untouched
from tandv.track.torch.names import module_names


def reader(model: nn.Module, names: Sequence[str], batch: Any, call: Any = None) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function of an array that calls some modules one after the other, and leaves the model unchanged.

    >>> reader(nn.Sequential(nn.Identity(), nn.ReLU()), ["0", "1"], None)(np.array([-1.0, 2.0])).tolist()
    [0.0, 2.0]

    Args:
        model: a PyTorch module.
        names: of its modules.
        batch: not needed here.
        call: not needed here.
    """
    modules = {named.name: module for module, named in module_names(model).items()}

    def read(array: np.ndarray) -> np.ndarray:
        with untouched(model):
            x = torch.as_tensor(array)
            for name in names:
                module = modules[name]
                like = next(module.parameters(), None)
                x = module(x if like is None else x.to(like.device, like.dtype))
        return as_array(x)

    return read


def matrices(model: nn.Module, shape: tuple[int, int]) -> list[np.ndarray]:
    """Return the parameters of a model that have a shape.

    >>> [array.shape for array in matrices(nn.Linear(2, 3), (3, 2))]
    [(3, 2)]

    Args:
        model: a PyTorch module.
        shape: of the matrices.
    """
    return [as_array(one) for one in model.parameters() if tuple(one.shape) == shape]
