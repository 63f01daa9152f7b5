"""A run's folder in which something is damaged or meant to do harm: it is said, and all else is shown."""

import json
import os
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stored import counted_only, rows_of, stored

from tandv.log import logframe
from tandv.log._pieces import FilePiece
from tandv.log._unreadable import UnreadableFile
from tandv.log.files import write_pickle
from tandv.log.live import LiveLog
from tandv.log.logframe import example_log, select
from tandv.log.shown import ABSENT
from tandv.log.status import this_process
from tandv.log.store.writing import Store

LOG = counted_only(example_log(layers=3, steps=8))


@pytest.fixture
def run(tmp_path):
    """A killed run of 8 parts."""
    return stored(LOG, tmp_path / "run", steps=1, close=False, batch=10_000)


def part(run, number):
    return run / "parts" / f"{number:06d}.parquet"


def damaged(path):
    path.write_bytes(path.read_bytes()[:200])


def of_another_schema(path):
    pq.write_table(
        pa.table({"metadata/step": [1, 2], "exponent_counts": pa.array([[], []], pa.map_("int16", "int64"))}), path
    )


def a_text(path):
    path.write_text("<script>alert(1)</script>")


def empty(path):
    path.write_bytes(b"")


def a_pipe(path):
    path.unlink()
    os.mkfifo(path)


def a_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("harm", [damaged, of_another_schema, a_text, empty])
def test_a_part_that_is_none_is_named_and_the_rest_is_shown(harm, run):
    log = LiveLog(run)
    harm(part(run, 3))
    assert log.refresh()
    note, lacking = log.notes
    assert "000003.parquet" in note
    assert lacking == "steps of damaged files are lacking: between 2 and 4"
    assert log.steps.tolist() == list(range(8))
    assert (log.matrix("Weight", "rm2").flags & ABSENT != 0).any(axis=0).tolist() == [step == 3 for step in range(8)]
    assert not log.refresh()
    assert LiveLog(run).notes == [note, lacking]
    shutil.copy(part(stored(LOG, run.parent / "other", steps=1, close=False, batch=10_000), 3), part(run, 9))
    part(run, 3).unlink()
    assert log.refresh()
    assert log.notes != [note, lacking]


def test_a_pipe_in_the_place_of_a_part_is_not_read(run):
    a_pipe(part(run, 3))
    log = LiveLog(run)
    assert log.steps.tolist() == [0, 1, 2, 4, 5, 6, 7]
    assert log.notes == ["000003.parquet is not read: it is no plain file"]


def test_a_folder_in_the_place_of_a_part_holds_none(run):
    a_folder(part(run, 3))
    log = LiveLog(run)
    assert (log.steps.tolist(), log.notes) == ([0, 1, 2, 4, 5, 6, 7], [])


def with_a_damaged_page(path, column):
    found = pq.ParquetFile(path).metadata.row_group(0)
    at = next(i for i in range(found.num_columns) if found.column(i).path_in_schema == column)
    data = bytearray(path.read_bytes())
    data[found.column(at).data_page_offset + found.column(at).total_compressed_size - 2] ^= 255
    path.write_bytes(data)


def test_a_page_that_is_damaged_is_noticed_when_it_is_read(run):
    log = LiveLog(run)
    with_a_damaged_page(part(run, 3), "scalar_stats/rm2")
    assert log.refresh()
    assert log.notes == []
    matrix = log.matrix("Weight", "rm2")
    assert matrix.flags[0].tolist() == [0, 0, 0, ABSENT, 0, 0, 0, 0]
    assert "000003.parquet: it is damaged" in log.notes[0]
    assert not log.matrix("Weight", "std").flags.any()  # another column of it is sound


@pytest.mark.parametrize("column", ["scalar_stats/nans", "scalar_stats/zeros", "exponent_counts.key_value.value"])
def test_whatever_is_damaged_leaves_answers_of_the_rest(column, run):
    with_a_damaged_page(part(run, 7), column)
    log = LiveLog(run)
    log.firsts()
    exponents = log.exponents_of("Gradient", "head")
    shares = log.shares("Gradient", "head", columns=1)
    assert exponents.logged[:7].all()
    assert shares.shares.any()
    assert log.cell("Gradient", "head", 7) is None
    assert log.cell("Gradient", "head", 6) is not None
    assert log.matrix("Gradient", "rm2").flags[0, :7].tolist() == [0] * 7
    assert all("000007.parquet: it is damaged" in note for note in log.notes)
    assert log.notes


def test_a_run_of_which_nothing_can_be_read_is_refused(run):
    for number in range(8):
        damaged(part(run, number))
    with pytest.raises(UnreadableFile, match=r"cannot open the run .*\n.*000000.parquet: it is damaged"):
        LiveLog(run)
    write_pickle(LOG, run / "log.pkl")  # the finished log has all
    assert len(LiveLog(run).steps) == 8


def test_links_that_lead_out_of_the_run_are_not_followed(run, tmp_path):
    other = stored(example_log(layers=3, steps=30), tmp_path / "secret", steps=1, close=False, batch=10_000)
    part(run, 8).symlink_to(part(other, 8))
    (run / "parts" / "more").symlink_to(other / "parts")
    part(run, 7).rename(run / "beside")
    part(run, 7).symlink_to(run / "beside")  # one that stays in it is followed
    log = LiveLog(run)
    assert log.steps.tolist() == list(range(8))
    assert log.notes == ["links that lead out of the run are not followed: parts/000008.parquet, parts/more"]
    shutil.rmtree(run / "parts")
    (run / "parts").symlink_to(other / "parts")
    assert log.refresh()
    assert log.steps.tolist() == []
    assert log.notes[0] == "links that lead out of the run are not followed: parts"


def test_very_many_files_do_not_take_long(run, monkeypatch):
    monkeypatch.setattr("tandv.log._folder._FILES", 6)
    assert len(LiveLog(run).steps) == 6
    assert "the run has more than 6 files" in LiveLog(run).notes[0]
    monkeypatch.setattr("tandv.log._folder._FILES", 1000)
    monkeypatch.setattr("tandv.log._source._AT_ONCE", 3)
    log = LiveLog(run)
    assert (len(log.steps), log.notes) == (3, ["5 files are not read yet"])
    assert [log.refresh(), log.refresh(), log.refresh()] == [True, True, False]
    assert (len(log.steps), log.notes) == (8, [])


def test_of_very_many_damaged_files_some_are_named(run, monkeypatch):
    monkeypatch.setattr("tandv.log._folder._FILES", 20)
    for number in range(999, 7, -1):
        part(run, number).touch()
    log = LiveLog(run)
    assert log.steps.tolist() == list(range(8))  # the first by name are looked at
    assert log.notes[0].startswith("the run has more than 20 files")
    assert len(log.notes) == 8
    assert log.notes[-2:] == ["7 more files are damaged", "steps of damaged files are lacking: after step 7"]


def test_a_folder_that_takes_long_to_list_is_listed_seldom(run, monkeypatch, clock):
    listed = []

    def slowly(*arguments):
        listed.append(arguments)
        clock.seconds += 0.6
        return []

    monkeypatch.setattr("tandv.log.store.listing.files", slowly)
    log = LiveLog(run)
    for _ in range(5):
        log.refresh()
    assert len(listed) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 100_000,
        '{"tensors": 3}',
        '{"tensors": [["Weight"]]}',
        '{"tensors": [[1, 2]]}',
        '{"tensors": [[["Weight"], "fc"]]}',
        '{"tensors": {"Weight": "fc"}}',
        "\udcff",
    ],
)
def test_a_list_of_layers_that_is_none_leaves_their_natural_order(text, run):
    (run / "layers.json").write_text(text, errors="surrogateescape")
    log = LiveLog(run)
    assert log.layers("Weight") == ["embed", "head", "layers.0.attention.wq"]
    assert log.notes[0].startswith("layers.json cannot be read")


def test_a_list_of_layers_may_name_others_and_lack_some(run):
    names = [["Weight", f"made.up.{i}"] for i in range(1000)] + [["Weight", "head"], ["Weight", "head"]]
    (run / "layers.json").write_text(json.dumps({"tensors": names}))
    log = LiveLog(run)
    assert log.layers("Weight") == ["head", "embed", "layers.0.attention.wq"]
    assert len(log.tensors) == 15


def test_a_list_of_layers_of_any_size_is_not_read(run, monkeypatch):
    monkeypatch.setattr("tandv.log._folder._MODEL", 10)
    assert LiveLog(run).notes == [
        "layers.json cannot be read (it is too large): layers are in the order of their names"
    ]


def test_two_runs_in_one_folder_are_not_mixed(run, tmp_path):
    log = LiveLog(run)
    other = stored(LOG, tmp_path / "other", steps=8, close=False)
    shutil.copy(part(other, 0), part(run, 8))
    assert log.refresh()
    assert log.notes == ["two runs lie in one folder: 000008.parquet of another run are not shown"]
    assert log.matrix("Weight", "rm2").values.shape == (3, 8)


def test_rows_that_are_there_twice_are_said(run):
    shutil.copy(part(run, 2), part(run, 8))
    log = LiveLog(run)
    assert log.steps.tolist() == list(range(8))
    assert log.notes == ["some rows are there twice, of which the later are shown: two runs may lie in one folder"]


def test_files_that_cannot_be_of_one_run_are_said_and_what_was_there_stays(run):
    log = LiveLog(run)
    shutil.copy(part(run, 0), run / "parts" / "000003-000020.parquet")
    shutil.copy(part(run, 0), run / "parts" / "000005-000030.parquet")
    assert log.refresh()
    assert "cover the same parts in part: two runs lie in one folder" in log.notes[0]
    assert log.steps.tolist() == list(range(8))
    assert log.matrix("Weight", "rm2").values.shape == (3, 8)


def test_a_run_that_is_deleted_while_it_is_shown(run):
    log = LiveLog(run)
    shutil.rmtree(run)
    assert log.refresh()
    assert log.notes == [f"{run} changes faster than it is read, or is not there any more"]
    assert not log.refresh()
    assert log.steps.tolist() == list(range(8))


@pytest.mark.parametrize(
    ("about", "status"),
    [
        ({"status": "finished"}, "finished"),
        ({"status": "running", "process": 1, "process_key": "gone"}, "running"),
        ({"status": "running"} | this_process(), "running"),
        ({"status": "running"} | this_process() | {"process_key": f"{this_process()['process_key']}0"}, "killed"),
        ({"status": ["<b>"]}, "['<b>']"),
        ([], "unknown"),
        ({}, "unknown"),
    ],
)
def test_how_the_run_stands(about, status, run):
    (run / "run.json").write_text(json.dumps(about))
    assert LiveLog(run).status == status


def test_how_what_is_no_run_stands(run, tmp_path):
    assert LiveLog(run).status == "unknown"
    (run / "run.json").write_text("[" * 100_000)
    assert LiveLog(run).status == "unknown"
    write_pickle(LOG, tmp_path / "log.pkl")
    assert LiveLog(tmp_path / "log.pkl").status == "finished"


def test_what_is_no_log_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is nothing of this name"):
        LiveLog(tmp_path / "nothing")
    (tmp_path / "text").write_text("no log")
    with pytest.raises(UnreadableFile, match="it is a text that is no csv"):
        LiveLog(tmp_path / "text")
    with pytest.raises(UnreadableFile, match="it is a folder with text"):
        LiveLog(tmp_path)


def test_a_file_that_was_written_anew_is_read_anew(run, tmp_path):
    write_pickle(LOG, tmp_path / "log.pkl")
    log = LiveLog(tmp_path / "log.pkl")
    assert len(log.steps) == 8
    write_pickle(select(LOG, step=slice(0, 5)), tmp_path / "log.pkl")
    assert log.refresh()
    assert len(log.steps) == 5
    (tmp_path / "log.pkl").write_text("no log any more")
    assert log.refresh()
    assert "cannot read" in log.notes[0]
    assert len(log.steps) == 5
    assert logframe.layers(LOG) == log.layers("Weight")


def test_parts_that_are_written_with_more_columns_are_read_anew(tmp_path):
    store = Store(tmp_path, batch=10_000)
    early = LOG.drop(columns=[("scalar_stats", "rm8")])
    store.add(rows_of(select(early, step=0)))
    log = LiveLog(tmp_path)
    before = log.matrix("Weight", "rm2").values.tolist()
    store.add(rows_of(select(LOG, step=1)))  # every file gets the new column
    assert log.refresh()
    assert log.matrix("Weight", "rm2").values[:, :1].tolist() == before
    assert np.isnan(log.matrix("Weight", "rm8").values[:, 0]).all()


def test_a_log_that_takes_long_to_read_is_looked_at_again_at_once(run, monkeypatch, clock):
    piece = FilePiece.__init__

    def slowly(*given):
        clock.seconds += 0.08
        piece(*given)

    monkeypatch.setattr(FilePiece, "__init__", slowly)
    log = LiveLog(run)
    part(run, 7).unlink()
    assert log.refresh()
