"""The order in which the outputs of modules and their gradients come into being within a step."""

from collections.abc import Iterable, Sequence

from tandv.log.store.layers import Tensor
from tandv.tensor_types import OF_MODULES

_CHANGES = 100  # orders that are told; a model that changes its order at every step has none


class ExecutionOrder:
    """The order of first arrival in the current step, compared with that of the steps before.

    >>> order = ExecutionOrder()
    >>> fc, head = ("Activation", "fc"), ("Activation", "head")
    >>> order.note([head, fc])
    >>> order.end_of_step()
    [('Activation', 'head'), ('Activation', 'fc')]
    >>> order.note([fc])
    >>> order.end_of_step()
    >>> order.note([fc, head])
    >>> order.end_of_step()
    [('Activation', 'fc'), ('Activation', 'head')]
    """

    def __init__(self) -> None:
        self._step: dict[Tensor, None] = {}
        self._places: dict[Tensor, int] = {}  # in the order that was told last
        self._told = 0

    def note(self, tensors: Iterable[Tensor]) -> None:
        """Note tensors as they arrive; those that belong to the whole step, such as weights, are passed over.

        Args:
            tensors: the tensor type and name of what was measured, the first first.
        """
        for one in tensors:
            if one[0] in OF_MODULES:
                self._step[one] = None

    def end_of_step(self) -> list[Tensor] | None:
        """Return the order if it is another than that told last, or has more tensors; None if it is the same."""
        step, self._step = list(self._step), {}
        places = [self._places.get(one, -1) for one in step]
        if self._told >= _CHANGES or (-1 not in places and places == sorted(places)):
            return None
        order = _completed(step, list(self._places))
        self._places = {one: place for place, one in enumerate(order)}
        self._told += 1
        return order


def _completed(step: list[Tensor], before: Sequence[Tensor]) -> list[Tensor]:
    """Return the order of a step, with each tensor that it lacks after the one that it came after before."""
    there = set(step)
    for number, one in enumerate(before):
        if one not in there:
            step.insert(step.index(before[number - 1]) + 1 if number else 0, one)
            there.add(one)
    return step
