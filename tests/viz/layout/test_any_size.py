"""Every public plot can be read at any size: no text is cut off, overlaps another, or lies over another panel."""

import inspect
import re

import matplotlib
import pytest
from every_plot import CASES, log, long_names
from matplotlib.figure import Figure

from tandv import viz
from tandv.analysis.whatif import whatif_plan
from tandv.log.logframe import example_log
from tandv.viz.layout.legends import cut, shortened

SIZES = [(3.3, 2.6), (6.4, 4.4), (12.0, 7.0)]
THEMES = ["light", "dark"]
# Every plot in three sizes: the smallest, where room is scarce, for the screen (light and dark differ in colours only:
# in turn) and for paper, the others for one of the two, in turn. At one resolution the smallest of every other plot and
# some more; the rest are slow tests.
ALL = [
    (name, size, "paper" if for_paper else THEMES[i // 2 % 2])
    for i, name in enumerate(CASES)
    for j, size in enumerate(SIZES)
    for for_paper in ((False, True) if j == 0 else ((i + j) % 2 == 0,))
]
CHOSEN = [one for i, one in enumerate(ALL) if i % 8 == 0 or i % 48 in (6, 31)]
OTHERS = [one for one in ALL if one not in CHOSEN]


@pytest.mark.parametrize(("name", "size", "theme"), CHOSEN)
def test_every_text_can_be_read(name, size, theme, faults):
    assert faults(CASES[name](figsize=size, theme=theme)) == []


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size", "theme"), OTHERS)
def test_every_text_can_be_read_in_the_other_themes(name, size, theme, faults):
    figure = CASES[name](figsize=size, theme=theme)
    assert faults(figure) == []
    if size != SIZES[-1]:
        figure.set_dpi(160)  # glyphs are as wide as whole pixels allow, which differs with the resolution
        assert faults(figure) == []


def test_every_public_plot_is_among_them():
    source = inspect.getsource(inspect.getmodule(CASES["line"]))
    plots = {name for name in viz.__all__ if "fig" in inspect.signature(getattr(viz, name)).parameters}
    older = {name for name in plots if name.startswith("plot_") and f"viz.{name}(" not in source}  # the same functions
    lacking = {name for name in plots - older if f"viz.{name}" not in source}
    assert lacking == set()
    whole = {inspect.unwrap(getattr(viz, other)) for other in plots - older}
    assert {inspect.unwrap(getattr(viz, name)) for name in older} <= whole


def test_what_overlaps_or_is_cut_off_is_found(faults):
    figure = CASES["metrics, 5 in a row"](figsize=(12, 4))
    assert faults(figure) == []
    first, second = figure.axes[:2]
    title = figure.texts[0]
    figure.text(*title.get_position(), "beneath", va="top")
    assert faults(figure) == [f"{title.get_text()!r} overlaps 'beneath'"]
    figure.texts[-1].remove()
    first.text(-2.0, 0.5, "to the left", transform=first.transAxes)
    first.texts[-1].set_in_layout(False)
    assert "'to the left' is cut off" in faults(figure)
    first.texts[-1].set_x(1.6)
    assert faults(figure) == [f"'to the left' lies over the panel {second.get_title('left')!r}"]


def test_texts_are_not_too_small_to_read():
    for name in ("map, 50 layers", "dynamics", "attention over training", "histogram"):
        figure = CASES[name](figsize=(3.3, 2.6), theme="paper")
        sizes = [text.get_fontsize() for text in figure.findobj(matplotlib.text.Text) if text.get_text()]
        assert min(sizes) >= 6.0


def test_names_are_shortened_to_what_tells_them_apart():
    layers = [f"model.decoder.layers.{i}.self_attention.projection" for i in (0, 1, 11)]
    assert shortened(layers, 60) == layers
    assert shortened(layers, 14) == ["…layers.0…", "…layers.1…", "…layers.11…"]
    assert shortened([f"{name} head 2" for name in layers], 8) == ["…0…", "…1…", "…11…"]
    assert shortened(["", "loss", "loss"], 8) == ["", "loss", "loss"]
    assert shortened(["a" * 30 + "b" + "c" * 30, "a" * 30 + "d" + "c" * 30], 10) == ["1: aaa…cc", "2: aaa…cc"]


def test_a_name_that_is_cut_keeps_its_number():
    name = "model.transformer.decoder.layers.11.self_attention.projection"
    assert cut(name, 24) == "model.t…layers.11…ection"
    assert cut(name, 9) == "mod…11…on"
    assert cut("…layers.0…", 8) == "…0…"
    assert cut("blocks.3.experts.12.gate_projection", 24) == "blocks.3…experts.12…ion"
    assert cut("a_plain_name_without_numbers", 9) == "a_pl…bers"
    assert all(len(cut(name, most)) <= most for most in range(3, 70))


def test_titles_and_labels_of_a_raster_tell_layers_apart():
    figure = CASES["raster, 5 layers"](figsize=(6.4, 3))
    figure.canvas.draw()
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == [f"…layers.{i}…" for i in range(5)]
    title = CASES["histogram"](figsize=(3.3, 2.8)).texts[0].get_text()
    assert "layers.0…" in title and title.endswith("exponents")


def words_of(figure):
    """Return the texts in the panels and legends of a figure."""
    return [text.get_text() for one in figure.axes for text in one.texts] + [
        text.get_text() for legend in figure.legends for text in legend.get_texts()
    ]


def test_of_all_that_a_key_names_nan_is_the_last_to_go():
    for case in ("map, 5 layers", "map of change", "overview, 5 layers"):
        assert "some NaN" in words_of(CASES[case](figsize=(3.3, 2.8)))
    for width in (3.3, 6.4):
        assert {"some NaN", "some infinite"} <= set(words_of(CASES["map of change"](figsize=(width, 2.8))))


def test_what_several_narrow_keys_have_no_room_for_is_explained_once(faults):
    df = example_log(layers=2, steps=4, tensor_types=["Activation", "Gradient", "Weight"])
    df[("scalar_stats", "nans")] = 5
    figure = viz.format_map(whatif_plan(df, "sqnr=20"), figsize=(3.3, 2.6))
    assert words_of(figure).count("some NaN") == 1 and faults(figure) == []


def test_an_overview_names_step_and_layer_where_there_is_little_room():
    figure = CASES["overview, 5 layers"](figsize=(3.3, 2.8))
    line = figure.texts[1].get_text()
    assert "step 12" in line and "layers.4" in line and line.endswith("50% NaN")
    assert "4" in figure.axes[2].get_title("left")


def test_limits_in_an_overview_do_not_lie_over_each_other():
    for size in ((3.3, 2.6), (6.4, 5.0), (9.0, 5.0)):
        figure = CASES["overview, 5 layers"](figsize=size)
        renderer = figure.canvas.get_renderer()
        boxes = [text.get_window_extent(renderer) for text in figure.axes[2].texts if text.get_gid() == "limit"]
        assert boxes and not [1 for i, box in enumerate(boxes) for other in boxes[:i] if box.overlaps(other)]


def test_too_many_panels_are_refused_before_any_is_drawn():
    started = Figure()
    started.text(0, 0, "kept")
    with pytest.raises(ValueError, match=r"this plot would have 120 panels, and 100 is the most: choose layers by lay"):
        viz.scalar_line(log(120), None, "Activation", "rm2", fig=started)
    assert started.texts[0].get_text() == "kept"
    few = viz.scalar_line(log(120), long_names(3), "Activation", "rm2")
    assert len(few.axes) == 3


@pytest.mark.parametrize("name", ["line", "overview, 5 layers", "raster, 5 layers", "metric", "pattern"])
def test_a_title_is_a_string(name):
    for given in (3, True, ["a"]):
        with pytest.raises(TypeError, match=f'title is a string, "" for none, .*, not {re.escape(repr(given))}'):
            CASES[name](title=given)


def test_a_legend_with_too_many_names_says_how_many_it_leaves_out():
    figure = CASES["similarity, 50 layers"](figsize=(6.4, 4.4))
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words[-1] == f"and {50 - len(words) + 1} more" and words[0] == "…layers.0…" and words[-2] == "…layers.49…"


def test_no_colour_is_twice_in_a_panel():
    for name in ("metrics of 12 runs", "similarity, 50 layers", "head curves, 5 in a row", "decodability, 50 layers"):
        for ax in CASES[name]().axes:
            colours = [
                line.get_color() for line in ax.lines if len(line.get_xdata()) > 3 and line.get_linestyle() == "-"
            ]
            assert len(set(colours)) == len(colours) > 3


def test_losses_and_accuracies_have_decimal_axes():
    figure = CASES["dynamics"]()
    by_title = {ax.get_title("left"): ax for ax in figure.axes}
    loss, accuracy = by_title["loss"], by_title["accuracy"]
    assert loss.get_yscale() == "log" and accuracy.get_yscale() == "linear"
    figure.canvas.draw()
    labels = [label.get_text() for label in loss.get_yticklabels()]
    assert {"0.1", "1"} <= set(labels) and not any("²" in label or "⁻" in label for label in labels)
