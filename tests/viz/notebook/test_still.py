"""What a saved notebook keeps of the viewer."""

import base64
import io

import numpy as np
import pytest
from matplotlib.image import imread

from tandv import viz
from tandv.log.logframe import example_log
from tandv.viz.layout.style import theme
from tandv.viz.notebook import still

DF = example_log(layers=4, steps=6)


@pytest.fixture
def viewer():
    made = viz.interactive(viz.scalar_line, df=DF, layer="embed", tt="Weight", scalar_metric="std", width=400)
    yield made
    made.close()


def test_the_words_are_drawn_above_the_figure_and_cover_none_of_it(viewer):
    image = imread(io.BytesIO(still.picture(viewer.canvas, still.AGAIN, theme("light"))))
    figure = np.asarray(viewer.canvas.buffer_rgba()) / 255
    strip = image[: len(image) - len(figure)]
    assert image.shape[1] == 400 and len(strip) == 28
    assert np.allclose(image[28:], figure, atol=1 / 255)
    darkest = strip[..., :3].mean(-1).min(0)
    inked = np.flatnonzero(darkest < 0.4)
    assert inked[0] > 2 and inked[-1] < 397 and len(inked) > 150  # no word is cut in a narrow figure


def test_a_cell_keeps_a_picture_and_nothing_below_it(viewer, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, **named: shown.append((data, named)))
    monkeypatch.setattr("tandv.viz.notebook.surface.in_notebook", lambda: True)
    monkeypatch.setattr("tandv.viz.notebook.surface.cell_number", lambda: cell)
    cell = 3
    viewer.display()
    (first, named), (second, _) = shown
    assert named["raw"] and named["metadata"] == {"image/png": {"width": 400}}
    assert first["application/vnd.jupyter.widget-view+json"]["model_id"] == viewer.widget.model_id
    assert (
        first["text/plain"]
        == repr(viewer)
        == ("interactive(scalar_line, layer='embed', tt='Weight', scalar_metric='std')")
    )
    assert base64.b64decode(first["image/png"]) == still.picture(viewer.canvas, still.AGAIN, theme("light"))
    assert list(second) == ["text/html"] and first["image/png"] in second["text/html"]
    viewer._ipython_display_()  # as the last expression of the same cell
    assert len(shown) == 2
    cell = 4
    viewer._ipython_display_()
    assert len(shown) == 4


def test_pages_without_widgets_show_a_picture_and_a_terminal_one_line(viewer):
    bundle = viewer._repr_mimebundle_(include=None, exclude=None)
    assert bundle == {
        "text/plain": repr(viewer),
        "image/png": still.picture(viewer.canvas, still.ELSEWHERE, theme("light")),
    }
    with pytest.raises(NotImplementedError):
        viewer._ipython_display_()
