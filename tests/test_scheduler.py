"""A worker that ends in a test takes no other test with it, and nothing waits for it."""

import collections
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scheduler import Scheduler

pytestmark = pytest.mark.slow
CONFTEST = """
from tests.scheduler import Scheduler
def pytest_xdist_make_scheduler(config, log): return Scheduler(config, log)
"""
ENDS = "import os\ndef test_before(): pass\ndef test_that_ends_its_worker(): os._exit(1)\ndef test_after(): pass\n"
PASSES = "def test_one(): pass\n"


@pytest.mark.parametrize(("workers", "place"), [(2, 0), (1, 8), (2, 15)])
def test_all_others_are_run_once(tmp_path, workers, place):
    (tmp_path / "conftest.py").write_text(CONFTEST)
    for number in range(16):
        (tmp_path / f"test_{number:02d}.py").write_text(ENDS if number == place else PASSES)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--dist=loadfile", f"--numprocesses={workers}"]
    command += [f"--rootdir={tmp_path}", f"--override-ini=pythonpath={Path(__file__).parents[1]}", str(tmp_path)]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300).stdout
    assert "1 failed, 17 passed" in said
    assert f"test_{place:02d}.py::test_that_ends_its_worker" in said


class HasEnded:
    """A worker that has just ended, which nobody knows yet."""

    shutting_down = False

    def send_runtest_some(self, numbers):
        raise OSError("cannot send (already closed?)")


def test_what_is_sent_to_a_worker_that_has_just_ended_goes_to_the_others():
    scheduler, worker = object.__new__(Scheduler), HasEnded()
    scheduler.log, scheduler.assigned_work = print, {worker: {}}
    scheduler.registered_collections = {worker: ["test_a.py::one", "test_a.py::two"]}
    scheduler.workqueue = collections.OrderedDict({"test_a.py": {"test_a.py::one": False, "test_a.py::two": False}})
    scheduler._reschedule(worker)
    assert not scheduler.workqueue
    assert scheduler.remove_node(worker) == "test_a.py::one"
    assert scheduler.workqueue == {"test_a.py": {"test_a.py::one": True, "test_a.py::two": False}}
