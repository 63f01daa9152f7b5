"""Parts of one step merge; copies count once, pieces add."""

import numpy as np
import pytest

from tandv import statistics
from tandv.measure import measure
from tandv.track.ranks.part import ANY, NO_GROUP, Mesh, joined, part_of, told_apart, without_copies


def part(rank, *tensors):
    """A part of one rank, of (id, group, whose, values)."""
    rows = measure([np.array(values, np.float32) for *_, values in tensors])
    return part_of(0, rank, [(one, group, whose) for one, group, whose, _ in tensors], rows)


def total(merged):
    return dict(zip(merged.ids.tolist(), (merged.rows["sum"] * 2.0 ** merged.rows["scale"]).tolist(), strict=True))


def test_outputs_add_and_rows_that_only_some_ranks_have_are_kept():
    merged = joined([
        part(0, (7, NO_GROUP, ANY, [1, 2]), (5, NO_GROUP, ANY, [4])),
        part(1, (7, NO_GROUP, ANY, [8])),
        part(2, (9, NO_GROUP, ANY, [16]), (7, NO_GROUP, ANY, [32])),
    ])  # fmt: skip
    assert (merged.who, merged.ids.tolist(), merged.pieces.tolist()) == (0b111, [5, 7, 9], [1, 3, 1])
    assert total(merged) == {5: 4, 7: 43, 9: 16}
    assert merged.rows["calls"].tolist() == [1, 3, 1]


@pytest.mark.parametrize("aligned", [True, False])
def test_parts_merge_as_rows_do(aligned):
    random = np.random.default_rng(0)
    values = [random.normal(size=100) * 10**scale for scale in (0.0, 3.0, -2.0)]
    more = [[] if aligned else [(8 + rank, NO_GROUP, ANY, [1.0])] for rank in range(3)]
    merged = joined([part(rank, (7, NO_GROUP, ANY, values[rank]), *more[rank]) for rank in range(3)])
    [expected] = statistics.merge(measure([of.astype(np.float32) for of in values]), np.zeros(3, int))
    for name in ("numel", "scale", "max_abs", "min_abs", "counts"):
        assert np.array_equal(merged.rows[0][name], expected[name]), name
    for name in statistics.SUMS:
        assert merged.rows[0][name] == pytest.approx(expected[name], rel=1e-12), name


def test_of_copies_the_lowest_rank_counts():
    merged = joined([part(rank, (7, NO_GROUP, rank, [rank])) for rank in (2, 5, 3)])
    assert len(merged.ids) == 3
    assert without_copies(merged, {}).whose.tolist() == [2]


def test_of_meshes_with_copies_the_one_with_the_lowest_rank_counts():
    meshes = {50: Mesh(0b0011, 2), 40: Mesh(0b1100, 2)}
    all_of_them = [part(rank, (7, 50 if rank < 2 else 40, ANY, [10.0**rank])) for rank in range(4)]
    merged = without_copies(joined(all_of_them), meshes)
    assert merged.groups.tolist() == [50] and total(merged) == {7: 11.0} and merged.pieces.tolist() == [2]
    some = joined(all_of_them[1:])  # of rank 0's mesh a piece may still come from elsewhere
    assert without_copies(some, meshes).groups.tolist() == [40, 50]
    whole = without_copies(some, meshes, tensors=np.zeros(2, int))
    assert whole.groups.tolist() == [40] and total(whole) == {7: 1100.0}
    late = joined([all_of_them[1], all_of_them[3]])  # where none is whole, the lowest
    assert without_copies(late, meshes, tensors=np.zeros(2, int)).groups.tolist() == [50]


def test_outputs_of_a_mesh_are_told_apart_by_their_numbers():
    meshes, split = {50: Mesh(0b11, 2), 60: Mesh(0b110, 2)}, set()
    merged = joined([
        part(0, (1, 50, 0, [1, 2]), (2, 50, 0, [1, 2]), (3, 50, 0, [5, 5])),
        part(1, (1, 50, 1, [1, 2]), (2, 50, 1, [3, 4]), (3, 50, 1, [5, 5]), (4, 60, 1, [1])),
    ])  # fmt: skip
    found = told_apart(merged, meshes, 0b11, split)
    assert found.ids.tolist() == [1, 2, 3, 4]
    assert found.groups.tolist() == [NO_GROUP] * 3 + [60]  # of which rank 2 has something too
    assert total(found) == {1: 3, 2: 10, 3: 20, 4: 1}  # a copy; pieces; constants are no evidence of a copy
    assert found.rows["calls"].tolist() == [1, 1, 1, 1] and split == {(2, 50)}
    again = joined([part(0, (2, 50, 0, [1, 2])), part(1, (2, 50, 1, [1, 2]))])
    assert total(told_apart(again, meshes, 0b11, split)) == {2: 6}  # it was split once


def test_rows_of_float64_widen_those_of_other_ranks():
    wide = part_of(0, 1, [(7, NO_GROUP, ANY)], measure([np.array([1e-300])]))
    merged = joined([part(0, (7, NO_GROUP, ANY, [1.0])), wide])
    assert merged.rows.dtype == statistics.WIDE_ROW
    assert statistics.counts_of(merged.rows[0]) == {0: 1, -997: 1}
