"""A tensor of a checkpoint before it is read."""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np

from tandv.names import Framework

Shape = tuple[int, ...]


def place_of(storage: Any, offset: int, shape: Shape, strides: Shape) -> Any:
    """Return what is equal for tensors with the same values in one storage, such as tied ones.

    >>> place_of(1, 0, (2, 3), (3, 1)) == place_of(1, 0, (3, 2), (1, 3)), place_of(1, 0, (1, 4), (4, 1))
    (True, (1, 0, 4))
    >>> place_of(1, 0, (4, 1), (4, 1))
    (1, 0, (4,), (4,))

    Args:
        storage: what tells one storage from another.
        offset: the place of the first value in it.
        shape: the shape.
        strides: how many places there are from one value to the next, along each axis.
    """
    steps = sorted((step, length) for length, step in zip(shape, strides, strict=True) if length > 1)
    reach = 1
    for step, length in steps:
        if step != reach:  # not every value between the first and the last
            return storage, offset, tuple(length for _, length in steps), tuple(step for step, _ in steps)
        reach *= length
    return storage, offset, math.prod(shape)


class Entry(NamedTuple):
    """A tensor of a checkpoint that has not been read yet."""

    dtype: str
    shape: Shape
    read: Callable[[], np.ndarray]
    storage: Any = None  # equal for tied tensors; None if the format cannot tie
    framework: Framework | None = None  # None where the file does not say
    role: Literal["parameter", "buffer"] | None = None  # None where the file does not say
    layer: str | None = None  # its layer in a log, "" for a buffer; None where the file does not say
