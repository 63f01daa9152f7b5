"""Cells and pixels: what is reduced, what survives, and which cell a click means."""

import numpy as np
import pytest

from tandv import viz
from tandv.log.logframe import example_log
from tandv.viz.layout.colours import colour_scale, paint, specials
from tandv.viz.layout.heat import MISSING, buckets, edges, reduce
from tandv.viz.layout.style import theme
from tandv.viz.layout.tables import drawn, value_words

STEP, NAME, RM2 = ("metadata", "step"), ("metadata", "name"), ("scalar_stats", "rm2")
NANS, INFS, NUMEL = (("scalar_stats", name) for name in ("nans", "infs", "numel"))


def test_edges_lie_half_way():
    assert edges(np.array([0, 10, 40])).tolist() == [-5, 5, 25, 55]
    assert edges(np.array([7])).tolist() == [6.5, 7.5]


def test_every_cell_is_in_a_pixel_and_every_pixel_has_a_cell():
    for cells, pixels in ((10, 3), (3, 10), (1000, 77)):
        first, last = buckets(np.arange(cells + 1.0), np.linspace(0, cells, pixels + 1))
        assert (last > first).all()
        shown = set().union(*(range(a, b) for a, b in zip(first, last, strict=True)))
        assert shown == set(range(cells))


def test_pixels_beside_the_table_are_empty():
    first, last = buckets(np.array([0.0, 1.0]), np.array([-2.0, -1.0, 0.0, 1.0, 2.0]))
    assert (last - first).tolist() == [0, 0, 1, 0]


def test_a_spike_survives_and_special_cells_do_too():
    row = np.array([[1, 9, 1, MISSING, np.nan, 3, 0, 5, MISSING, MISSING, np.inf, 0]])
    first = np.array([0, 2, 4, 6, 8, 10])
    out = reduce(row, first, first + 2, axis=1)
    assert np.array_equal(out, [[9, 1, np.nan, 0, MISSING, np.inf]], equal_nan=True)


def test_signed_values_keep_the_larger_magnitude():
    out = reduce(np.array([[1.0, -9.0, 3.0, -2.0]]), np.array([0, 2]), np.array([2, 4]), axis=1, signed=True)
    assert out.tolist() == [[-9.0, 3.0]]


def log_with_everything():
    df = example_log(layers=4, steps=4, tensor_types=["Activation"]).copy()
    name, step = df[NAME].astype(str), df[STEP]
    df[RM2] = df[RM2].mask((name == "embed") & (step == 1), np.nan)
    df[RM2] = df[RM2].mask((name == "embed") & (step == 2), 0.0)
    df[RM2] = df[RM2].mask((name == "embed") & (step == 3), np.inf)
    df[INFS] = 0
    return df[~((name == "head") & (step == 0))]


def test_the_picture_has_each_cell_in_its_place_and_colour():
    figure = viz.scalar_global_heatmap(log_with_everything(), "Activation", "rm2")
    figure.canvas.draw()
    ax, style = figure.axes[0], theme("light")
    pixels = np.asarray(figure.canvas.buffer_rgba())

    def colour(step, row):
        x, y = ax.transData.transform((step + 0.3, row + 0.3))
        return "#{:02x}{:02x}{:02x}".format(*pixels[pixels.shape[0] - 1 - int(y), int(x)][:3])

    assert (colour(1, 0), colour(2, 0), colour(3, 0)) == (style.nan, style.zero, style.inf)
    table = drawn(ax)
    scale = colour_scale(table.values)
    for row in range(1, 4):
        for step in range(4):
            if table.values[row, step] != MISSING:
                r, g, b = paint(table.values[row : row + 1, step : step + 1], scale, style)[0, 0, :3]
                assert colour(step, row) == f"#{r:02x}{g:02x}{b:02x}"
    said = [t.get_text() for t in ax.texts]
    assert {"zero", "NaN", "infinite", "not logged"} <= set(said)


def test_special_colours_differ_from_each_other_and_the_map():
    for name in ("light", "dark"):
        style = theme(name)
        values = np.array([[0.0, np.nan, np.inf, MISSING, *np.geomspace(1, 1000, 256)]])
        scale = colour_scale(values)
        colours = paint(values, scale, style)[0].astype(int)
        for i in range(4):
            others = np.delete(colours, i, axis=0)
            assert np.abs(others - colours[i]).sum(axis=1).min() > 40
        assert [words for words, _ in specials(values, scale, style)] == ["zero", "NaN", "infinite", "not logged"]


@pytest.mark.parametrize("layers", [5, 50, 500])
def test_one_hot_layer_leaves_the_others_their_contrast(layers):
    values = np.tile(np.geomspace(0.5, 4, 40), (layers, 1))
    values[2] *= 2.0**20
    scale = colour_scale(values)
    at = scale.position(values)
    assert at[0, -1] - at[0, 0] > 0.9
    assert (at[2] == 1).all()
    assert [text for _, text in scale.ticks(2)] == ["2⁻¹", ">2²"]
    assert not colour_scale(np.delete(values, 2, 0)).above


def test_layers_of_two_sizes_are_both_within_the_scale():
    values = np.repeat([[1.0], [2.0**-12]], [6, 4], axis=0) * np.geomspace(0.5, 2, 10)
    scale = colour_scale(values)
    assert (scale.below, scale.above) == (False, False)
    assert [text for _, text in scale.ticks(2)] == ["2⁻¹³", "2¹"]


def test_signed_values_are_clipped_on_both_sides():
    values = np.concatenate([np.geomspace(0.5, 4, 1000), -np.geomspace(0.5, 4, 1000), np.full(5, 2.0**20)])
    scale = colour_scale(values)
    assert (scale.kind, scale.below, scale.above) == ("signed", False, True)
    assert [text for _, text in scale.ticks(3)] == ["−2²", "0", ">2²"]


def test_a_click_finds_the_cell_that_the_pixel_shows():
    df = example_log(layers=5, steps=4000, tensor_types=["Activation"]).copy()
    spike = (df[NAME].astype(str) == "layers.0.mlp.up") & (df[STEP] == 1234)
    df[RM2] = df[RM2].mask(spike, 2.0**12)
    figure = viz.scalar_global_heatmap(df, "Activation", "rm2")
    figure.canvas.draw()
    ax = figure.axes[0]
    assert drawn(ax).at(1234, 3)[:3] == ("layers.0.mlp.up", "Activation", 1234)
    pixel = int(ax.transData.transform((1234, 3))[0])
    for part in (0.1, 0.5, 0.9):  # wherever in the pixel, it is coloured by the spike
        assert drawn(ax).at(ax.transData.inverted().transform((pixel + part, 0))[0], 3).step == 1234
    assert drawn(ax).at(-50, 3) is None
    assert "4,000 in" in ax.get_xlabel()
    ax.set_xlim(1230, 1240)
    figure.canvas.draw()
    assert ax.get_xlabel() == "step"
    assert drawn(ax).at(1235.2, 3).step == 1235


@pytest.mark.parametrize("place", [(0, "embed"), (4, "head")])
def test_the_first_and_last_rows_can_be_clicked(place):
    figure = viz.scalar_global_heatmap(example_log(), "Activation", "rm2")
    row, name = place
    for x, step in ((-0.4, 0), (49.4, 49)):
        assert drawn(figure.axes[0]).at(x, row)[:3] == (name, "Activation", step)


def test_steps_stand_where_their_number_is():
    df = example_log(steps=50)
    df = df[df[STEP].isin([0, 1, 2, 40])]
    figure = viz.scalar_global_heatmap(df, "Activation", "rm2")
    assert drawn(figure.axes[0]).at(30, 0).step == 40
    assert drawn(figure.axes[0]).at(15, 0).step == 2


# --------------------------------------------------------------------------------- values that are not finite


def with_some(layers, steps, row, step, column, share=0.5):
    """Return a log without NaN or infinity, but for one tensor at one step."""
    df = example_log(layers=layers, steps=steps, tensor_types=["Activation"]).copy()
    df[NANS], df[INFS] = 0, 0
    at = (df[NAME] == df[NAME].cat.categories[row]) & (df[STEP] == step)
    df.loc[at, column] = (df.loc[at, NUMEL] * share).astype(int)
    return df


def pixels_of(df, **more):
    figure = viz.scalar_global_heatmap(df, "Activation", "rm2", **more)
    figure.canvas.draw()
    return figure, np.asarray(figure.canvas.buffer_rgba())[..., :3]


def near(pixels, colour):
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    return np.abs(pixels.astype(int) - wanted).sum(-1) <= 6


@pytest.mark.parametrize("name", ["light", pytest.param("dark", marks=pytest.mark.slow)])  # they differ in colours only
@pytest.mark.parametrize("column", [NANS, INFS])
@pytest.mark.parametrize("layers", [5, 50, 500])
@pytest.mark.parametrize("figsize", [(3.3, 2.4), (12.0, 6.0)])
def test_a_single_cell_with_nan_or_infinity_is_marked_at_any_size(name, column, layers, figsize):
    style = theme(name)
    df = with_some(layers, 300, layers // 2, 150, column, share=0.01)
    figure, pixels = pixels_of(df, theme=name, figsize=figsize)
    marked = near(pixels, style.nan if column == NANS else style.inf)
    ax = figure.axes[0]
    left, right, bottom, top = (int(v) for v in (ax.bbox.x0, ax.bbox.x1, ax.bbox.y0, ax.bbox.y1))
    inside = marked[len(marked) - top : len(marked) - bottom, left:right]
    assert inside.any()
    column_of_pixels = np.nonzero(inside)[1].mean() / (right - left)
    assert column_of_pixels == pytest.approx(0.5, abs=0.02)
    place = drawn(ax).at(150, layers // 2)
    assert place.step == 150
    assert (place.nans if column == NANS else place.infs) == pytest.approx(0.01, rel=0.05)


def test_a_cell_with_some_nan_keeps_its_colour_between_the_lines():
    df = with_some(5, 4, 2, 1, NANS)
    figure, pixels = pixels_of(df)
    table, style = drawn(figure.axes[0]), theme("light")
    (x0, y0), (x1, y1) = (figure.axes[0].transData.transform(at) for at in ((0.55, 2.45), (1.45, 1.55)))
    cell = pixels[len(pixels) - int(y1) : len(pixels) - int(y0), int(x0) : int(x1)]
    own = paint(table.values, colour_scale(table.values), style)[2, 1, :3]
    hatched, kept = near(cell, style.nan).mean(), (cell == own).all(-1).mean()
    assert 0.1 < hatched < 0.4
    assert kept > 0.4
    assert "some NaN" in [text.get_text() for text in figure.axes[0].texts]


def test_a_tensor_of_nothing_but_infinities_is_infinite_not_nan():
    df = with_some(5, 4, 2, 1, INFS, share=1.0)
    df.loc[df[INFS] > 0, RM2] = np.nan
    ax = viz.scalar_global_heatmap(df, "Activation", "rm2").axes[0]
    assert drawn(ax).values[2, 1] == np.inf
    assert "infinite" in [text.get_text() for text in ax.texts]


def test_what_is_under_the_mouse_says_how_much_is_nan():
    ax = viz.scalar_global_heatmap(with_some(5, 4, 2, 1, NANS, share=0.125), "Activation", "rm2").axes[0]
    assert value_words(drawn(ax).at(1, 2)).endswith(" · 12.5% NaN")
    assert "NaN" not in value_words(drawn(ax).at(2, 2))
    gone = viz.scalar_global_heatmap(log_with_everything(), "Activation", "rm2").axes[0]
    assert value_words(drawn(gone).at(0, 3)) == "not logged"
    assert value_words(drawn(gone).at(1, 0)) == "NaN"
