"""A plot goes through the steps, one frame or file for each, on axes that show all of them."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from tandv import viz
from tandv.log.logframe import example_log
from tandv.viz.animation import MOST
from tandv.viz.of_arrays.history import spread

LOG = example_log(layers=2, steps=3)
SMALL = {"figsize": (3.3, 2.6), "theme": "dark"}


def pattern(*steps):
    return {step: {"attention": np.full((1, 1, 2, 2), 0.5)} for step in steps}


def test_a_gif_has_a_frame_for_each_step(tmp_path):
    plt.close("all")
    path = viz.animate(viz.exp_hist, tmp_path / "hist.gif", seconds=0.5, df=LOG, layer="head", tt="Activation", **SMALL)
    with Image.open(path) as gif:
        assert (gif.n_frames, gif.info["duration"], gif.size) == (3, 500, (330, 260))
    assert plt.get_fignums() == []


def test_a_picture_for_each_step_has_the_step_in_its_name(tmp_path):
    viz.animate(viz.attention_pattern, tmp_path / "at {step}.png", history=pattern(0, 7, 30), **SMALL)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["at 0.png", "at 30.png", "at 7.png"]


def test_all_frames_have_the_axes_that_show_all_steps(tmp_path, monkeypatch):
    def bar(step, fig=None):
        figure = fig or Figure()
        figure.clear()
        figure.subplots().set(ylim=(0, 1 + step))
        return figure

    seen = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, dpi: seen.append(figure.axes[0].get_ylim()))
    viz.animate(bar, tmp_path / "{step}.png", steps=[0, 5, 2])
    assert seen == [(0, 6)] * 3


def test_more_steps_than_it_takes_are_thinned_with_the_first_and_the_last():
    kept = spread(range(1001), MOST)
    assert len(kept) == MOST and kept[0] == 0 and kept[-1] == 1000


@pytest.mark.parametrize(
    ("plot", "name", "arguments", "error", "words"),
    [
        (viz.metric_curves, "a.gif", {"curves": {"loss": [1.0]}}, TypeError, "metric_curves has no step to go through"),
        (viz.attention_pattern, "a.mp4", {"history": pattern(0)}, ValueError, "neither a .gif nor a name with"),
        (viz.projection, "a.gif", {"points": None}, ValueError, "no steps to go through; give steps="),
    ],
)
def test_what_cannot_be_animated_says_why(plot, name, arguments, error, words, tmp_path):
    with pytest.raises(error, match=words):
        viz.animate(plot, tmp_path / name, **arguments)


def test_the_folder_of_the_pictures_is_made_and_frames_last(tmp_path):
    viz.animate(viz.attention_pattern, tmp_path / "corr" / "{step}.png", history=pattern(0, 7), **SMALL)
    assert sorted(path.name for path in (tmp_path / "corr").iterdir()) == ["0.png", "7.png"]
    with pytest.raises(ValueError, match="seconds is how long a frame is shown, above 0"):
        viz.animate(viz.attention_pattern, tmp_path / "a.gif", history=pattern(0, 7), seconds=0, **SMALL)
