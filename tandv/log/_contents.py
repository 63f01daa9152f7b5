"""What the files of a run hold: their rows, tensors, statistics, steps, phases and ranks.

What the footers tell is taken from them; otherwise one column of each file is read, a file at a time.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from tandv.log._frames import SCALARS
from tandv.log._index import File, Group
from tandv.log._rows import Numbering, Query, Reader
from tandv.log._unreadable import unreadable
from tandv.log.store.columns import PHASE, RANK, STEP
from tandv.log.store.layers import natural


def rows(files: Sequence[File]) -> int:
    """Return how many rows they have."""
    return sum(group.rows for group in _groups(files))


def tensors(files: Sequence[File]) -> Numbering:
    """Return the number of each tensor, in the natural order of types and names."""
    found = Numbering()
    for file in files:
        with Reader(file, found, Numbering()) as reader:
            for _ in reader.found(Query()):
                pass
    return Numbering((tensor, i) for i, tensor in enumerate(sorted(found, key=natural)))


def scalar_metrics(files: Sequence[File]) -> list[str]:
    """Return the names of the scalar statistics in the order of their columns."""
    names = dict.fromkeys(name for file in files for name in file.columns if name.startswith(SCALARS))
    return [name.removeprefix(SCALARS) for name in names]


def exponents(files: Sequence[File]) -> list[int]:
    """Return the exponents from the lowest to the highest that a value has."""
    ends = [file.exponents for file in files if file.exponents is not None]
    return list(range(min(low for low, _ in ends), max(high for _, high in ends) + 1)) if ends else []


def limits(files: Sequence[File]) -> tuple[int, int]:
    """Return the lowest and the highest step, (0, -1) where there is none."""
    groups = list(_groups(files))
    return min((group.low for group in groups), default=0), max((group.high for group in groups), default=-1)


def steps(files: Sequence[File]) -> np.ndarray:
    """Return the logged steps, ascending."""
    low, high = limits(files)
    if high - low > 100 * rows(files):  # so far apart that a table of all in between would be too large
        return np.unique(np.concatenate([np.unique(column) for column in _columns(files, STEP)]))
    seen = np.zeros(high - low + 1, bool)
    for column in _columns(files, STEP):
        seen[column - low] = True
    return np.flatnonzero(seen) + low


def phases(files: Sequence[File]) -> list[str]:
    """Return the phases in the order of text; none where all rows lie outside of any."""
    if all(group.phases == ("", "") for group in _groups(files)):
        return []
    return sorted({str(word) for column in _columns(files, PHASE) for word in column})


def ranks(files: Sequence[File]) -> list[int]:
    """Return the ranks whose rows are kept, ascending."""
    own = {file.ranks[0] for file in files if file.ranks is not None and file.ranks[0] == file.ranks[1]}
    others = [file for file in files if file.ranks is None or file.ranks[0] != file.ranks[1]]
    return sorted(own | {int(one) for column in _columns(others, RANK) for one in pd.unique(column)})


def is_finite(files: Sequence[File], tt: str) -> bool:
    """Tell whether the footers say that no tensor of a type has NaN or infinity.

    Args:
        files: the files of a run.
        tt: the tensor type.
    """
    return all(group.finite for group in _groups(files) if group.first[0] <= tt <= group.last[0])


def _groups(files: Sequence[File]) -> Iterator[Group]:
    return (group for file in files for group in file.groups)


def _columns(files: Sequence[File], name: str) -> Iterator[np.ndarray]:
    """Yield a column of each file that has it."""
    for file in files:
        if name in file.columns:
            yield _column(file, name)


def _column(file: File, name: str) -> np.ndarray:
    with file.opened() as parquet:
        try:
            column = parquet.read(columns=[name], use_threads=False)[name]
        except (ValueError, OSError, pa.ArrowException) as error:
            raise unreadable(file.place, error) from None
    if hasattr(column.type, "value_type"):
        words = {word for chunk in column.chunks for word in chunk.dictionary.to_pylist()}
        return np.array(sorted(words), object)
    return column.to_numpy()
