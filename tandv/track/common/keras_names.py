"""The layers of a Keras model and their variables, which Keras keeps in lists of its own on any backend.

Nothing of Keras is imported: what is no layer of it has no such lists.
"""

import sys
from collections.abc import Iterator
from typing import Any

Keys = tuple[str, ...]


def is_layer(one: Any) -> bool:
    """Tell whether an object is a layer or model of Keras.

    >>> is_layer("dense")
    False
    """
    keras = sys.modules.get("keras")
    return keras is not None and hasattr(keras, "Layer") and isinstance(one, keras.Layer)


def layers_in(layer: Any) -> list[tuple[str, Any]]:
    """Return the layers that a layer of Keras holds, by Keras's own names, without those that only stand for an input.

    Args:
        layer: a layer or model.
    """
    held = layer._flatten_layers(include_self=False, recursive=False)
    return [(one.name, one) for one in held if type(one).__name__ != "InputLayer"]


def layer_paths(model: Any) -> dict[Any, Keys]:
    """Return every layer of a model, the model first, with the names that lead to it; a shared layer has its first.

    Args:
        model: a model of Keras.
    """

    def walk(layer: Any, path: Keys) -> Iterator[tuple[Any, Keys]]:
        yield layer, path
        for name, inner in layers_in(layer):
            yield from walk(inner, (*path, name))

    found: dict[Any, Keys] = {}
    for layer, path in walk(model, ()):
        found.setdefault(layer, path)
    return found


def own_variables(layer: Any) -> list[tuple[str, Any]]:
    """Return the variables of a layer that none of the layers in it has, by their names.

    Args:
        layer: a layer or model.
    """
    of_others = {id(variable) for _, inner in layers_in(layer) for variable in inner.variables}
    return [(variable.name, variable) for variable in layer.variables if id(variable) not in of_others]
