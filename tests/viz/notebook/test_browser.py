"""The interactive viewer in a real JupyterLab, in a real browser."""

import json

import pytest

from in_browser import CHROMIUM, browser, jupyter, notebook, run_notebook
from tandv.log.logframe import example_log, layers

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None,
        reason="NO BROWSER: the viewer's browser tests did not run; install one by `apt-get install chromium`",
    ),
]
DF = example_log(layers=6, steps=20)
SETUP = "from tandv import logframe, viz\ndf = logframe.example_log(layers=6, steps=20)"
HEATMAP = "v = viz.interactive(viz.scalar_global_heatmap, df=df, tt='Gradient', scalar_metric='rm2')"
LOSS = "loss = {'step': list(range(20)), 'train_loss': [20.0 - s for s in range(20)]}"
HISTOGRAM = (
    "v = viz.interactive(viz.exp_hist, train_stats=loss, df=df, layer='embed', tt='Activation', step=0, width=900)"
)
# What the viewer says of itself is read from a widget, not from pixels.
STATE = """import ipywidgets, json
from IPython.display import display
state = ipywidgets.Label().add_class('state')
def tell(*_):
    state.value = json.dumps([v.state.plot.__name__, v.state.arguments.get('layer'), v.state.arguments.get('step')])
draw = v._draw
v._draw = lambda: (draw(), tell())[0]
tell()
display(state)"""
WHERE = """import json
def where(ax):
    box = ax.get_window_extent()
    width, height = v.figure.canvas.get_width_height()
    return [box.x0 / width, 1 - box.y1 / height, box.x1 / width, 1 - box.y0 / height]
def show():
    parts = [where(v.figure.axes[0])] + ([where(v._drawing.loss)] if v._drawing.loss else [])
    display(ipywidgets.Label(json.dumps(parts)).add_class('where'))
show()"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Run one JupyterLab and one browser; yield the folder of notebooks, the address, the token, and the browser."""
    folder, home = tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("home")
    with jupyter(folder, home) as (address, token), browser(home / "profile") as page:
        yield folder, address, token, page.context


@pytest.fixture
def page_of(server, request):
    """Open a notebook with these cells; return the page, and a function that finds points of the figure."""
    folder, address, token, context = server
    page = context.new_page()

    def opened(*cells):
        path = notebook(folder / f"{request.node.name}.ipynb", SETUP, *cells, STATE, WHERE)
        run_notebook(page, address, token, path)
        page.wait_for_selector(".jupyter-matplotlib canvas")
        page.wait_for_selector(".where")
        page.wait_for_timeout(1_000)
        return page, lambda part, x, y: _point(page, part, x, y)

    yield opened
    page.close()


def _point(page, part, x, y):
    """Return page coordinates of a place in Axes, given as fractions from its upper left corner."""
    left, top, right, bottom = json.loads(page.inner_text(".where"))[part]
    box = page.locator(".jupyter-matplotlib canvas").last.bounding_box()
    across, down = left + x * (right - left), top + y * (bottom - top)
    return box["x"] + across * box["width"], box["y"] + down * box["height"]


def _wait_for_state(page, plot, layer, step):
    wanted = json.dumps([plot, layer, step])
    page.wait_for_function("w => document.querySelector('.state').textContent === w", arg=wanted)


def test_a_heatmap_opens_what_is_clicked_follows_its_cell_and_leaves_a_picture(page_of):
    page, point = page_of(HEATMAP)
    x, y = point(0, (7 + 0.5) / 20, (3 + 0.5) / 6)
    page.mouse.move(x, y)
    page.mouse.click(x, y)
    _wait_for_state(page, "exp_hist", layers(DF)[3], 7)
    page.mouse.click(x, y, button="right")
    _wait_for_state(page, "scalar_global_heatmap", None, None)
    for width in (1_900, 1_300):
        page.set_viewport_size({"width": width, "height": 1_000})
        page.wait_for_function(
            """() => {
                const figure = document.querySelector('.jupyter-matplotlib canvas').getBoundingClientRect();
                const cell = document.querySelector('.tandv-viewer').getBoundingClientRect();
                return Math.abs(figure.width - cell.width) < 3 && figure.right <= window.innerWidth;
            }"""
        )
    page.hover(".jupyter-matplotlib canvas >> nth=1")
    assert not page.is_visible(".jupyter-matplotlib-toolbar") and not page.is_visible(".tandv-sentence >> nth=0")
    page.evaluate("""async () => {
        const panel = window.jupyterapp.shell.currentWidget;
        await window.jupyterapp.commands.execute('docmanager:save');
        await panel.sessionContext.session.kernel.restart();
    }""")
    page.wait_for_selector(".tandv-no-kernel >> text=run this cell again")
    page.reload()
    page.wait_for_selector(".tandv-again", state="visible")
    page.wait_for_timeout(500)
    assert not page.is_visible("text=Loading widget") and not page.is_visible("text=model not found")


def test_toolbar_loss_and_cross_hair(page_of):
    page, point = page_of(LOSS, HISTOGRAM)
    page.select_option(".tandv-layer select", "head")
    _wait_for_state(page, "exp_hist", "head", 0)
    for i in range(60):
        page.mouse.move(*point(1, 0.1 + 0.8 * i / 60, 0.5))
    page.wait_for_function("() => /^step 1[5-9]/.test(document.querySelector('.tandv-readout').textContent)")
    after_sweep = _still(page)
    page.mouse.move(5, 5)
    page.mouse.move(*point(1, 0.5, -0.05))  # in the figure, beside all Axes: no line
    _until(page, lambda: _picture(page) != after_sweep)
    page.mouse.move(*point(1, 0.1 + 0.8 * 59 / 60, 0.5))
    _until(page, lambda: _picture(page) == after_sweep)
    page.mouse.click(*point(1, 0.5, 0.5))
    page.wait_for_function("() => /^..exp_hist., .head., (9|10).$/.test(document.querySelector('.state').textContent)")


def _until(page, so):
    """Wait until something is so, however slowly the kernel draws."""
    for _ in range(2400):
        if so():
            return
        page.wait_for_timeout(250)
    raise AssertionError("it never was so")


def _still(page):
    """Return what the canvas shows when it has not changed for five seconds."""
    shown = [_picture(page)]
    while len(shown) < 21 or any(one != shown[-1] for one in shown[-21:]):
        page.wait_for_timeout(250)
        shown.append(_picture(page))
    return shown[-1]


def _picture(page):
    """Return what the canvas shows, as the browser's own data URL."""
    return page.evaluate("() => [...document.querySelectorAll('.jupyter-matplotlib canvas')].map(c => c.toDataURL())")
