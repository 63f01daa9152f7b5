"""Images as tiles: where each stands, on one scale, and what is left out said."""

import numpy as np
import pytest

from tandv import viz


def mosaic(figure):
    return np.asarray(figure.axes[0].images[0].get_array())


def test_a_label_has_a_row_and_all_images_one_scale():
    images = np.arange(4.0)[:, None, None] * np.ones((4, 12, 12))
    figure = viz.image_grid(images, ["cat", "dog", "cat", "cat"])
    picture = mosaic(figure)
    assert picture.shape == (2 * 13, 3 * 13, 3)
    assert [picture[5, x, 0] for x in (5, 18, 31)] == [0.0, 2 / 3, 1.0]  # images 0, 2 and 3, of a scale from 0 to 3
    assert picture[18, 5, 0] == 1 / 3 and picture[18, 18, 0] == 1.0  # image 1, and the panel beside it
    figure.canvas.draw()
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["cat", "dog"]
    assert figure.texts[1].get_text() == "4 images  |  12 × 12  |  0 to 3"


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 4, 5, 3)])
def test_colours_may_be_first_or_last(shape):
    red = np.zeros(shape)
    red[(slice(None), 0) if shape[1] == 3 else (..., 0)] = 1.0
    assert mosaic(viz.image_grid(red))[0, 0].tolist() == [1.0, 0.0, 0.0]


def test_one_image_and_columns():
    assert mosaic(viz.image_grid(np.eye(5))).shape == (6, 6, 3)
    assert mosaic(viz.image_grid(np.zeros((6, 5, 5)), columns=3)).shape == (12, 18, 3)


def test_what_does_not_fit_is_left_out_and_said():
    figure = viz.image_grid(np.zeros((400, 4, 4)), [i % 20 for i in range(400)])
    assert figure.texts[1].get_text().startswith("192 of 400 images  |  12 of 20 labels  |  ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((np.zeros(5),), r"images have the shape \(5,\); give \[sample, height, width\]"),
        ((np.zeros((3, 5, 6)), ["a"]), "there are 1 labels for 3 images"),
        ((np.zeros((3, 5, 6)), None, 0), "columns is how many images stand side by side, at least 1, not 0"),
    ],
)
def test_what_is_wrong_is_said(arguments, words):
    with pytest.raises(ValueError, match=words):
        viz.image_grid(*arguments)


def test_images_of_several_shapes_are_refused_in_words():
    with pytest.raises(ValueError, match=r"images differ in shape: \(8, 8\), \(9, 8\); crop or pad"):
        viz.image_grid([np.zeros((8, 8)), np.zeros((9, 8))])


def test_pixels_that_are_not_finite_have_their_colours_and_the_others_their_scale():
    images = np.zeros((2, 4, 4))
    images[0, 0, :3] = [4.0, np.nan, -np.inf]
    images[0, 1, 0] = 1.0
    figure = viz.image_grid(images)
    picture, style = mosaic(figure), viz.theme("light")
    assert [picture[y, 0, 0] for y in (0, 1, 2)] == [1.0, 0.25, 0.0]
    for x, colour in ((1, style.nan), (2, style.inf)):
        np.testing.assert_allclose(picture[0, x] * 255, [int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    assert "3.12% NaN  |  3.12% infinite" in figure.texts[1].get_text()
    assert viz.image_grid(np.full((1, 4, 4), np.inf)).texts[1].get_text() == "1 image  |  4 × 4  |  100% infinite"
