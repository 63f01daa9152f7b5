"""Where rows lie is kept in the user's cache: a log opens at once and answers the same; what does not fit is unused."""

import json
import os
import shutil
import zlib

import numpy as np
import pyarrow.parquet as pq
import pytest
from stored import counted_only, stored

from tandv.log import logframe
from tandv.log.live import LiveLog
from tandv.log.logframe import example_log

LOG = counted_only(example_log(layers=3, steps=30))


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("tandv.log._reads._BLOCK", 50)
    return tmp_path / "cache" / "tandv" / "logs"


@pytest.fixture
def files_read(monkeypatch):
    found = []
    whole = pq.ParquetFile.__init__

    def opening(self, source, *given, **options):
        found.append(source)
        return whole(self, source, *given, **options)

    monkeypatch.setattr(pq.ParquetFile, "__init__", opening)
    return found


def built(run):
    log = LiveLog(run)
    log.build()
    log._background.join()
    log.close()
    return log


def same(one, other):
    assert one.tensors == other.tensors
    assert one.steps.tolist() == other.steps.tolist()
    assert (one.metrics, one.exponents, one.phases, one.ranks) == (
        other.metrics,
        other.exponents,
        other.phases,
        other.ranks,
    )
    for tt in dict.fromkeys(tt for tt, _ in one.tensors):
        for ours, theirs in zip(one.matrix(tt, "rm2")[1:], other.matrix(tt, "rm2")[1:], strict=True):
            assert np.array_equal(ours, theirs, equal_nan=True)
    for tt, layer in one.tensors:
        assert one.cell(tt, layer, 7).counts == other.cell(tt, layer, 7).counts
    assert one.firsts() == other.firsts()
    return True


def saved(cache):
    (path,) = cache.glob("*.json")
    return path


@pytest.mark.parametrize("group", [16, 64, 1000])
def test_a_log_opens_without_reading_a_file_and_answers_the_same(group, tmp_path, cache, files_read):
    run = stored(LOG, tmp_path / "run", steps=5, block=150, group=group)
    log = built(run)
    files_read.clear()
    again = LiveLog(run)
    assert not [source for source in files_read if "-" in source.rpartition("/")[2]]
    assert all(piece.is_saved for piece in again._pieces if piece.size >= 50)
    assert same(again, log)
    before = saved(cache).stat().st_mtime_ns
    files_read.clear()
    again.build()
    again._background.join()
    assert (files_read, saved(cache).stat().st_mtime_ns) == ([], before)  # nothing is left to do


def test_files_that_were_written_anew_are_read(tmp_path, cache):
    run = stored(LOG, tmp_path / "run", steps=30, block=450)
    built(run)
    shutil.rmtree(run / "parts")
    changed = LOG.copy()
    changed["scalar_stats", "rm2"] *= 2
    stored(changed, run, steps=30, block=450)
    fresh = LiveLog(run)
    assert not fresh._pieces[0].is_saved
    weights = logframe.select(changed, "head", "Weight")["scalar_stats", "rm2"]
    assert fresh.matrix("Weight", "rm2").values[-1].tolist() == weights.tolist()


def test_rows_of_several_phases_are_not_kept(tmp_path, cache):
    df = logframe.concat([LOG, LOG])
    df["metadata", "phase"] = logframe.categories(["eval"] * len(LOG) + [""] * len(LOG))
    df = df.sort_values(("metadata", "step"), kind="stable", ignore_index=True)
    run = stored(df, tmp_path / "run", steps=30, block=900)
    built(run)
    assert json.loads(saved(cache).read_bytes().partition(b"\n")[2])["files"] == []
    assert LiveLog(run, phase="eval").steps.tolist() == list(range(30))


def test_rows_outside_of_any_phase_are_none_of_a_phase(tmp_path, cache):
    run = stored(LOG, tmp_path / "run", steps=30, block=450)
    built(run)
    eval_ = LOG.copy()
    eval_["metadata", "phase"] = "eval"
    eval_["metadata", "step"] += 30
    other = stored(eval_, tmp_path / "other", steps=30, block=450)
    first = sorted((other / "parts").iterdir())[0]
    table = pq.read_table(first)
    about = pq.read_metadata(next((run / "parts").iterdir())).metadata[b"tandv"]
    with pq.ParquetWriter(run / "parts" / "000009.parquet", table.schema) as file:
        file.write_table(table)
        file.add_key_value_metadata({"tandv": about.decode()})
    assert LiveLog(run, phase="eval").steps.tolist() == list(range(30, 60))
    assert LiveLog(run, phase="").steps.tolist() == list(range(30))


def _with(cache, change):
    text = saved(cache).read_bytes().partition(b"\n")[2]
    found = json.loads(text)
    change(found)
    text = json.dumps(found).encode()
    saved(cache).write_bytes(b"%08x\n" % zlib.crc32(text) + text)


def _more_steps(found):
    found["steps"][0] = ["range", 0, 10**12, 1]


def _other_rows(found):
    for layout in found["files"][0]["layouts"].values():
        layout[4] = 10**9


HARM = {
    "cut": lambda cache: saved(cache).write_bytes(saved(cache).read_bytes()[:-9]),
    "empty": lambda cache: saved(cache).write_bytes(b""),
    "a changed byte": lambda cache: saved(cache).write_bytes(
        saved(cache).read_bytes().replace(b"Weight", b"Wiight", 1)
    ),
    "no JSON": lambda cache: saved(cache).write_bytes(b"%08x\n[" % zlib.crc32(b"[")),
    "deep": lambda cache: saved(cache).write_bytes(b"%08x\n" % zlib.crc32(b"[" * 100_000) + b"[" * 100_000),
    "a list": lambda cache: saved(cache).write_bytes(b"%08x\n[]" % zlib.crc32(b"[]")),
    "another version": lambda cache: _with(cache, lambda found: found.update(version=2)),
    "very many steps": lambda cache: _with(cache, _more_steps),
    "rows that are not there": lambda cache: _with(cache, _other_rows),
    "no tensors": lambda cache: _with(cache, lambda found: found.update(tensors=[])),
    "no files": lambda cache: _with(cache, lambda found: found.update(files=3)),
}


@pytest.mark.parametrize("harm", HARM)
def test_what_is_damaged_is_not_believed(harm, tmp_path, cache):
    run = stored(LOG, tmp_path / "run", steps=30, block=450)
    log = built(run)
    HARM[harm](cache)
    again = LiveLog(run)
    assert not again._pieces[0].is_saved
    assert same(again, log)


def test_what_was_not_used_for_long_is_deleted(tmp_path, cache):
    built(stored(LOG, tmp_path / "old", steps=30, block=450))
    old = set(cache.iterdir())
    assert len(old) == 2  # where its rows lie, and its levels
    for path in old:
        os.utime(path, (0, 0))
    (cache / "recent").mkdir()
    built(stored(LOG, tmp_path / "run", steps=30, block=450))
    assert not old & set(cache.iterdir())
    assert (cache / "recent").is_dir()
