"""Curves as a file or a served page: everything in it, nothing that can get out of its place."""

import contextlib
import math
import re
import signal
import subprocess
import sys
import urllib.request
from base64 import b64encode
from hashlib import sha256

import pytest

from in_file import curves_in, held
from tandv.analysis.transitions import Evidence, Transition
from tandv.page import document, save

EVIL = "spectral:</script><script>alert(1)</script><!--"
STEP = Transition("loss", 2, 3, 4, 2.0, 1.0, Evidence(effect=8.0, p=0.01))
# A job in the background of a shell inherits that Ctrl-C is ignored; here it must count, wherever the tests run.
CODE = """
import signal, sys, webbrowser
signal.signal(signal.SIGINT, signal.default_int_handler)
webbrowser.open = lambda address: print("opened", address, flush=True) or True
from tandv import page
page.show({"loss": [2.0, 1.0]}, title="a loss", browser=sys.argv[1] == "yes")
print("ended", flush=True)
"""


def test_a_page_holds_the_curves_as_they_are():
    curves = {"step": [0, 5, 9], "loss": [1.0, math.nan, math.inf], "other": [-math.inf, 2.0, 1 / 3]}
    [(head, (steps, values, state))] = held(document(curves, title="<b>&", notes=["<i>"], rule="a rule", axis="log"))
    assert (steps.tolist(), head["curves"]["names"]) == ([0, 5, 9], ["loss", "other"])
    assert values[0, 0] == 1.0 and values[1, 1:].tolist() == [2.0, 1 / 3]
    assert state.tolist() == [[0, 8, 2], [3, 0, 0]]
    about = head["meta"]
    assert (about["holds"], about["title"], about["notes"], about["start"]) == (
        "curves",
        "<b>&",
        ["<i>"],
        {"axis": "log"},
    )


def test_transitions_stand_with_their_run():
    runs = {"a": {"loss": [1.0]}, "b": {"loss": [2.0]}}
    found = [head["transitions"] for head, _ in held(document(runs, transitions={"b": [STEP]}, rule="a rule"))]
    words = {"kind": "", "uncertain": True, "size": "8.0", "chance": "0.01"}
    places = {"curve": "loss", "start": 2, "step": 3, "end": 4, "before": 2.0, "after": 1.0}
    assert [one["found"] for one in found] == [[], [places | words]]
    assert {one["rule"] for one in found} == {"a rule"}
    [(head, _)] = held(document({"loss": [1.0]}, transitions=[STEP]))
    assert len(head["transitions"]["found"]) == 1


def test_names_stay_where_they_belong():
    text = document({EVIL: [1.0, 2.0]}, title="<b>&", notes=["<i>"])
    assert list(curves_in(text)[0]) == [EVIL]
    assert "<title>&lt;b&gt;&amp;</title>" in text
    assert "alert(1)" not in text and text.count("<script") == text.count("</script>") == 3


def test_only_the_script_in_the_page_may_run_and_nothing_may_be_fetched():
    text = document({"loss": [1.0, 2.0]})
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    [script] = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert (
        f"default-src 'none'; script-src 'sha256-{b64encode(sha256(script.encode()).digest()).decode()}';" in policy[1]
    )
    assert not re.search(r"\b(?:src|href)=[\"']?(?!data:)\w", text.replace(script, ""))


def test_it_is_kept_as_one_file(tmp_path):
    path = save({"loss": [1.0, 2.0]}, tmp_path / "a.html", title="Ein Verlust: µ")
    assert path.read_text(encoding="utf-8") == document({"loss": [1.0, 2.0]}, title="Ein Verlust: µ")


def test_another_axis_is_refused():
    with pytest.raises(ValueError, match="axis.*linear.*log"):
        document({"loss": [1.0]}, axis="cubic")


@pytest.mark.slow
@pytest.mark.parametrize("browser", ["yes", "no"])
def test_ctrl_c_ends_it(browser, tmp_path):
    command = [sys.executable, "-c", CODE, browser]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process,
        contextlib.ExitStack() as at_end,
    ):
        at_end.callback(process.kill)  # where an assertion fails, else this block would wait for ever
        assert process.stdout is not None
        first = process.stdout.readline()
        if browser == "yes":
            assert first.startswith("opened http://127.0.0.1:")
            first = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", first)
        assert found, first
        assert ("open in the browser" in first) == (browser == "yes")
        page = urllib.request.build_opener(urllib.request.HTTPCookieProcessor()).open(found[0]).read().decode()
        assert "<title>a loss</title>" in page
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=1800)
    assert (process.returncode, errors) == (0, "")
    assert rest.splitlines()[-1] == "ended"
    assert list(tmp_path.iterdir()) == []
