import numpy as np

from tandv.track.common.columns import only_rows, rows_of_types
from tandv.track.common.measurements import Block, Quantity


def block() -> Block:
    named = [("Activation", "fc", ""), ("Experts", "moe.expert.0", ""), ("Experts.chosen", "moe.expert.0", "policy")]
    quantities = [Quantity((), name, "", kind, phase=phase) for kind, name, phase in named]
    numbers = np.arange(3.0)
    return Block(4, quantities, ["float32", "float16", "int8"], {"mean": numbers}, numbers[:, None], 0)


def test_rows_are_told_by_type_name_and_phase():
    assert rows_of_types(block(), ("Experts",)) == {
        ("Experts", "moe.expert.0", ""): 1,
        ("Experts.chosen", "moe.expert.0", "policy"): 2,
    }
    assert rows_of_types(block(), ("Attention",)) == {}


def test_every_column_loses_the_same_rows():
    left = only_rows(block(), [True, False, True])
    assert [one.tensor_type for one in left.quantities] == ["Activation", "Experts.chosen"]
    assert left.dtypes == ["float32", "int8"]
    assert left.scalars["mean"].tolist() == [0, 2] and left.counts.tolist() == [[0], [2]]


def test_all_rows_may_go():
    assert len(only_rows(block(), [False] * 3).counts) == 0
