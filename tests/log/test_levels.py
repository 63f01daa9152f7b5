"""Exponents pooled over steps are the largest share of each column, whether they are read from files or the cache."""

import os
import shutil
import zlib

import numpy as np
import pytest
from stored import counted_only, rows_of, stored

from tandv.log._levels import _HEAD, POOL
from tandv.log.files import write_pickle
from tandv.log.live import LiveLog
from tandv.log.logframe import example_log, select
from tandv.log.shown import as_levels
from tandv.log.store.writing import Store

LOG = counted_only(example_log(layers=3, steps=100, tensor_types=["Activation", "Weight"]))
SPARSE = LOG[
    ~((LOG["metadata", "name"] == "head") & (LOG["metadata", "step"] % 3 != 0))
    & ~((LOG["metadata", "name"] == "embed") & LOG["metadata", "step"].between(30, 59))
].reset_index(drop=True)


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("tandv.log._reads._BLOCK", 50)
    return tmp_path / "cache" / "tandv" / "logs"


def folders(cache):
    return [path for path in cache.iterdir() if path.is_dir()]


def right(log, shares, tt, layer):
    """Compare with the exact counts of each column's steps."""
    exact = log.exponents_of(tt, layer)
    whole = np.maximum(exact.numel, 1)
    lanes = np.stack([exact.zeros, exact.infs, exact.nans]) / whole
    ends = [*shares.starts[1:-1], np.inf]
    for column, (start, end) in enumerate(zip(shares.starts[:-1], ends, strict=True)):
        inside = (exact.steps >= start) & (exact.steps < end)
        assert inside.any()
        share = (exact.counts / whole[:, None])[inside].max(axis=0)
        assert shares.shares[column].tolist() == as_levels(share).tolist()
        assert shares.lanes[:, column].tolist() == lanes[:, inside].max(axis=1).astype(np.float32).tolist()
        assert shares.logged[column] == exact.logged[inside].any()
    assert shares.bins.tolist() == exact.bins.tolist()
    return True


@pytest.mark.parametrize("df", [LOG, SPARSE], ids=["dense", "sparse"])
@pytest.mark.parametrize("form", ["finished", "killed", "table"])
@pytest.mark.parametrize("columns", [5, 24])
def test_columns_hold_the_largest_share_of_their_steps(columns, form, df, tmp_path):
    if form == "table":
        write_pickle(df, tmp_path / "run")
    else:
        stored(df, tmp_path / "run", steps=3, close=form == "finished")
    log = LiveLog(tmp_path / "run")
    for tt, layer in log.tensors:
        shares = log.shares(tt, layer, columns=columns)
        assert right(log, shares, tt, layer)
        assert len(shares.logged) <= columns
        assert (shares.starts[0], shares.starts[-1]) == (0, 99)
        assert shares.pooled >= POOL


def test_steps_without_rows_have_columns_that_say_so(tmp_path):
    log = LiveLog(stored(SPARSE, tmp_path / "run", steps=10))
    shares = log.shares("Weight", "embed", columns=24)
    begins = shares.starts[:-1][shares.logged == 0]
    assert begins.tolist() == [30]
    assert shares.starts[list(shares.starts).index(30) + 1] == 60
    assert log.shares("Weight", "head", columns=24).logged.all()  # every third step is often enough


def test_a_range_of_steps_begins_and_ends_near_it(tmp_path):
    log = LiveLog(stored(LOG, tmp_path / "run", steps=100))
    shares = log.shares("Weight", "head", 20, 79, columns=6)
    assert (shares.starts[0], shares.starts[-1]) == (20, 79)
    assert len(shares.logged) == 6
    exact = log.shares("Weight", "head", 20, 29, columns=6)  # few steps: read exactly
    assert exact.pooled == 2


def built(log):
    log.refresh()
    log.build()
    log._background.join()
    return log


@pytest.mark.parametrize("df", [LOG, SPARSE], ids=["dense", "sparse"])
def test_what_is_kept_is_read_the_next_time(df, tmp_path, cache, monkeypatch):
    run = stored(df, tmp_path / "run", steps=10, block=200)
    log = built(LiveLog(run))
    log.close()
    pieces = [piece for piece in log._pieces if piece.size >= 50]
    (folder,) = folders(cache)
    assert len(list(folder.iterdir())) == len(pieces) > 1
    again = LiveLog(run)
    read = [again._levels.read(piece, "Weight", 1) for piece in pieces]
    assert None not in read
    monkeypatch.setattr("tandv.log._reads.level_of", None)  # nothing is made from the files
    shares = {tensor: again.shares(*tensor, columns=12) for tensor in again.tensors}
    assert all(right(again, found, *tensor) for tensor, found in shares.items())


def test_what_is_kept_is_small_and_of_files_that_are_there(tmp_path, cache, monkeypatch):
    run = stored(LOG, tmp_path / "run", steps=10, block=200)
    built(LiveLog(run)).close()
    (folder,) = folders(cache)
    before = {path.name for path in folder.iterdir()}
    shutil.rmtree(run / "parts")
    stored(LOG, run, steps=100, block=600)
    built(LiveLog(run)).close()
    assert len(set(os.listdir(folder))) == 1
    assert not before & set(os.listdir(folder))
    shutil.rmtree(folder)
    log = LiveLog(run)
    log._levels.most = 100  # no room
    assert right(built(log), log.shares("Weight", "head", columns=12), "Weight", "head")
    assert not folder.exists() or not os.listdir(folder)


@pytest.mark.parametrize("harm", ["cut", "changed", "empty", "sizes", "magic", "of another log", "bomb"])
def test_a_cache_that_is_damaged_is_not_believed(harm, tmp_path, cache):

    run = stored(LOG, tmp_path / "run", steps=100, block=600)
    built(LiveLog(run)).close()
    (path,) = folders(cache)[0].iterdir()
    data = bytearray(path.read_bytes())
    tensors = 6
    first = _HEAD.size + 4 * tensors
    if harm == "cut":
        data = data[: len(data) // 2]
    elif harm == "changed":
        for at in range(first, len(data), 20):
            data[at] ^= 255
    elif harm == "empty":
        data = bytearray()
    elif harm == "sizes":
        data[_HEAD.size + 1] ^= 255
    elif harm == "magic":
        data[0] ^= 255
    elif harm == "of another log":
        other = stored(select(LOG, step=slice(0, 80)), tmp_path / "other", steps=80, block=600)
        built(LiveLog(other)).close()
        (two,) = [one for folder in folders(cache) for one in folder.iterdir() if one != path]
        data = bytearray(two.read_bytes())
    else:
        blob = zlib.compress(bytes(100_000_000), 9)
        sizes = np.full(tensors, len(blob), "<u4").tobytes()
        head = bytearray(data[: _HEAD.size])
        head[-4:] = zlib.crc32(sizes).to_bytes(4, "little")
        data = head + sizes + blob * tensors
    path.write_bytes(data)
    log = LiveLog(run)
    for tt, layer in log.tensors:
        assert right(log, log.shares(tt, layer, columns=12), tt, layer)


def test_without_a_place_to_keep_it_nothing_is_kept(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    log = LiveLog(stored(LOG, tmp_path / "run", steps=100, block=600))
    assert right(built(log), log.shares("Weight", "head", columns=12), "Weight", "head")


def test_building_ends_when_the_log_is_closed(tmp_path, monkeypatch):
    log = LiveLog(stored(LOG, tmp_path / "run", steps=10, block=100, group=16))
    monkeypatch.setattr("tandv.log._background._REST", 60)
    log.build()
    assert log._background._thread.is_alive()
    log.close()
    assert not log._background._thread.is_alive()
    log.build()  # nothing begins any more
    assert not log._background._thread.is_alive()


def test_what_is_added_is_built_too(tmp_path, cache):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text('{"status": "running"}')
    store = Store(tmp_path / "run", batch=60, block=120)
    log = LiveLog(tmp_path / "run")
    for step in range(20):
        store.add(rows_of(select(LOG, step=step)))
        while store.join():
            pass
        built(log)
    log.close()
    blocks = [piece for piece in log._pieces if piece.size >= 50]
    assert all(log._levels.has(piece) for piece in blocks)
    assert len(list(folders(cache)[0].iterdir())) == len(blocks) == 1
