"""The order in which tensors come to be within a step, guessed from their names where a log does not keep it.

A layer's output is there after those of the layers inside it, gradients come the other way round, and what is made of
gradients comes after them.
"""

from collections.abc import Iterable, Sequence

from tandv.log.store.layers import Tensor
from tandv.names import module_of, parents
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

__all__ = ["forward", "guessed_order", "turn"]

# When the types come within a step; one that is not named here, such as the state of an optimiser, comes between.
_TURN = {
    WEIGHT: 0,
    INPUT: 1,
    ACTIVATION: 2,
    ATTENTION: 2,
    EXPERTS: 2,
    ROUTER: 2,
    GRADIENT: 3,
    WEIGHT_GRADIENT: 3,
    WEIGHT_UPDATE: 5,
}
_BETWEEN = 4


def turn(tt: str) -> int:
    """Return when tensors of a type come within a step, compared with those of other types.

    >>> turn("Activation") < turn("Gradient") == turn("Weight_Gradient") < turn("Optimiser_State.mu")
    True

    Args:
        tt: the tensor type.
    """
    return _TURN.get(tt, _BETWEEN)


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
        for parent in parents(name):
            if parent in last:
                last[parent] = max(last[parent], at)
    if root is not None:
        last[root] = len(layers)
    return sorted(layers, key=lambda name: (last[name], -name.count("."), name == root))


def guessed_order(tensors: Iterable[Tensor]) -> dict[Tensor, int]:
    """Return the place of each tensor among those of a step.

    >>> names = ["GPT", "embed", "layers.0", "layers.0.wq", "head"]
    >>> order = guessed_order((kind, name) for kind in ("Activation", "Gradient") for name in names)
    >>> [name for _, name in sorted(order, key=order.get)[:5]]
    ['embed', 'layers.0.wq', 'layers.0', 'head', 'GPT']
    >>> [name for _, name in sorted(order, key=order.get)[5:]]
    ['GPT', 'head', 'layers.0', 'layers.0.wq', 'embed']

    Args:
        tensors: (tensor type, name) of each tensor in the order of the model, in which children follow their parent or
            stand before it.
    """
    of_type: dict[str, list[str]] = {}
    for kind, name in tensors:
        of_type.setdefault(kind, []).append(name)
    place: dict[Tensor, tuple] = {}
    for kind, given in of_type.items():
        for at, name in enumerate(forward(given, _root(given))):
            place[kind, name] = (turn(kind), kind, at)
    given = of_type.get(GRADIENT, of_type.get(WEIGHT_GRADIENT, []))
    backwards = {name: -at for at, name in enumerate(forward(given, _root(given)))}
    for name, at in backwards.items():
        if GRADIENT in of_type:
            place[GRADIENT, name] = (_TURN[GRADIENT], "", at, 0)
    for at, name in enumerate(of_type.get(WEIGHT_GRADIENT, [])):
        module = module_of(name, backwards)
        place[WEIGHT_GRADIENT, name] = (_TURN[WEIGHT_GRADIENT], "", 1 if module is None else backwards[module], 1, at)
    return {tensor: number for number, tensor in enumerate(sorted(place, key=place.__getitem__))}


def _root(names: Iterable[str]) -> str | None:
    """Return the name that stands for the model itself: its class, or none at all."""
    return next((name for name in names if name == "" or ("." not in name and name[:1].isupper())), None)
