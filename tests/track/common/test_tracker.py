"""How a tracker is started and ended: by its block, or by `start` and `close`."""

import json
import threading

import pytest
import torch
from torch import nn

from tandv.track.common import read_pickle, run_status
from tandv.track.torch import track


def steps_of(log):
    return sorted(set(log["metadata"]["step"]))


def train(tracker, model, steps=1):
    for _ in range(steps):
        model(torch.ones(1, 2)).sum().backward()
        tracker.step()


def test_start_and_close_do_what_the_block_does():
    logs = []
    for by_hand in (False, True):
        torch.manual_seed(0)
        model = nn.Linear(2, 2)
        tracker = track(model)
        if by_hand:
            assert tracker.start() is tracker
            train(tracker, model, 3)
            tracker.close()
        else:
            with tracker:
                train(tracker, model, 3)
        logs.append(read_pickle(tracker.out_path))
        assert run_status(tracker.path) == "finished"
        assert not torch.nn.modules.module._global_forward_hooks
    assert logs[0].equals(logs[1])


def test_from_cell_to_cell_of_a_notebook():
    cells = [
        "import torch; from tandv.track.torch import track; from tandv.track.common import read_pickle, read_run",
        "model = torch.nn.Linear(2, 2); tracker = track(model, offload_inc=1, async_offload=False).start()",
        "model(torch.ones(1, 2)).sum().backward(); tracker.step()",
        "so_far = read_run(tracker.path)",
        "model(torch.ones(1, 2)).sum().backward(); tracker.step()",
        "tracker.close()",
        "tracker.close()",  # a cell is easily run twice
        "log = read_pickle(tracker.out_path)",
    ]
    session = {}
    for cell in cells:
        exec(cell, session)
    assert steps_of(session["so_far"]) == [0]
    assert steps_of(session["log"]) == [0, 1]


def test_closing_again_changes_nothing():
    model = nn.Linear(2, 2)
    with track(model) as tracker:
        train(tracker, model, 2)
        tracker.close()  # within the block, which then has nothing left to do
        written = tracker.out_path.stat().st_mtime_ns
    tracker.close()
    tracker.close(ValueError("too late"))
    assert tracker.out_path.stat().st_mtime_ns == written
    assert run_status(tracker.path) == "finished"


def test_what_was_never_started_can_be_closed_and_started_afterwards():
    model = nn.Linear(2, 2)
    tracker = track(model)
    tracker.close()
    assert not tracker.path.exists()
    tracker.start()
    train(tracker, model)
    tracker.close()
    assert steps_of(read_pickle(tracker.out_path)) == [0]


def test_starting_twice_is_refused_and_the_first_goes_on():
    model = nn.Linear(2, 2)
    tracker = track(model).start()
    with pytest.raises(RuntimeError, match=r"has been started already; call track\(\.\.\.\) again for another run"):
        tracker.start()
    train(tracker, model)
    tracker.close()
    assert steps_of(read_pickle(tracker.out_path)) == [0]
    with pytest.raises(RuntimeError, match=r"this tracker has been used; call track\(\.\.\.\) again"):
        tracker.start()


def test_a_step_outside_says_what_to_write():
    tracker = track(nn.Linear(2, 2))
    said = r"tracker\.step\(\) outside its block; .* or call tracker\.start\(\) before it and tracker\.close\(\) after"
    with pytest.raises(RuntimeError, match=said):
        tracker.step()
    tracker.start()
    tracker.close()
    with pytest.raises(RuntimeError, match=said):
        tracker.step()


def test_the_error_that_ended_training_is_kept():
    model = nn.Linear(2, 2)
    tracker = track(model).start()
    train(tracker, model)
    model(torch.ones(1, 2))
    tracker.close(FloatingPointError("of the user"))
    assert json.loads((tracker.path / "run.json").read_text())["status"] == "ended by FloatingPointError"
    assert steps_of(read_pickle(tracker.out_path)) == [0, 1]  # the unfinished step is kept, as by the block


def test_rules_that_look_in_the_writers_thread_ask_nothing_of_training_which_goes_on(monkeypatch):
    model, may_go, asked = nn.Linear(2, 2), threading.Event(), set()
    with track(model, on_finding="warn", async_offload=True) as tracker:
        facts = tracker._facts
        monkeypatch.setattr(tracker, "_facts", lambda: asked.add(threading.current_thread()) or facts())
        monkeypatch.setattr(tracker, "coverage_summary", may_go.set)  # the run is over, its rows are not yet looked at
        tracker._writer.queue(lambda: may_go.wait(60))
        train(tracker, model, 10)
    assert asked == {threading.main_thread()}
