"""The picture of a coordinate check: its lines, marks, axes and words."""

import numpy as np
import pytest

from tandv import viz
from tandv.analysis.widths import coordinate_check
from tandv.log.example import example_log
from tandv.messages import UnknownName
from tandv.viz.layout.tables import drawn

WIDTHS = (64, 128, 256)


def log(width, seed, layers=2):
    df = example_log(layers=layers, steps=2, tensor_types=["Activation", "Weight"])
    random = np.random.default_rng([seed, width])
    df["scalar_stats", "mean_abs"] = np.exp(0.01 * random.normal(size=len(df)))
    df["scalar_stats", "nans"] = df["scalar_stats", "infs"] = 0
    df.loc[df["metadata", "name"] == "head", ("scalar_stats", "mean_abs")] *= width / 64
    return df


@pytest.fixture(scope="module")
def found():
    return coordinate_check({width: [log(width, 0), log(width, 1)] for width in WIDTHS})


def lines(ax):
    return {line.get_gid(): line for line in ax.lines if line.get_gid()}


def test_a_line_goes_through_the_geometric_mean_of_each_width(found):
    fig = viz.coordinate_check(found, step=1)
    [ax] = fig.axes
    head = lines(ax)["Activation of head"]
    sizes = found.sizes[found.tensors.index(("Activation", "head")), 1].reshape(3, 2)
    assert head.get_xdata().tolist() == list(WIDTHS)
    assert head.get_ydata() == pytest.approx(np.sqrt(sizes.prod(axis=1)))
    assert ax.get_xscale() == ax.get_yscale() == "log"
    assert [label.get_text() for label in ax.get_xticklabels()] == ["64", "128", "256"]


def test_marks_say_what_colours_do(found):
    [ax] = viz.coordinate_check(found, step=1).axes
    marks = [line for line in ax.lines if line.get_label() == "_sizes"]
    assert [len(line.get_xdata()) for line in marks] == [6, 6]
    assert sorted(line.get_marker() for line in marks) == ["^", "o"]
    slope = float(found.table["slope"].to_numpy()[found.tensors.index(("Activation", "head")) * 2 + 1])
    [words] = [text.get_text() for text in ax.texts]
    assert words.startswith("slopes ") and words.endswith(f" to {slope:.2f}") and 0.95 < slope < 1.05


def test_each_step_and_tensor_type_has_a_panel(found):
    fig = viz.coordinate_check(found, ["Activation", "Weight"])
    assert [ax.get_title(loc="left") for ax in fig.axes] == [
        "Activation · step 0", "Activation · step 1", "Weight · step 0", "Weight · step 1",
    ]  # fmt: skip
    assert drawn(fig.axes[0]).names == ("embed", "head")


def test_of_many_layers_only_those_that_are_not_constant_are_named():
    fig = viz.coordinate_check({width: log(width, 0, layers=12) for width in WIDTHS}, step=1)
    [legend] = fig.legends
    assert sorted(text.get_text() for text in legend.get_texts()) == ["head", "others"]


def test_what_the_runs_do_not_have_is_said(found):
    with pytest.raises(UnknownName, match="no tensor type 'Activations'.*did you mean 'Activation'"):
        viz.coordinate_check(found, "Activations")
    with pytest.raises(UnknownName, match="no layer 'haed'"):
        viz.coordinate_check(found, layer="haed")
    with pytest.raises(UnknownName, match="no step 5 in this check"):
        viz.coordinate_check(found, step=5)
