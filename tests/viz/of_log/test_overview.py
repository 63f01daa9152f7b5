"""The overview: six panels that tell of one run, and where its cursor stands."""

import math

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from tandv import viz
from tandv.curves import TrainingStats
from tandv.curves.of_run import line
from tandv.log.logframe import example_log
from tandv.viz.layout.style import theme
from tandv.viz.layout.tables import chosen, drawn
from tandv.viz.of_log.panels import interval_text

LOG = example_log(layers=10, steps=40)
LOSS = TrainingStats(steps=list(range(0, 40, 2)), train_loss=[5 - s / 10 for s in range(20)])


def texts(ax):
    return [t.get_text() for t in ax.texts]


def clean(df):
    """Return a log without NaN and infinity."""
    out = df.copy()
    for name in ("nans", "infs"):
        out[("scalar_stats", name)] = 0
    return out


def opened_at(figure):
    return chosen(figure)["tt"], chosen(figure)["layer"], chosen(figure)["step"]


def test_it_opens_at_the_first_infinity():
    figure = viz.overview(LOG, train_stats=LOSS)
    assert opened_at(figure) == ("Activation", "head", 36)  # the example overflows in its last tenth
    assert "infinite" in figure.texts[1].get_text()
    layers_ax = figure.axes[1]
    assert sum(list(line.get_xdata()) == [36, 36] for line in layers_ax.lines) == 2  # one on each side of the step


def test_it_opens_at_the_first_nan_of_any_tensor_type():
    df = clean(LOG)
    at = (df[("metadata", "tensor_type")] == "Gradient") & (df[("metadata", "name")] == "embed")
    df.loc[at & (df[("metadata", "step")] == 17), ("scalar_stats", "nans")] = 512
    figure = viz.overview(df)
    assert opened_at(figure) == ("Gradient", "embed", 17)
    assert "12.5% NaN" in figure.texts[1].get_text()
    assert any("12.5% NaN" in words for words in texts(figure.axes[0]))  # beside the cursor
    assert any("12.5% NaN" in words for words in texts(figure.axes[3]))  # above the casts
    assert opened_at(viz.overview(df, tt="Activation"))[2] == 39
    assert opened_at(viz.overview(df, tt="Gradient", layer="head")) == ("Gradient", "head", 39)


@pytest.mark.parametrize(
    ("tt", "bad", "layer"),
    [
        ("Activation", {"embed": ("nans", 1), "head": ("nans", 4000)}, "embed"),
        ("Activation", {"embed": ("nans", 4000), "head": ("infs", 1)}, "head"),  # NaN comes of infinities
        ("Gradient", {"embed": ("nans", 4000), "head": ("nans", 1)}, "head"),  # backwards
    ],
)
def test_it_opens_at_the_layer_in_which_it_began_not_at_the_one_with_most_of_it(tt, bad, layer):
    df = clean(LOG)
    for name, (column, count) in bad.items():
        about = df["metadata"]
        here = (about["tensor_type"] == tt) & (about["name"] == name) & (about["step"] == 17)
        df.loc[here, ("scalar_stats", column)] = count
    assert opened_at(viz.overview(df)) == (tt, layer, 17)


def test_without_counts_of_nan_a_statistic_that_is_nan_tells():
    df = LOG.drop(columns=[("scalar_stats", name) for name in ("nans", "infs", "numel")])
    df[("exponent_counts", float("inf"))] = 0
    at = (df[("metadata", "name")] == "embed") & (df[("metadata", "step")] >= 9)
    df.loc[at, [("scalar_stats", name) for name in ("rm2", "max_abs")]] = np.nan
    assert opened_at(viz.overview(df, tt="Activation"))[1:] == ("embed", 9)


def test_a_healthy_run_opens_at_its_last_step_where_a_layer_stands_out():
    df = clean(example_log(layers=10, steps=40, tensor_types=["Weight"]))
    at = (df[("metadata", "name")] == "layers.1.attention.wq") & (df[("metadata", "step")] == 39)
    df.loc[at, ("scalar_stats", "rm2")] *= 8
    assert opened_at(viz.overview(df)) == ("Weight", "layers.1.attention.wq", 39)
    assert opened_at(viz.overview(df, step=3))[2] == 3


def test_a_step_is_not_compared_with_itself():
    def lines(step):
        figure = viz.overview(LOG, layer="embed", step=step)
        [before] = [line for line in figure.axes[4].lines if len(line.get_xdata()) == 10]
        return np.isfinite(before.get_xdata()).any(), figure.axes[4].get_title("left")

    assert lines(20) == (True, "all layers at step 20 (line: step 0)")
    assert lines(0) == (False, "all layers at step 0")
    single = example_log(layers=10, steps=1)
    assert viz.overview(single).axes[4].get_title("left") == "all layers at step 0"


def test_the_strip_has_a_colour_for_each_kind_of_module():
    figure = viz.overview(LOG, layer="embed", step=3)
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["Embedding", "Linear"]
    ax = figure.axes[1]
    strip = [one for one in ax.get_children() if isinstance(one, Rectangle) and one.get_x() < 0]
    assert [(one.get_y(), one.get_height()) for one in strip] == [(-0.5, 1), (0.5, 9)]
    assert len({one.get_facecolor() for one in strip}) == 2
    alone = LOG[LOG[("metadata", "name")] != "embed"]
    assert not viz.overview(alone, step=3).legends  # a single kind tells nothing


def test_axes_have_labels():
    figure = viz.overview(LOG, layer="embed", step=3)
    assert figure.axes[0].get_ylabel() == "value"
    assert viz.overview(LOG, layer="embed", step=3, train_stats=LOSS).axes[0].get_ylabel() == "loss"
    assert [ax.get_xlabel() for ax in figure.axes[4:]] == ["rm2", "share of values"]


def test_the_side_panel_has_the_limit_or_says_that_it_is_further():
    assert "max 448" in texts(viz.overview(LOG, layer="head", step=39).axes[4])
    small = viz.overview(LOG, tt="Gradient", layer="embed", step=3)
    assert "max 448 →" in texts(small.axes[4])


def test_layers_with_nan_are_marked_in_the_side_panel():
    df = clean(LOG)
    at = (df[("metadata", "name")] == "embed") & (df[("metadata", "step")] == 5)
    df.loc[at, ("scalar_stats", "nans")] = 5
    ax = viz.overview(df, layer="head", tt="Activation", step=5).axes[4]
    [marks] = [one for one in ax.lines if one.get_color() == theme("light").nan]
    assert marks.get_ydata().tolist() == [0]


def test_the_panels_share_the_steps():
    figure = viz.overview(LOG, train_stats=LOSS)
    left = figure.axes[:3]
    assert len({ax.get_xlim() for ax in left}) == 1
    assert len({round(ax.bbox.x0, 3) for ax in left}) == 1
    assert len({round(ax.bbox.width, 3) for ax in left}) == 1


def test_the_loss_is_read_at_the_nearest_step_that_it_has():
    figure = viz.overview(LOG, layer="head", step=7, train_stats=LOSS)
    box = next(t for t in texts(figure.axes[0]) if "step" in t)
    assert box.startswith(("step 6\n", "step 8\n"))


def test_without_a_loss_the_layer_itself_is_shown():
    figure = viz.overview(LOG, layer="head", step=3)
    assert figure.axes[0].get_title("left") == "head"
    assert drawn(figure.axes[0]).names == ("rm2", "max_abs")


def test_the_table_says_what_a_cast_would_do():
    figure = viz.overview(LOG, layer="head", tt="Activation", step=39)
    said = texts(figure.axes[3])
    assert {"e4m3", "e5m2", "fp16", "bf16", "overflow", "to zero", "subnormal"} <= set(said)
    assert any("–" in words and words.endswith("%") for words in said)


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        ((0.0, 0.0), "0"),
        ((0.127, 0.443), "12.7–44.3%"),
        ((1e-7, 1e-7), "<0.001%"),
        ((0.0, 1e-7), "<0.001%"),
        ((1.0, 1.0), "100%"),
        ((0.0, 0.05), "0–5%"),
    ],
)
def test_intervals_read_well(interval, words):
    assert interval_text(*interval) == words


def test_every_panel_has_the_limit_of_the_format():
    figure = viz.overview(LOG, layer="head", tt="Activation", step=39)
    for ax in (figure.axes[2], figure.axes[5]):
        assert any(np.allclose(line.get_ydata(), math.log2(448)) for line in ax.lines if len(line.get_ydata()) == 2)
    assert any(np.allclose(line.get_xdata(), 448) for line in figure.axes[4].lines if len(line.get_xdata()) == 2)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("colour", ["log2", "linear", "change"])
def test_every_colour_in_every_theme(theme, colour, faults):
    assert faults(viz.overview(LOG, theme=theme, colour=colour, train_stats=LOSS)) == []


def test_a_log_without_overflow_or_numel(faults):
    df = LOG.drop(columns=[("scalar_stats", n) for n in ("numel", "zeros", "nans", "infs", "max_abs", "min_abs")])
    assert faults(viz.overview(df, tt="Weight")) == []


def test_the_losses_of_the_logs_run_are_drawn_without_being_asked_for(tmp_path):
    (tmp_path / "curves.jsonl").write_text("".join(line(step, {"lr": 0.1, "loss": 9.0 - step}) for step in range(9)))
    log = LOG.copy()
    log.attrs["run"] = str(tmp_path)
    top = viz.overview(log).axes[0]
    assert (top.get_title("left"), drawn(top).names) == ("loss", ("loss",))
    assert top.lines[0].get_ydata().tolist() == [9.0 - step for step in range(9)]
    assert drawn(viz.overview(log, train_stats=False).axes[0]).names == ("rm2", "max_abs")
    assert drawn(viz.overview(log, train_stats=LOSS).axes[0]).names == ("train_loss",)


@pytest.mark.parametrize("sizes", [(1e-300, 1e308), (5e-324, 1e-310)], ids=["over all of float64", "subnormal"])
def test_sizes_at_the_ends_of_float64(sizes):
    log = example_log(layers=2, steps=2)
    for name in ("rm2", "max_abs"):
        log[("scalar_stats", name)] = np.where(log[("metadata", "name")] == "head", *sizes)
    panel = next(
        ax for ax in viz.overview(log).axes if ax.get_title().startswith("all layers") or ax.get_xlabel() == "rm2"
    )
    low, high = panel.get_xlim()
    assert 0 < low <= min(sizes) and max(sizes) <= high < math.inf


def test_in_a_figure_of_half_a_column_nothing_is_cut_off_below():
    fig = viz.overview(example_log(), figsize=(3.3, 2.3))
    words = fig.axes[-1].xaxis.label
    assert words.get_text().startswith("step")
    assert words.get_window_extent().y0 >= 0
