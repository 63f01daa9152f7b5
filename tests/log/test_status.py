"""How a run stands, as any process can tell from its folder."""

import json
import os
import subprocess
import sys
import time

import pytest

from tandv.log.status import process_key, run_status, this_process


@pytest.fixture
def run(tmp_path):
    """Write the `run.json` of a run and return its folder."""

    def run(**about):
        (tmp_path / "run.json").write_text(json.dumps(about))
        return tmp_path

    return run


@pytest.fixture
def ended():
    """What a process that has ended had written of itself."""
    code = "import json\nfrom tandv.log.status import this_process\nprint(json.dumps(this_process()))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return json.loads(out)


def test_a_run_of_a_process_that_is_there_goes_on(run):
    assert run_status(run(status="running", **this_process())) == "running"


def test_a_run_of_a_process_that_has_ended_was_killed(run, ended):
    assert run_status(run(status="running", **ended)) == "killed"


def test_a_process_that_got_the_number_of_another_is_not_it(run, ended):
    assert run_status(run(status="running", **ended | {"process": os.getpid()})) == "killed"


def test_a_process_that_nobody_has_waited_for_is_gone():
    with subprocess.Popen(["true"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, its number is still taken
        assert process_key(process.pid) is None


@pytest.mark.parametrize("status", ["finished", "empty", "ended by ValueError", "tracking failed"])
def test_what_a_run_says_of_its_end_counts(run, ended, status):
    assert run_status(run(status=status, **ended)) == status


@pytest.mark.parametrize(("silent", "status"), [(60, "running"), (3600, "killed")])
def test_on_another_machine_a_run_that_writes_nothing_for_long_was_killed(run, silent, status):
    folder = run(status="running", host="another", process=os.getpid(), process_key="another boot/pid:[1]/1@1")
    then = time.time() - silent
    os.utime(folder / "run.json", (then, then))
    assert run_status(folder) == status


def test_a_run_with_long_pauses_may_have_one_more(run):
    folder = run(status="running", host="another", process=1, process_key=None)
    (folder / "parts").mkdir()
    for n, hours in enumerate((6, 4, 2)):
        (folder / "parts" / f"{n:06d}.parquet").touch()
        then = time.time() - 3600 * hours
        os.utime(folder / "parts" / f"{n:06d}.parquet", (then, then))
    os.utime(folder / "run.json", (time.time() - 3600 * 8,) * 2)
    assert run_status(folder) == "running"


def test_what_is_no_run_is_named(tmp_path, run):
    with pytest.raises(FileNotFoundError, match=r"it has no run\.json; give the folder that tracker\.path names"):
        run_status(tmp_path)
    (run() / "run.json").write_text("{")
    with pytest.raises(ValueError, match=r"run\.json is damaged .* opens the rows without it"):
        run_status(tmp_path)
