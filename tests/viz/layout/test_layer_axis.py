"""Names of layers: all where there is room, blocks where not, in model order always."""

from itertools import pairwise

from tandv.viz.layout.layer_axis import LayerGroup, elide, grouped, labelled, levels, separators

NAMES = ["embed", *(f"layers.{i}.{part}" for i in range(12) for part in ("wq", "wk", "wv", "wo")), "head"]


def named(names, apart):
    return [b.name for b in labelled(levels(names), -0.5, len(names) - 0.5, apart)]


def test_every_name_where_there_is_room():
    assert named(NAMES, 1.0) == NAMES


def test_blocks_where_there_is_less():
    assert named(NAMES, 2.4) == ["embed", *(f"layers.{i}" for i in range(12)), "head"]


def test_every_other_block_where_there_is_still_less():
    assert [n for n in named(NAMES, 7.0) if n.startswith("layers")] == [f"layers.{i}" for i in range(0, 12, 2)]


def test_labels_are_never_closer_than_asked():
    for apart in (1, 2, 3, 5, 9, 20, 100):
        middles = [b.middle for b in labelled(levels(NAMES), -0.5, len(NAMES) - 0.5, apart)]
        assert all(b - a >= apart - 1e-9 for a, b in pairwise(middles))


def test_the_number_10_comes_after_2():
    assert named(NAMES, 2.4).index("layers.10") > named(NAMES, 2.4).index("layers.2")


def test_blocks_are_runs_of_neighbours():
    assert grouped(["a.x", "b.x", "a.y"], 1) == [LayerGroup("a", 0, 0), LayerGroup("b", 1, 1), LayerGroup("a", 2, 2)]


def test_borders_are_drawn_between_blocks():
    assert separators(NAMES).tolist() == [0.5, *(i + 0.5 for i in range(4, 49, 4))]
    assert separators(["a", "b", "c"]).tolist() == []


def test_a_long_name_keeps_its_end():
    assert elide("layers.3.attention.wq", 12).endswith("wq")
    assert len(elide("x" * 100, 12)) == 12
