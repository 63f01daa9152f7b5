"""What the axes of a value stand for, followed through the operations that make scores of attention from products.

A product of two activations has axes that both share (examples, heads) and axes that only one of them has: queries and
keys. Masks, scales, casts and changes of shape keep this.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

Side = Literal["shared", "left", "right", "key"]


class Axis(NamedTuple):
    """Where an axis of a value comes from.

    Args:
        side: the operands of the product that have it; "key" once a softmax was taken along it.
        number: of the product, or of the softmax.
        place: its place in the product.
        of_batch: whether the operand that has it depends on the batch, and not on parameters alone.
    """

    side: Side
    number: int
    place: int
    of_batch: bool


Axes = tuple[Axis | None, ...]


def of_product(left: tuple[int, bool], right: tuple[int, bool], dimensions: Any, number: int) -> Axes:
    """Return the axes of a `dot_general` of two operands, each given as (number of axes, whether it is of the batch).

    >>> [axis.side for axis in of_product((3, True), (3, True), (((2,), (2,)), ((0,), (0,))), 0)]
    ['shared', 'left', 'right']

    Args:
        left, right: the operands.
        dimensions: `dimension_numbers` of the operation.
        number: of the product.
    """
    (left_sum, right_sum), (left_shared, _) = dimensions
    shared = len(left_shared)
    free_left = left[0] - shared - len(left_sum)
    free_right = right[0] - shared - len(right_sum)
    shared_by: tuple[Side, bool] = "shared", left[1] or right[1]
    of_left: tuple[Side, bool] = "left", left[1]
    of_right: tuple[Side, bool] = "right", right[1]
    sides = [shared_by] * shared + [of_left] * free_left + [of_right] * free_right
    return tuple(Axis(side, number, place, of_batch) for place, (side, of_batch) in enumerate(sides))


def _broadcast(axes: Axes, shape: Sequence[int], out: Sequence[int], parameters: dict[str, Any]) -> Axes:
    found: list[Axis | None] = [None] * len(out)
    for axis, at in enumerate(parameters["broadcast_dimensions"]):
        found[at] = axes[axis] if shape[axis] == out[at] else None
    return tuple(found)


def _reshape(axes: Axes, shape: Sequence[int], out: Sequence[int], parameters: dict[str, Any]) -> Axes:
    """Follow axes that stay; of merged ones the first that is known counts, of divided ones each part."""
    found: list[Axis | None] = []
    before, after = 0, 0
    while after < len(out):
        if before < len(shape) and shape[before] == out[after]:
            found.append(axes[before])
            before, after = before + 1, after + 1
        elif out[after] == 1:
            found.append(None)
            after += 1
        elif before < len(shape) and shape[before] == 1:
            before += 1
        else:
            first, start = before, after
            before, after = before + 1, after + 1
            while math.prod(shape[first:before]) != math.prod(out[start:after]):
                if math.prod(shape[first:before]) < math.prod(out[start:after]):
                    before += 1
                else:
                    after += 1
            one = next((axis for axis in axes[first:before] if axis is not None), None)
            found += [one] * (after - start)
    return tuple(found)


Rule = Callable[[Axes, Sequence[int], Sequence[int], dict[str, Any]], Axes]

RULES: dict[str, Rule] = {  # of operations on one value that change its shape
    "broadcast_in_dim": _broadcast,
    "reshape": _reshape,
    "transpose": lambda axes, shape, out, p: tuple(axes[at] for at in p["permutation"]),
    "squeeze": lambda axes, shape, out, p: tuple(a for at, a in enumerate(axes) if at not in _positive(p, shape)),
    "reduce_sum": lambda axes, shape, out, p: tuple(a for at, a in enumerate(axes) if at not in p["axes"]),
    "reduce_max": lambda axes, shape, out, p: tuple(a for at, a in enumerate(axes) if at not in p["axes"]),
}
KEEP = ("slice", "dynamic_slice", "pad", "rev", "concatenate", "sort", "gather", "top_k")  # shapes differ, axes do not


def _positive(parameters: dict[str, Any], shape: Sequence[int]) -> set[int]:
    return {int(at) % len(shape) for at in parameters["dimensions"]}


def followed(
    name: str, operands: Sequence[tuple[Axes, Sequence[int]]], out: Sequence[int], parameters: dict[str, Any]
) -> Axes:
    """Return the axes of a result, from those and the shapes of the operands.

    >>> row = Axis("left", 0, 0, True)
    >>> followed("transpose", [((row, None), (3, 5))], (5, 3), {"permutation": (1, 0)})[1] is row
    True

    Args:
        name: the operation.
        operands: the axes and the shape of each operand.
        out: the shape of the result.
        parameters: of the operation.
    """
    if name in RULES:
        return RULES[name](*operands[0], out, parameters)
    found: list[Axis | None] = [None] * len(out)
    for axes, shape in operands:
        if len(shape) != len(out) or not (tuple(shape) == tuple(out) or name in KEEP):
            continue
        for at, axis in enumerate(axes):
            if found[at] is None or (axis is not None and axis.side == "key"):
                found[at] = axis
    return tuple(found)
