"""Smallest and largest values over ranks: the same whichever way ranks merge."""

import numpy as np
import pytest

from tandv import statistics
from tandv.measure import measure
from tandv.track.ranks.extremes import STATISTICS, Extremes, grouped, merged, of_one
from tandv.track.ranks.packing import packed, unpacked
from tandv.track.ranks.part import ANY, NO_GROUP, Mesh, joined, part_of, told_apart, without_copies

TENSORS = 6


def values_of(rank, tensor, dtype):
    """Some tensors of a rank: few different numbers, so that ranks tie; some all NaN, some without a value."""
    random = np.random.default_rng([rank, tensor])
    values = random.integers(-2, 3, size=random.integers(0, 4)).astype(dtype)
    return values * np.nan if tensor == 1 and rank % 2 else values


def part(rank, dtype=np.float32):
    """What a rank has measured: outputs, of which each rank has some others."""
    tensors = [one for one in range(TENSORS) if (rank + one) % 4]
    rows = measure([values_of(rank, one, dtype) for one in tensors])
    return part_of(0, rank, [(one, NO_GROUP, ANY) for one in tensors], rows)


def expected(ranks, tensor, statistic, dtype):
    """The four numbers of the definition, by a loop over the ranks."""
    found = [
        (float(statistics.summarise(measure([values_of(rank, tensor, dtype)]))[statistic][0]), rank)
        for rank in ranks
        if (rank + tensor) % 4
    ]
    some = [one for one in found if not np.isnan(one[0])] or found
    if np.isnan(some[0][0]):
        return np.nan, min(rank for _, rank in some), np.nan, min(rank for _, rank in some)
    low, high = min(some), min((-value, rank) for value, rank in some)
    return low[0], low[1], -high[0], high[1]


def in_any_grouping(parts, random):
    """Merge parts pairwise in a random order, as one tree of many would, some of them sent as bytes."""
    parts = list(parts)
    while len(parts) > 1:
        several = [parts.pop(random.integers(len(parts))) for _ in range(min(len(parts), random.integers(2, 4)))]
        one = joined(several)
        parts.append(unpacked(packed(one)) if random.integers(2) else one)
    return parts[0]


@pytest.mark.parametrize("seed", range(8))
def test_every_grouping_gives_the_extremes_of_a_loop_over_the_ranks(seed):
    random = np.random.default_rng(seed)
    dtypes = [np.float64 if seed == 7 and rank == 3 else np.float32 for rank in range(9)]
    found = in_any_grouping([part(rank, dtypes[rank]) for rank in range(9)], random)
    assert found.ids.tolist() == list(range(TENSORS)) and found.extremes is not None
    for place, tensor in enumerate(found.ids.tolist()):
        for i, statistic in enumerate(STATISTICS):
            values, ranks = found.extremes.values[place, i], found.extremes.ranks[place, i]
            low, of_low, high, of_high = expected(range(9), tensor, statistic, np.float32)
            assert np.array_equal(values, np.float32([low, high]), equal_nan=True), (tensor, statistic)
            assert ranks.tolist() == [of_low, of_high], (tensor, statistic)


def test_rows_that_merge_are_those_without_extremes():
    parts = [part(rank) for rank in range(4)]
    plain = statistics.merge(np.concatenate([one.rows for one in parts]), np.concatenate([one.ids for one in parts]))
    assert np.array_equal(joined(parts).rows["counts"], plain["counts"])
    assert joined(parts[:1]).extremes is None  # a rank alone sends none


def test_what_several_ranks_have_comes_back_from_bytes():
    one = joined([part(0), part(2), part_of(0, 5, [(9, NO_GROUP, ANY)], measure([np.array([1e300])]))])
    back = unpacked(packed(one))
    assert one.extremes is not None and back.extremes is not None
    assert np.array_equal(back.extremes.values, one.extremes.values, equal_nan=True)
    assert np.array_equal(back.extremes.ranks, one.extremes.ranks)
    assert back.extremes.values[-1, STATISTICS.index("max_abs")].tolist() == [1e300, 1e300]


def test_they_cost_few_bytes_and_none_of_what_one_rank_has():
    rows = measure([np.arange(10, dtype=np.float32)] * 100)
    labels = [(i, NO_GROUP, ANY) for i in range(100)]
    alone, both = part_of(0, 0, labels, rows), joined([part_of(0, rank, labels, rows) for rank in (0, 1)])
    assert len(packed(both)) - len(packed(alone)) < 100 * 125
    copies = joined([part_of(0, rank, [(i, NO_GROUP, rank) for i in range(100)], rows) for rank in (0, 1)])
    counted = without_copies(copies, {})
    assert len(packed(counted)) - len(packed(alone)) < 100 * 5


def test_of_copies_of_a_tensor_parallel_output_one_counts_and_pieces_merge():
    meshes = {50: Mesh(0b11, 2)}
    both = joined([
        part_of(0, rank, [(1, 50, rank), (2, 50, rank)], measure([np.float32([1, 2]), np.float32([rank, 5 + rank])]))
        for rank in (0, 1)
    ])  # fmt: skip
    found = told_apart(both, meshes, 0b11, set())
    assert found.pieces.tolist() == [1, 2] and found.extremes is not None
    at = STATISTICS.index("max_abs")
    assert found.extremes.ranks[:, at].tolist() == [[0, 0], [0, 1]]
    assert found.extremes.values[1, at].tolist() == [5.0, 6.0]


def test_groups_merge_as_pairs_do():
    rows = of_one(measure([np.float32([one]) for one in (3, 1, 2, 1)]), np.array([4, 7, 1, 2]))
    by_group = grouped(rows, np.array([0, 1, 0, 1]))
    pairs = merged(rows.of(np.array([0, 1])), rows.of(np.array([2, 3])))
    assert np.array_equal(by_group.values, pairs.values) and np.array_equal(by_group.ranks, pairs.ranks)
    assert by_group.ranks[:, STATISTICS.index("mean")].tolist() == [[1, 4], [2, 2]]
    nothing = Extremes(rows.values[:0], rows.ranks[:0])
    assert grouped(nothing, np.zeros(0, np.int64)).values.shape == (0, len(STATISTICS), 2)
