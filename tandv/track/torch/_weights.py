"""A PyTorch model's weights at a step: copied without waiting, written under the model's own names."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from tandv.track.common.saving import Snapshot, Source
from tandv.track.torch.names import Named, module_names, parameter_names


def source(module: nn.Module) -> Source:
    """Return how the weights of a model are copied and written; see `tandv.track.common.saving`."""
    return Source(lambda: _copy(state(module), layers(module)), _write)


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return parameters and persistent buffers by the names of `state_dict()`, without wrappers, tied ones once.

    `state_dict()` itself is not called: its hooks may have side effects.
    """
    found: dict[str, torch.Tensor] = {}
    seen: set[torch.Tensor] = set()
    for i, (one, named) in enumerate(module_names(module).items()):
        prefix = f"{named.name}." if i else ""
        passing = one._non_persistent_buffers_set
        for name, tensor in (*one._parameters.items(), *one._buffers.items()):
            if tensor is not None and tensor not in seen and name not in passing:
                seen.add(tensor)
                found[prefix + name] = tensor
    return found


def layers(module: nn.Module) -> dict[str, str | None]:
    """Return the name in the log of each tensor of `state`; None for buffers."""
    named: dict[torch.Tensor, Named] = {**parameter_names(module)}
    return {name: named[tensor].name if tensor in named else None for name, tensor in state(module).items()}


def problems(module: nn.Module) -> list[str]:
    """Return why the weights of a model cannot be saved: they are sharded over ranks, or have no memory."""
    odd = {type(one).__name__ for one in state(module).values()} & {"DTensor", "FlatParameter"}
    odd |= {"meta tensor" for one in state(module).values() if one.is_meta}
    if not odd:
        return []
    return [
        f"save= cannot save {' and '.join(sorted(odd))}s, of which each rank has a piece (or none); "
        "save these by torch.distributed.checkpoint"
    ]


def _copy(tensors: dict[str, torch.Tensor], layers: dict[str, str | None]) -> Snapshot:
    nbytes = sum(tensor.nbytes for tensor in tensors.values())
    with torch.no_grad():
        copies = {name: _on_host(tensor.detach()) for name, tensor in tensors.items()}
    arrived = [_event(device) for device in {tensor.device for tensor in tensors.values()} if device.type == "cuda"]

    def arrays() -> dict[str, torch.Tensor]:
        for event in arrived:
            event.synchronize()
        return copies

    return Snapshot(nbytes, layers, arrays)


def _on_host(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.device.type != "cuda":
        return tensor.to("cpu", memory_format=torch.contiguous_format, copy=True)
    # Into page-locked memory: the copy is asynchronous on the GPU's stream.
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return host.copy_(tensor, non_blocking=True)


def _event(device: torch.device) -> torch.cuda.Event:
    event = torch.cuda.Event()
    event.record(torch.cuda.current_stream(device))
    return event


def _write(path: Path, arrays: dict[str, Any], about: dict[str, str]) -> None:
    from safetensors.torch import save_file

    save_file(arrays, path, about)
