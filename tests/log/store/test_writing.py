"""The log of a run on disk: parts that are joined while it grows."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from stored import counted_only, rows_of, stored

from tandv.log.logframe import example_log
from tandv.log.run import read_run
from tandv.log.store import joining
from tandv.log.store.columns import Rows
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


def refusing(*_):
    raise OSError(28, "No space left on device")


def filled(run, notes, until=40):
    """A store to which steps were added one by one, joined as far as it goes."""
    store = Store(run, lambda kind, message: notes.append((kind, message)), batch=50, block=200)
    for step in range(until):
        store.add(rows_of(LOG[LOG["metadata", "step"] == step]))
        while store.join():
            pass
    return store


@pytest.mark.parametrize("call", ["os.link", "tandv.log.store.writing.exchange", "tandv.log.store.joining.write"])
def test_where_joining_fails_the_parts_stay_and_no_row_is_lost(tmp_path, monkeypatch, call):
    notes = []
    real_write = joining.write
    with monkeypatch.context() as refused:
        if call.endswith("write"):  # of joined files only

            def write(path, *rest):
                return refusing() if "-" in path.name else real_write(path, *rest)

            refused.setattr(joining, "write", write)
        else:
            refused.setattr(call, refusing)
        store = filled(tmp_path, notes, until=20)
    # The 8 parts of the first block were joined where only links are refused: there were no others to link.
    assert len(files(tmp_path)) == (13 if call == "os.link" else 20)
    assert {kind for kind, _ in notes} == {"joining"}
    assert "No space left on device; they stay as they are, no row is lost" in notes[0][1]
    assert not (tmp_path / ".joining").exists()
    for step in range(20, 40):  # there is room again
        store.add(rows_of(LOG[LOG["metadata", "step"] == step]))
    store.close()
    pd.testing.assert_frame_equal(read_run(tmp_path), counted_only(LOG[LOG["metadata", "step"] < 40]))
    assert len(files(tmp_path)) == (12 if call == "os.link" else 19)  # three blocks were joined since


def test_a_part_that_the_disk_refuses_can_be_given_again(tmp_path, monkeypatch):
    store = filled(tmp_path, [], until=3)
    rows = rows_of(LOG[LOG["metadata", "step"] == 3])
    for call in ("os.replace", "tandv.log.store.writing.sync", "tandv.log.store.joining.write"):
        with monkeypatch.context() as refused:
            refused.setattr(call, refusing)
            with pytest.raises(OSError, match="No space left"):
                store.add(rows)
    store.add(rows)
    store.close()
    pd.testing.assert_frame_equal(read_run(tmp_path), counted_only(LOG[LOG["metadata", "step"] < 4]))


def test_columns_that_cannot_be_added_at_once_are_added_at_the_end(tmp_path, monkeypatch):
    notes = []
    store = filled(tmp_path, notes, until=3)
    rows = rows_of(LOG[LOG["metadata", "step"] == 3])
    with monkeypatch.context() as refused:
        refused.setattr("tandv.log.store.writing.exchange", refusing)
        store.add(rows._replace(scalars=rows.scalars | {"late": np.ones(25)}))
    ((kind, message),) = notes
    assert kind == "schema" and "it is tried again at the end" in message
    assert read_run(tmp_path)["scalar_stats", "late"].tolist()[-25:] == [1.0] * 25
    store.close()
    assert {"scalar_stats/late" in pq.read_schema(path).names for path in files(tmp_path)} == {True}


def test_what_others_put_into_the_folder_of_parts_stays_there(tmp_path):
    store = filled(tmp_path, [], until=1)
    (tmp_path / "parts" / "notes.txt").write_text("mine")
    (tmp_path / "parts" / "mine").mkdir()
    for step in range(1, 10):
        store.add(rows_of(LOG[LOG["metadata", "step"] == step]))
    store.close()
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == [
        *("000000-000007.parquet", "000008-000009.parquet", "mine", "notes.txt")
    ]
    assert (tmp_path / "parts" / "notes.txt").read_text() == "mine"


def test_parts_of_few_rows_are_joined_by_their_number(tmp_path, monkeypatch):
    monkeypatch.setattr("tandv.log.store.writing.FILES", 4)
    monkeypatch.setattr("tandv.log.store.writing.BATCHES", 2)
    stored(LOG[LOG["metadata", "step"] < 20], tmp_path, steps=1, close=False, batch=1 << 30, block=1 << 30)
    assert names(tmp_path) == [
        *("parts/000000-000007.parquet", "parts/000008-000015.parquet", "parts/000016-000019.parquet")
    ]


def test_the_order_of_the_model_is_kept_also_of_tensors_that_come_late(tmp_path):
    text = {"type": [""], "tensor_type": ["Weight"], "dtype": ["float32"], "phase": [""]}
    store = Store(tmp_path)
    for step, (name, place) in enumerate([("b", (1,)), ("c", (2,)), ("a", (0, 5)), ("b", (1,))]):
        metadata = {**text, "name": [name], "step": [step]}
        store.add(Rows(metadata, {"std": np.ones(1, np.float32)}, np.array([[0, 1, 0]]), 0), [place])
    store.close()
    assert json.loads((tmp_path / "layers.json").read_text()) == {"tensors": [["Weight", name] for name in "abc"]}


def test_the_size_of_the_frame_is_told_before_it_is_made(tmp_path):
    store = filled(tmp_path, [], until=20)
    assert store.frame_size == pytest.approx(read_run(tmp_path).memory_usage().sum(), rel=0.15)
