"""A run of which each rank has written its rows in a folder of its own is read as one log."""

import json
import os

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tandv.log import logframe
from tandv.log.live import LiveLog
from tandv.log.opened import opened
from tandv.log.run import parts, read_run
from tandv.log.schema import SchemaError
from tandv.log.status import this_process
from tandv.log.store import of_ranks
from tandv.place import place_of
from tests.stored import stored, stored_by_rank

LOG = logframe.example_log(layers=2, steps=8)


def by_rank(*stages: pd.DataFrame) -> pd.DataFrame:
    """A log with the rows of each rank, which differ."""
    df = logframe.concat(stages)
    df["metadata", "rank"] = np.repeat(range(len(stages)), [len(one) for one in stages]).astype(np.int32)
    df["scalar_stats", "rm2"] *= 1 + df["metadata", "rank"]
    return df.sort_values(("metadata", "step"), kind="stable", ignore_index=True)


def test_it_is_the_log_of_one_folder(tmp_path):
    df = by_rank(LOG, LOG, LOG)
    one, several = stored(df, tmp_path / "one"), stored_by_rank(df, tmp_path / "several")
    expected = read_run(one)
    pd.testing.assert_frame_equal(read_run(several), expected)
    pd.testing.assert_frame_equal(read_run(stored_by_rank(df, tmp_path / "killed", close=False)), expected)
    assert logframe.ranks(several) == [0, 1, 2]
    for rank in (None, 1):
        chosen = {"layer": "head", "tt": "Weight", "rank": rank}
        pd.testing.assert_frame_equal(logframe.select(several, **chosen), logframe.select(one, **chosen))
    own = read_run(several / "ranks" / "0002")
    assert set(own["metadata", "rank"]) == {2} and len(own) == len(LOG)
    assert len(parts(several)) == 3


def test_each_rank_has_tensors_of_its_own_as_in_a_pipeline(tmp_path):
    layers = logframe.layers(LOG)
    halves = [LOG[LOG["metadata", "name"].isin(some)] for some in (layers[:3], layers[3:])]
    run = stored_by_rank(by_rank(*halves), tmp_path / "run")
    assert opened(run).layers("Weight") == logframe.layers(LOG, "Weight")
    log = read_run(run)
    assert logframe.tensor_types(log) == logframe.tensor_types(LOG)


@pytest.mark.parametrize("address", ["", "memory://of-ranks/run"])
def test_screens_see_all_ranks_and_what_they_add(address, tmp_path, monkeypatch):
    df = by_rank(LOG, LOG)
    early = df[df["metadata", "step"] < df["metadata", "step"].max()]
    stored_by_rank(early, tmp_path / "run")
    place = place_of(address or tmp_path / "run")

    def put():
        for path in (tmp_path / "run").rglob("*.*") if address else ():
            place.below(*path.relative_to(tmp_path / "run").parts).put(path.read_bytes())

    put()
    log = LiveLog(place)
    assert (log.ranks, log.notes) == ([0, 1], ["the ranks 0, 1 are merged"])
    before = log.matrix("Weight", "numel").values
    assert np.array_equal(before, 2 * LiveLog(place, rank=1).matrix("Weight", "numel").values)
    with monkeypatch.context() as patched:
        patched.setattr("tandv.log._source._MERGED", 10)
        rank = LiveLog(place)
    assert (rank.rank, len(rank._pieces)) == (0, 1)  # the files of others are not read
    if not address:
        last = df["metadata", "step"] == df["metadata", "step"].max()
        stored(df[last & (df["metadata", "rank"] == 1)], tmp_path / "new", identity="one run")
        new = tmp_path / "new" / "parts" / "000000.parquet"
        new.rename(tmp_path / "run" / "ranks" / "0001" / "parts" / "000009.parquet")
        assert log.refresh() and len(log.steps) == before.shape[1] + 1


def test_a_folder_of_another_run_is_named(tmp_path):
    df = by_rank(LOG, LOG)
    run = stored_by_rank(df, tmp_path / "run")
    stored(df[df["metadata", "rank"] == 1], run / "ranks" / "0002", identity="another")
    with pytest.raises(SchemaError, match=r"parts/0\S+ and ranks/0002/parts/\S+ are of two runs"):
        read_run(run)


def test_a_link_that_leads_out_of_the_run_is_not_followed(tmp_path):
    run = stored_by_rank(by_rank(LOG), tmp_path / "run")
    stored_by_rank(by_rank(LOG, LOG), tmp_path / "other")
    (run / "ranks").mkdir()
    (run / "ranks" / "0001").symlink_to(tmp_path / "other" / "ranks" / "0001")
    outside = []
    assert len(of_ranks.counting(place_of(run), None, outside)) == 1 and outside == ["ranks/0001"]
    assert len(of_ranks.counting(place_of(run))) == 2


def test_what_else_lies_there_is_no_rank(tmp_path):
    run = stored_by_rank(by_rank(LOG, LOG), tmp_path / "run")
    (run / "ranks" / "notes").mkdir()
    (run / "ranks" / "notes" / "a.txt").write_text("mine")
    (run / "ranks" / "0007").mkdir()  # of a rank that has written nothing yet
    assert logframe.ranks(run) == [0, 1]
    assert of_ranks.in_one_order([]) == []
    order = json.loads((run / "layers.json").read_text())["tensors"]
    assert opened(run).tensors == [tuple(one) for one in order]


def test_very_many_ranks_need_no_more_open_files_than_a_process_may_have(tmp_path, monkeypatch):
    df = by_rank(LOG, LOG, LOG)
    run = stored_by_rank(df, tmp_path / "run")
    expected = read_run(run)
    monkeypatch.setattr("tandv.log._frames._OPEN", 2)
    opened_now: list[int] = []
    close = pq.ParquetFile.close

    def closed(file, *arguments):
        opened_now.append(-1)
        return close(file, *arguments)

    init = pq.ParquetFile.__init__

    def begun(file, *arguments, **keywords):
        init(file, *arguments, **keywords)
        opened_now.append(1)

    monkeypatch.setattr(pq.ParquetFile, "close", closed)
    monkeypatch.setattr(pq.ParquetFile, "__init__", begun)
    pd.testing.assert_frame_equal(read_run(run), expected)
    assert max(np.cumsum(opened_now)) == 1


def test_of_a_killed_run_it_is_said_whose_rows_end_early(tmp_path):
    df = by_rank(LOG, LOG)
    early = df[(df["metadata", "step"] <= 3) | (df["metadata", "rank"] == 0)]
    run = stored_by_rank(early, tmp_path / "run", close=False)
    last = df["metadata", "step"].max()
    at = early[early["metadata", "rank"] == 1]["metadata", "step"].max()
    (run / "run.json").write_text(json.dumps({"status": "running", **this_process(), "process": 0, "process_key": ""}))
    os.utime(run / "run.json", (0, 0))
    for path in run.rglob("*.parquet"):
        os.utime(path, (0, 0))
    expected = f"the run was killed: there are rows up to step {last}, of rank 1 only up to step {at}"
    assert expected in LiveLog(run).notes
    for text in ('{"status": "finished"}', "{"):
        (run / "run.json").write_text(text)
        assert expected not in LiveLog(run).notes
