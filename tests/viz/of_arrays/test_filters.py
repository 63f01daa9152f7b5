"""Filters as tiles and activations as a map: which pixel is which weight."""

import re

import numpy as np
import pytest
from themes import in_turn

from tandv import viz
from tandv.viz.layout.tables import drawn

RNG = np.random.default_rng(0)
GREY = RNG.normal(size=(5, 1, 3, 3))
COLOUR = RNG.normal(size=(4, 3, 5, 5))


def words(figure):
    return [text.get_text() for text in figure.texts]


def picture(ax):
    return np.asarray(ax.images[0].get_array()).astype(int)


def test_each_weight_is_a_pixel_on_one_scale_around_zero():
    weights = np.zeros((3, 1, 2, 2))
    weights[1, 0] = [[1, -1], [0.5, 0]]
    pixels = picture(viz.conv_filters({"conv": weights}).axes[0])
    assert pixels.shape[:2] == (4, 10)  # three tiles of two by two, a pixel around each
    tile = pixels[1:3, 4:6, :3]
    assert tile[0, 0, 0] > tile[0, 0, 2] and tile[0, 1, 2] > tile[0, 1, 0]  # red above zero, blue below
    assert np.ptp(tile[1, 1]) < 6 and (pixels[1:3, 1:3, :3] == tile[1, 1]).all()  # zero is pale
    assert words(viz.conv_filters({"conv": weights})) == ["conv · filters", "3 filters  |  2 × 2, 1 input channel"]


def test_the_first_row_of_a_kernel_is_at_the_top():
    kernel = np.zeros((1, 1, 3, 3))
    kernel[0, 0, 0] = 1
    ax = viz.conv_filters(kernel).axes[0]
    assert (picture(ax)[1, 1:4, 2] < 100).all()  # red: row 1 of the picture, below its border
    assert ax.transData.transform((1, 1))[1] > ax.transData.transform((1, 3))[1]


def test_three_inputs_are_colours_of_each_filter_by_itself():
    weights = np.zeros((2, 3, 2, 2))
    weights[0, 0, 0, 0], weights[1, 2, 1, 1] = 0.1, -5
    figure = viz.conv_filters(weights)
    pixels = picture(figure.axes[0])
    assert pixels[1, 1, :3].tolist() == [255, 128, 128]  # the filter's largest weight, in red
    assert pixels[2, 5, :3].tolist() == [128, 128, 0]
    assert "each on its own scale" in words(figure)[1]
    apart = viz.conv_filters(weights, channels="apart")
    assert picture(apart.axes[0]).shape[:2] == (7, 10)


def test_many_filters_are_cut_and_that_is_said():
    figure = viz.conv_filters(RNG.normal(size=(100, 40, 3, 3)))
    assert "16 of 100 filters" in words(figure)[1] and "the first 16 of 40 inputs" in words(figure)[1]
    assert "64 of 100 filters" in words(viz.conv_filters(RNG.normal(size=(100, 1, 3, 3))))[1]
    assert drawn(figure.axes[0]).values.shape == (100, 360)


def test_steps_stand_side_by_side():
    figure = viz.plot_filter_visualization({0: {"conv": GREY}, 90: {"conv": 2 * GREY}}, step=[0, 90])
    assert [ax.get_title("left") for ax in figure.axes] == ["step 0", "step 90"]
    assert (drawn(figure.axes[1]).values == 2 * GREY.reshape(5, 9)).all()


def test_samples_of_a_class_stand_together():
    values = np.abs(RNG.normal(size=(6, 4)))
    labels = np.array(["b", "a", "b", "a", "a", "b"])
    ax = viz.activation_heatmap({"fc": values}, labels=labels).axes[0]
    assert (drawn(ax).values == values[[1, 3, 4, 0, 2, 5]]).all()
    assert [line.get_ydata()[0] for line in ax.lines if line.get_transform() != ax.transAxes][:1] == [2.5]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    assert ax.get_yticks().tolist() == [1, 4]


def test_positions_are_averaged_and_signs_are_seen():
    images = RNG.normal(size=(3, 2, 4, 4))
    figure = viz.plot_activation_heatmap({0: {"conv": images}, 10: {"conv": images}})
    np.testing.assert_allclose(drawn(figure.axes[0]).values, images.mean((2, 3)))
    assert words(figure)[1] == "step 10  |  mean over 4 × 4 positions  |  3 samples × 2 features, 0% zero"


def test_layers_and_steps_can_be_browsed():
    history = {step: {"conv1": GREY * step, "conv2": COLOUR} for step in (1, 2)}
    viewer = viz.interactive(viz.conv_filters, history=history)
    assert list(viewer.controls) == ["layer", "step", "channels"]
    viewer.controls["layer"].value = "conv2"
    assert (viewer.error, drawn(viewer._drawing.axes[0]).values.shape) == ("", (4, 75))
    viewer.close()
    viewer = viz.interactive(viz.activation_heatmap, history={0: {"fc": GREY[:, 0, 0]}, 5: {"fc": GREY[:, 0, 1]}})
    viewer.select(step=0)
    assert (GREY[:, 0, 0] == viewer.data().to_numpy().T).all()
    viewer.close()


PLOTS = {
    "grey": lambda **k: viz.conv_filters({"conv1": GREY}, **k),
    "steps": lambda **k: viz.conv_filters({0: {"conv1": GREY}, 1000: {"conv1": GREY}}, step=[0, 1000], **k),
    "colour": lambda **k: viz.conv_filters({"conv1": COLOUR}, **k),
    "apart": lambda **k: viz.conv_filters({"conv1": RNG.normal(size=(8, 8, 3, 3))}, **k),
    "map": lambda **k: viz.activation_heatmap({"fc": RNG.normal(size=(300, 700))}, labels=np.arange(300) % 10, **k),
    "small": lambda **k: viz.activation_heatmap({"fc": np.zeros((3, 2))}, **k),
}


@pytest.mark.parametrize(("name", "theme"), in_turn(PLOTS))
def test_nothing_is_cut_off_or_overlaps(name, theme, faults):
    assert faults(PLOTS[name](theme=theme)) == []


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: viz.conv_filters(np.zeros((3, 4))), ValueError, "give those of a convolution of images"),
        (lambda: viz.conv_filters(GREY, channels="colour"), ValueError, "only three can be shown as colours"),
        (lambda: viz.activation_heatmap(np.zeros(4)), ValueError, "give [sample, feature]"),
        (lambda: viz.activation_heatmap(np.zeros((4, 2)), labels=[1, 2]), ValueError, "give one for each"),
    ],
)
def test_a_bad_argument_says_what_is_allowed(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()


def rgb(colour):
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


def test_weights_that_are_not_finite_have_their_colours_and_the_others_their_scale():
    weights = np.zeros((2, 3, 2, 2))
    weights[0, :, 0, 0] = [1, np.nan, 1]
    weights[0, :, 0, 1] = [-np.inf, 1, 1]
    weights[0, 0, 1, 0] = 0.5
    figure = viz.conv_filters(weights)
    pixels = picture(figure.axes[0])[..., :3]
    style = viz.theme("light")
    assert pixels[1, 1].tolist() == rgb(style.nan) and pixels[1, 2].tolist() == rgb(style.inf)
    assert pixels[2, 1].tolist() == [191, 128, 128]  # half of the filter's largest finite weight
    assert words(figure)[1].endswith("4.17% NaN  |  4.17% infinite")  # one of 24 each
    (crosses,) = figure.axes[0].lines  # their colours alone may be those of values
    assert crosses.get_xydata().tolist() == [[1, 1], [2, 1]]
    apart = picture(viz.conv_filters(weights, channels="apart").axes[0])[..., :3]
    assert apart[1, 4].tolist() == rgb(style.nan) and apart[1, 2].tolist() == rgb(style.inf)
    for value in (np.nan, np.inf):
        assert (picture(viz.conv_filters(np.full((1, 3, 2, 2), value)).axes[0])[1:3, 1:3, 0] > 200).all()


def test_one_infinite_activation_leaves_the_others_their_scale():
    values = np.array([[1.0, -np.inf], [np.nan, -2.0]])
    figure = viz.activation_heatmap({"fc": values})
    assert words(figure)[1] == "2 samples × 2 features, 0% zero  |  25% NaN  |  25% infinite"
    written = [text.get_text() for text in figure.axes[0].texts]
    assert {"NaN", "infinite", "-2", "2"} <= {text.replace("−", "-") for text in written}
    figure.canvas.draw()
    assert "NaN" not in [t.get_text() for t in viz.activation_heatmap({"fc": np.eye(2)}).axes[0].texts]
