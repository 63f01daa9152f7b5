"""The order in which tensors come to be within a step, guessed from their names where a log does not keep it.

A layer's output is there after those of the layers inside it, gradients come the other way round, and what is made of
gradients comes after them.
"""

from collections.abc import Iterable

from tandv.log.store.layers import Tensor
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

__all__ = ["guessed_order", "turn"]

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
        for at, name in enumerate(_forward(given)):
            place[kind, name] = (turn(kind), kind, at)
    backwards = {name: -at for at, name in enumerate(_forward(of_type.get(GRADIENT, of_type.get(WEIGHT_GRADIENT, []))))}
    for name, at in backwards.items():
        if GRADIENT in of_type:
            place[GRADIENT, name] = (_TURN[GRADIENT], "", at, 0)
    for at, name in enumerate(of_type.get(WEIGHT_GRADIENT, [])):
        place[WEIGHT_GRADIENT, name] = (_TURN[WEIGHT_GRADIENT], "", _of_its_layer(name, backwards), 1, at)
    return {tensor: number for number, tensor in enumerate(sorted(place, key=place.__getitem__))}


def _of_its_layer(name: str, places: dict[str, int]) -> int:
    """Return the place of the layer that a parameter is in; behind all others where there is none."""
    while name not in places and "." in name:
        name = name.rpartition(".")[0]
    return places.get(name, 1)


def _forward(names: list[str]) -> list[str]:
    """Return names with each layer after all that are inside it, and the model itself last."""
    place = {name: (at, -name.count(".")) for at, name in enumerate(names)}  # of the last that is inside, and the depth
    for at, name in enumerate(names):
        for cut in (i for i, letter in enumerate(name) if letter == "."):
            if (parent := name[:cut]) in place:
                place[parent] = max(place[parent], (at, -parent.count(".")))
    root = next((name for name in names if name == "" or ("." not in name and name[:1].isupper())), None)
    if root is not None:
        place[root] = (len(names), 0)
    return sorted(names, key=lambda name: place[name])
