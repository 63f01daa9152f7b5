"""The rows of many steps as one log."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tandv.log import logframe
from tandv.track.common.measurements import Block


def to_frame(blocks: Sequence[Block], phases: bool = False) -> pd.DataFrame:
    """Return the rows of many steps as one valid log; with `phases` it has their column in any case."""
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
    metadata = {
        "name": [quantity.name for quantity in quantities],
        "type": [quantity.type for quantity in quantities],
        "tensor_type": [quantity.tensor_type for quantity in quantities],
        "step": np.repeat([block.step for block in blocks], [len(block.quantities) for block in blocks]),
        "dtype": [dtype for block in blocks for dtype in block.dtypes],
    }
    if any(block.ranks is not None for block in blocks):
        metadata["rank"] = np.concatenate([block.ranks for block in blocks if block.ranks is not None])
    if phases or has_phases(blocks):
        metadata["phase"] = [quantity.phase for quantity in quantities]
    scalars = {name: _column(name, blocks) for name in dict.fromkeys(k for b in blocks for k in b.scalars)}
    return logframe.frame(metadata, scalars, counts, range(lowest, highest + 1))


def has_phases(blocks: Sequence[Block]) -> bool:
    """Tell whether some rows were recorded within a phase."""
    return any(quantity.phase for block in blocks for quantity in block.quantities)


def _column(name: str, blocks: Sequence[Block]) -> np.ndarray:
    return np.concatenate([block.scalars.get(name, np.full(len(block.dtypes), np.nan)) for block in blocks])
