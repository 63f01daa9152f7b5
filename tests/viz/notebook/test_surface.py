"""The live canvas of ipympl, without a browser: what the front end sends, and what it is sent."""

import io
import subprocess
import sys

import ipywidgets
import numpy as np
import pytest
from matplotlib.image import imread

from tandv import viz
from tandv.log.logframe import example_log, layers

pytestmark = pytest.mark.filterwarnings("ignore:Passing unrecognized arguments:DeprecationWarning")  # ipympl's own
DF = example_log(layers=4, steps=6)


@pytest.fixture
def viewer(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tandv.viz.notebook.surface.in_notebook", lambda: True)
    monkeypatch.setattr("tandv.viz.notebook.viewer.Viewer.display", lambda self: None)
    made = viz.interactive(viz.exp_hist, df=DF, layer=layers(DF)[1], tt="Weight", step=2)
    made.frames = []
    made.canvas.send_binary = made.frames.append
    yield made
    made.close()


def receive(viewer, kind, **content):
    viewer.canvas._handle_message(viewer.canvas, {"type": kind, **content}, [])


def press(viewer, key):
    receive(viewer, "key_press", key=f"k{key}", guiEvent={})


def test_keys_of_matplotlib_do_nothing(viewer, tmp_path):
    before = [(ax.get_xscale(), ax.get_yscale(), ax.get_xlim(), ax.xaxis.get_gridlines()[0].get_visible())
              for ax in viewer.figure.axes]  # fmt: skip
    viewer.frames.clear()
    for key in "slLkgGophrcvfqw":
        press(viewer, key)
    assert [(ax.get_xscale(), ax.get_yscale(), ax.get_xlim(), ax.xaxis.get_gridlines()[0].get_visible())
            for ax in viewer.figure.axes] == before  # fmt: skip
    assert not viewer.frames and not list(tmp_path.iterdir()) and viewer.canvas.toolbar.mode == ""


def test_keys_of_tandv_move_and_send_a_whole_frame(viewer):
    for key in ("ArrowRight", "ArrowDown"):
        viewer.frames.clear()
        press(viewer, key)
        assert imread(io.BytesIO(viewer.frames[-1]))[..., 3].min() == 1
    assert (viewer.state.arguments["step"], viewer.state.arguments["layer"]) == (3, layers(DF)[2])


def test_the_figure_follows_the_width_of_the_cell_and_keeps_its_zoom(viewer):
    (field,) = [child for child in viewer.widget.children if isinstance(child, ipywidgets.IntText)]
    viewer.figure.axes[0].set_xlim(-12, -5)
    field.value = 868
    assert viewer.canvas.get_width_height() == (868, 520) and viewer.error == ""
    assert viewer.figure.axes[0].get_xlim() == (-12, -5)
    assert imread(io.BytesIO(viewer.frames[-1])).shape[:2] == (520, 868)
    field.value = 1488
    assert viewer.canvas.get_width_height() == (1488, 520)


def test_a_width_that_was_asked_for_is_not_exceeded(viewer):
    viewer._drawing._widest = 900
    viewer._drawing.fit(1488)
    assert viewer.canvas.get_width_height()[0] == 900
    viewer._drawing.fit(700)
    assert viewer.canvas.get_width_height()[0] == 700


def test_the_toolbar_of_matplotlib_stays_away_and_its_zoom_is_a_button(viewer):
    assert viewer.canvas.toolbar_visible is False
    viewer._frame._buttons["zoom"].click()
    assert viewer.canvas.toolbar.mode == "zoom rect"
    viewer._frame._buttons["zoom"].click()
    viewer.figure.axes[0].set_xlim(-12, -5)
    viewer._frame._buttons["reset"].click()
    assert viewer.figure.axes[0].get_xlim() != (-12, -5) and viewer.error == ""


def test_a_save_says_where_the_file_is(viewer, tmp_path):
    viewer._frame._buttons["csv"].click()
    viewer._frame._buttons["csv"].click()
    assert viewer.error == "" and viewer.notice == f"saved {tmp_path / 'tandv-exp_hist-2.csv'}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tandv-exp_hist-1.csv", "tandv-exp_hist-2.csv"]


def test_the_backend_of_other_figures_is_left_alone():
    program = """if True:
        import matplotlib
        matplotlib.use("svg")
        from matplotlib.figure import Figure
        from tandv.viz.notebook import surface
        surface.in_notebook = lambda: True
        canvas, _ = surface.canvas(Figure())
        print(matplotlib.get_backend(), surface.is_live(canvas))
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "svg True\n"


def test_many_panels_make_a_higher_figure(viewer):
    many = viz.interactive(viz.scalar_line, df=DF, layer=layers(DF), tt=["Weight", "Gradient"], scalar_metric="std")
    assert many.canvas.get_width_height() == (1000, 240 * 3 + 70)
    many.close()


def test_another_step_of_an_overview_is_sent_as_it_would_be_drawn_anew(viewer):
    given = {"df": DF, "layer": "head", "tt": "Weight", "scalar_metric": "rm2"}
    moved, fresh = (viz.interactive(viz.overview, **given, step=step) for step in (1, 3))
    moved.canvas.send_binary = viewer.frames.append
    moved.select(step=2)
    viewer.frames.clear()
    moved.select(step=3)
    assert moved._drawing._backdrop is not None and viewer.frames
    assert np.array_equal(*(np.asarray(one.canvas.buffer_rgba()) for one in (moved, fresh)))
    for one in (moved, fresh):
        one.close()
