"""The order of execution: when in a step each tensor of a run comes into being, as its tracker has seen it.

A tracker sees outputs of modules and their gradients when they happen. Weights are there before; the gradient of a
weight follows that of its own module's output; states of optimisers and updates come last.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from tandv.log.door import AnyLog
from tandv.log.execution import guessed_order
from tandv.log.facts import kept_in
from tandv.log.shown import named
from tandv.log.store.layers import NAME, Tensor
from tandv.names import module_of
from tandv.place import Place
from tandv.tensor_types import GRADIENT, OF_MODULES, WEIGHT, WEIGHT_GRADIENT, WEIGHT_UPDATE

__all__ = ["execution_order", "in_order", "order_of"]


def execution_order(log: AnyLog | Place, step: int | None = None) -> list[Tensor] | None:
    """Return the tensors of a run in the order of execution; None where the run does not keep it.

    >>> import torch
    >>> from tandv.track.torch import track
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
    >>> with track(model, path="run") as tracker:
    ...     model(torch.ones(1, 2)).sum().backward()
    ...     tracker.step()
    >>> [name for kind, name in execution_order("run") if kind == "Activation"]
    ['0', '1', 'Sequential']
    >>> [name for kind, name in execution_order("run") if kind.endswith("Gradient")]
    ['1', '1', '1.bias', 'Sequential', '0', '0', '0.bias']

    Args:
        log: the log, or the place of one: a run's folder, or the finished log in it.
        step: the step whose order is asked for, where the model has changed it; None for the first.
    """
    found = kept_in(log, NAME)
    try:
        tensors = [(str(kind), str(name)) for kind, name in found["tensors"]]
        orders = [(int(one["step"]), list(map(int, one["places"]))) for one in found["order"]]
    except (KeyError, TypeError, ValueError):
        return None
    if not orders or any(len(places) != len(tensors) for _, places in orders):
        return None
    valid = [places for first, places in orders if step is not None and first <= step]
    return _sorted(tensors, valid[-1] if valid else orders[0][1])


def in_order(tensors: Sequence[Tensor], arrived: Sequence[Tensor]) -> list[Tensor]:
    """Return tensors in the order of execution, of which outputs and their gradients were seen to arrive.

    >>> in_order([("Weight_Gradient", "a"), ("Weight", "a"), ("Gradient", "a")], [("Gradient", "a")])
    [('Weight', 'a'), ('Gradient', 'a'), ('Weight_Gradient', 'a')]

    Args:
        tensors: the tensors.
        arrived: those of modules among them, the first first.
    """
    at = {one: place for place, one in enumerate(arrived)}
    return _sorted(tensors, [at.get(one, -1) for one in tensors])


def order_of(log: AnyLog | Place, tensors: Iterable[Tensor]) -> dict[Tensor, int]:
    """Return the place of each tensor among those of a step, as the run keeps it, and where it does not as guessed.

    >>> from tandv.log.example import example_log
    >>> order = order_of(example_log(), [("Gradient", "fc1"), ("Activation", "fc2"), ("Activation", "fc1")])
    >>> sorted(order, key=order.get)
    [('Activation', 'fc2'), ('Activation', 'fc1'), ('Gradient', 'fc1')]

    Args:
        log: the log, or the place of one.
        tensors: the tensors in the order of the model, as a screen shows them, see `named`.
    """
    guessed = guessed_order(tensors)
    known = {(kind, named(name)): at for at, (kind, name) in enumerate(execution_order(log) or [])}
    ordered = sorted(guessed, key=lambda one: (known.get(one, len(known)), guessed[one]))
    return {one: at for at, one in enumerate(ordered)}


def _sorted(tensors: Sequence[Tensor], arrived: Sequence[int]) -> list[Tensor]:
    places = _woven(tensors, arrived)
    return [tensors[i] for i in sorted(range(len(tensors)), key=lambda i: places[i])]


def _woven(tensors: Sequence[Tensor], arrived: Sequence[int]) -> list[tuple[Any, ...]]:
    """Return when each tensor comes into being, from the place at which those of modules have arrived."""
    gradients = {name: place for (kind, name), place in zip(tensors, arrived, strict=True) if kind == GRADIENT}
    out: list[tuple[Any, ...]] = []
    for (kind, name), place in zip(tensors, arrived, strict=True):
        if kind == WEIGHT:
            out.append((0,))
        elif kind in OF_MODULES:
            out.append((1, place, 0) if place >= 0 else (2,))
        elif kind == WEIGHT_GRADIENT:
            own = gradients.get(module_of(name, gradients) or name, -1)
            out.append((1, own, 1) if own >= 0 else (2,))
        else:
            out.append((4 if kind == WEIGHT_UPDATE else 3,))
    return out
