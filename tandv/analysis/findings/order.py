"""The order in which the tensors of a step come into being, so that "first" is neither alphabetical nor by declaration.

A run keeps the order in which its tracker saw the tensors. Where a log has none, it is guessed from the order of the
model: modules as they are
declared, those inside of a module before itself, gradients in reverse, the gradient of a weight just after the gradient
of its module's output. That is wrong for modules that are called in another order than they are declared in.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tandv.tensor_types import (
    ACTIVATION,
    ATTENTION,
    EXPERTS,
    GRADIENT,
    INPUT,
    ROUTER,
    WEIGHT,
    WEIGHT_GRADIENT,
    WEIGHT_UPDATE,
)

Tensor = tuple[str, str]  # tensor type and name
GUESSED = "The order of execution was guessed from the order of the model: modules in the order of their declaration."


class Place(NamedTuple):
    """When a tensor of a step comes into being; places compare as time does."""

    phase: int
    position: float


def forward(layers: Sequence[str], root: str | None = None) -> list[str]:
    """Return modules in the order in which their outputs are there: what is inside of a module before it.

    >>> forward(["Net", "block", "block.up", "block.down", "head"], root="Net")
    ['block.up', 'block.down', 'block', 'head', 'Net']

    Args:
        layers: the names of modules in the order of the model.
        root: the name that the model itself has; None if it is not among them.
    """
    last = {name: at for at, name in enumerate(layers)}
    for at, name in enumerate(layers):
        for parent in _parents(name):
            if parent in last:
                last[parent] = max(last[parent], at)
    if root is not None:
        last[root] = len(layers)
    return sorted(layers, key=lambda name: (last[name], -name.count("."), name == root))


def module_of(parameter: str, modules: Iterable[str]) -> str | None:
    """Return the module that a parameter is in, None if it is not known.

    >>> module_of("head.bias", {"head"}), module_of("head", {"head"}), module_of("scale", {"head"})
    ('head', 'head', None)

    Args:
        parameter: the name of a parameter as a log has it.
        modules: the names of modules.
    """
    known = set(modules)
    return next((name for name in [parameter, *_parents(parameter)] if name in known), None)


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
        if kind == WEIGHT:
            out[kind, name] = Place(0, number)
        elif kind == INPUT:
            out[kind, name] = Place(1, number)
        elif kind == ACTIVATION:
            out[kind, name] = Place(2, at[name])
        elif kind in (ATTENTION, EXPERTS, ROUTER):  # before the output of the module that attends, or has experts
            module = module_of(name, modules_known)
            out[kind, name] = Place(2, -0.5 if module is None else at[module] - 0.5)
        elif kind == GRADIENT:
            out[kind, name] = Place(3, -at[name])
        elif kind == WEIGHT_GRADIENT:
            module = module_of(name, modules_known)
            out[kind, name] = Place(3, 1.0 if module is None else 0.5 - at[module])
        else:
            out[kind, name] = Place(5 if kind == WEIGHT_UPDATE else 4, number)
    return out


def _parents(name: str) -> list[str]:
    """Return the names that a dotted name lies in, the innermost first."""
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(len(parts) - 1, 0, -1)]
