"""The outputs of every layer of a PyTorch model on a batch."""

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import nn
from torch.nn.modules.module import register_module_forward_hook

from tandv.probes._layers import chosen, numbered
from tandv.probes.torch._batch import as_array, run
from tandv.probes.torch._untouched import untouched
from tandv.track.torch.names import module_names
from tandv.track.torch.outputs import tensors_in


def get_intermediate_outputs(
    model: nn.Module, x: Any, layers: Any = None, call: Callable[[Any, Any], Any] | None = None
) -> dict[str, np.ndarray]:
    """Return the outputs of layers as arrays by name; see `tandv.probes.get_intermediate_outputs`.

    >>> import torch
    >>> get_intermediate_outputs(nn.Linear(4, 2), torch.ones(3, 4))["Linear"].shape
    (3, 2)

    Args:
        model: a PyTorch module.
        x: the input: a tensor, a tuple of positional arguments, or a dict of keyword arguments.
        layers: a layer's name, a compiled pattern, or a list of these; None for all.
        call: `call(model, x)` runs the model, for models that take their input in another way.

    Raises LookupError with the nearest names for a layer that the model does not have or does not call.
    """
    names = module_names(model)
    wanted = set(chosen([named.name for named in names.values()], layers))
    seen: dict[str, list[tuple[str, np.ndarray]]] = {name: [] for name in wanted}
    times: dict[str, int] = {}

    def record(module: nn.Module, _: Any, output: Any) -> None:
        if (named := names.get(module)) is None or named.name not in wanted:
            return
        time = times[named.name] = times.get(named.name, -1) + 1
        for name, tensor in tensors_in(output, named.name):
            if not tensor.is_meta and not tensor.is_sparse and not tensor.is_nested:
                seen[named.name].append((numbered(name, named.name, time), as_array(tensor)))

    with untouched(model) as inner:
        hook = register_module_forward_hook(record)
        try:
            run(inner, x, call)
        finally:
            hook.remove()
    if layers is not None and (silent := [name for name, found in seen.items() if not found]):
        raise LookupError(
            f"{', '.join(map(repr, sorted(silent)))} gave no output: the forward pass does not call it (containers "
            "and modules whose weights others use are not called); choose a layer around it or in it"
        )
    return {name: array for named in names.values() if named.name in wanted for name, array in seen[named.name]}
