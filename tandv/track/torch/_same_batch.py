"""Which ranks have the same batch, as weights tell that are split among them: those of tensor parallelism.

Outputs tell this themselves where they are DTensors. In compiled graphs they are plain tensors, though not the weights.
"""

import sys
from collections.abc import Iterator
from typing import Any

from torch import nn

_EXPERTS = 3  # dimensions of weights that hold many experts, whose ranks have batches of their own


def ranks_of_same_batch(model: nn.Module) -> tuple[int, ...] | None:
    """Return the ranks that have this rank's batch, by the numbers of the whole job; None where that is not known.

    >>> ranks_of_same_batch(nn.Linear(2, 2))
    ()

    Args:
        model: the model.
    """
    distributed = sys.modules.get("torch.distributed.tensor")
    if distributed is None:
        return ()
    found: tuple[int, ...] = ()
    data = dict(_data_ranks(model))
    parameter: Any
    for parameter in model.parameters():
        if not isinstance(parameter, distributed.DTensor) or parameter.ndim >= _EXPERTS:
            continue
        apart = data.get(id(parameter), set())
        if apart is None:
            return None
        ranks = _beside(parameter.device_mesh, apart)
        found = ranks if len(ranks) > len(found) else found
    return found


def _data_ranks(model: nn.Module) -> Iterator[tuple[int, set[int] | None]]:
    """Yield the id of each parameter that `fully_shard` spreads over ranks with batches of their own, and these ranks.

    None stands for the ranks where this version of torch does not tell them.
    """
    whole = sys.modules.get("torch.distributed.fsdp")
    for module in model.modules():
        if whole is None or not isinstance(module, whole.FSDPModule):
            continue
        ranks = _spread_over(module)
        for parameter in module.parameters():  # those of modules within, which come later, say it again themselves
            yield id(parameter), ranks


def _spread_over(module: Any) -> set[int] | None:
    state = getattr(module, "_get_fsdp_state", lambda: None)()
    groups = getattr(state, "_fsdp_param_groups", None) or [getattr(state, "_fsdp_param_group", None)]
    meshes: list[Any] = [getattr(getattr(group, "mesh_info", None), "mesh", None) for group in groups]
    if any(mesh is None for mesh in meshes):
        return None
    return {rank for mesh in meshes for rank in mesh.mesh.flatten().tolist()}


def _beside(mesh: Any, apart: set[int]) -> tuple[int, ...]:
    """Return the ranks of a mesh that differ from this one only along dimensions that lead to none of some ranks."""
    ranks, here = mesh.mesh, mesh.get_coordinate()
    if here is None:  # this rank is not in the mesh
        return ()
    place: list[Any] = []
    for dim, at in enumerate(here):
        line = ranks[tuple(slice(None) if d == dim else here[d] for d in range(ranks.ndim))]
        place.append(at if len(line) > 1 and set(line.tolist()) <= apart else slice(None))
    same = ranks[tuple(place)].flatten().tolist()
    return tuple(same) if len(same) > 1 else ()
