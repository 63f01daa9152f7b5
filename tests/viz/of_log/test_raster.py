"""The raster of gradient signs: codes on the disk, their colours, and honest mixtures where pixels are too few."""

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from tandv import viz
from tandv.log.files import write_pickle
from tandv.log.logframe import example_log
from tandv.log.raster import (
    ABOVE,
    FILE,
    NEGATIVE,
    NONE,
    POSITIVE,
    Raster,
    codes_of,
    read_raster,
    spread,
    write_raster,
)
from tandv.messages import UnknownName
from tandv.viz.layout.style import theme

STYLE = theme("light")
NEGATIVE_COLOUR, POSITIVE_COLOUR = STYLE.series[1], STYLE.series[0]


def raster(codes, names=("a", "b"), sizes=None, steps=None):
    codes = np.asarray(codes, np.uint8)
    half = codes.shape[1] // 2
    edges = np.array([0, half, codes.shape[1]])
    sizes = np.diff(edges) if sizes is None else np.array(sizes)
    steps = np.arange(len(codes)) if steps is None else np.array(steps)
    return Raster(steps, list(names), sizes, edges, 1e-5, codes)


def colours(figure):
    """Return the colour in the middle of each cell of the picture: [rows from the lowest, columns, RGBA]."""
    figure.canvas.draw()
    (heat,) = figure.axes[0].images
    picture = heat.make_image(figure.canvas.get_renderer())[0]
    rows, columns = heat.values.shape
    y, x = ((np.arange(n) + 0.5) / n * size for n, size in zip((rows, columns), picture.shape, strict=False))
    return picture[y.astype(int)][:, x.astype(int)]


def as_bytes(colour):
    return (np.array(to_rgba(colour)) * 255).round().astype(int).tolist()


def test_codes_are_signs_within_the_threshold():
    sign, negative, within = (np.array(bits, bool) for bits in ([1, 1, 1, 0, 1], [1, 0, 1, 0, 0], [1, 1, 0, 1, 0]))
    assert codes_of(sign, negative, within).tolist() == [NEGATIVE, POSITIVE, ABOVE, NONE, ABOVE]


def test_what_is_written_is_read_again_without_a_framework(tmp_path):
    first = raster(np.random.default_rng(0).integers(4, size=(3, 7)))
    path = write_raster(first, tmp_path / "signs.npz")
    again = read_raster(tmp_path)
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    with np.load(path, allow_pickle=False) as file:
        assert file["packed"].shape == (3, 2)  # four codes to a byte


def test_the_parts_of_a_killed_run_follow_each_other(tmp_path):
    (tmp_path / "signs").mkdir()
    for number in range(2):
        write_raster(raster([[number] * 4], steps=[number * 10]), tmp_path / "signs" / f"{number:06d}.npz")
    whole = read_raster(tmp_path)
    assert (whole.steps.tolist(), whole.codes[:, 0].tolist()) == ([0, 10], [0, 1])


def test_where_there_is_none_it_says_how_to_record_one(tmp_path):
    with pytest.raises(FileNotFoundError, match='insight={"raster": True}'):
        read_raster(tmp_path)
    np.savez(tmp_path / "signs.npz", steps=[1])
    with pytest.raises(ValueError, match=r"signs\.npz is no raster"):
        read_raster(tmp_path)


def test_those_that_stand_for_all_are_evenly_spread():
    whole = spread([3, 2], 5)
    assert [places.tolist() for places in whole] == [[0, 1, 2], [0, 1]]
    some = spread([1000, 10, 500], 151)
    assert sum(map(len, some)) == 151
    assert abs(len(some[0]) - 100) <= 1 and len(some[1]) == 1
    assert all(places.max() < size for places, size in zip(some, [1000, 10, 500], strict=True))


def test_each_code_has_its_colour_and_above_the_threshold_is_paper():
    figure = viz.gradient_raster(raster([[ABOVE, NEGATIVE], [POSITIVE, NEGATIVE]]))
    found = colours(figure)
    assert found[0].tolist() == [as_bytes(STYLE.panel), as_bytes(NEGATIVE_COLOUR)]
    assert found[1].tolist() == [as_bytes(POSITIVE_COLOUR), as_bytes(NEGATIVE_COLOUR)]


def test_a_pixel_of_many_parameters_is_their_mixture():
    codes = np.tile([NEGATIVE, ABOVE], (4, 20_000))
    figure = viz.gradient_raster(raster(codes))
    half = (np.array(as_bytes(NEGATIVE_COLOUR)) + as_bytes(STYLE.panel)) / 2
    assert np.abs(colours(figure).astype(float) - half).max() <= 4
    assert "mixed" in figure.axes[0].get_xlabel()


def test_many_steps_are_mixed_too():
    codes = np.tile([[NEGATIVE], [POSITIVE]], (5_000, 4))
    figure = viz.gradient_raster(raster(codes))
    half = (np.array(as_bytes(NEGATIVE_COLOUR)) + as_bytes(POSITIVE_COLOUR)) / 2
    assert np.abs(colours(figure).astype(float) - half).max() <= 0.1 * 255


def test_the_title_says_what_part_of_a_large_model_is_shown(faults):
    figure = viz.gradient_raster(raster(np.zeros((3, 10)), sizes=[4_000, 6_000]))
    said = " ".join(text.get_text() for text in figure.texts)
    assert "signs of gradients within 1e-05" in said
    assert "10 of 10,000 parameters, evenly spread" in said
    assert not faults(figure)


def test_layers_have_their_share_of_the_axis_and_a_line_between_them():
    ax = viz.gradient_raster(raster(np.zeros((2, 10)), sizes=[2_000, 8_000])).axes[0]
    assert ax.get_xlim() == (0, 10_000)
    (lines,) = ax.collections
    assert [segment[0][0] for segment in lines.get_segments()] == [2_000]
    assert [(t.get_text(), x) for t, x in zip(ax.get_xticklabels(), ax.get_xticks(), strict=True)] == [
        ("a", 1_000),
        ("b", 6_000),
    ]


def test_a_layer_and_some_steps_are_zoomed_into():
    codes = np.arange(24).reshape(4, 6) % 4
    figure = viz.gradient_raster(raster(codes), layer="b", step=slice(1, 3))
    (heat,) = figure.axes[0].images
    assert heat.values.tolist() == codes[1:3, 3:].tolist()
    with pytest.raises(UnknownName, match="no layer 'c'"):
        viz.gradient_raster(raster(codes), layer="c")
    with pytest.raises(UnknownName, match="0 to 3"):
        viz.gradient_raster(raster(codes), step=slice(10, 20))


def test_a_dark_picture_in_a_figure_that_is_given():
    first = viz.gradient_raster(raster(np.zeros((2, 4))))
    again = viz.gradient_raster(raster(np.zeros((2, 4))), theme="dark", fig=first)
    assert again is first
    assert len(first.axes) == 1


def test_gradients_that_are_nan_in_the_log_of_the_run_are_hatched(tmp_path):
    write_raster(raster(np.zeros((4, 6))), tmp_path / FILE)
    log = example_log(layers=2, steps=4, tensor_types=["Weight_Gradient"])
    log[("metadata", "name")] = log[("metadata", "name")].cat.rename_categories(["a", "b"])
    for name in ("nans", "infs"):
        log[("scalar_stats", name)] = 0
    log.loc[(log[("metadata", "name")] == "b") & (log[("metadata", "step")] == 2), ("scalar_stats", "nans")] = 1
    write_pickle(log, tmp_path / "log.pkl")
    figure = viz.gradient_raster(tmp_path)
    figure.canvas.draw()
    heat, _ = figure.axes[0].images
    assert np.argwhere(heat.marks).tolist() == [[2, 3], [2, 4], [2, 5]]
    pixels = np.asarray(figure.canvas.buffer_rgba())
    assert (np.abs(pixels.astype(int) - as_bytes(STYLE.nan)).sum(-1) < 8).sum() > 20
    assert "some NaN" in [text.get_text() for text in figure.legends[0].get_texts()]
    assert viz.gradient_raster(read_raster(tmp_path)).axes[0].images[0].marks is None  # it has no log
