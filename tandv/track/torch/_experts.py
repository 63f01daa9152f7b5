"""Experts of tracked steps (`track(experts=True)`): what routers choose, and what experts are given."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from tandv import tensor_types
from tandv.track.common.experts import of_experts
from tandv.track.common.measurements import Quantity
from tandv.track.torch._modes import own_operations
from tandv.track.torch._routing import Routed, owner_of, vectors_of
from tandv.track.torch._tree import Tree
from tandv.track.torch.names import Named, unwrap
from tandv.track.torch.outputs import tensors_in
from tandv.track.torch.values import readable, why_not


class _Mixture:
    """A module with experts that is running, since its router has chosen.

    Args:
        module: the module.
        experts: its experts, where they are modules.
        dropped: what is measured of choices that no expert computes.
        seen: the choice of the router.
    """

    def __init__(self, module: nn.Module, experts: list[nn.Module], dropped: Quantity, seen: Routed):
        self.module, self.dropped, self.seen = module, dropped, seen
        self.choices = seen.chosen.numel()
        self.rows = {id(one): 0 for one in experts}


class Experts:
    """Records the experts of a model while its forward pass runs.

    Args:
        tracker: the tracker.
        tree: the modules of the model.
    """

    def __init__(self, tracker: Any, tree: Tree):
        self._tracker, self._tree = tracker, tree
        self._open: list[_Mixture] = []
        self._times: dict[int, int] = {}
        self._owners: dict[int, nn.Module] = {}
        self._quantities: dict[tuple[int, int, int], list[Quantity]] = {}

    def begin(self) -> None:
        """Begin a forward pass of the model."""
        self._open, self._times = [], {}

    def follow(self) -> None:
        """Forget names and places, which have changed."""
        self._owners.clear()
        self._quantities.clear()

    def entered(self, module: nn.Module, given: Any) -> None:
        """Count the tokens that an expert is given, and say where a graph hides routers.

        Args:
            module: a module that begins.
            given: its arguments.
        """
        if hasattr(module, "_orig_mod") or module._compiled_call_impl is not None:
            named = self._tree.find(unwrap(module))
            where = f" (first met at {named.name!r})" if named is not None else ""
            self._tracker.warn_once(
                f"experts inside compiled graphs are not recorded{where}; leave the module uncompiled to record them",
                "compiled experts",
            )
        for one in self._open:
            if id(module) in one.rows:
                plain = (tensor for _, tensor in tensors_in(given, "") if tensor.ndim and not tensor.is_nested)
                first = next(plain, None)
                one.rows[id(module)] += 0 if first is None else first.numel() // max(first.shape[-1], 1)

    def left(self, module: nn.Module) -> None:
        """Record which choices no expert has computed, when the module that has the experts returns.

        Args:
            module: a module that ends.
        """
        ended = [one for one in self._open if one.module is module]
        for one in ended:
            self._open.remove(one)
            if self._tracker.recording:
                self._try(self._record_dropped, one)

    def record(self, running: list[nn.Module], seen: Routed) -> None:
        """Record the choice of a router.

        Args:
            running: the modules that are running, the outermost first.
            seen: what was chosen.
        """
        if self._tracker.recording:
            self._try(self._record, running, seen)

    def _try(self, do: Callable[..., None], *given: Any) -> None:
        """Record apart from the user's modes and gradients; a failure ends tracking."""
        try:
            with own_operations(), torch.no_grad():
                do(*given)
        except Exception as error:
            self._tracker.fail("at a router of experts", error)

    def _record_dropped(self, one: _Mixture) -> None:
        rows = list(one.rows.values())
        left = one.choices - sum(rows)
        # Experts that are all given as many tokens are given buffers, of which some places may be empty; then, and
        # where weights are stacked, it is not known what was dropped.
        buffers = left != 0 and len(set(rows)) == 1
        if sum(rows) and left >= 0 and not buffers:
            dropped = torch.zeros(one.choices, device=one.seen.scores.device)
            dropped[:left] = 1.0
            self._tracker.measurements.add([dropped], [one.dropped])

    def _record(self, running: list[nn.Module], seen: Routed) -> None:
        experts = seen.scores.shape[-1]
        owner = owner_of(running, experts, self._owners)
        if owner is None:
            return
        module = self._owners[id(owner.holder)] = owner.module
        named = self._tree.find(module)
        if named is None or any(one.module is module and one.seen.scores is seen.scores for one in self._open):
            return  # not tracked; or the largest probability is asked for after the choice, as its weight
        for tensor in (seen.scores, seen.probabilities, seen.chosen):
            if tensor is not None and (tensor.is_nested or not readable(tensor)):
                why = why_not(tensor)
                self._tracker.warn_once(
                    f"experts of {why} are not recorded (first met at {named.name!r})", f"experts {why}"
                )
                return
        vectors = vectors_of(seen)
        number = self._times.get(id(module), 0) if any(one.module is module for one in self._open) else 0
        self._times[id(module)] = number + 1
        quantities = self._of(named, experts, number)
        self._tracker.measurements.add([*vectors.probability, *vectors.chosen, vectors.entropy], quantities[:-1])
        one = _Mixture(module, owner.experts, quantities[-1], seen)
        for other in [one, *self._open] if number else []:  # which of several routers sent an expert its tokens?
            if other.module is module:
                other.rows.clear()
        self._open.append(one)

    def _of(self, named: Named, experts: int, number: int) -> list[Quantity]:
        key = (named.position, number, experts)
        if key not in self._quantities:
            order = (tensor_types.order(tensor_types.EXPERTS), named.position)
            layer = Quantity(order, named.name, named.type, tensor_types.EXPERTS)
            self._quantities[key] = of_experts(layer, experts, number)
        return self._quantities[key]
