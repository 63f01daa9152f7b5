"""Block formats in the log (`track(formats=[...])`): which tensors are measured so, along which axis, and columns."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tandv.measure.blocks import PARTS, block_format, column
from tandv.messages import UnknownName, unknown
from tandv.tensor_types import ACTIVATION, GRADIENT, INPUT, WEIGHT
from tandv.track.common.measurements import Block, Key

OPERANDS = (INPUT, ACTIVATION, WEIGHT, GRADIENT)  # of matrix products

Axes = int | Mapping[str, int] | None  # of blocks: of all tensors, by tensor type, or as usual


def axis_of(axes: Axes, tensor_type: str, ndim: int, usual: int) -> int | None:
    """Return the axis of a tensor along which its blocks lie; None if it has no such axis, or is no operand.

    >>> axis_of({"Weight": 0}, "Weight", 2, -1), axis_of({"Weight": 0}, "Gradient", 2, -1), axis_of(2, "Weight", 2, -1)
    (0, 1, None)

    Args:
        axes: what the user chose.
        tensor_type: of the tensor.
        ndim: how many axes it has.
        usual: the axis where the user chose none.
    """
    if tensor_type not in OPERANDS or ndim < 2:
        return None
    chosen = axes.get(tensor_type, usual) if isinstance(axes, Mapping) else usual if axes is None else axes
    return chosen % ndim if -ndim <= chosen < ndim else None


def with_columns(block: Block, sums: Mapping[Key, np.ndarray], formats: Sequence[str]) -> Block:
    """Return the rows of a step with what was measured of their blocks, NaN in rows of tensors that were not.

    Args:
        block: the rows.
        sums: of each tensor, [formats, PARTS].
        formats: names of the formats.
    """
    more: dict[str, np.ndarray] = {}
    rows = [(at, sums[one.key]) for at, one in enumerate(block.quantities) if one.key in sums]
    for i, name in enumerate(formats):
        for k, part in enumerate(PARTS):
            values = more[column(part, name)] = np.full(len(block.quantities), np.nan)
            for at, found in rows:
                values[at] = found[i, k]
    return block._replace(scalars=block.scalars | more)


def format_problems(formats: Any, axes: Any, only_one_process: bool, own_function: bool) -> list[str]:
    """Return everything that is wrong with `formats=` and `formats_axis=`.

    Args:
        formats, axes: what `track` was given.
        only_one_process: whether one process is tracked alone.
        own_function: whether a function of the user measures.
    """
    if formats is None:
        return [] if axes is None else ["formats_axis= needs formats=, such as formats=['mxfp4']"]
    if isinstance(formats, str) or not isinstance(formats, Sequence):
        return [f"formats={formats!r} must be a list of block formats such as ['mxfp8_e4m3', 'mxfp4']"]
    found = []
    for name in formats:
        try:
            block_format(name)
        except UnknownName as error:
            found.append(f"formats: {error}")
    if not only_one_process:
        found.append("formats= measures those of one process; leave it out where several ranks are tracked together")
    if own_function:
        found.append("formats= and a stash_value= of your own cannot be combined; leave one out")
    for tensor_type, axis in axes.items() if isinstance(axes, Mapping) else [("", axes)] if axes is not None else []:
        if tensor_type and tensor_type not in OPERANDS:
            found.append(f"formats_axis: {unknown('tensor type', tensor_type, OPERANDS)}")
        if isinstance(axis, bool) or not isinstance(axis, int):
            found.append(
                f"formats_axis: {axis!r} must be the number of an axis such as -1, or a dict of these by tensor type, "
                "such as {'Weight': 0}"
            )
    return found
