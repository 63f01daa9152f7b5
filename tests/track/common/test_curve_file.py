"""The file of a run's curves while it is written, when it is closed, and when it cannot be written."""

import json
import os
import signal
import warnings

import pandas as pd
import pytest
import torch
from torch import nn

from tandv.curves import read_curves, run_curves
from tandv.track.common import curve_file, read_pickle, read_run
from tandv.track.common.curve_file import CurveFile
from tandv.track.common.numbers import known
from tandv.track.torch import track
from tests.in_children import run_each


def kept(path):
    curves = run_curves(path)
    return [] if curves is None else curves.index.tolist()


def train(tracker, model, steps):
    for step in range(steps):
        model(torch.ones(1, 2)).sum().backward()
        tracker.step(loss=float(step), lr=0.5)


def test_lines_while_it_goes_on_and_a_table_afterwards():
    model = nn.Linear(2, 2)
    with track(model, offload_inc=2, async_offload=False) as tracker:
        train(tracker, model, 5)
        assert kept(tracker.path) == [0, 1, 2, 3]
        lines = (tracker.path / "curves.jsonl").read_text().splitlines()
        assert json.loads(lines[3]) == {"step": 3, "loss": 3.0, "lr": 0.5}
        assert not (tracker.path / "curves.parquet").exists()
    assert read_curves(tracker.path)["loss"].to_dict() == {step: float(step) for step in range(5)}
    assert not (tracker.path / "curves.jsonl").exists()
    assert tracker.out_path.name == "log.pkl"


def test_a_run_that_is_given_no_number_has_no_file_of_them():
    model = nn.Linear(2, 2)
    with track(model) as tracker:
        tracker.step()
    assert not [name for name in os.listdir(tracker.path) if "curves" in name]


@pytest.mark.parametrize(
    "how", [{"every": 7}, {"budget": "50%"}, {"every": lambda step: step == 3}], ids=["interval", "budget", "function"]
)
def test_steps_that_are_not_recorded_keep_their_numbers(how):
    model = nn.Linear(2, 2)
    with track(model, async_offload=False, offload_inc=4, **how) as tracker:
        train(tracker, model, 30)
        assert len(kept(tracker.path)) >= 25  # flushed though few steps are recorded
    assert kept(tracker.path) == list(range(30))


KILLED = """
import os, signal, torch
from tandv.track.common import writer
from tandv.track.torch import track
writer._SPARE = 3600  # the disk may be as slow as it likes
model = torch.nn.Linear(2, 2)
with track(model, path="run", offload_inc=3, every={every}) as tracker:
    for step in range(40):
        model(torch.ones(1, 2)).sum().backward()
        tracker.step(loss=step)
        if step == 31:
            {until}
            os.kill(os.getpid(), signal.SIGKILL)
"""


WAYS = [(1, "pass"), (5, "tracker._writer._background.give(int).result()")]


@pytest.mark.slow
def test_a_kill_loses_no_more_than_lies_between_two_flushes(tmp_path):
    folders = [tmp_path / str(every) for every, _ in WAYS]
    for folder in folders:
        folder.mkdir()
    codes = [KILLED.format(every=every, until=until) for every, until in WAYS]
    ended = run_each(["tandv.track.torch"], list(zip(codes, folders, strict=True)))
    assert [one.returned for one in ended] == [-signal.SIGKILL] * 2
    for folder, (every, _) in zip(folders, WAYS, strict=True):
        steps = kept(folder / "run")
        assert steps == list(range(len(steps)))
        assert 32 - len(steps) <= 3 + every


def test_a_number_that_has_not_arrived_is_written_later_in_order(tmp_path):
    curves, arrived = CurveFile(tmp_path, lambda *note: pytest.fail(str(note))), []
    curves.keep(0, {"loss": known(0.0)})
    curves.keep(1, {"loss": lambda wait: 1.0 if wait or arrived else None, "lr": known(0.1)})
    curves.keep(2, {"loss": known(2.0)})
    curves.flush()
    assert kept(tmp_path) == [0]
    arrived.append(True)
    curves.flush()
    assert kept(tmp_path) == [0, 1, 2]


def test_a_device_that_fails_is_said_once_and_the_rest_is_kept(tmp_path):
    notes = []
    curves = CurveFile(tmp_path, lambda kind, message: notes.append(message))

    def broken(wait):
        raise RuntimeError("device lost")

    curves.keep(0, {"loss": broken, "lr": known(0.5)})
    curves.keep(1, {"loss": known(1.0)})
    curves.close()
    assert notes == ["loss of step 0 could not be read: RuntimeError: device lost"]
    assert kept(tmp_path) == [0, 1]
    assert read_curves(tmp_path)["lr"].dropna().to_dict() == {0: 0.5}


def test_a_full_disk_leaves_no_torn_line_and_is_tried_again(tmp_path, monkeypatch):
    real, notes, full = os.write, [], [True]
    curves = CurveFile(tmp_path, lambda kind, message: notes.append(message))

    def write(file, data):
        return real(file, data[: len(data) // 2] if full else data)

    monkeypatch.setattr(curve_file.os, "write", write)
    curves.keep(0, {"loss": known(0.5)})
    curves.flush()
    assert "no space left; training goes on, the numbers are tried again" in notes[0]
    assert (tmp_path / "curves.jsonl").read_bytes() == b""
    full.clear()
    curves.keep(1, {"loss": known(1.5)})
    curves.close()
    assert read_curves(tmp_path)["loss"].tolist() == [0.5, 1.5]


def test_what_the_disk_refuses_for_too_long_is_said_to_be_lost(tmp_path, monkeypatch):
    notes = {}
    monkeypatch.setattr(curve_file, "_KEPT_UNWRITTEN", 2)
    curves = CurveFile(tmp_path / "missing", notes.setdefault)
    for step in range(4):
        curves.keep(step, {"loss": known(1.0)})
        curves.flush()
    assert "numbers of early steps are lost" in notes["lost curves"]
    (tmp_path / "missing").mkdir()
    curves.flush()
    assert kept(tmp_path / "missing") == [2, 3]


def test_a_table_that_cannot_be_written_leaves_the_lines(tmp_path, monkeypatch):
    notes = {}
    curves = CurveFile(tmp_path, notes.setdefault)
    curves.keep(0, {"loss": known(0.5)})
    monkeypatch.setattr(curve_file, "write_table", lambda *_: (_ for _ in ()).throw(OSError("full")))
    curves.close()
    assert "full; the curves stay in curves.jsonl" in notes["curves"]
    assert kept(tmp_path) == [0]


def test_a_folder_that_was_deleted_is_made_again():
    import shutil

    model = nn.Linear(2, 2)
    with track(model, path="run", async_offload=False, offload_inc=2) as tracker:
        train(tracker, model, 4)
        shutil.rmtree("run")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            train(tracker, model, 4)
    assert [str(one.message) for one in caught if "was deleted while the run went on" not in str(one.message)] == []
    assert kept("run") == [4, 5, 6, 7]


def test_a_run_that_goes_on_elsewhere_counts_from_its_first_step():
    model = nn.Linear(2, 2)
    for first, path in ((0, "one"), (3, "two")):
        with track(model, init_step=first, path=path) as tracker:
            train(tracker, model, 3)
    assert kept("one") + kept("two") == [0, 1, 2, 3, 4, 5]


def test_a_log_knows_its_run_wherever_it_is_looked_at_and_its_file_does_not(tmp_path, monkeypatch):
    model = nn.Linear(2, 2)
    with track(model, path="run") as tracker:
        train(tracker, model, 3)
    logs = [read_pickle("run/log.pkl"), read_run("run"), read_run("run", layers="Linear", columns=["rm2"])]
    assert pd.read_pickle("run/log.pkl").attrs == {}
    monkeypatch.chdir(tmp_path.parent)
    for log in logs:
        chosen = log[log["metadata", "step"] == 1]
        assert chosen.attrs["run"] == str(tracker.path)
        assert kept(chosen) == [0, 1, 2]
    both = pd.concat(logs[:2], ignore_index=True)
    assert len(both) == 2 * len(logs[0])
    pd.testing.assert_frame_equal(pd.concat([logs[0]]), logs[0])
