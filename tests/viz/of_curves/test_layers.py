"""Maps of layers by steps: what is drawn where."""

import math

import numpy as np
import pandas as pd
import pytest

from tandv import viz
from tandv.messages import UnknownName
from tandv.viz.layout.heat import MISSING, Heat
from tandv.viz.layout.tables import drawn

CURVES = pd.DataFrame(
    {
        "spectral": [9.0, 9.0, math.nan],
        "spectral:fc1": [1.0, 4.0, math.nan],
        "spectral:fc2": [2.0, math.inf, math.nan],
        "published:rank:fc1": [3.0, 3.0, math.nan],
    },
    index=pd.Index([0, 10, 20], name="step"),
)


def panels(figure):
    """Return the Axes of maps by their titles, without those of the keys."""
    return {ax.get_title("left"): ax for ax in figure.axes if any(isinstance(image, Heat) for image in ax.images)}


def test_a_panel_for_each_metric_a_row_for_each_layer():
    figure = viz.layer_maps(CURVES)
    assert list(panels(figure)) == ["spectral", "published:rank"]
    shown = drawn(panels(figure)["spectral"])
    assert (list(shown.layers), shown.steps.tolist()) == (["fc1", "fc2"], [0, 10, 20])
    assert shown.values.tolist() == [[1, 4, MISSING], [2, math.inf, MISSING]]  # the last checkpoint could not be read
    assert [text.get_text() for text in figure.texts[:2]] == ["2 metrics of 2 layers", "3 steps, 0 to 20"]


def test_runs_have_panels_of_their_own_and_only_what_they_have():
    figure = viz.layer_maps({"a": CURVES, "b": CURVES[["spectral:fc2"]]}, "spectral", colour="change")
    assert [title.replace("\n", " ") for title in panels(figure)] == ["a", "b"]
    assert drawn(panels(figure)["b"]).layers == ("fc2",)
    assert drawn(panels(figure)["a"]).values[0].tolist() == [1, 4, MISSING]


def test_hundreds_of_layers_are_one_picture():
    steps = np.arange(50)
    many = pd.DataFrame({f"rank:blocks.{i}.w": 1 + (steps + i) % 7 for i in range(600)}, index=steps).astype(float)
    figure = viz.layer_maps(many, "rank")
    figure.canvas.draw()
    (ax,) = panels(figure).values()
    assert drawn(ax).values.shape == (600, 50)
    assert len([label for label in ax.get_yticklabels() if label.get_text()]) < 60


def test_what_there_is_none_of_is_named():
    with pytest.raises(UnknownName, match="none of single layers; evaluate"):
        viz.layer_maps(CURVES[["spectral"]])
    with pytest.raises(UnknownName, match="no metric of single layers 'spectrl'; did you mean 'spectral'"):
        viz.layer_maps(CURVES, "spectrl")
