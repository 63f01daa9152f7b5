"""A page served from memory on this machine only, to whoever has its address, until it is ended.

It listens on 127.0.0.1. The address holds a token; the answer sets a cookie, so that the page can be reloaded. Nothing
is written to disk.
"""

from __future__ import annotations

import secrets
import threading
import webbrowser
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from tandv.curves.runs import Runs
from tandv.page.content import Axis
from tandv.page.document import document

if TYPE_CHECKING:
    from tandv.page.content import Marks


def show(
    curves: Runs,
    *,
    browser: bool = True,
    port: int = 0,
    say: Callable[[str], None] = print,
    transitions: Marks = (),
    title: str = "Checkpoints",
    rule: str = "",
    axis: Axis = "linear",
    notes: Iterable[str] = (),
) -> None:
    """Serve a page on this machine and open it in the browser, until Ctrl-C.

    >>> def print_then_interrupt(line):
    ...     print(line.partition(":")[0])
    ...     raise KeyboardInterrupt  # as Ctrl-C does
    >>> show({"loss": [2.0, 1.0]}, browser=False, say=print_then_interrupt)
    The page is ready; open it in a browser

    Args:
        curves: the curves of a run, or a dict of them by the run's name.
        transitions: transitions to mark; of several runs, a dict of them by the run's name.
        title: the title of the page.
        rule: how the transitions were detected, in words.
        axis: the scale of the step axis that is shown first.
        notes: lines of text below the charts.
        browser: whether to open it in a browser; otherwise its address is only printed.
        port: the port to listen on; 0 takes any that is free.
        say: a function that prints a line of text.

    Raises OSError if the port is not free, ModuleNotFoundError without Plotly.
    """
    page = document(curves, transitions=transitions, title=title, rule=rule, axis=axis, notes=notes)
    with suppress(KeyboardInterrupt), serving(page, port) as address:
        opened = browser and webbrowser.open(address)
        say(f"The page is {'open in the browser' if opened else 'ready; open it in a browser'}: {address}")
        say("Ctrl-C ends it, and nothing is left of it.")
        while True:
            threading.Event().wait(3600)


@contextmanager
def serving(page: str, port: int = 0) -> Iterator[str]:
    """Serve the HTML of a page while the block runs; yield its address. For `port` see `show`."""
    token, key = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    server = ThreadingHTTPServer(("127.0.0.1", port), _handler(page.encode(), token, key))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/?token={token}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(page: bytes, token: str, key: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers GET requests for the one page."""

        protocol_version = "HTTP/1.1"
        timeout = 60
        server_version = "tandv"
        sys_version = ""

        def do_GET(self) -> None:
            port = self.connection.getsockname()[1]
            address = urlsplit(self.path)
            # Another host name that resolves to this machine (DNS rebinding) must not get the page. The port may
            # differ: it may be forwarded.
            if self.headers.get("Host", "").partition(":")[0] not in ("127.0.0.1", "localhost"):
                self._answer(403, b"not by this name")
            elif address.path != "/":
                self._answer(404, b"there is one page, /")
            elif _same(parse_qs(address.query).get("token", [""])[0], token):
                # The token leaves the address bar; a cookie lets the page be loaded again.
                cookie = f"tandv-{port}={key}; HttpOnly; SameSite=Lax; Path=/"
                self._answer(303, b"", {"Location": "/", "Set-Cookie": cookie})
            elif _same(_cookie(self.headers.get("Cookie", ""), f"tandv-{port}"), key):
                self._answer(200, page, {"Content-Type": "text/html; charset=utf-8"})
            else:
                self._answer(403, b"open the address that tandv printed, with its token")

        def _answer(self, status: int, body: bytes, more: dict[str, str] | None = None) -> None:
            self.send_response(status)
            headers = {
                "Content-Type": "text/plain; charset=utf-8",
                "Content-Length": str(len(body)),
                "Cache-Control": "no-store",
                "Referrer-Policy": "no-referrer",
                "X-Content-Type-Options": "nosniff",
                "X-Frame-Options": "DENY",
                "Cross-Origin-Resource-Policy": "same-origin",
            }
            for name, value in (headers | (more or {})).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing: the requested address holds the token."""

    return Handler


def _same(given: str, right: str) -> bool:
    return secrets.compare_digest(given.encode(), right.encode())


def _cookie(header: str, name: str) -> str:
    try:
        found = SimpleCookie(header).get(name)
    except CookieError:
        return ""
    return found.value if found else ""
