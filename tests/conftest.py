"""What all tests share."""

import gc
import os
import re
import sys

import pytest

from tests.compiled import compile_in_one_process, keep_compiled_programs

# What terminals and services that run tests ask of programs: of what is said to people, tests have the usual form.
for name in ("COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "PY_COLORS", "TTY_COMPATIBLE", "GITHUB_ACTIONS"):
    os.environ.pop(name, None)
# Nobody stands between tests and the servers that they start.
for name in ("no_proxy", "NO_PROXY"):
    os.environ[name] = ",".join([*filter(None, [os.environ.get(name)]), "127.0.0.1", "localhost"])
# Four devices of one CPU, whichever module is the first to compute with JAX: later their number cannot be changed.
os.environ["JAX_NUM_CPU_DEVICES"] = "4"
keep_compiled_programs()


# At the beginning of a line of a file in which every test is slow.
ALL_SLOW = re.compile(r"^pytestmark = (\[\s*)?pytest\.mark\.slow\b", re.MULTILINE)


def pytest_ignore_collect(collection_path, config):
    """Where slow tests are left out, do not import files of nothing else: that takes a third of what all imports do."""
    if config.option.markexpr == "not slow" and collection_path.match("test_*.py"):
        return bool(ALL_SLOW.search(collection_path.read_text())) or None  # None leaves it to others
    return None


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Look for no garbage among a million objects that imports make, which stay: not meanwhile, and not later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(*gc.get_threshold()[:2], 50)  # of what tests make, most that lives long stays, too
        gc.enable()


def pytest_collection_modifyitems(items):
    """Begin with the files that have slow tests, so that at the end no worker is alone with one of them."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Go on where a worker ends in a test."""
    if config.option.dist != "loadfile":
        return None
    from tests.scheduler import Scheduler

    return Scheduler(config, log)


def pytest_collection_finish():
    """Leave the devices of processes that tests start to them: JAX has been imported by whichever test wants it."""
    os.environ.pop("JAX_NUM_CPU_DEVICES", None)
    if "PYTEST_XDIST_WORKER" in os.environ:
        compile_in_one_process()


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk():
    """No test cuts the power, so what was written need not reach the disk: that is half the time of some tests."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture(autouse=True)
def no_runs_before():
    """Short runs in a row are said, of which a test may be the third in its process."""
    if (loops := sys.modules.get("tandv.track.common.loops")) is not None:
        loops.one_step_runs.__init__()
