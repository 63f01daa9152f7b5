import numpy as np
import pytest

from tandv import viz
from tandv.analysis.features import class_selectivity
from tandv.analysis.samples import rows_of_features, rows_of_layers

WORDS = np.arange(12.0).reshape(2, 3, 2)  # 2 samples, 3 positions, 2 features
PADDED = [[True, True, False], [True, False, False]]


def test_positions_are_averaged_apart_or_the_last():
    assert rows_of_features(WORDS).tolist() == [[2, 3], [8, 9]]
    assert rows_of_features(WORDS, "tokens").tolist() == WORDS.reshape(6, 2).tolist()
    assert rows_of_features(WORDS, "last").tolist() == [[4, 5], [10, 11]]


def test_padding_does_not_count_even_where_it_is_nan():
    padded = WORDS.copy()
    padded[~np.array(PADDED)] = np.nan
    assert rows_of_features(padded, mask=PADDED).tolist() == [[1, 2], [6, 7]]
    assert rows_of_features(padded, "tokens", mask=PADDED).tolist() == [[0, 1], [2, 3], [6, 7]]
    assert rows_of_features(padded, "last", mask=PADDED).tolist() == [[2, 3], [6, 7]]


def test_channels_of_images_are_the_second_axis_unless_it_is_said_otherwise():
    images = np.zeros((4, 3, 8, 8))
    images[:, 2] = 5
    assert rows_of_features(images).tolist() == [[0, 0, 5]] * 4
    assert rows_of_features(images.transpose(0, 2, 3, 1), features="last").tolist() == [[0, 0, 5]] * 4
    assert rows_of_features(images, "tokens").shape == (4 * 64, 3)


def test_masks_that_do_not_fit_say_what_would():
    with pytest.raises(ValueError, match=r"mask has the shape \(2, 2\), the output has 2 samples of 3 positions"):
        rows_of_features(WORDS, mask=[[True, True], [True, True]])
    with pytest.raises(ValueError, match="leaves no position of 1 samples"):
        rows_of_features(WORDS, mask=[[True, True, True], [False, False, False]])


def test_outputs_that_are_not_of_the_batch_are_left_out_and_said():
    outputs = {"position": np.ones((1, 5, 8)), "fc": np.ones((6, 8)), "rnn": np.ones((5, 6, 8)), "loss": np.ones(())}
    rows = rows_of_layers(outputs, 6)
    assert {name: array.shape for name, array in rows.layers.items()} == {"fc": (6, 8), "rnn": (6, 8)}
    assert rows.said == [
        "left out, since they are not of the batch of 6: position (1, 5, 8), loss ()",
        "taken for sequences whose second axis is the batch: rnn",
    ]


def test_rows_of_tokens_are_the_same_in_all_layers():
    outputs = {"a": np.ones((6, 5, 8)), "b": np.ones((6, 5, 4)), "pooled": np.ones((6, 4))}
    rows = rows_of_layers(outputs, 6, "tokens")
    assert {name: array.shape for name, array in rows.layers.items()} == {"a": (30, 8), "b": (30, 4)}
    assert rows.said == ["left out, since they have other positions than most ((5,)): pooled"]


def test_of_too_many_features_some_are_chosen_and_that_is_said():
    rows = rows_of_layers({"fc": np.tile(np.arange(100.0), (6, 1))}, 6, most=4)
    assert rows.layers["fc"].tolist() == [[0, 33, 66, 99]] * 6
    assert rows.said == ["of more than 4 features so many were chosen, evenly spaced: fc (100)"]


def test_selectivity_is_of_channels_averaged_over_positions():
    images = np.zeros((2, 3, 4, 4))
    images[0, 1, 0, 0] = 16  # channel 1 sees the first class, at one place of 16
    found = class_selectivity(images, ["cat", "dog"])
    assert found.means.loc["cat"].tolist() == [0, 1, 0] and found.index[1] == 1


def test_a_map_of_a_sequence_has_its_features_as_columns():
    x = np.zeros((20, 5, 64))
    x[..., 7] = 1.0
    figure = viz.activation_heatmap(x)
    words = " ".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))
    assert "20 samples × 64 features" in words and "mean over 5 positions" in words
    assert figure.axes[0].get_xlim() == (-0.5, 63.5)


def test_a_known_axis_goes_before_lengths():
    square = np.arange(6.0)[:, None, None] * np.ones((6, 6, 2))
    rows = rows_of_layers({"rnn": square, "position": np.ones((6, 2))}, 6, axes={"rnn": 1, "position": None})
    assert rows.layers["rnn"].tolist() == [[2.5, 2.5]] * 6  # the mean over the first axis
    assert rows.said == [
        "left out, since they are not of the batch of 6: position (6, 2)",
        "with the batch put first: rnn",
    ]
