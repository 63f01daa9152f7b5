"""A page that lives until it is ended: in memory, on this machine only, for whoever has its address.

It listens on 127.0.0.1. The address holds a token, which is answered by a cookie, so that the page can be loaded
again; nothing is written to disk, so nothing is left of it.
"""

import secrets
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from tandv.curves.runs import Runs
from tandv.page.document import document


def show(
    curves: Runs, *, browser: bool = True, port: int = 0, say: Callable[[str], None] = print, **choices: object
) -> None:
    """Show a page in the browser until Ctrl-C; see `document` for the choices.

    Without a `browser`, or where there is none, the address is only said. Any free `port` is taken if it is 0.
    Raises OSError if it is not free.
    """
    page = document(curves, **choices)  # type: ignore[arg-type]
    with suppress(KeyboardInterrupt), serving(page, port) as address:
        opened = browser and webbrowser.open(address)
        say(f"The page is {'open in the browser' if opened else 'ready; open it in a browser'}: {address}")
        say("Ctrl-C ends it, and nothing is left of it.")
        while True:
            threading.Event().wait(3600)


@contextmanager
def serving(page: str, port: int = 0) -> Iterator[str]:
    """Serve a page while the block runs; yield its address."""
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
        """Answers GET of the one page there is."""

        protocol_version = "HTTP/1.1"
        timeout = 60
        server_version = "tandv"
        sys_version = ""

        def do_GET(self) -> None:
            port = self.connection.getsockname()[1]
            address = urlsplit(self.path)
            # A name that was made to point here (DNS rebinding) must not get the page; another port may be forwarded.
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
            """Say nothing: what was asked for holds the token."""

    return Handler


def _same(given: str, right: str) -> bool:
    return secrets.compare_digest(given.encode(), right.encode())


def _cookie(header: str, name: str) -> str:
    try:
        found = SimpleCookie(header).get(name)
    except CookieError:
        return ""
    return found.value if found else ""
