"""The tree of ranks."""

from tandv.track.ranks.shape import bits, place


def test_every_rank_has_one_rank_above_it_and_at_most_two_below():
    for size in (1, 2, 3, 4, 7, 8, 100):
        places = [place(rank, size) for rank in range(size)]
        children = [child for one in places for child in one.children]
        assert sorted(children) == list(range(1, size))
        assert all(len(one.children) <= 2 for one in places)
        for one in places:
            assert all(places[child].ancestors == (one.rank, *one.ancestors) for child in one.children)
            below = {one.rank}.union(*(bits(places[child].below) for child in one.children))
            assert set(bits(one.below)) == below


def test_a_thousand_ranks_are_ten_rounds_away():
    assert max(len(place(rank, 1024).ancestors) for rank in range(1024)) == 10
