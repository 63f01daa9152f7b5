"""`tandv view`: what is shown, what is refused, and how it ends."""

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from urllib.parse import quote

import pytest
from stored import counted_only, stored
from typer.testing import CliRunner

from tandv.cli import app
from tandv.log.logframe import example_log
from tandv.page.envelope import unpack

from .conftest import save_run

LOG = counted_only(example_log(layers=3, steps=6))
# A job in the background of a shell inherits that Ctrl-C is ignored; here it must count, wherever the tests run.
CODE = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from tandv.cli import app
app()
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*arguments):
    return CliRunner().invoke(app, ["view", *map(str, arguments)])


@contextlib.contextmanager
def serving(*arguments):
    """Run `tandv view`; yield the process, and a function that asks."""
    command = [sys.executable, "-c", CODE, "view", "--no-browser", *arguments]
    with (
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process,
        contextlib.ExitStack() as at_end,
    ):
        at_end.callback(process.kill)  # where an assertion fails, else this block would wait for ever
        lines, found = [], None
        while found is None:
            lines.append(process.stderr.readline())
            assert lines[-1], lines
            found = re.search(r"http://\S+", lines[-1])
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        opener.open(found[0]).close()
        address = found[0].partition("?")[0]

        def ask(*questions, run=0):
            return unpack(opener.open(f"{address}q?run={run}&b={quote(json.dumps(questions))}").read())

        yield process, ask


@pytest.mark.slow
def test_runs_curves_and_checkpoints_are_served_until_ctrl_c(here):
    stored(LOG, here / "run")
    save_run(here / "checkpoints")
    with serving("run", "checkpoints") as (process, ask):
        (meta, (steps,)), (heat, _) = ask({"kind": "meta"}, {"kind": "heat", "tt": "Weight", "metric": "rm2", "w": 6})
        assert (meta["runs"], meta["holds"], steps.tolist()) == (["run", "checkpoints"], "log", [0, 1, 2, 3, 4, 5])
        assert (heat["rows"], heat["cols"]) == (3, 6)
        ((meta, _), (curves, (steps, values, _))) = ask({"kind": "meta"}, {"kind": "curves"}, run=1)
        assert (meta["holds"], steps.tolist()) == ("curves", [0, 5, 10])
        assert values[curves["names"].index("spectral")].tolist() == [1.0, 6.0, 11.0]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=1800) == 0
        assert process.stderr.read() == "Ctrl-C ends it, and 60 minutes without a page that asks.\n"


@pytest.mark.slow
def test_scripts_are_told_the_address_as_json(here):
    stored(LOG, here / "run")
    command = [sys.executable, "-c", CODE, "view", "--no-browser", "--json", "run"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process,
        contextlib.ExitStack() as at_end,
    ):
        at_end.callback(process.kill)
        told = json.loads(process.stdout.readline())
        assert told["runs"] == ["run"]
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        assert b"<html" in opener.open(told["address"]).read()[:200].lower()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rnu"], ["rnu", "there is nothing of this name"]),
        (["."], ["these are runs: run"]),
        (["rnu", "empty", "--out", "page.png"], ["rnu", "empty", "must end in .html"]),
        (["run", "--out", "nowhere/page.html"], ["there is no folder"]),
        (["run", "--port", "99999"], ["Invalid value for '--port'"]),
        (["run", "--idle", "-1"], ["Invalid value for '--idle'"]),
        ([], ["Missing argument"]),
    ],
)
def test_what_cannot_be_shown_is_said_at_once(arguments, words, here):
    stored(LOG, here / "run")
    (here / "empty").mkdir()
    told = call(*arguments)
    assert told.exit_code == 2
    for part in words:
        assert part in " ".join(told.output.split()), told.output
    assert not any(here.glob("*.html"))


def test_a_port_that_is_taken(here):
    stored(LOG, here / "run")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        told = call("run", "--no-browser", "--port", taken.getsockname()[1])
    assert told.exit_code == 1
    assert "no page can be served on port" in told.output and "leave --port out" in told.output
