"""What some ranks have measured in one step; parts of a step merge in any order and grouping.

A row's label says what it measures (`ids`) and how it is counted:

| `groups` | `whose` | the row |
|---|---|---|
| `NO_GROUP` | `ANY` | adds to those of all ranks, such as an output of a rank's own batch |
| `NO_GROUP` | a rank | is a copy, such as a weight under data parallelism: the lowest rank's counts |
| a mesh | `ANY` | adds to those of its mesh; meshes have copies of each other, of which one counts |
| a mesh | a rank | has a copy or a piece of what the mesh's other ranks have, as only their numbers tell |
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tandv import statistics
from tandv.track.ranks import extremes
from tandv.track.ranks.extremes import Extremes

NO_GROUP = 0  # any other group is a mesh, by a hash of it
ANY = -1
_ALIKE = 1e-4  # relative difference up to which two ranks' statistics are of copies; kernels may differ in rounding


class Mesh(NamedTuple):
    """The ranks that have one tensor together."""

    ranks: int  # bits
    pieces: int  # that the tensor has on them

    @property
    def first(self) -> int:
        """Return the lowest of its ranks."""
        return (self.ranks & -self.ranks).bit_length() - 1


class StepPart(NamedTuple):
    """What some ranks have measured in one step, its labels ascending by (ids, groups, whose)."""

    step: int
    who: int  # the ranks that are in it, as bits
    ids: np.ndarray  # uint64 [rows]
    groups: np.ndarray  # uint64 [rows]
    whose: np.ndarray  # int32 [rows]
    pieces: np.ndarray  # int32 [rows]: how many ranks' measurements have been added up
    rows: np.ndarray  # `statistics.ROW` or `WIDE_ROW`
    extremes: Extremes | None = None  # over the ranks of each row; None where all rows are of one rank

    def of(self, chosen: np.ndarray) -> "StepPart":
        """Return some of its rows, by their places or a mask."""
        return self._replace(
            ids=self.ids[chosen],
            groups=self.groups[chosen],
            whose=self.whose[chosen],
            pieces=self.pieces[chosen],
            rows=self.rows[chosen],
            extremes=None if self.extremes is None else self.extremes.of(chosen),
        )

    @property
    def over_ranks(self) -> Extremes:
        """Return the smallest and the largest value of each statistic over the ranks of each row."""
        return extremes.of_one(self.rows, self.who.bit_length() - 1) if self.extremes is None else self.extremes

    @property
    def is_mesh(self) -> np.ndarray:
        """Return which rows are of a mesh."""
        return self.groups > NO_GROUP


def part_of(step: int, rank: int, labels: Sequence[tuple[int, int, int]], rows: np.ndarray) -> StepPart:
    """Return what one rank has measured.

    Args:
        step: the step.
        rank: the rank.
        labels: (id, group, whose) of each row; no two are the same.
        rows: a row for each label.
    """
    ids, groups, whose = zip(*labels, strict=True) if labels else ((), (), ())
    part = StepPart(
        step, 1 << rank, np.array(ids, np.uint64), np.array(groups, np.uint64), np.array(whose, np.int32),
        np.ones(len(labels), np.int32), rows,
    )  # fmt: skip
    return part.of(np.lexsort((part.whose, part.groups, part.ids)))


def joined(parts: Sequence[StepPart]) -> StepPart:
    """Merge parts of one step; rows of the same label add up, in the order in which the parts are given.

    Args:
        parts: of one step and of different ranks; at least one.
    """
    if any(part.rows.dtype == statistics.WIDE_ROW for part in parts):
        parts = [
            part._replace(rows=part.rows if part.rows.dtype == statistics.WIDE_ROW else statistics.widen(part.rows))
            for part in parts
        ]
    if len(parts) > 1:
        parts = [part._replace(extremes=part.over_ranks) for part in parts]
    first, *others = parts
    for other in others:
        first = _plus(first, other)
    return first


def _plus(one: StepPart, other: StepPart) -> StepPart:
    step, who = one.step, one.who | other.who
    ours, theirs = one.over_ranks, other.over_ranks
    if len(one.ids) == len(other.ids) and all(map(np.array_equal, one[2:5], other[2:5])):
        rows = statistics.merge_aligned(one.rows, other.rows)
        both = extremes.merged(ours, theirs)
        return one._replace(who=who, rows=rows, pieces=one.pieces + other.pieces, extremes=both)
    labels = [np.concatenate(pair) for pair in zip(one[2:5], other[2:5], strict=True)]
    order = np.lexsort(labels[::-1])
    ids, groups, whose = (values[order] for values in labels)
    new = _changes(ids, groups, whose)
    places = np.empty(len(order), np.int64)
    places[order] = np.cumsum(new) - 1
    n = int(new.sum())
    into, at = places[: len(one.ids)], places[len(one.ids) :]
    rows, pieces, there = np.empty(n, one.rows.dtype), np.zeros(n, np.int32), np.zeros(n, bool)
    rows[into], pieces[into], there[into] = one.rows, one.pieces, True
    both = there[at]
    rows[at[~both]] = other.rows[~both]
    rows[at[both]] = statistics.merge_aligned(rows[at[both]], other.rows[both])
    pieces[at] += other.pieces
    over_ranks = extremes.grouped(
        Extremes(*(np.concatenate(pair) for pair in zip(ours, theirs, strict=True))), np.concatenate([into, at])
    )
    return StepPart(step, who, ids[new], groups[new], whose[new], pieces, rows, over_ranks)


def _changes(*columns: np.ndarray) -> np.ndarray:
    """Return at which rows another value begins in one of the sorted columns."""
    new = np.ones(len(columns[0]), bool)
    new[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
    return new


# Copies.


def without_copies(part: StepPart, meshes: Mapping[int, Mesh], tensors: np.ndarray | None = None) -> StepPart:
    """Leave out copies of which another counts: that of the lowest rank, or of the mesh with the lowest.

    A mesh of which pieces are missing counts only where no copy is whole. Pieces may still come from ranks outside of
    a part, so such a mesh stays in it as long as it has the lowest rank.

    Args:
        part: the rows.
        meshes: what is known of meshes, by group.
        tensors: [rows], a number for each tensor, where the part has all that there will be; then one copy stays.
    """
    plain = (part.groups == NO_GROUP) & (part.whose != ANY)
    at = np.flatnonzero(plain | (part.is_mesh & (part.whose == ANY)))
    of = (part.ids if tensors is None else tensors)[at]
    known, which = np.unique(part.groups[at], return_inverse=True)
    about = [meshes.get(int(group), Mesh(1, 1)) for group in known]
    first = np.where(plain[at], part.whose[at], np.array([one.first for one in about], np.int64)[which])
    whole = plain[at] | (part.pieces[at] >= np.array([one.pieces for one in about], np.int64)[which])
    order = np.lexsort((first, ~whole, of))
    best = _changes(of[order])
    keep = best.copy()
    if tensors is None:
        starts = np.flatnonzero(best)[np.cumsum(best) - 1]
        keep |= ~whole[order] & (~whole[order][starts] | (first[order] < first[order][starts]))
    kept = np.ones(len(part.ids), bool)
    kept[at[order]] = keep
    return part if kept.all() else part.of(kept)


def told_apart(part: StepPart, meshes: Mapping[int, Mesh], within: int, split: set[tuple[int, int]]) -> StepPart:
    """Tell whether rows of a mesh's ranks are copies or pieces; from then on they add to those of other ranks.

    Outputs between tensor-parallel layers are plain tensors without placements. Copies agree in every statistic; a
    tensor that differs once counts as split from then on; constants are no evidence.

    Args:
        part: the rows.
        meshes: what is known of meshes, by group.
        within: the ranks of which a part may have rows; meshes with others are left as they are.
        split: the (id, group) known to be split, to which others are added.
    """
    known, which = np.unique(part.groups, return_inverse=True)
    inside = np.array([not meshes[int(group)].ranks & ~within if group > NO_GROUP else False for group in known], bool)
    chosen = inside[which] & (part.whose != ANY)
    if not chosen.any():
        return part
    some, rest = part.of(chosen), part.of(~chosen)
    new = _changes(some.ids, some.groups)
    starts, tensor = np.flatnonzero(new), np.cumsum(new) - 1
    labels = list(zip(some.ids[starts].tolist(), some.groups[starts].tolist(), strict=True))
    alike, constant = _alike(some.rows, starts, tensor)
    several = np.bincount(tensor) > 1
    for i in np.flatnonzero(several & ~alike):
        split.add(labels[i])
    copies = alike & ~constant & np.array([label not in split for label in labels])
    calls = np.maximum.reduceat(some.rows["calls"], starts)
    some.rows["calls"] = np.where(new, np.where(copies, some.rows["calls"][starts], calls)[tensor], 0)
    kept = some.of(new | ~copies[tensor])
    number = np.cumsum(_changes(kept.ids)) - 1
    of, n = np.unique(kept.ids), int(number[-1]) + 1
    settled = StepPart(
        part.step, part.who, of, np.full(n, NO_GROUP, np.uint64), np.full(n, ANY, np.int32),
        np.bincount(number).astype(np.int32), statistics.merge(kept.rows, number),
        None if kept.extremes is None else extremes.grouped(kept.extremes, number),
    )  # fmt: skip
    return joined([rest, settled])


def _alike(rows: np.ndarray, starts: np.ndarray, tensor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which tensors have the same statistics on all ranks, and which of them are constant somewhere."""
    first = starts[tensor]
    with np.errstate(invalid="ignore"):
        sum_abs, total = (np.ldexp(rows[name], rows["scale"]) for name in ("sum_abs", "sum"))
        slack = _ALIKE * np.maximum.reduceat(sum_abs, starts)[tensor]
        near = np.ones(len(rows), bool)
        for values in (sum_abs, total, rows["max_abs"], rows["numel"], rows["zeros"]):
            near &= _near(values, values[first], slack)
        near &= _near(rows["min_abs"], rows["min_abs"][first], np.float64(1e-8))
    moves = np.logical_and.reduceat(rows["max_abs"] > rows["min_abs"], starts)
    return np.logical_and.reduceat(near, starts), ~moves


def _near(values: np.ndarray, others: np.ndarray, slack: np.ndarray | np.float64) -> np.ndarray:
    return (values == others) | (np.abs(values - others) <= slack + _ALIKE * np.abs(others))
