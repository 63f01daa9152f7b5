"""The rows of many steps as one table, in the form in which a run's store keeps them."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from tandv.log.store.columns import Rows
from tandv.track.common.measurements import Block

_PART = 32 << 20  # bytes of counts that become one part, so that memory is bounded where steps have very many rows


def to_rows(blocks: Sequence[Block]) -> Rows:
    """Return the rows of many steps, in their order."""
    lowest = min(block.lowest for block in blocks)
    highest = max(block.lowest + block.counts.shape[1] - 3 for block in blocks)
    counts = np.zeros((sum(len(block.counts) for block in blocks), highest - lowest + 3), np.int64)
    row = 0
    for block in blocks:
        into = counts[row : row + len(block.counts)]
        start = block.lowest - lowest + 1
        into[:, start : start + block.counts.shape[1] - 2] = block.counts[:, 1:-1]
        into[:, [0, -1]] = block.counts[:, [0, -1]]
        row += len(block.counts)
    quantities = [quantity for block in blocks for quantity in block.quantities]
    metadata: dict[str, Any] = {
        "tensor_type": [quantity.tensor_type for quantity in quantities],
        "name": [_storable(quantity.name) for quantity in quantities],
        "type": [quantity.type for quantity in quantities],
        "dtype": [dtype for block in blocks for dtype in block.dtypes],
        "phase": [quantity.phase for quantity in quantities],
        "step": np.repeat([block.step for block in blocks], [len(block.quantities) for block in blocks]),
    }
    if any(block.rank is not None for block in blocks):
        metadata["rank"] = np.repeat([block.rank or 0 for block in blocks], [len(block.quantities) for block in blocks])
    scalars = {name: _column(name, blocks) for name in dict.fromkeys(k for b in blocks for k in b.scalars)}
    return Rows(metadata, scalars, counts, lowest)


def places(blocks: Sequence[Block]) -> list[tuple[Any, ...]]:
    """Return the place in the model of each row's tensor."""
    return [quantity.order for block in blocks for quantity in block.quantities]


def of_one_part(blocks: list[Block]) -> list[Block]:
    """Return the first of some steps, as many as go into one part; at least one."""
    sizes = itertools.accumulate(block.counts.nbytes for block in blocks)
    return blocks[: max(1, sum(size <= _PART for size in sizes))]


def _storable(name: str) -> str:
    """Return a name that a file can hold: a lone surrogate, as of a file's name that is no UTF-8, is written out."""
    return name if name.isascii() else name.encode("utf-8", "backslashreplace").decode()


def _column(name: str, blocks: Sequence[Block]) -> np.ndarray:
    return np.concatenate([block.scalars.get(name, np.full(len(block.dtypes), np.nan)) for block in blocks])
