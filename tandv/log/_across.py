"""What the files of a run hold together: their phases and ranks, and whether rows are there twice."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from tandv.log._index import File
from tandv.log._layout import Layout
from tandv.log._pieces import Piece
from tandv.log._rows import coded, joined
from tandv.log.store.columns import PHASE, RANK


def has_rows_twice(pieces: Sequence[Piece]) -> bool:
    """Tell whether some tensors have rows at the same step in several pieces."""
    for tt in dict.fromkeys(tt for piece in pieces for tt in piece.layouts):
        layouts = [piece.layouts[tt] for piece in pieces if tt in piece.layouts]
        layouts.sort(key=lambda one: (one.steps[0], one.steps[-1]))
        for before, after in pairwise(layouts):
            if after.steps[0] <= before.steps[-1] and (_logged(before, after) & _logged(after, before)).any():
                return True
    return False


def _logged(one: Layout, other: Layout) -> np.ndarray:
    """Return which cells a layout has among the tensors and steps that both have."""
    _, tensors, _ = np.intersect1d(one.tensors, other.tensors, return_indices=True)
    _, steps, _ = np.intersect1d(one.steps, other.steps, return_indices=True)
    return one.arranged(np.ones(int(one.starts[-1]), bool), False)[np.ix_(tensors, steps)]


def phases_of(files: list[File]) -> set[str]:
    """Return the phases in some files; only where the footer names several the rows are read."""
    found: set[str] = set()
    for file in files:
        mixed = [group.number for group in file.groups if group.phases[0] != group.phases[1]]
        found |= {group.phases[0] for group in file.groups if group.number not in mixed}
        if mixed:
            with file.opened() as parquet:
                table = parquet.read_row_groups(mixed, columns=[PHASE], use_threads=False)
            codes, words = coded(joined(table[PHASE]))
            found |= {words[code] or "" for code in np.unique(codes)}
    return {one or "" for one in found}


def ranks_of(files: list[File]) -> set[int]:
    """Return the ranks in some files."""
    found: set[int] = set()
    for file in files:
        if file.ranks is not None and file.ranks[0] == file.ranks[1]:
            found.add(file.ranks[0])
        elif RANK in file.columns:
            with file.opened() as parquet:
                found |= set(np.unique(parquet.read(columns=[RANK], use_threads=False)[RANK].to_numpy()).tolist())
    return found
