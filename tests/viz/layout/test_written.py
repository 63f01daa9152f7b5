"""Names are drawn as they are written, whatever letters they have; formulas are where the caller wrote them."""

import numpy as np
import pytest
from matplotlib.text import Text

from tandv import viz
from tandv.log.example import example_log
from tandv.log.logframe import layers

NAMES = ["$x_{$", "a$b$", "mlp\nup", "<b>&amp;*_`", "us\t$", "x" * 300]
PLOTS = {
    "map": lambda log, name: viz.scalar_global_heatmap(log, "Activation", "rm2"),
    "lines": lambda log, name: viz.scalar_line(log, [name, layers(log)[0]], "Activation", ["rm2", "max_abs"]),
    "line": lambda log, name: viz.scalar_line(log, name, "Activation", "rm2"),
    "histogram": lambda log, name: viz.exp_hist(log, name, "Activation", 2),
    "exponents": lambda log, name: viz.exp_heatmap(log, name, "Activation"),
    "norms": lambda log, name: viz.norms(log, per_layer=True),
    "overview": lambda log, name: viz.overview(log, layer=name),
    "patterns": lambda log, name: viz.attention_pattern(np.eye(2)[None], tokens=[name, name]),
    "activations": lambda log, name: viz.activation_heatmap({name: np.eye(2)}, labels=[name, "b"]),
    "correlations": lambda log, name: viz.layer_correlations({name: np.eye(4), "b": np.eye(4)[::-1]}),
    "images": lambda log, name: viz.image_grid(np.zeros((2, 4, 4)), [name, "b"]),
    "curves": lambda log, name: viz.metric_curves({"step": [0, 1], name: [1.0, 2.0]}),
    "curves of layers": lambda log, name: viz.layer_maps({"step": [0, 1], f"rank:{name}": [1, 2], "rank:b": [2, 1]}),
    "runs": lambda log, name: viz.training_dynamics({name: {"loss": [2.0, 1.0]}, "b": {"loss": [2.0, 1.5]}}),
    "emergence": lambda log, name: viz.emergence_plot({"step": [0, 1], name: [0.0, 1.0]}, 0.5),
}


@pytest.mark.parametrize("plot", PLOTS)
def test_every_name_is_drawn(plot):
    for name in NAMES:
        log = example_log(layers=3, steps=3)
        column = ("metadata", "name")
        log[column] = log[column].astype(str).replace({layers(log)[1]: name})
        PLOTS[plot](log, name).canvas.draw()  # a font that lacks a letter is a warning, and so an error


def width(text, words, formula=False):
    """Return how wide some words are in place of a text, as they are or with formulas."""
    other = Text(text=words, fontproperties=text.get_fontproperties(), parse_math=formula)
    other.figure = text.figure
    return other.get_window_extent(text.figure.canvas.get_renderer()).width


def test_a_dollar_sign_in_the_name_of_a_layer_begins_no_formula():
    log = example_log(layers=3, steps=3)
    log[("metadata", "name")] = log[("metadata", "name")].astype(str).replace({layers(log)[1]: "a$x^2$"})
    title = viz.scalar_line(log, "a$x^2$", "Activation", "rm2").texts[0]
    said = title.get_window_extent().width
    assert said == pytest.approx(width(title, title.get_text()))
    assert said != pytest.approx(width(title, title.get_text(), formula=True))
    figure = viz.scalar_global_heatmap(log, "Activation", "rm2")
    figure.canvas.draw()
    label = figure.axes[0].get_yticklabels()[1]
    assert label.get_text() == r"a\$x^2\$"  # which matplotlib draws without the backslashes
    assert label.get_window_extent().width == pytest.approx(width(label, "a$x^2$"))


def test_formulas_of_the_caller_are_drawn_as_such_and_half_ones_as_they_are_written():
    log = example_log(layers=3, steps=3)
    for figure in (
        viz.scalar_global_heatmap(log, "Activation", "rm2", title=r"$\eta^2$ of layers"),
        viz.metric_curves({"step": [0, 1], r"$\eta^2$": [1.0, 2.0]}),
    ):
        title = figure.texts[0]
        assert title.get_window_extent().width == pytest.approx(width(title, title.get_text(), formula=True))
    viz.metric_curves({"step": [0, 1], "loss": [1.0, 2.0]}, title=r"$\frac{").canvas.draw()
    axes = viz.scalar_line(log, "head", "Activation", "rm2").axes[0]
    axes.set_title(r"$\frac{1}{2}$", loc="left")
    assert axes._left_title.get_parse_math()
