"""The extremes over ranks are a log of their own in the run's folder, which `rank_extremes` finds."""

import shutil

import numpy as np
import pytest

import tandv
from tandv.log.across_ranks import FOLDER, columns_of, has_rank_extremes, rank_extremes
from tandv.log.run import read_run
from tandv.log.store import columns
from tandv.log.store.writing import Store
from tandv.messages import UnknownName
from tandv.track.common.extremes_log import ExtremesLog
from tandv.track.common.measurements import Block, Quantity

TEXT = {"tensor_type": ["Activation"], "name": ["fc"], "type": ["Linear"], "dtype": ["float32"], "phase": [""]}


def block(step, smallest=1.0, rank_of_smallest=3, largest=7.0, rank_of_largest=2, phase=""):
    values = (np.float32([smallest]), np.int32([rank_of_smallest]), np.float32([largest]), np.int32([rank_of_largest]))
    quantity = Quantity((0,), "fc", "Linear", "Activation", phase=phase)
    scalars = dict(zip(columns_of("rm2"), values, strict=True))
    return Block(step, [quantity], ["float32"], scalars, np.zeros((1, 2), np.int64), 0)


@pytest.fixture
def run(tmp_path):
    """A run of two steps whose ranks were merged."""
    (tmp_path / "run.json").write_text("{}")
    store = Store(tmp_path)
    store.add(columns.Rows(TEXT | {"step": [0]}, {"rm2": np.ones(1)}, np.array([[1, 5, 0]]), -2))
    store.close()
    return tmp_path


def test_what_was_kept_is_found_by_the_run_its_table_and_its_parts(run):
    said = []
    log = ExtremesLog(run, "run", lambda *words: said.append(words))
    for step in range(3):
        log.keep(block(step, largest=7.0 + step))
        log.keep(None)
        log.flush()
    assert len(list((run / FOLDER / "parts").iterdir())) == 3  # each flush is on disk, as if it were killed now
    found = rank_extremes(run, "rm2", step=[0, 2])
    assert found.columns.tolist() == [
        "step", "tensor_type", "name", "smallest", "rank_of_smallest", "largest", "rank_of_largest"
    ]  # fmt: skip
    assert found.to_numpy().tolist() == [
        [0, "Activation", "fc", 1.0, 3, 7.0, 2],
        [2, "Activation", "fc", 1.0, 3, 9.0, 2],
    ]
    log.close()
    assert [path.name for path in (run / FOLDER / "parts").iterdir()] == ["000000-000002.parquet"]
    assert not said and len(rank_extremes(read_run(run), "rm2")) == 3 and has_rank_extremes(run)
    assert len(read_run(run)) == 1  # the log itself is as it was
    assert len(tandv.read(run / FOLDER)) == 3


def test_phases_stay_apart(run):
    log = ExtremesLog(run, "run", lambda *words: None)
    log.keep(block(0, phase=""))
    log.keep(block(0, phase="rollout", largest=9.0))
    log.flush()
    assert rank_extremes(run, "rm2")[["phase", "largest"]].to_numpy().tolist() == [["", 7.0], ["rollout", 9.0]]


def test_what_is_not_kept_is_said(run):
    with pytest.raises(UnknownName, match="nothing of single ranks.*per_rank=True"):
        rank_extremes(run)
    assert not has_rank_extremes(run)
    log = ExtremesLog(run, "run", lambda *words: None)
    log.keep(block(0))
    log.flush()
    with pytest.raises(UnknownName, match="no statistic 'rm4'.*per_rank=True keeps all"):
        rank_extremes(run, "rm4")
    with pytest.raises(UnknownName, match="no layer"):
        rank_extremes(run, "rm2", layer="head")


def test_a_disk_that_refuses_is_said_and_tried_again(run):
    said = []
    log = ExtremesLog(run, "run", lambda kind, message: said.append(message))
    (run / FOLDER).write_text("in the way")
    log.keep(block(0))
    log.flush()
    assert len(said) == 1 and "training and the log go on" in said[0]
    (run / FOLDER).unlink()
    log.keep(block(1))
    log.flush()
    assert rank_extremes(run, "rm2")["step"].tolist() == [0, 1]
    shutil.rmtree(run / FOLDER)
    log.keep(block(2))
    log.close()
    assert rank_extremes(run, "rm2")["step"].tolist() == [2]
