"""What is on disk while a run goes on, when it ends, and when it is killed."""

import itertools
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from tandv.log.store.listing import files, span
from tandv.log.store.writing import Store
from tandv.track.common import finished_log, read_parquet, read_pickle, read_run, run_status, writer
from tandv.track.torch import track
from tests.in_children import run_each
from tests.interleaved import Meanwhile

TRAINING = """
import functools, time, torch
from tandv.track.common import writer
from tandv.track.torch import track
writer.Store = functools.partial(writer.Store, batch=40, block=150)  # rows: joins go on all the time
writer._SPARE = 3600  # the disk may be as slow as it likes
model = torch.nn.Linear(2, 2)
with track(model, path="run", offload_inc=3) as tracker:
    for step in range(1_000_000):
        model(torch.ones(1, 2)).sum().backward()
        tracker.step()
        print(step, flush=True)
"""


def steps_of(log):
    return sorted(set(log["metadata"]["step"]))


def status_of(tracker):
    return json.loads((tracker.path / "run.json").read_text())["status"]


def train(tracker, model, steps):
    for _ in range(steps):
        model(torch.ones(1, 2)).sum().backward()
        tracker.step()


def until_written(tracker):
    """Wait for everything that was given to the background thread so far."""
    if tracker._writer._background is not None:
        tracker._writer._background.give(lambda: None).result()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_kill_9_loses_at_most_the_rows_since_the_last_flush(tmp_path, how):
    done = -1
    with subprocess.Popen([sys.executable, "-c", TRAINING], stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdout is not None
        while done < 40:
            done = int(process.stdout.readline())
        assert run_status(tmp_path / "run") == "running"
        process.send_signal(how)
        done = max([done, *map(int, process.stdout.read().split())])
    steps = steps_of(read_run(tmp_path / "run"))
    assert steps == list(range(len(steps)))
    assert any("-" in path.name for path in files(tmp_path / "run"))  # parts had been joined
    assert done - 3 <= len(steps) <= done + 2  # the step after the last one printed may have been flushed
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "running"
    assert run_status(tmp_path / "run") == "killed"


LAST = [20, 21, 22]
ON_A_SLOW_DISK = """
import os, signal, time, torch
from tandv.log.store.writing import Store
from tandv.track.common import writer
from tandv.track.torch import track
real, writer._QUICK, writer._SPARE = Store.add, 0, 3600
Store.add = lambda *arguments: (time.sleep(0.05), real(*arguments))
model = torch.nn.Linear(2, 2)
with track(model, path="run", offload_inc=3) as tracker:
    for step in range(30):
        model(torch.ones(1, 2)).sum().backward()
        tracker.step()
        if step == {last}:
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.parametrize("last", LAST)
def test_a_kill_loses_no_more_where_the_disk_is_slow(ended, last):
    folder, done = ended[last]
    assert done.returned == -signal.SIGKILL
    steps = steps_of(read_run(folder / "run"))
    assert steps == list(range(len(steps)))
    assert last + 1 - len(steps) <= 3


def test_a_running_run_can_be_read(tmp_path):
    model = nn.Linear(2, 2)
    with track(model, offload_inc=2) as tracker:
        train(tracker, model, 5)
        assert steps_of(read_run(tracker.path)) == [0, 1, 2, 3]
        assert not tracker.out_path.exists()
        assert run_status(tracker.path) == "running"
    assert steps_of(read_run(tracker.path)) == [0, 1, 2, 3, 4]
    assert steps_of(read_pickle(tracker.out_path)) == [0, 1, 2, 3, 4]
    about = json.loads((tracker.path / "run.json").read_text())
    assert (about["status"], about["model"], about["log"]) == ("finished", "Linear", "log.pkl")


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_interruptions_propagate_and_keep_what_was_measured(error):
    model = nn.Linear(2, 2)
    with pytest.raises(error, match="the user's"), track(model) as tracker:
        train(tracker, model, 2)
        model(torch.ones(1, 2))
        raise error("the user's")
    log = read_pickle(tracker.out_path)
    assert steps_of(log) == [0, 1, 2]
    assert set(log["metadata"]["tensor_type"][log["metadata"]["step"] == 2]) == {"Activation", "Weight"}
    assert json.loads((tracker.path / "run.json").read_text())["status"] == f"ended by {error.__name__}"


def test_an_exception_before_anything_was_measured_is_the_users():
    with pytest.raises(ZeroDivisionError), track(nn.Linear(2, 2)) as tracker:
        raise ZeroDivisionError
    assert tracker.out_path == tracker.path
    assert status_of(tracker) == "ended by ZeroDivisionError"


def test_runs_never_write_over_each_other(tmp_path):
    paths = []
    for _ in range(3):
        with track(nn.Linear(2, 2), path=tmp_path / "same") as tracker:
            train(tracker, nn.Linear(2, 2), 1)
        paths.append(tracker.path.name)
    assert paths == ["same", "same-2", "same-3"]


def test_a_folder_that_is_there_and_empty_is_used(tmp_path):
    (tmp_path / "mine").mkdir()
    with track(nn.Linear(2, 2), path=tmp_path / "mine") as tracker:
        train(tracker, nn.Linear(2, 2), 1)
    assert tracker.path == tmp_path / "mine"


def test_a_full_disk_warns_once_and_nothing_is_lost_when_there_is_room_again(monkeypatch):
    model, real = nn.Linear(2, 2), Store.add

    def full(*_):
        raise OSError(28, "No space left on device")

    with pytest.warns(UserWarning) as said, track(model, offload_inc=1) as tracker:
        train(tracker, model, 2)
        until_written(tracker)
        monkeypatch.setattr(Store, "add", full)
        train(tracker, model, 3)
        until_written(tracker)
        monkeypatch.setattr(Store, "add", real)
        train(tracker, model, 1)
    (warning,) = said
    assert "No space left on device; training goes on, the rows are tried again" in str(warning.message)
    assert steps_of(read_pickle(tracker.out_path)) == [0, 1, 2, 3, 4, 5]


def test_a_disk_that_stays_full_does_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr("tandv.track.common.writer._KEPT_UNWRITTEN", 20)
    model, real = nn.Linear(2, 2), Store.add

    def full(*_):
        raise OSError(28, "No space left on device")

    with pytest.warns(UserWarning) as said, track(model, offload_inc=1) as tracker:
        monkeypatch.setattr(Store, "add", full)
        train(tracker, model, 30)
        until_written(tracker)
        monkeypatch.setattr(Store, "add", real)
    assert [str(w.message)[:27] for w in said] == ["tandv: could not write to /", "tandv: rows from step 0 on "]
    assert steps_of(read_pickle(tracker.out_path)) == [27, 28, 29]  # of 6 rows each


def test_a_disk_that_takes_nothing_is_not_called_finished(monkeypatch):
    model = nn.Linear(2, 2)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Store, "add", full)
    with pytest.warns(UserWarning) as said, track(model, offload_inc=1) as tracker:
        train(tracker, model, 3)
    assert ["No space left on device" in str(w.message) for w in said] == [True, False]
    assert str(said[1].message) == "tandv: rows from step 0 on are lost, the disk has refused them until the end"
    assert (tracker.out_path, run_status(tracker.path)) == (tracker.path, "not written")


def test_a_disk_that_refuses_the_rest_is_said_to_and_the_run_is_not_called_finished(monkeypatch):
    model = nn.Linear(2, 2)

    def full(*_):
        raise OSError(28, "No space left on device")

    with pytest.warns(UserWarning) as said, track(model, offload_inc=1) as tracker:
        train(tracker, model, 2)
        until_written(tracker)
        monkeypatch.setattr(Store, "add", full)
        train(tracker, model, 3)
    assert "tandv: rows from step 2 on are lost, the disk has refused them until the end" in [
        str(w.message) for w in said
    ]
    assert run_status(tracker.path) == "not written from step 2 on"
    assert steps_of(read_pickle(tracker.out_path)) == [0, 1]


def test_a_name_that_no_file_can_hold_loses_no_rows():
    model = nn.Sequential()
    model.add_module("a\ud800", nn.Linear(2, 2))
    model.add_module("é", nn.Linear(2, 2))
    with track(model, offload_inc=1) as tracker:
        train(tracker, model, 2)
    log = read_pickle(tracker.out_path)
    assert {"a\\ud800", "é"} <= set(log[("metadata", "name")])
    assert steps_of(log) == [0, 1]


def test_writing_in_a_thread_gives_the_same_log(monkeypatch):
    model, real, trained = nn.Linear(2, 2), Store.add, threading.Event()

    def slow(*arguments):
        trained.wait()
        real(*arguments)

    monkeypatch.setattr(Store, "add", slow)
    with track(model, offload_inc=1, async_offload=True) as tracker:
        train(tracker, model, 20)
        trained.set()
    assert steps_of(read_pickle(tracker.out_path)) == list(range(20))
    (joined,) = files(tracker.path)
    first, last = span(joined.name) or (0, 19)
    assert (first, last < 19) == (0, True)  # training did not wait for each


@pytest.mark.parametrize("in_thread", [False, None, True])
def test_rows_that_cannot_be_written_do_not_take_the_others_along(monkeypatch, in_thread):
    model, real = nn.Linear(2, 2), Store.add

    def broken(store, rows, places):
        if set(rows.metadata["step"]) == {2}:
            raise ValueError("planted")
        real(store, rows, places)

    monkeypatch.setattr(Store, "add", broken)
    with pytest.warns(UserWarning) as said, track(model, offload_inc=1, async_offload=in_thread) as tracker:
        for _ in range(6):
            train(tracker, model, 1)
            until_written(tracker)
    (warning,) = said
    assert "tracking stopped at step" in str(warning.message)
    assert "ValueError: planted. Training goes on; the rows so far are kept in" in str(warning.message)
    assert {0, 1} <= set(steps_of(read_pickle(tracker.out_path)))
    assert 2 not in steps_of(read_pickle(tracker.out_path))


def test_a_relative_folder_stays_where_it_was_when_training_changes_directory(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    with track(nn.Linear(2, 2), path="run") as tracker:
        train(tracker, nn.Linear(2, 2), 1)
        monkeypatch.chdir(tmp_path / "elsewhere")
    assert tracker.out_path == tmp_path / "run" / "log.pkl"
    assert steps_of(read_pickle(tracker.out_path)) == [0]


def test_a_log_too_large_for_memory_stays_in_parts(monkeypatch):
    monkeypatch.setattr("tandv.track.common.finished_log._IN_MEMORY", 10)
    model = nn.Linear(2, 2)
    with (
        pytest.warns(UserWarning, match="is the log, which read_run opens; `tandv log export`"),
        track(model) as tracker,
    ):
        train(tracker, model, 2)
    assert tracker.out_path == tracker.path
    assert steps_of(read_run(tracker.out_path)) == [0, 1]


def test_steps_with_very_many_rows_become_several_parts(monkeypatch):
    monkeypatch.setattr("tandv.track.common.frames._PART", 3000)  # bytes of counts: a few steps of 6 rows
    model = nn.Linear(2, 2)
    with track(model, offload_inc=20) as tracker:
        train(tracker, model, 20)
        until_written(tracker)
        several = len(files(tracker.path))
    assert 1 < several <= 20
    assert steps_of(read_pickle(tracker.out_path)) == list(range(20))


def test_the_default_folder_names_model_and_time():
    with track(nn.Linear(2, 2)) as tracker:
        train(tracker, nn.Linear(2, 2), 1)
    assert tracker.path.parent == Path.cwd() / "tandv-runs"
    assert tracker.path.name.startswith("Linear-20")


def test_a_run_in_which_nothing_was_recorded_has_no_log_and_does_not_say_finished():
    with track(nn.Linear(2, 2)) as tracker:
        pass
    assert tracker.out_path == tracker.path  # there is no file to name
    assert sorted(path.name for path in tracker.path.iterdir()) == ["parts", "run.json"]
    assert run_status(tracker.path) == "empty"
    assert json.loads((tracker.path / "run.json").read_text())["log"] is None


@pytest.mark.parametrize(("wanted", "other"), [(".pkl", ".parquet"), (".parquet", ".pkl")])
def test_where_one_format_fails_the_other_is_written(monkeypatch, wanted, other):
    model = nn.Linear(2, 2)

    def broken(*_):
        raise RuntimeError("planted")

    monkeypatch.setitem(finished_log.FORMATS, wanted, broken)
    with pytest.warns(UserWarning) as said, track(model, offload_type=wanted) as tracker:
        train(tracker, model, 2)
    (warning,) = said
    assert f"could not write log{wanted}: RuntimeError: planted; the finished log is" in str(warning.message)
    assert tracker.out_path == tracker.path / f"log{other}"
    assert steps_of({".pkl": read_pickle, ".parquet": read_parquet}[other](tracker.out_path)) == [0, 1]
    about = json.loads((tracker.path / "run.json").read_text())
    assert (about["status"], about["log"]) == ("finished", f"log{other}")


def test_where_both_formats_fail_the_parts_are_the_log(monkeypatch):
    model = nn.Linear(2, 2)

    def broken(*_):
        raise RuntimeError("planted")

    for suffix in (".pkl", ".parquet"):
        monkeypatch.setitem(finished_log.FORMATS, suffix, broken)
    with pytest.warns(UserWarning, match=r"the log stays in parts, read_run\(.*\) opens it"), track(model) as tracker:
        train(tracker, model, 2)
    assert tracker.out_path == tracker.path
    assert json.loads((tracker.path / "run.json").read_text())["log"] == "parts"
    assert steps_of(read_run(tracker.out_path)) == [0, 1]


def test_a_folder_that_is_deleted_is_made_again():
    model = nn.Linear(2, 2)
    with pytest.warns(UserWarning) as said, track(model, offload_inc=1) as tracker:
        train(tracker, model, 2)
        until_written(tracker)
        shutil.rmtree(tracker.path)
        train(tracker, model, 3)
    (warning,) = said
    assert "was deleted while the run went on and has been made again; 12 rows" in str(warning.message)
    assert steps_of(read_pickle(tracker.out_path)) == [2, 3, 4]
    assert run_status(tracker.path) == "finished"


def test_a_folder_that_is_deleted_at_the_end_says_that_nothing_is_left():
    model = nn.Linear(2, 2)
    with pytest.warns(UserWarning, match="has been made again; 12 rows"), track(model, offload_inc=1) as tracker:
        train(tracker, model, 2)
        until_written(tracker)
        shutil.rmtree(tracker.path)
    assert tracker.out_path == tracker.path
    assert run_status(tracker.path) == "empty"


def test_a_flush_is_on_disk_before_the_next_step_has_ended(monkeypatch):
    model, real = nn.Linear(2, 2), Store.add
    monkeypatch.setattr(writer, "_QUICK", 0)  # as where a step takes long: only the end of the next step waits

    def slow(*arguments):
        time.sleep(0.05)
        real(*arguments)

    monkeypatch.setattr(Store, "add", slow)
    with track(model, offload_inc=2) as tracker:
        for step in range(1, 12):
            train(tracker, model, 1)
            if step > 2:
                assert len(list(tracker.path.glob("parts/**/*.parquet"))) >= (step - 1) // 2
    assert steps_of(read_pickle(tracker.out_path)) == list(range(11))


def test_flushes_that_wait_for_the_disk_together_write_all_rows_and_facts():
    model, may_go = nn.Linear(2, 2), threading.Event()
    with track(model, offload_inc=1, async_offload=True) as tracker:
        tracker._writer.queue(lambda: may_go.wait(60))
        train(tracker, model, 4)
        tracker._writer.flush({"one": 1})
        tracker._writer.flush({"other": 2})
        may_go.set()
        until_written(tracker)
        about = json.loads((tracker.path / "run.json").read_text())
        assert (about["one"], about["other"]) == (1, 2)
        assert steps_of(read_run(tracker.path)) == [0, 1, 2, 3]


STARTED = """
import sys, torch
from tandv.track.torch import track
model = torch.nn.Linear(2, 2)
tracker = track(model, path="run", offload_inc=2, async_offload={in_thread}).start()
for step in range(3):
    model(torch.ones(1, 2)).sum().backward()
    tracker.step()
{end}
"""


IN_THREAD = [False, None, True]
ENDS = [
    ("", "ended with Python, without close()"),
    ("sys.exit(3)", "ended with Python, without close()"),
    ("tracker.close()", "finished"),
]


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """Run each training that ends in its own way; return {what is special: (its folder, how it ended)}."""
    codes: dict[object, str] = {last: ON_A_SLOW_DISK.format(last=last) for last in LAST}
    for (end, _), in_thread in itertools.product(ENDS, IN_THREAD):
        codes[end, in_thread] = STARTED.format(in_thread=in_thread, end=end)
    folders = [tmp_path_factory.mktemp("ended") for _ in codes]
    done = run_each(["tandv.track.torch", "tandv.measure._numba"], list(zip(codes.values(), folders, strict=True)))
    return dict(zip(codes, zip(folders, done, strict=True), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("in_thread", IN_THREAD)
@pytest.mark.parametrize(("end", "status"), ENDS)
def test_what_was_started_is_closed_when_python_exits(ended, in_thread, end, status):
    folder, done = ended[end, in_thread]
    assert (done.returned, done.stderr) == (3 if "exit" in end else 0, "")
    assert steps_of(read_pickle(folder / "run" / "log.pkl")) == [0, 1, 2]
    assert run_status(folder / "run") == status


class Interrupted(set):
    """What was said, and where another thread looks at it at the same time."""

    def __contains__(self, kind: object) -> bool:
        found = super().__contains__(kind)
        self.meanwhile.now()
        return found


def test_what_two_threads_have_to_say_at_once_is_said_once():
    model = nn.Linear(2, 2)
    with track(model) as tracker:
        disk = tracker._writer
        disk._warned = said = Interrupted()
        said.meanwhile = disk._noting = Meanwhile(disk._noting, lambda: disk.note("disk", "it is full"))
        disk.note("disk", "it is full")
        said.meanwhile.join()
        assert list(disk._notes) == ["it is full"]
        disk._notes.clear()
        tracker._warned = said = Interrupted()
        said.meanwhile = tracker._telling = Meanwhile(tracker._telling, lambda: tracker.warn_once("left out"))
        with pytest.warns(UserWarning) as warned:
            tracker.warn_once("left out")
            said.meanwhile.join()
        assert [str(one.message) for one in warned] == ["tandv: left out"]
        train(tracker, model, steps=1)
