"""Read a statistic of one tensor type as arrays [layers, steps], a row group at a time.

Counts of NaN and infinity are read only where the footer does not say that there are none.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tandv.log._frames import SCALARS
from tandv.log._index import File
from tandv.log._rows import Numbering, Query, Reader
from tandv.log.grid import Grid, arranged

_COUNTS = ("nans", "infs", "numel")


def cells_of(files: Sequence[File], numbers: Numbering, query: Query, scalar_metric: str) -> Grid:
    """Return the wanted rows of a run as arrays.

    Args:
        files: the files with their index.
        numbers: the number of each tensor, in the order of the model.
        query: which rows, of one tensor type.
        scalar_metric: the name of a statistic.
    """
    tensors = sorted(numbers[one] for one in query.tensors or numbers)
    layer_of = np.zeros(len(numbers), np.int32)
    layer_of[tensors] = np.arange(len(tensors))
    layers, steps, values, counts = [], [], [], []
    for file in files:
        with Reader(file, numbers, Numbering()) as reader:
            for rows in reader.found(query):
                counted = () if rows.group.finite else _COUNTS
                read = reader.columns(rows, [SCALARS + name for name in dict.fromkeys((scalar_metric, *counted))])
                columns = {
                    name.removeprefix(SCALARS): column.to_numpy(zero_copy_only=False)[_every(rows.taken)]
                    for name, column in read.items()
                }
                layers.append(layer_of[rows.tensor])
                steps.append(rows.step)
                values.append(columns.get(scalar_metric, np.full(len(rows.step), np.nan)))
                counts.append(columns if counted else {})
    joined = {scalar_metric: _concatenated(values)}
    if any(counts):
        for name in set(_COUNTS) - {scalar_metric}:  # which has been read of every row group
            parts = [one.get(name, np.zeros(len(at), np.int64)) for one, at in zip(counts, steps, strict=True)]
            joined[name] = _concatenated(parts)
    at_step, step = _positions(_concatenated(steps))
    layer = _concatenated(layers)
    used, layer = _positions(layer)
    names = list(numbers)
    return arranged([names[tensors[i]][1] for i in used], at_step, layer, step, joined, scalar_metric)


def _every(taken: np.ndarray | None) -> Any:
    return slice(None) if taken is None else taken


def _concatenated(parts: list[np.ndarray]) -> np.ndarray:
    """Return arrays as one, and free them: of a large log both would be much of the memory that is needed."""
    joined = np.concatenate(parts) if parts else np.zeros(0, np.int64)
    parts.clear()
    return joined


def _positions(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct numbers, ascending, and the position of each among them; as `np.unique`, without sorting."""
    if not len(numbers) or int(numbers.max()) - int(numbers.min()) > 4 * len(numbers) + 1024:
        return np.unique(numbers, return_inverse=True)
    low = numbers.min()
    seen = np.zeros(int(numbers.max() - low) + 1, bool)
    seen[numbers - low] = True
    return np.flatnonzero(seen) + low, (np.cumsum(seen, dtype=np.int32) - 1)[numbers - low]
