"""The commands as a person uses them: in a terminal, with its keys."""

import json
import os
import re
import signal
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pexpect
import pytest

from tandv.page.envelope import unpack

TANDV = str(Path(sys.executable).with_name("tandv"))
# A terminal is made by a fork that turns into another program at once; other tests have loaded JAX by then.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*fork")]

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def terminal(tmp_path):
    """Return a function that types a command into a terminal of its own."""
    children = []

    def start(*arguments):
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "40"}
        child = pexpect.spawn(
            TANDV, list(map(str, arguments)), env=environment, cwd=str(tmp_path), encoding="utf-8", timeout=1800,
            dimensions=(40, 100), preexec_fn=_takes_ctrl_c,
        )  # fmt: skip
        children.append(child)
        return child

    yield start
    for child in children:
        child.close(force=True)


def _takes_ctrl_c():
    """A job in the background of a shell inherits that Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def ended(child) -> tuple[int | None, str]:
    """Wait for the end; return the exit code and what was still said."""
    child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus, " ".join(ANSI.sub("", child.before).split())


def test_from_load_dir_to_a_page_and_back(terminal, run):
    child = terminal("load-dir", "--dir", run)
    assert ended(child) == (0, f"3 checkpoints, steps 0 to 10, in {run} Now: tandv plot-metrics")

    child = terminal("plot-metrics", "--no-browser")
    child.expect("3 checkpoints, steps 0 to 10")
    child.expect("metric> ")
    child.send("spec\t")  # Tab completes
    child.expect("tral")
    child.sendline("")
    child.expect("largest singular value of all matrices")
    child.expect("metric> ")
    child.sendline("metrics")
    child.expect(r"\+ spectral")
    child.expect("metric> ")
    child.sendline("done")
    child.expect("measuring")  # the bar
    child.expect("The page is ready; open it in a browser: ")
    child.expect(r"(http://127\.0\.0\.1:\d+/\?token=[\w-]+)")
    address = child.match[1]
    child.expect("Ctrl-C ends it")
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    opener.open(address, timeout=1800).close()  # its answer sets the cookie
    asked = urllib.parse.quote(json.dumps([{"kind": "curves"}]))
    with opener.open(f"{address.partition('?')[0]}q?run=0&b={asked}", timeout=1800) as answer:
        ((head, (steps, values, _)),) = unpack(answer.read())
    assert (head["names"], steps.tolist(), values.tolist()) == (["spectral"], [0, 5, 10], [[1, 6, 11]])
    child.sendintr()
    assert ended(child)[0] == 0
    with pytest.raises(urllib.error.URLError):
        opener.open(address, timeout=2)


def test_ctrl_c_at_the_prompt_leaves(terminal, run):
    ended(terminal("load-dir", "--dir", run))
    child = terminal("plot-metrics")
    child.expect("metric> ")
    child.sendintr()
    code, said = ended(child)
    assert (code, said.endswith("Nothing was measured.")) == (130, True)


def test_the_end_of_input_leaves_too(terminal, run):
    ended(terminal("load-dir", "--dir", run))
    child = terminal("plot-metrics")
    child.expect("metric> ")
    child.sendeof()
    code, said = ended(child)
    assert (code, said.endswith("Nothing was measured.")) == (0, True)


def test_a_warning_and_an_error_stand_out(terminal, run):
    (run / "step_7.safetensors").write_bytes(b"\x00")
    child = terminal("checkpoints", run, "--metrics", "spectral", "--out", "a.csv")
    child.expect(r"\x1b\[33mWarning: step_7\.safetensors")
    assert ended(child)[0] == 0
    child = terminal("checkpoints", run, "--metrics", "spectrl")
    child.expect(r"\x1b\[1;31mtandv: no metric 'spectrl'")
    assert ended(child)[0] == 2
