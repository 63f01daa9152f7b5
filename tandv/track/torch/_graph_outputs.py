"""Outputs of modules that a compiled graph returns beside others, such as a loss of them.

Where the hooks of a module run outside of the graph that has its forward pass, its output has no gradient of what the
graph itself computes from it: autograd goes from one result of the graph to its inputs at once. A hook on the graph's
node sees which of its results have a gradient.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

_OF_A_GRAPH = "CompiledFunctionBackward"  # the class of a graph's node

_NAMED_AT_MOST = 3

UNSEEN = (
    "the gradient of {} was not seen: the loss does not depend on it, or only inside of the compiled graph that "
    "returns it; see the rows of the modules inside, or run the model in eager mode"
)
BESIDE = (
    "the loss depends on several results of one compiled graph ({}): where the graph computes one from another, the "
    "other's gradient lacks what comes by way of it; see the rows of the modules inside, or run the model in eager mode"
)


class GraphOutputs:
    """Tells of gradients of outputs that may bypass them inside of a graph.

    Args:
        warn_once: takes a message, and what it is about.
    """

    def __init__(self, warn_once: Callable[[str, str], None]):
        self._warn_once = warn_once

    def note(self, name: str, tensor: torch.Tensor) -> None:
        """Watch the output of a module, if a graph returned it."""
        node, place = tensor.grad_fn, tensor.output_nr
        if type(node).__name__ != _OF_A_GRAPH and (base := tensor._base) is not None:
            node, place = base.grad_fn, base.output_nr
        if node is None or type(node).__name__ != _OF_A_GRAPH:
            return
        of_node: Any = node.metadata
        key = "tandv.outputs", id(self)
        if key not in of_node:
            of_node[key] = {}
            node.register_prehook(partial(self._before, of_node[key]))
        of_node[key].setdefault(place, name)

    def _before(self, names: dict[int, str], gradients: Sequence[torch.Tensor | None]) -> None:
        """Tell of outputs of a node that have no gradient where others have, and of several that have one."""
        there = {place for place, gradient in enumerate(gradients) if gradient is not None}
        seen = [name for place, name in names.items() if place in there]
        unseen = [name for place, name in names.items() if place not in there]
        if there and unseen:
            self._warn_once(UNSEEN.format(_some(unseen)), "outputs of compiled graphs without gradients")
        if len(there) > 1 and seen:
            self._warn_once(BESIDE.format(_some(seen)), "outputs of compiled graphs beside others")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED_AT_MOST} more" if len(names) > _NAMED_AT_MOST else ""
    return ", ".join(map(repr, names[:_NAMED_AT_MOST])) + more
