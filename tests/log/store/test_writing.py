"""The log of a run on disk: parts that are joined while it grows."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from stored import counted_only, rows_of, stored

from tandv.log.logframe import example_log
from tandv.log.run import read_run
from tandv.log.store.listing import files
from tandv.log.store.writing import Store

LOG = counted_only(example_log(layers=5, steps=100))  # 25 rows a step


def names(run):
    return [path.relative_to(run).as_posix() for path in files(run)]


def test_parts_are_joined_in_batches_and_these_in_blocks(tmp_path):
    stored(LOG[LOG["metadata", "step"] < 24], tmp_path, close=False)  # parts of 50 rows, batches of 100, blocks of 400
    assert names(tmp_path) == [
        "parts/000000-000007.parquet",
        "parts/000008-000009.parquet",
        "parts/000010-000011.parquet",
    ]
    pd.testing.assert_frame_equal(read_run(tmp_path), counted_only(LOG[LOG["metadata", "step"] < 24]))


def test_a_run_that_has_ended_is_a_file_per_block(tmp_path):
    stored(LOG, tmp_path)
    blocks = [f"{first:06d}-{min(first + 7, 49):06d}.parquet" for first in range(0, 50, 8)]
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == blocks
    assert sorted(path.name for path in tmp_path.iterdir()) == ["layers.json", "parts"]
    pd.testing.assert_frame_equal(read_run(tmp_path), LOG)


def test_rows_are_sorted_by_tensor_and_step_in_every_file_and_groups_end_with_tensors(tmp_path):
    stored(LOG, tmp_path, steps=3, block=1000, group=70)
    for path in files(tmp_path):
        with pq.ParquetFile(path) as file:
            table = file.read(columns=["metadata/tensor_type", "metadata/name", "metadata/step"])
            rows = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
            ends = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        assert rows == sorted(rows)
        at = 0
        for size in ends[:-1]:
            at += size
            assert rows[at][:2] != rows[at - 1][:2]
            assert 70 <= size < 140


def test_a_statistic_that_comes_late_is_a_column_of_every_file(tmp_path):
    early, late = LOG[LOG["metadata", "step"] < 30], LOG[LOG["metadata", "step"] >= 30]
    store = Store(tmp_path, batch=100, block=400)
    store.add(rows_of(early))
    more = rows_of(late)
    store.add(more._replace(scalars=more.scalars | {"late": np.ones(len(late))}))
    assert store.schema is not None
    assert [pq.read_schema(path).names for path in files(tmp_path)] == [store.schema.names] * 2
    found = read_run(tmp_path)["scalar_stats", "late"]
    assert found.isna().tolist() == (LOG["metadata", "step"] < 30).tolist()
