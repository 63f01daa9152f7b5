"""Rows of a step that become columns of other rows, as those of attention heads and of experts do."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tandv.track.common.measurements import Block


def rows_of_types(block: Block, types: tuple[str, ...]) -> dict[tuple[Any, ...], int]:
    """Return where each tensor of some types is: its row, by (tensor type, name, phase).

    Args:
        block: the rows of a step.
        types: with what the tensor types begin.
    """
    return {
        (one.tensor_type, one.name, one.phase): row
        for row, one in enumerate(block.quantities)
        if one.tensor_type.startswith(types)
    }


def only_rows(block: Block, kept: Sequence[bool]) -> Block:
    """Return some of the rows of a step.

    Args:
        block: the rows.
        kept: of each row, whether it stays.
    """
    mask = np.array(kept, bool)
    return block._replace(
        quantities=[one for one, keep in zip(block.quantities, kept, strict=True) if keep],
        dtypes=[one for one, keep in zip(block.dtypes, kept, strict=True) if keep],
        scalars={name: values[mask] for name, values in block.scalars.items()},
        counts=block.counts[mask],
    )
