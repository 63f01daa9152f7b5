"""The page served on this machine only, to whoever has its address, until Ctrl-C or until no browser asks for long.

It listens on 127.0.0.1. The address holds a token; the answer to it sets a cookie, so that the page can be reloaded.
Every answer forbids the browser to ask anybody else. What may be asked for stands in a table of names; no path of the
address reaches the disk, and nothing is written.
"""

from __future__ import annotations

import json
import mimetypes
import re
import secrets
import socket
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tandv.messages import missing, print_at_once
from tandv.page.bundle import page, served_files, style_sheets
from tandv.page.watching import Answering, Watcher

try:
    import uvicorn
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, Response
    from starlette.types import Receive, Scope, Send
except ModuleNotFoundError as error:
    raise missing("starlette and uvicorn", "page", "a served page") from error

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# Another host name that resolves to this machine (DNS rebinding) must not get the page. The port may differ: it may be
# forwarded.
_HOST = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?", re.IGNORECASE)
_WAIT = 0.2  # seconds between two looks whether the page should end


def serve(
    answers: Answering,
    *,
    title: str = "tandv",
    at: str = "",
    port: int = 0,
    browser: bool = True,
    idle: float = 60.0,
    say: Callable[[str], None] = print_at_once,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the page of some runs and open it in the browser, until Ctrl-C or until no browser has asked for long.

    Args:
        answers: what answers its questions.
        title: the title of the page.
        at: what is shown first, as it stands in the page's address: "layer=head&step=10".
        port: the port to listen on; 0 takes any that is free.
        browser: whether to open it in a browser; otherwise its address is only printed.
        idle: minutes without a question after which it ends; 0 for never.
        say: a function that prints a line of text.
        ready: is given the address once it is served.

    Raises OSError if the port is not free, RuntimeError if the server ends by itself.
    """
    try:
        with serving(answers, title=title, port=port) as served:
            address = served.address + (f"#{at}" if at else "")
            if ready is not None:
                ready(address)
            opened = browser and webbrowser.open(address)
            say(f"The page is {'open in the browser' if opened else 'ready; open it in a browser'}: {address}")
            say(f"Ctrl-C ends it{f', and {_minutes(idle)} without a page that asks' if idle else ''}.")
            while served.is_alive():
                if idle and served.silence() > 60 * idle:
                    say(f"No page has asked for {_minutes(idle)}: it has ended.")
                    return
                threading.Event().wait(_WAIT)
            raise RuntimeError("the server of the page has ended by itself; start it again")
    except KeyboardInterrupt:
        return


class Served(NamedTuple):
    """A page that is being served.

    Args:
        address: where it is, with its token.
        silence: tells the seconds since the last question.
        is_alive: tells whether it is still served.
    """

    address: str
    silence: Callable[[], float]
    is_alive: Callable[[], bool]


@contextmanager
def serving(answers: Answering, *, title: str = "tandv", port: int = 0) -> Iterator[Served]:
    """Serve a page while the block runs. For the parameters see `serve`."""
    # It listens before anybody learns the address: a browser is faster than the server's start.
    with socket.create_server(("127.0.0.1", port), backlog=128) as listening:
        number = listening.getsockname()[1]
        watcher, token = Watcher(answers), secrets.token_urlsafe(32)
        application = _Application(answers, watcher, title, token, number)
        # Nothing is logged of requests: the address holds the token.
        settings = uvicorn.Config(
            application, log_config=None, log_level="critical", access_log=False, server_header=False, lifespan="off",
            ws="none", timeout_graceful_shutdown=2,
        )  # fmt: skip
        server = uvicorn.Server(settings)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="tandv server", daemon=True)
        thread.start()
        watcher.start()
        try:
            yield Served(f"http://127.0.0.1:{number}/?token={token}", watcher.silence, thread.is_alive)
        finally:
            watcher.end()
            server.should_exit = True
            thread.join()


class _Application:
    """Answers requests, as ASGI has it: the page, its scripts and styles, and questions."""

    def __init__(self, answers: Answering, watcher: Watcher, title: str, token: str, port: int):
        self._answers, self._watcher = answers, watcher
        self._token, self._key = token, secrets.token_urlsafe(32)
        self._cookie = f"tandv-{port}"  # browsers keep one jar for all ports of a machine
        links = "".join(f'<link rel="stylesheet" href="{name}">' for name in style_sheets())
        document = page(title, '<script type="module" src="served.js"></script>', head=links)
        self._table = {f"/{name}": (content, mimetypes.guess_type(name)[0]) for name, content in served_files().items()}
        self._table["/"] = (document.encode(), "text/html")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._response(Request(scope, receive))
        response.headers.update(_HEADERS)
        await response(scope, receive, send)

    async def _response(self, request: Request) -> Response:
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
            return _refusal(403, "this page is not to be had by this host name; open the address that tandv printed")
        if request.method != "GET":
            return PlainTextResponse("only GET is answered", 405, {"Allow": "GET"})
        if request.url.path == "/" and _same(request.query_params.get("token", ""), self._token):
            return self._admission(request)
        if not _same(request.cookies.get(self._cookie, ""), self._key):
            return _refusal(403, "open the address that tandv printed, with its token")
        if request.url.path == "/q":
            return await self._answer(request)
        if request.url.path not in self._table:
            return _refusal(404, "there is no such page")
        content, media_type = self._table[request.url.path]
        return Response(content, media_type=media_type)

    def _admission(self, request: Request) -> Response:
        """Set the cookie; the token leaves the address."""
        if request.headers.get("sec-fetch-site") == "cross-site":
            # Behind a link of another site (a terminal in the browser) a redirect would not carry a strict cookie;
            # what this page itself asks for does.
            response = Response('<meta http-equiv="refresh" content="0;url=/">', media_type="text/html")
        else:
            response = Response(status_code=303, headers={"Location": "/"})
        response.headers["Set-Cookie"] = f"{self._cookie}={self._key}; HttpOnly; SameSite=Strict; Path=/"
        return response

    async def _answer(self, request: Request) -> Response:
        self._watcher.asked()
        try:
            run, questions = int(request.query_params["run"]), json.loads(request.query_params["b"])
            if not isinstance(questions, list) or not all(isinstance(one, dict) for one in questions):
                raise TypeError("b is no list of questions")
        except (KeyError, ValueError, TypeError, RecursionError) as error:
            return _refusal(400, f"ask by q?run=0&b=[...], a list of questions as JSON ({error})")
        try:
            body = await run_in_threadpool(self._answers.answer, run, questions)
        except IndexError:
            return _refusal(400, f"there is no run {run}")
        except Exception as error:  # the page says it; it can ask something else
            return _refusal(500, f"tandv could not answer: {type(error).__name__}: {error}")
        return Response(body, media_type="application/octet-stream")


def _refusal(status: int, words: str) -> Response:
    return PlainTextResponse(words, status)


def _same(given: str, right: str) -> bool:
    return secrets.compare_digest(given.encode(), right.encode())


def _minutes(number: float) -> str:
    """Return a number of minutes in words.

    >>> _minutes(60), _minutes(1), _minutes(0.5)
    ('60 minutes', '1 minute', '30 seconds')
    """
    return f"{60 * number:g} seconds" if number < 1 else f"{number:g} minute{'s' if number != 1 else ''}"
