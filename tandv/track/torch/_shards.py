"""The part that one rank has of a tensor distributed by `torch.distributed.tensor`.

A *part* identifies the piece that a rank has measured, so that pieces add up to the whole and copies count once:
"group|piece", where ranks of one group have pieces of one tensor. Without a part the tensor is the rank's own.
"""

import functools
import sys
import weakref
from collections.abc import Callable
from typing import Any

import torch

from tandv.track.torch._patching import Observed

_summing = Observed("redistribute")

WHOLE = "|"  # a tensor of which every rank has a copy, such as a weight under data parallelism
_OWN = {torch.Tensor, torch.nn.Parameter}  # the common classes, which are not distributed


def local(tensor: Any) -> tuple[torch.Tensor | None, str, str]:
    """Return (values, group, piece) of this rank; None for values of a partial placement, still to be reduced.

    The group names the ranks of the tensor's mesh; it is empty for a tensor that is no DTensor.
    """
    if type(tensor) in _OWN:
        return tensor, "", ""
    distributed = sys.modules.get("torch.distributed.tensor")
    if distributed is None or not isinstance(tensor, distributed.DTensor):
        return _arrived(tensor), "", ""
    group, piece = _place(tensor.device_mesh, tuple(tensor.placements))
    if piece is None:
        return None, group, ""
    with torch.no_grad():
        return _arrived(tensor.to_local()), group, piece


def is_spread(tensor: torch.Tensor) -> bool:
    """Tell whether a tensor is a DTensor."""
    distributed = sys.modules.get("torch.distributed.tensor")
    return distributed is not None and isinstance(tensor, distributed.DTensor)


def part_of(tensor: torch.Tensor) -> str:
    """Return the part that this rank has of a module's output."""
    _, group, piece = local(tensor)
    return f"{group}|{piece}" if group else ""


@functools.lru_cache(4096)
def _place(mesh: Any, placements: tuple[Any, ...]) -> tuple[str, str | None]:
    """Return the ranks of a mesh, and where this one is along the dimensions that a tensor is split over."""
    ranks = ",".join(map(str, mesh.mesh.flatten().tolist()))
    if any(placement.is_partial() for placement in placements):
        return ranks, None
    here = mesh.get_coordinate() or [-1] * len(placements)
    split = [f"{dim}:{here[dim]}" for dim, placement in enumerate(placements) if not placement.is_replicate()]
    return ranks, ",".join(split)


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
