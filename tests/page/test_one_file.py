"""The page as one file: everything in it, nothing that can get out of its place, and it works from disk offline."""

import base64
import gzip
import html
import re
from base64 import b64encode
from hashlib import sha256

import pandas as pd
import pytest

import tandv
from in_browser import CHROMIUM, browser
from tandv.log import logframe
from tandv.log.logframe import example_log
from tandv.page.answers import answers_of
from tandv.page.envelope import pack
from tandv.page.one_file import document
from tandv.page.pooled import pooled

EVIL = "</script><script>alert(1)</script><!-- <img src=x onerror=alert(2)>"


def parts(text):
    """Return the data, the state, the policy, the style and the script of a file."""
    found = re.fullmatch(
        r'<!doctype html>\n.*?<meta http-equiv="Content-Security-Policy" content="([^"]*)">.*?<style>(.*?)</style>.*?'
        r'<script type="text/plain" id="tandv-data">([\w+/=]*)</script>'
        r'<script type="text/plain" id="tandv-view">([\w+/=]*)</script><script>(.*?)</script></body></html>\n',
        text,
        re.DOTALL,
    )
    assert found
    policy, style, data, view, script = found.groups()
    return gzip.decompress(base64.b64decode(data)), base64.b64decode(view), policy, style, script


def hashed(text):
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def test_only_its_own_script_and_style_count_and_nothing_may_be_fetched():
    data, view, policy, style, script = parts(document(b"an envelope", "a run", {"step": 3}))
    assert (data, view) == (b"an envelope", b'{"step": 3}')
    assert dict(part.strip().split(" ", 1) for part in policy.split(";")) == {
        "default-src": "'none'",
        "script-src": hashed(script),
        "style-src": hashed(style),
        "img-src": "data: blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_what_it_holds_can_be_no_markup():
    text = document(pack([({"name": EVIL}, [])]), EVIL, {"layer": EVIL})
    assert text.count("<script") == text.count("</script>") == 3
    assert f"<title>{html.escape(EVIL)}</title>" in text and EVIL not in text
    assert "<!--" not in text


@pytest.mark.slow  # numba compiles the prediction of casts
def test_the_same_runs_give_the_same_file(tmp_path):
    log = example_log(layers=3, steps=10)
    files = [tandv.view({"run 0": log}, out=tmp_path / name) for name in ("a.html", "b.html")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert parts(files[0].read_text())[0] == pooled(answers_of(log))


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="NO BROWSER: install one by `apt-get install chromium`")
def test_it_works_from_disk_and_asks_nobody(tmp_path):
    log = example_log(layers=4, steps=20)
    names = {name: f"{EVIL}{i}" for i, name in enumerate(logframe.layers(log))}
    log[("metadata", "name")] = log[("metadata", "name")].astype(str).map(names)
    path = tandv.view({"one": log, "two": pd.DataFrame({"loss": [2.0, 1.0]})}, out=tmp_path / "run.html", step=7)
    with browser(tmp_path / "profile") as page:
        errors, requests = [], []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on(
            "console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None
        )
        page.on("dialog", lambda dialog: errors.append(dialog.message))
        page.on("request", lambda request: requests.append(request.url))
        page.context.set_offline(True)
        page.goto(path.as_uri())
        page.wait_for_selector("h1:has-text('one')")
        assert page.evaluate("() => document.getElementById('tandv').tandv.state.view.step") == 7
        shown = page.evaluate("() => document.getElementById('tandv').tandv.ctx.layers()")
        assert shown == list(names.values())
        page.evaluate("() => document.getElementById('tandv').tandv.state.set({ step: 9 })")
        for _ in range(6000):
            if page.evaluate("() => location.hash.includes('step=9')"):
                break
            page.wait_for_timeout(50)
        page.reload()
        page.wait_for_selector("h1:has-text('one')")
        assert page.evaluate("() => document.getElementById('tandv').tandv.state.view.step") == 9
        assert errors == []
        assert {url.partition("#")[0] for url in requests if not url.startswith(("data:", "blob:"))} == {path.as_uri()}
