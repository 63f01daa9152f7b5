"""Trees of parameters and states whose leaves were found before, of which only the arrays are looked up.

What a leaf is called follows from the structure of its tree: the containers, the names in them, and the shapes of
arrays. flax takes longer to list the leaves of a model than it takes to measure them, so that is done once.
"""

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from tandv.track.jax._names import Leaf
from tandv.track.jax._objects import is_object
from tandv.track.jax._stacks import Slice, Stacks
from tandv.track.jax._trees import uncut

_ARRAYS = (jax.Array, np.ndarray, jax.ShapeDtypeStruct)
_ARRAY, _MODULE, _VARIABLE, _SEQUENCE, _DICT, _OTHER = range(6)  # how a value of a class is looked into


class _Found(NamedTuple):
    """The leaves of a tree: each with the number of its array in place of the array, and its slice of it."""

    structure: Any
    leaves: list[tuple[Leaf, tuple[int | None, ...] | None]]


class KnownTrees:
    """The latest structure of each tree of a training loop, and the leaves that were found in it.

    >>> known = KnownTrees()
    >>> def find(tree):
    ...     print("looking")
    ...     return [Leaf(name, "Weight", array) for name, array in tree.items()]
    >>> for value in (1.0, 2.0):
    ...     tree = {"w": np.full(2, value)}
    ...     [leaf] = known.leaves("weights", tree, lambda: find(tree))
    ...     print(leaf.name, leaf.array)
    looking
    w [1. 1.]
    w [2. 2.]
    """

    def __init__(self) -> None:
        self._found: dict[str, _Found] = {}
        self._ways: dict[type, int] = {}

    def leaves(
        self, name: str, tree: Any, find: Callable[[], list[Leaf]], *, stacks: Stacks | None = None, like: Any = None
    ) -> list[Leaf]:
        """Return what `find()` returns, which is only called for a structure unlike that of the call before.

        Args:
            name: of the tree in the loop.
            tree: in which `find` finds leaves.
            find: called where the leaves are not known.
            stacks: the axes that number layers, by which `find` cuts arrays.
            like: another tree, by whose leaves `find` names these.
        """
        try:
            structure, arrays = self._structure(tree)
            structure = structure, dict(stacks or {}), None if like is None else self._structure(like)[0]
            number_of = {id(array): number for number, array in enumerate(arrays)}
            if len(number_of) < len(arrays):  # one array in two places: which of them is a leaf is not known
                return find()
            known = self._found.get(name)
            if known is not None and known.structure == structure:
                return [_leaf(leaf, arrays, at) for leaf, at in known.leaves]
        except Exception:  # of structures that cannot be compared
            return find()
        found = find()
        places = [number_of.get(id(uncut(leaf.array))) for leaf in found]
        self._found.pop(name, None)
        if None not in places:
            without = [
                (leaf._replace(array=number), leaf.array.at if isinstance(leaf.array, Slice) else None)
                for leaf, number in zip(found, places, strict=True)
            ]
            self._found[name] = _Found(structure, without)
        return found

    def _structure(self, tree: Any) -> tuple[Any, list[Any]]:
        """Return what the names of a tree's leaves follow from, and its arrays."""
        if is_object(tree):
            return self._structure_of_object(tree)
        leaves, structure = jax.tree.flatten(tree)
        arrays = [leaf for leaf in leaves if self._way(leaf) == _ARRAY]
        kinds = [(leaf.shape, leaf.dtype) if self._way(leaf) == _ARRAY else type(leaf) for leaf in leaves]
        return (type(tree), structure, kinds), arrays

    def _structure_of_object(self, root: Any) -> tuple[Any, list[Any]]:
        """Return the same of an object of flax.nnx, from the attributes of its modules."""
        structure: list[Any] = [type(root)]
        arrays: list[Any] = []
        seen: dict[int, int] = {}
        waiting = [root]
        while waiting:
            one = waiting.pop()
            way = self._way(one)
            if way == _ARRAY:
                arrays.append(one)
                structure.append((one.shape, one.dtype))
                continue
            if way in (_MODULE, _VARIABLE):  # which may be shared
                if id(one) in seen:
                    structure.append(seen[id(one)])
                    continue
                seen[id(one)] = len(seen)
            if way == _VARIABLE:
                inside = [one.get_raw_value() if hasattr(type(one), "get_raw_value") else one.raw_value]
            elif way == _MODULE:
                names = _attributes(one)
                structure.append(names)
                inside = [vars(one)[name] for name in names]
            elif way == _DICT:
                structure.append(tuple(one))
                inside = list(one.values())
            elif way == _SEQUENCE:
                inside = list(one)
            else:
                inside, below = jax.tree.flatten(one, is_leaf=lambda x: self._way(x) in (_MODULE, _VARIABLE))
                structure.append(below)
                if len(inside) == 1 and inside[0] is one:
                    continue
            structure.append(list(map(type, inside)))
            waiting += inside
        return structure, arrays

    def _way(self, value: Any) -> int:
        kind = type(value)
        way = self._ways.get(kind)
        if way is None:
            way = self._ways[kind] = _way_into(value)
        return way


def _way_into(value: Any) -> int:
    nnx = sys.modules.get("flax.nnx")
    if isinstance(value, _ARRAYS):
        return _ARRAY
    if nnx is not None and issubclass(type(value), nnx.Variable):
        return _VARIABLE
    if is_object(value):
        return _MODULE
    if type(value) in (list, tuple):
        return _SEQUENCE
    return _DICT if type(value) is dict else _OTHER


def _attributes(module: Any) -> tuple[str, ...]:
    """Return the names of the attributes of a module in which flax looks for parameters."""
    inside = vars(module)
    if not getattr(module, "_pytree__is_pytree", False):
        return tuple(inside)
    are_data = inside["_pytree__nodes"]
    return tuple(name for name in inside if are_data.get(name))


def _leaf(leaf: Leaf, arrays: list[Any], at: tuple[int | None, ...] | None) -> Leaf:
    whole = arrays[leaf.array]
    return leaf._replace(array=whole if at is None else Slice(whole, at))
