"""The page that lives until it is ended: who gets it, and that nothing is left."""

import contextlib
import http.client
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import pytest

from tandv.page.loopback import serving

# A job in the background of a shell inherits that Ctrl-C is ignored; here it must count, wherever the tests run.
CODE = """
import signal, sys, webbrowser
signal.signal(signal.SIGINT, signal.default_int_handler)
webbrowser.open = lambda address: print("opened", address, flush=True) or True
from tandv import page
page.show({"loss": [2.0, 1.0]}, title="a loss", browser=sys.argv[1] == "yes")
print("ended", flush=True)
"""


def ask(address: str, path: str, **headers: str):
    """Ask for a path; return status, headers and text."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=120)
    try:
        connection.request(headers.pop("method", "GET"), path, headers=headers)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read().decode()
    finally:
        connection.close()


@pytest.fixture
def address():
    with serving("<p>the page</p>") as address:
        yield address


def with_token(address: str) -> str:
    return "/?" + urlsplit(address).query


def test_the_token_is_answered_by_a_cookie_that_gets_the_page_again_and_again(address):
    status, headers, text = ask(address, with_token(address))
    assert (status, headers["Location"], text) == (303, "/", "")
    assert headers["Set-Cookie"].endswith("; HttpOnly; SameSite=Lax; Path=/")
    cookie = headers["Set-Cookie"].partition(";")[0]
    for _ in range(2):
        status, headers, text = ask(address, "/", Cookie=cookie)
        assert (status, text) == (200, "<p>the page</p>")
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {}, 403),
        ("/?token=", {}, 403),
        ("/?token=wr%C3%B6ng", {}, 403),
        ("/", {"Cookie": "tandv-1=x; ;;="}, 403),
        ("/etc/passwd", {}, 404),
        ("/../page.py", {}, 404),
        ("/", {"method": "POST"}, 501),
    ],
)
def test_nobody_else_gets_it(address, path, headers, status):
    assert ask(address, path, **headers)[0] == status


@pytest.mark.parametrize(("host", "status"), [("evil.example:80", 403), ("localhost:9000", 303), ("127.0.0.1", 303)])
def test_only_by_the_names_of_this_machine(address, host, status):
    assert ask(address, with_token(address), Host=host)[0] == status


def test_it_listens_on_this_machine_only(address):
    assert urlsplit(address).hostname == "127.0.0.1"


def test_after_the_block_nobody_answers():
    with serving("x") as address:
        pass
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(address, timeout=2)


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
        assert (
            "a loss" in urllib.request.build_opener(urllib.request.HTTPCookieProcessor()).open(found[0]).read().decode()
        )
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (0, "")
    assert rest.splitlines()[-1] == "ended"
    assert list(tmp_path.iterdir()) == []
