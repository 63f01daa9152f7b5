"""The order in which the tensors of a step come into being, so that "first" is neither alphabetical nor by declaration.

A run keeps the order in which its tracker saw the tensors. Where a log has none, it is guessed from the order of the
model: modules as they are declared, those inside of a module before itself, gradients in reverse, the gradient of a
weight just after the gradient of its module's output. That is wrong for modules that are called in another order than
they are declared in.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tandv.log.execution import forward, turn
from tandv.names import module_of
from tandv.tensor_types import (
    ACTIVATION,
    ATTENTION,
    EXPERTS,
    GRADIENT,
    ROUTER,
    WEIGHT_GRADIENT,
)

Tensor = tuple[str, str]  # tensor type and name
GUESSED = "The order of execution was guessed from the order of the model: modules in the order of their declaration."


class Place(NamedTuple):
    """When a tensor of a step comes into being; places compare as time does."""

    phase: int
    position: float


def places(
    tensors: Sequence[Tensor], types: Mapping[Tensor, str], known: Sequence[Tensor] | None = None
) -> dict[Tensor, Place]:
    """Return when each tensor comes into being.

    >>> at = places([("Activation", "a"), ("Gradient", "a"), ("Weight_Gradient", "a.bias"), ("Weight", "a")], {})
    >>> sorted(at, key=at.__getitem__)
    [('Weight', 'a'), ('Activation', 'a'), ('Gradient', 'a'), ('Weight_Gradient', 'a.bias')]

    Args:
        tensors: the tensors in the order of the model.
        types: the kind of module of each, as far as it is known.
        known: the tensors in the order of execution; None where it has to be guessed.
    """
    out = _guessed(tensors, types)
    if known is not None:
        at = {one: position for position, one in enumerate(known)}
        return {one: Place(place.phase, at.get(one, len(at))) for one, place in out.items()}
    return out


def _guessed(tensors: Sequence[Tensor], types: Mapping[Tensor, str]) -> dict[Tensor, Place]:
    modules = list(dict.fromkeys(name for kind, name in tensors if kind in (ACTIVATION, GRADIENT)))
    root = next(
        (name for name in modules[:1] for kind in (ACTIVATION, GRADIENT) if types.get((kind, name)) == name), None
    )
    at = {name: position for position, name in enumerate(forward(modules, root))}
    modules_known = set(modules)
    out = {}
    for number, (kind, name) in enumerate(tensors):
        position = float(number)
        if kind == ACTIVATION:
            position = at[name]
        elif kind in (ATTENTION, EXPERTS, ROUTER):  # before the output of the module that attends, or has experts
            module = module_of(name, modules_known)
            position = -0.5 if module is None else at[module] - 0.5
        elif kind == GRADIENT:
            position = -at[name]
        elif kind == WEIGHT_GRADIENT:
            module = module_of(name, modules_known)
            position = 1.0 if module is None else 0.5 - at[module]
        out[kind, name] = Place(turn(kind), position)
    return out
