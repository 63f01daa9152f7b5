"""Layers that are scanned over: the axes of parameters that number them, and the parameters of each layer."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from tandv.names import Keys

# By the path of a module, with None where layers are numbered, and a parameter's own keys: the axes that number them.
Stacks = Mapping[tuple[tuple[str | None, ...], Keys], tuple[int, ...]]


class Slice(NamedTuple):
    """One layer's slice of an array that stacks all layers; it is taken where it is read."""

    whole: Any
    at: tuple[int | None, ...]  # a number for each axis that numbers layers, None for the others

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(size for size, number in zip(self.whole.shape, self.at, strict=True) if number is None)

    @property
    def dtype(self) -> Any:
        return self.whole.dtype

    @property
    def ndim(self) -> int:
        return self.at.count(None)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def start(self) -> int | None:
        """The offset of the slice in the array's memory, in values; None where it is not contiguous."""
        numbers = self.at[: len(self.at) - self.ndim]
        if None in numbers:
            return None
        strides = [math.prod(self.whole.shape[axis + 1 :]) for axis in range(len(numbers))]
        return sum(number * stride for number, stride in zip(numbers, strides, strict=True))  # pyright: ignore

    def of(self, whole: Any) -> Any:
        """Return this slice of an array of the same shape."""
        return whole[tuple(slice(None) if number is None else number for number in self.at)]


def cut(leaves: Iterable[tuple[Keys, Any]], stacks: Stacks) -> Iterator[tuple[Keys, Any]]:
    """Yield arrays by their keys, stacked layers one by one, with each layer's number in its keys.

    >>> stack = {(("layers", None), ("kernel",)): (0,)}
    >>> [(keys, part.shape) for keys, part in cut([(("layers", "kernel"), np.ones((2, 3)))], stack)]
    [(('layers', '0', 'kernel'), (3,)), (('layers', '1', 'kernel'), (3,))]
    """
    known = places(stacks)
    for keys, whole in leaves:
        path, own, axes = known.get(keys, ((), keys, ()))
        if not axes or max(axes) >= len(whole.shape):
            yield keys, whole
            continue
        for numbers in np.ndindex(*(whole.shape[axis] for axis in axes)):
            place = dict(zip(axes, numbers, strict=True))
            rest = iter(map(str, numbers))
            named = tuple(part if part is not None else next(rest) for part in path)
            yield (*named, *own), Slice(whole, tuple(place.get(axis) for axis in range(len(whole.shape))))


def places(stacks: Stacks) -> dict[Keys, tuple[tuple[str | None, ...], Keys, tuple[int, ...]]]:
    """Return by the keys of each stacked parameter its module's path, its own keys and the axes.

    >>> places({(("layers", None), ("kernel",)): (0,)})
    {('layers', 'kernel'): (('layers', None), ('kernel',), (0,))}
    """
    by_depth = sorted(stacks, key=lambda entry: len(entry[0]))  # the innermost module knows all of the axes
    return {
        (*(part for part in path if part is not None), *own): (path, own, stacks[path, own]) for path, own in by_depth
    }


def whole_of(array: Any) -> Any:
    """Return the array itself, or the slice as an array."""
    if not isinstance(array, Slice):
        return array
    if isinstance(array.whole, jax.ShapeDtypeStruct):
        return jax.ShapeDtypeStruct(array.shape, array.dtype)
    return array.of(array.whole)


def learned(
    stacks: Stacks,
    outer: tuple[tuple[str | None, ...], Mapping[Keys, tuple[int, ...]]],
    inner: tuple[tuple[str | None, ...], Mapping[Keys, tuple[int, ...]]],
    path: Keys,
    lengths: tuple[int, ...],
) -> dict[Any, tuple[int, ...]]:
    """Return the axes that number the layers in the parameters of a module at `path` below the one that calls it.

    `outer` and `inner` are the module's paths, and the shapes of their parameters by their keys; `lengths` those of
    the scans over layers between the two.
    """
    found = {}
    for own, shape in inner[1].items():
        above = stacks.get((outer[0], (*path, *own)), ())  # axes of the outer scans
        whole = outer[1].get((*path, *own))
        if not lengths or whole is None:
            if above:
                found[inner[0], own] = above
            continue
        left = [axis for axis in range(len(whole) + len(above)) if axis not in above]
        for axes in itertools.combinations(range(len(whole)), len(lengths)):
            rest = tuple(size for axis, size in enumerate(whole) if axis not in axes)
            if rest == shape and tuple(whole[axis] for axis in axes) == lengths:
                found[inner[0], own] = (*above, *(left[axis] for axis in axes))
                break
    return found
