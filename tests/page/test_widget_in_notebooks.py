"""The widget in a real JupyterLab, Notebook 7 and marimo, in a real browser, and what is left of it afterwards."""

import json
import os
import re
import subprocess
import sys

import pytest
from stored import counted_only, stored

from in_browser import CHROMIUM, browser, jupyter, notebook, run_notebook, served
from tandv.log.logframe import example_log

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="NO BROWSER: install one by `apt-get install chromium`"),
]
CELL = "import tandv\ntandv.view('run', step=7, height=600)"
STEP = "() => document.querySelector('.tandv').tandv.state.view.step"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebooks")
    stored(counted_only(example_log(layers=4, steps=20)), folder / "run")
    return folder


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    """One browser for all: to start one takes longer than to open a page."""
    with browser(tmp_path_factory.mktemp("profile")) as page:
        yield page.context


@pytest.fixture
def page(context):
    page = context.new_page()
    yield page
    page.close()


@pytest.fixture(scope="module")
def server(folder, tmp_path_factory):
    with jupyter(folder, tmp_path_factory.mktemp("home")) as (address, token):
        yield address, token


@pytest.mark.parametrize("application", ["lab", "notebook"])
def test_the_widget_works_and_leaves_a_picture(folder, server, page, application):
    path = notebook(folder / f"{application}.ipynb", CELL)
    run_notebook(page, *server, path, application)
    page.wait_for_selector(".tandv h1:has-text('run')")
    page.wait_for_function(f"{STEP.removeprefix('() => ')} === 7")
    wide, high, room = page.evaluate("""() => {
        const root = document.querySelector('.tandv'), { width, height } = root.getBoundingClientRect();
        return [width, height, root.parentElement.clientWidth];
    }""")
    assert high == 600 and wide == room > 700
    page.click(".tandv h1")
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"{STEP.removeprefix('() => ')} === 8")
    page.evaluate("""async () => {
        const panel = window.jupyterapp.shell.currentWidget;
        await window.jupyterapp.commands.execute('docmanager:save');
        await panel.sessionContext.session.kernel.restart();
    }""")
    assert page.is_visible(".tandv h1")  # what was read before is shown
    page.reload()
    page.wait_for_selector(".tandv-again", state="visible")
    assert not page.is_visible("text=Loading widget") and not page.is_visible("text=model not found")
    outputs = json.loads(path.read_text())["cells"][0]["outputs"]
    assert [sorted(one["data"]) for one in outputs] == [
        ["application/vnd.jupyter.widget-view+json", "image/png", "text/plain"],
        ["text/html"],
    ]
    assert "".join(outputs[0]["data"]["text/plain"]) == "view('run'): run this cell again to bring it to life"
    if application == "lab":
        made = subprocess.run(
            [sys.executable, "-m", "nbconvert", "--to", "html", str(path)], capture_output=True, text=True, check=True
        )
        assert made.returncode == 0
        text = path.with_suffix(".html").read_text()
        assert re.search(r'<img[^>]*src="data:image/png;base64,iVBOR', text)


MARIMO = """
import marimo
app = marimo.App()

@app.cell
def _():
    import tandv
    tandv.view("run", step=7)
    return

if __name__ == "__main__":
    app.run()
"""


def test_marimo_shows_it_in_a_shadow_root(folder, page, tmp_path):
    (folder / "app.py").write_text(MARIMO)
    command = [sys.executable, "-m", "marimo", "run", "app.py", "--headless", "--no-token"]
    environment = os.environ | {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    with served(command, tmp_path / "log", cwd=folder, env=environment) as address:
        page.goto(address)
        root = page.locator(".tandv")
        root.locator("h1:has-text('run')").wait_for()
        assert root.evaluate("root => root.getRootNode() instanceof ShadowRoot")
        assert root.evaluate("root => root.tandv.state.view.step") == 7
        root.locator("h1").click()
        page.keyboard.press("ArrowRight")
        for _ in range(6000):
            if (step := root.evaluate("root => root.tandv.state.view.step")) == 8:
                break
            page.wait_for_timeout(100)
        assert step == 8
        assert root.evaluate("root => getComputedStyle(root).display") == "flex"  # its style is in there, too
