"""A real JupyterLab, Notebook 7 and browser for the few tests that need them."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_PATIENCE = 300_000  # milliseconds: a busy machine needs seconds for what takes none; before a hanging test is ended
_READY = """async (limit) => {
    const app = window.jupyterapp, start = Date.now();
    await app.restored;
    for (;;) {
        const panel = app.shell.currentWidget;
        if (panel && panel.sessionContext) {
            await panel.context.ready;
            await panel.sessionContext.ready;
            const kernel = panel.sessionContext.session && panel.sessionContext.session.kernel;
            if (kernel && kernel.connectionStatus === 'connected' && kernel.status === 'idle') return;
        }
        if (Date.now() - start > limit) throw new Error('the notebook did not get ready');
        await new Promise(done => setTimeout(done, 50));
    }
}"""
_ERRORS = """() => {
    const cells = [...window.jupyterapp.shell.currentWidget.content.model.cells];
    return cells.filter(c => c.type === 'code').flatMap(c => [...Array(c.outputs.length).keys()]
        .map(i => c.outputs.get(i).toJSON()))
        .filter(o => o.output_type === 'error').map(o => o.ename + ': ' + o.evalue);
}"""


# Where JupyterLab and Notebook 7 show a notebook; a workspace of its own keeps Lab from opening those of before, too.
SHOWN = {"lab": "lab/workspaces/{0.stem}/tree/{0.name}", "notebook": "notebooks/{0.name}"}


@contextlib.contextmanager
def jupyter(folder: Path, home: Path) -> Iterator[tuple[str, str]]:
    """Run JupyterLab, and with it Notebook 7, on `folder`, all else under `home`; yield the address and the token."""
    token = secrets.token_hex(16)
    places = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "MPLCONFIGDIR")
    places += ("JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")
    binaries = str(Path(sys.executable).parent)
    environment = os.environ | {name: str(home / name.lower()) for name in places}
    environment |= {"HOME": str(home), "PATH": binaries + os.pathsep + os.environ["PATH"]}
    settings = [
        *("--no-browser", "--allow-root", "--ip=127.0.0.1", "--ServerApp.port_retries=0"),
        *(f"--ServerApp.root_dir={folder}", f"--IdentityProvider.token={token}", "--LabApp.news_url=None"),
        *(f"--{application}.expose_app_in_browser=True" for application in ("LabApp", "JupyterNotebookApp")),
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LanguageServerManager.autodetect=False",  # which starts npm
    ]
    command = [sys.executable, "-m", "jupyterlab", *settings]
    with served(command, home / "lab.log", f"/api/status?token={token}", env=environment) as address:
        yield address, token


@contextlib.contextmanager
def served(command: list[str], log: Path, path: str = "/", **options: Any) -> Iterator[str]:
    """Run a server with `--port` and one that is free; yield its address when it answers at `path`, then end it."""
    with free_port() as port, log.open("wb") as said:
        address, command = f"http://127.0.0.1:{port}", [*command, f"--port={port}"]
        process = subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True, **options)
        try:
            _wait_for(address + path, process, log)
            yield address
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@contextlib.contextmanager
def free_port() -> Iterator[int]:
    """Yield a port that the system gives to nobody else meanwhile; a server that sets SO_REUSEADDR can listen at it."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def _wait_for(address: str, process: subprocess.Popen, log: Path) -> None:
    for _ in range(6000):
        assert process.poll() is None, log.read_text()[-3000:]
        with contextlib.suppress(OSError):  # not yet, or not at once
            urllib.request.urlopen(address, timeout=60).close()
            return
        time.sleep(0.1)
    raise AssertionError("it did not start: " + log.read_text()[-3000:])


@contextlib.contextmanager
def browser(profile: Path) -> Iterator[Any]:
    """Yield a page of Debian's chromium with an empty profile."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(profile),
            executable_path=CHROMIUM,
            args=_FLAGS,
            viewport={"width": 1500, "height": 1000},
            timeout=_PATIENCE,
        )
        context.set_default_timeout(_PATIENCE)
        try:
            yield context.pages[0] if context.pages else context.new_page()
        finally:
            context.close()


def run_notebook(page: Any, address: str, token: str, path: Path, application: str = "lab") -> None:
    """Open a notebook and run all its cells; fail with the errors that they show."""
    # The kernel starts before the page opens, or two may start and cells get lost.
    body = {"path": path.name, "name": path.name, "type": "notebook", "kernel": {"name": "python3"}}
    headers = {"Authorization": f"token {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/api/sessions", json.dumps(body).encode(), headers, method="POST")
    urllib.request.urlopen(request, timeout=600).close()
    page.goto(f"{address}/{SHOWN[application].format(path)}?token={token}")
    page.wait_for_function("() => !!window.jupyterapp")
    page.evaluate(_READY, _PATIENCE)
    page.evaluate("async () => { await window.jupyterapp.commands.execute('notebook:run-all-cells') }")
    assert page.evaluate(_ERRORS) == []


def notebook(path: Path, *cells: str) -> Path:
    """Write a notebook of code cells."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    made = [
        {"cell_type": "code", "id": f"c{i}", "metadata": {}, "source": s, "outputs": [], "execution_count": None}
        for i, s in enumerate(cells)
    ]
    content = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}, "cells": made}
    path.write_text(json.dumps(content))
    return path
