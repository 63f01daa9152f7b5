"""Cells and pixels: what is reduced, what survives, and which cell a click means."""

import numpy as np
import pytest

from tandv import viz
from tandv.log.logframe import example_log
from tandv.viz.layout.colours import colour_scale, paint, specials
from tandv.viz.layout.heat import MISSING, buckets, edges, reduce
from tandv.viz.layout.style import theme
from tandv.viz.layout.tables import drawn

STEP, NAME, RM2 = ("metadata", "step"), ("metadata", "name"), ("scalar_stats", "rm2")


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


def test_one_hot_layer_leaves_the_others_their_contrast():
    values = np.concatenate([np.geomspace(0.5, 4, 1000), np.full(5, 2.0**15)])[None]
    at = colour_scale(values).position(values)[0]
    assert at[999] - at[0] > 0.7
    assert at[-1] == 1
    assert (np.diff(at) >= 0).all()


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
