"""Which of several models in a step is the tracked one, by the names and shapes of their parameters."""

from collections.abc import Mapping
from typing import Any

import jax

from tandv.names import Keys, key_text, of_tree
from tandv.track.jax._names import parameters_of

Shape = tuple[int, ...]


def shapes_of(parameters: Any) -> dict[Keys, Shape]:
    """Return the shapes of a tree of parameters by their paths."""
    leaves = jax.tree_util.tree_flatten_with_path(parameters)[0]
    return {tuple(map(key_text, keys)): leaf.shape for keys, leaf in leaves if hasattr(leaf, "shape")}


def is_other_model(shapes: Mapping[Keys, Shape], tracked: Any) -> bool:
    """Tell whether a model's parameters are for certain not those of the tracked model, nor of a part of it.

    Their arrays may have further axes, as those of an ensemble have; those of a `shard_map` have other lengths.

    Args:
        shapes: of the model's parameters, by their paths.
        tracked: the tracked model or its parameters, None where they are not known.
    """
    known, shapes = _known(tracked), _by_names(shapes)
    if not known or not shapes or is_within_shards():
        return False
    if known.keys() & shapes.keys():
        return not _holds(shapes, known)
    if set(known.values()) <= set(shapes.values()):  # it may have been given under other names, as a list
        return False
    return not any(_is_end(one, other) or _is_end(other, one) for one in known for other in shapes)


def is_tracked_model(shapes: Mapping[Keys, Shape], tracked: Any) -> bool:
    """Tell whether a model's parameters have the names and shapes of all those of the tracked model.

    Args:
        shapes: of the model's parameters, by their paths.
        tracked: the tracked model or its parameters, None where they are not known.
    """
    known = _known(tracked)
    return bool(known) and _holds(_by_names(shapes), known)


def is_within_shards() -> bool:
    """Tell whether the code of one device of a mesh is being traced, by a `shard_map` around it."""
    mesh = jax.sharding.get_abstract_mesh()
    return any(kind == jax.sharding.AxisType.Manual for kind in getattr(mesh, "axis_types", ()))


def _known(tracked: Any) -> dict[Keys, Shape]:
    return _by_names(shapes_of(parameters_of(tracked))) if tracked is not None else {}


def _by_names(shapes: Mapping[Keys, Shape]) -> dict[Keys, Shape]:
    return {of_tree(keys): shape for keys, shape in shapes.items()}


def _holds(shapes: Mapping[Keys, Shape], known: Mapping[Keys, Shape]) -> bool:
    return all(keys in shapes and _is_within(shapes[keys], whole) for keys, whole in known.items())


def _is_within(shape: Shape, whole: Shape) -> bool:
    rest = iter(whole)
    return all(size in rest for size in shape)


def _is_end(one: Keys, other: Keys) -> bool:
    return one[len(one) - len(other) :] == other if len(other) <= len(one) else False
