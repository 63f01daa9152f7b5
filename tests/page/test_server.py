"""The served page: who gets it, what may be asked, and how it ends."""

import contextlib
import http.client
import http.server
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from urllib.parse import quote, urlsplit

import pytest

from in_browser import CHROMIUM, browser
from tandv.page.server import serve, serving

# A job in the background of a shell inherits that Ctrl-C is ignored; here it must count, wherever the tests run.
CODE = """
import signal, sys, webbrowser
signal.signal(signal.SIGINT, signal.default_int_handler)
webbrowser.open = lambda address: print("opened", address, flush=True) or True
from tandv.page.server import serve
class Answers:
    def answer(self, run, questions): return b"an envelope"
    def refresh(self): return False
    def close(self): pass
serve(Answers(), browser=sys.argv[1] == "yes", idle=float(sys.argv[2]))
print("ended", flush=True)
"""
# What is read from the pipe while the page is served has been written at once by tandv, not by Python's settings.
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


class Stub:
    """Answers with what it was asked, and counts how often it was refreshed."""

    def __init__(self):
        self.refreshed = threading.Semaphore(0)

    def answer(self, run, questions):
        if run > 1:
            raise IndexError(run)
        if {"kind": "broken"} in questions:
            raise RuntimeError("a bug")
        return json.dumps([run, questions]).encode()

    def refresh(self):
        self.refreshed.release()
        return True

    def close(self):
        pass


def ask(address: str, path: str, method: str = "GET", **headers: str):
    """Ask for a path; return status, headers and text."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=600)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read().decode()
    finally:
        connection.close()


def with_token(address: str) -> str:
    return "/?" + urlsplit(address).query


@pytest.fixture(scope="module")
def address():
    with serving(Stub(), title="<b>") as served:
        yield served.address


@pytest.fixture(scope="module")
def cookie(address):
    return ask(address, with_token(address))[1]["set-cookie"].partition(";")[0]


def test_the_token_is_answered_by_a_cookie_that_gets_the_page_again_and_again(address):
    status, headers, text = ask(address, with_token(address))
    assert (status, headers["location"], text) == (303, "/", "")
    port = urlsplit(address).port
    assert re.fullmatch(rf"tandv-{port}=[\w-]{{43}}; HttpOnly; SameSite=Strict; Path=/", headers["set-cookie"])
    cookie = headers["set-cookie"].partition(";")[0]
    for _ in range(2):
        status, _, text = ask(address, "/", Cookie=cookie)
        assert status == 200 and "<title>&lt;b&gt;</title>" in text


def test_a_link_of_another_site_gets_a_page_that_goes_on_by_itself(address):
    status, headers, text = ask(address, with_token(address), Sec_Fetch_Site="cross-site")
    assert (status, text) == (200, '<meta http-equiv="refresh" content="0;url=/">')
    assert "SameSite=Strict" in headers["set-cookie"]


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="NO BROWSER: install one by `apt-get install chromium`")
def test_a_link_in_a_terminal_in_the_browser_leads_to_the_page(address, tmp_path):
    class Terminal(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"<a href='{address}'>a link</a>".encode())

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Terminal) as terminal, browser(tmp_path) as page:
        threading.Thread(target=terminal.serve_forever, daemon=True).start()
        page.goto(f"http://localhost:{terminal.server_port}/")  # another site than 127.0.0.1
        page.click("a")
        page.wait_for_url(f"http://127.0.0.1:{urlsplit(address).port}/")
        page.wait_for_selector("#tandv", state="attached")
        page.reload()
        page.wait_for_selector("#tandv", state="attached")
        terminal.shutdown()


@pytest.mark.parametrize(
    ("path", "cookie", "status"),
    [
        ("/", "", 403),
        ("/?token=", "", 403),
        ("/?token=wr%C3%B6ng", "", 403),
        ("/", "tandv-1=x; ;;=", 403),
        ("/", "tandv-{port}=", 403),
        ("/", "tandv-{port}=wr\u00f6ng", 403),
        ("/served.js", "", 403),
        ("/q?run=0&b=[]", "", 403),
        ("/etc/passwd", "", 403),
    ],
)
def test_nobody_else_gets_anything(address, path, cookie, status):
    assert ask(address, path, Cookie=cookie.format(port=urlsplit(address).port))[0] == status


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
def test_only_get_is_answered(address, cookie, method):
    assert ask(address, "/q?run=0&b=[]", method, Cookie=cookie)[0] == 405


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/../server.py",
        "/%2e%2e/server.py",
        "/front/../server.py",
        "/tsconfig.json",
        "/vendor/uPlot.min.js",
        "//",
        "/vendor/",
        "/q/",
        "/vendor/../vendor/uPlot.js",
        "/vendor%2fuPlot.css%00",
    ],
)
def test_no_path_reaches_the_disk(address, cookie, path):
    assert ask(address, path, Cookie=cookie)[0] == 404


def test_scripts_and_styles_have_their_type(address, cookie):
    for name, media_type in {"vendor/uPlot.js": "text/javascript", "vendor/uPlot.css": "text/css"}.items():
        status, headers, _ = ask(address, f"/{name}", Cookie=cookie)
        assert (status, headers["content-type"]) == (200, f"{media_type}; charset=utf-8")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example:80", 403), ("127.0.0.1.evil.example", 403), ("localhost.", 403), ("", 403), ("[::1", 403),
        ("127.0.0.1:80:80", 403), ("127.0.0.1@evil.example", 403), ("localhost:9000", 303), ("127.0.0.1", 303),
        ("LOCALHOST", 303), ("[::1]:9000", 303), ("[::1]", 303),
    ],
)  # fmt: skip
def test_only_by_the_names_of_this_machine(address, host, status):
    assert ask(address, with_token(address), Host=host)[0] == status


@pytest.mark.parametrize(
    ("path", "method", "host"), [("/", "GET", ""), ("/x", "POST", ""), ("/", "GET", "evil.example")]
)
def test_every_answer_forbids_what_is_not_needed(address, cookie, path, method, host):
    _, headers, _ = ask(address, path, method, Cookie=cookie, **({"Host": host} if host else {}))
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert not {"server", "access-control-allow-origin"} & headers.keys()


def test_questions_are_answered_and_what_is_none_is_refused(address, cookie):
    def asked(query):
        return ask(address, f"/q?{query}", Cookie=cookie)

    questions = [{"kind": "at", "layer": "<b>&ö\x00"}]
    status, headers, text = asked(f"run=1&b={quote(json.dumps(questions))}")
    assert (status, headers["content-type"], json.loads(text)) == (200, "application/octet-stream", [1, questions])
    for wrong in ("", "run=0", "run=x&b=[]", "run=0&b={", "run=0&b={}", "run=0&b=[1]", "run=0&b=" + "[" * 5000):
        status, _, text = asked(wrong)
        assert status == 400 and text.startswith("ask by q?run=0&b=[...]"), wrong
    assert asked("run=2&b=[]")[::2] == (400, "there is no run 2")
    broken = quote(json.dumps([{"kind": "broken"}]))
    assert asked(f"run=0&b={broken}")[::2] == (500, "tandv could not answer: RuntimeError: a bug")
    assert asked("run=0&b=[]")[0] == 200


def test_it_listens_on_this_machine_only_and_before_its_address_is_known(address):
    assert urlsplit(address).hostname == "127.0.0.1"
    with socket.create_connection(("127.0.0.1", urlsplit(address).port), timeout=600):
        pass


def test_after_the_block_nobody_answers():
    with serving(Stub()) as served:
        pass
    with pytest.raises(OSError):
        ask(served.address, "/")
    assert not served.is_alive()


def test_a_port_that_is_taken_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError):
        serve(Stub(), port=taken.getsockname()[1], browser=False, say=lambda words: None)


def test_runs_are_looked_at_while_somebody_asks_whatever_happens(monkeypatch, caplog):
    monkeypatch.setattr("tandv.page.watching.INTERVAL", 0.01)
    monkeypatch.setattr("tandv.page.watching._ATTENDED", 3600)  # however slowly it starts
    answers = Stub()

    def fail():
        answers.refreshed.release()
        raise RuntimeError("a bug")

    monkeypatch.setattr(answers, "refresh", fail)
    with serving(answers):
        for _ in range(3):
            assert answers.refreshed.acquire(timeout=600)
    assert [one.message for one in caplog.records] == ["the page could not be brought up to date"]  # once


def test_runs_are_not_looked_at_while_nobody_asks(monkeypatch):
    monkeypatch.setattr("tandv.page.watching.INTERVAL", 0.01)
    monkeypatch.setattr("tandv.page.watching._ATTENDED", 0)
    answers = Stub()
    with serving(answers):
        assert not answers.refreshed.acquire(timeout=0.3)


@pytest.mark.slow
@pytest.mark.parametrize("browser", ["yes", "no"])
def test_ctrl_c_ends_it(browser, tmp_path):
    with started(tmp_path, browser, "60") as process:
        first = process.stdout.readline()
        if browser == "yes":
            assert first.startswith("opened http://127.0.0.1:")
            first = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", first)
        assert found, first
        assert ("open in the browser" in first) == (browser == "yes")
        assert process.stdout.readline() == "Ctrl-C ends it, and 60 minutes without a page that asks.\n"
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        assert b"<title>tandv</title>" in opener.open(found[0]).read()
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=1800)
    assert (process.returncode, errors) == (0, "")
    assert rest.splitlines()[-1] == "ended"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_it_ends_by_itself_when_nobody_asks(tmp_path):
    with started(tmp_path, "no", "0.01") as process:
        rest, errors = process.communicate(timeout=1800)
    assert (process.returncode, errors) == (0, "")
    assert rest.splitlines()[1:] == [
        "Ctrl-C ends it, and 0.6 seconds without a page that asks.",
        "No page has asked for 0.6 seconds: it has ended.",
        "ended",
    ]


@contextlib.contextmanager
def started(folder, *arguments):
    command = [sys.executable, "-c", CODE, *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": BUFFERED}
    with (
        subprocess.Popen(command, cwd=folder, **pipes) as process,
        contextlib.ExitStack() as at_end,
    ):
        at_end.callback(process.kill)  # where an assertion fails, else this block would wait for ever
        yield process
