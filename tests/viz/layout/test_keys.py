"""The key of a map: in narrow Axes its words stand above it."""

from matplotlib.figure import Figure
from matplotlib.text import Text

from tandv import viz
from tandv.log.logframe import example_log


def drawn(inches):
    """Return a figure of the caller's with a map, and the places of its texts by their words, in pixels."""
    fig = Figure(figsize=(inches, 3.0), layout="constrained")
    ax = fig.subplots()
    viz.scalar_global_heatmap(example_log(), tt="Activation", scalar_metric="max_abs", colour="change", ax=ax)
    fig.draw_without_rendering()
    return fig, {one.get_text(): one.get_window_extent() for one in ax.get_children() if isinstance(one, Text)}


def test_in_narrow_axes_what_the_colours_are_stands_above_the_key_and_below_the_title():
    fig, boxes = drawn(2.0)
    infinite, first, end, title = (boxes[one] for one in ("some infinite", "× the first step", ">×2³", "max_abs"))
    assert end.y0 < infinite.y0 < first.y0
    assert infinite.y1 <= first.y0 + 1
    assert first.y1 <= title.y0
    assert title.y1 <= fig.bbox.y1


def test_in_wide_axes_it_stands_beside_it():
    _, boxes = drawn(8.0)
    infinite, first, end = (boxes[words] for words in ("some infinite", "× the first step", ">×2³"))
    assert max(one.y0 for one in (infinite, first)) < end.y0
