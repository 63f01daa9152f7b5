"""A writer may be killed at any moment, and is read at any: before every system call that changes a run's folder."""

import contextlib
import os
import threading

import numpy as np
import pandas as pd
import pyarrow.dataset
import pytest
from stored import counted_only, rows_of

from tandv.log.logframe import SchemaError, example_log, steps
from tandv.log.run import read_run
from tandv.log.store import exchange
from tandv.log.store.listing import files
from tandv.log.store.writing import Store

LOG = counted_only(example_log(layers=2, steps=14))  # 10 rows a step
SIZES = {"batch": 20, "block": 40, "group": 16}
WIDER = 7  # the part from which on there is another statistic
CHANGES = ("replace", "rename", "link", "unlink", "rmdir", "mkdir", "fsync")


def parts():
    """The rows of each part, which is one step."""
    for step in steps(LOG):
        rows = rows_of(LOG[LOG["metadata", "step"] == step])
        yield rows if step < WIDER else rows._replace(scalars=rows.scalars | {"late": np.full(10, float(step))})


def judge(run, acknowledged):
    """Every row that was acknowledged is there once, and nothing else but a part in the making."""
    try:
        found = read_run(run)
    except SchemaError as error:
        assert "has no rows yet" in str(error)
        assert acknowledged == 0
        return 0
    there = steps(found)
    assert len(there) in (acknowledged, acknowledged + 1)
    known = [label for label in LOG.columns if label in found.columns]
    pd.testing.assert_frame_equal(found[known], counted_only(LOG[LOG["metadata", "step"] < len(there)]))
    if len(there) > WIDER:
        late = found["scalar_stats", "late"].fillna(-1).groupby(found["metadata", "step"]).unique()
        assert late.tolist() == [-1] * WIDER + list(range(WIDER, len(there)))
    return len(there)


def outside(run):
    """How many rows another engine finds, and how many of them differ; it also finds every column in each file."""
    dataset = pyarrow.dataset.dataset(run / "parts", format="parquet")
    names = {tuple(pyarrow.parquet.read_schema(path).names) for path in dataset.files}
    assert len(names) <= 1
    keys = ["metadata/tensor_type", "metadata/name", "metadata/step"]
    table = dataset.to_table(columns=keys if names else [])
    return len(table), len(set(zip(*(column.to_pylist() for column in table.columns), strict=True)))


@pytest.fixture(params=["at once", "by renames"])
def exchanging(request, monkeypatch):
    if request.param == "by renames":
        monkeypatch.setattr("tandv.log.store.exchange._at_once", lambda new, old: False)
    return request.param


def test_each_row_is_there_once_before_every_system_call(tmp_path, monkeypatch, exchanging):
    acknowledged, moments, missing, looking = 0, 0, 0, False
    known = {}  # rows that are there, by which files there are

    def look():
        nonlocal missing
        state = tuple((path, path.stat().st_ino) for path in files(tmp_path))
        if state not in known:
            known[state] = judge(tmp_path, acknowledged)
            if (tmp_path / "parts").exists():
                assert outside(tmp_path) == (10 * known[state], 10 * known[state])
        if not (tmp_path / "parts").exists():
            missing += acknowledged > 0
        assert known[state] in (acknowledged, acknowledged + 1)

    def looked_at_before(call):
        def looked_at(*arguments, **named):
            nonlocal moments, looking
            if not looking:
                looking, moments = True, moments + 1
                try:
                    look()
                except Exception as error:  # which the store would take for one of the disk
                    pytest.fail(f"before {call.__name__}{arguments}: {error!r}")
                looking = False
            return call(*arguments, **named)

        return looked_at

    (tmp_path / "run.json").write_text('{"status": "running"}')
    for name in CHANGES:
        monkeypatch.setattr(os, name, looked_at_before(getattr(os, name)))
    if exchanging == "at once":
        monkeypatch.setattr("tandv.log.store.exchange._at_once", looked_at_before(exchange._at_once))
    store = Store(tmp_path, **SIZES)
    for rows in parts():
        store.add(rows)
        acknowledged += 1
        while store.join():
            pass
    store.close()
    assert judge(tmp_path, acknowledged) == len(steps(LOG)) == 14
    assert [path.name for path in files(tmp_path)][:2] == ["000000-000003.parquet", "000004-000007.parquet"]
    assert moments > 100
    # Where the system cannot exchange folders, other engines find none for a moment: they say so and miss no rows.
    # There are 7 batches, 3 blocks of several, and the wider schema.
    assert missing == (0 if exchanging == "at once" else 11)


def test_what_is_read_beside_a_writer_is_whole(tmp_path, exchanging):
    acknowledged = 0

    def write():
        nonlocal acknowledged
        store = Store(tmp_path, **SIZES)
        for rows in parts():
            store.add(rows)
            acknowledged += 1
            store.join()
        store.close()

    (tmp_path / "run.json").write_text('{"status": "running"}')
    writer = threading.Thread(target=write)
    writer.start()
    seen = []
    while writer.is_alive():
        at_least = acknowledged
        with contextlib.suppress(SchemaError):  # no rows yet
            found = read_run(tmp_path)
            known = [label for label in LOG.columns if label in found.columns]
            there = steps(found)
            pd.testing.assert_frame_equal(found[known], counted_only(LOG[LOG["metadata", "step"] < len(there)]))
            assert len(there) >= at_least
            seen.append(len(there))
    writer.join()
    assert seen == sorted(seen)
    assert judge(tmp_path, 14) == 14
