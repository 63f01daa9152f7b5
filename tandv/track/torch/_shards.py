"""The part that one rank has of a tensor distributed by `torch.distributed.tensor`, so that pieces add up."""

import functools
import math
import sys
import weakref
from collections.abc import Callable
from typing import Any

import torch

from tandv.track.ranks.labels import Shard
from tandv.track.torch._patching import Observed

_summing = Observed("redistribute")

_OWN = {torch.Tensor, torch.nn.Parameter}  # the common classes, which are not distributed


def local(tensor: Any) -> tuple[torch.Tensor | None, Shard | None]:
    """Return this rank's values and which part of the tensor they are, None for a tensor that is no DTensor.

    Of a partial placement, still to be reduced, there are no values.
    """
    if type(tensor) in _OWN:
        return tensor, None
    distributed = sys.modules.get("torch.distributed.tensor")
    if distributed is None or not isinstance(tensor, distributed.DTensor):
        return _arrived(tensor), None
    placements = tuple(tensor.placements)
    shard = _shard(tensor.device_mesh, placements)
    if any(placement.is_partial() for placement in placements):
        return None, shard
    with torch.no_grad():
        return _arrived(tensor.to_local()), shard


def is_spread(tensor: torch.Tensor) -> bool:
    """Tell whether a tensor is a DTensor."""
    distributed = sys.modules.get("torch.distributed.tensor")
    return distributed is not None and isinstance(tensor, distributed.DTensor)


def part_of(tensor: torch.Tensor) -> Shard | None:
    """Return which part this rank has of a module's output; None for a tensor that is no DTensor."""
    return local(tensor)[1]


@functools.lru_cache(4096)
def _shard(mesh: Any, placements: tuple[Any, ...]) -> Shard:
    """Return the ranks of a mesh, and those with the same place along the dimensions that a tensor is split over."""
    ranks = mesh.mesh
    here = mesh.get_coordinate()
    split = [dim for dim, placement in enumerate(placements) if not placement.is_replicate()]
    if here is None:  # this rank is not in the mesh
        return Shard(tuple(ranks.flatten().tolist()), (), 1)
    same = ranks[tuple(here[dim] if dim in split else slice(None) for dim in range(ranks.ndim))]
    pieces = math.prod(ranks.shape[dim] for dim in split)
    return Shard(tuple(ranks.flatten().tolist()), tuple(same.flatten().tolist()), pieces)


def _arrived(tensor: torch.Tensor) -> torch.Tensor:
    """Wait for the collective that fills a tensor."""
    return tensor.trigger_wait() if type(tensor).__name__ == "AsyncCollectiveTensor" else tensor  # type: ignore[attr-defined]


class Sums:
    """Observes the reduction of partial tensors, as tensor parallelism does after a row-wise layer.

    So the sum is measured without a collective of the tracker.
    """

    def __init__(self, receive: Callable[[Any, torch.Tensor], None]):
        self._receive = receive
        self._waiting: dict[int, tuple[weakref.ref[torch.Tensor], Any]] = {}

    def attach(self) -> None:
        distributed = sys.modules.get("torch.distributed.tensor")
        if distributed is not None:
            _summing.join(distributed.DTensor, self._on_redistributed)

    def detach(self) -> None:
        _summing.leave(self._on_redistributed)
        self._waiting.clear()

    def wait_for(self, term: torch.Tensor, what: Any) -> None:
        """Call `receive(what, sum)` when a partial tensor is reduced."""
        self._waiting[id(term)] = weakref.ref(term), what

    def _on_redistributed(self, tensor: torch.Tensor, _: Any, whole: torch.Tensor) -> None:
        known, what = self._waiting.pop(id(tensor), (None, None))
        if known is not None and known() is tensor:
            self._receive(what, whole)

    def unseen(self) -> list[Any]:
        """Return what was not reduced, and forget it."""
        left = [what for _, what in self._waiting.values()]
        self._waiting.clear()
        return left
