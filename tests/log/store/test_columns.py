"""The columns of a run's files, and counts as a map and back."""

import numpy as np
import pyarrow as pa
import pytest
from stored import rows_of

from tandv.log.logframe import example_log
from tandv.log.store import columns

ROWS = rows_of(example_log(layers=2, steps=2))
SCHEMA = columns.schema_of(ROWS)


def test_counts_become_a_map_without_zeros():
    counts = np.array([[0, 3, 0, 1], [0, 0, 0, 0], [2, 0, 0, 0]])
    packed = columns.packed(counts, -7)
    assert packed.to_pylist() == [[(-6, 3), (-4, 1)], [], [(-7, 2)]]


def test_a_slice_of_a_map_and_several_chunks_count_only_their_rows():
    packed = columns.packed(np.diag([1, 2, 3, 4]), 0)
    column = pa.chunked_array([packed.slice(2, 1), packed.slice(0, 0), packed.slice(1, 1)])
    assert columns.counted(column) == (1, 2)


def test_counts_beyond_32_bits_and_exponents_of_float64():
    packed = columns.packed(np.array([[1 << 40]]), -1074)
    assert packed.to_pylist() == [[(-1074, 1 << 40)]]
    assert columns.counted(pa.chunked_array([packed])) == (-1074, -1074)
    assert columns.counted(pa.chunked_array([columns.packed(np.zeros((2, 3), int), 0)])) is None


def test_one_schema_holds_all_rows_of_a_run():
    double = ROWS._replace(
        scalars={"mean": ROWS.scalars["mean"].astype(np.float64), "late": np.ones(len(ROWS.counts), np.float32)}
    )
    wider = columns.wider(SCHEMA, columns.schema_of(double))
    kinds = columns.statistics(wider)
    assert list(kinds)[-1] == "late"
    assert (kinds["mean"], kinds["std"], kinds["numel"]) == (pa.float64(), pa.float32(), pa.int64())
    assert columns.wider(wider, SCHEMA).equals(wider)
    of_ranks = ROWS._replace(metadata={**ROWS.metadata, "rank": np.zeros(len(ROWS.counts), int)})
    assert "metadata/rank" in columns.wider(SCHEMA, columns.schema_of(of_ranks)).names


def test_what_a_table_lacks_has_no_values():
    table = columns.to_table(ROWS, SCHEMA)
    more = columns.schema_of(ROWS._replace(scalars={**ROWS.scalars, "late": np.ones(len(ROWS.counts))}))
    fitted = columns.fitted(table, more)
    assert fitted["scalar_stats/late"].null_count == len(table)
    assert str(fitted.drop_columns(["scalar_stats/late"]).to_pylist()) == str(table.to_pylist())  # NaN included


@pytest.mark.parametrize("ranks", [None, [1, 0]])
def test_rows_are_sorted_by_tensor_as_text_then_step_phase_and_rank(ranks):
    names, steps, phases = ["layers.10", "layers.9", "layers.10"], [0, 0, 1], ["b", "", "a"]
    text = {"tensor_type": ["Weight"] * 6, "type": [""] * 6, "dtype": ["float32"] * 6}
    metadata = {**text, "name": names * 2, "step": steps * 2, "phase": phases * 2}
    if ranks is not None:
        metadata["rank"] = np.repeat(ranks, 3)
    else:
        metadata["phase"] = [*phases, "b2", "a", "b"]
    rows = columns.Rows(metadata, {"std": np.arange(6.0)}, np.zeros((6, 2), np.int64), 0)
    table = columns.to_table(rows, columns.schema_of(rows))
    keys = [table[name].to_pylist() for name in columns.SORTED_BY if name in table.column_names]
    found = list(zip(*keys, strict=True))
    assert found == sorted(found)
    assert table["metadata/name"].to_pylist() == ["layers.10"] * 4 + ["layers.9"] * 2
