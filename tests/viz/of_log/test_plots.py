"""The public plots: what they draw, how they are laid out, and what they say to bad input."""

import inspect
import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from themes import in_turn

from tandv import viz
from tandv.log.logframe import example_log, layers
from tandv.messages import UnknownName
from tandv.viz.layout.tables import drawn

LOG = example_log(layers=8, steps=20)
STEP, NAME = ("metadata", "step"), ("metadata", "name")
ATTENTION = re.compile("attention")


def test_the_published_calls_work():
    for figure in (
        viz.exp_hist(df=LOG, layer="head", tt="Activation", step=10),
        viz.scalar_line(df=LOG, tt="Activation", layer="head", col_wrap=3, scalar_metric=["rm2", "min_abs"]),
        viz.scalar_global_heatmap(df=LOG, tt="Activation", col_wrap=3, scalar_metric="rm2", inc=5),
        viz.exp_hist(LOG, layers(LOG)[1:4], "Activation", 0, dtype_annotation="float8_e4m3fn", col_wrap=3),
    ):
        assert isinstance(figure, Figure)


def test_no_plot_touches_pyplot_or_takes_unknown_arguments():
    for plot in (viz.scalar_line, viz.exp_hist, viz.scalar_global_heatmap, viz.exp_heatmap, viz.overview):
        kinds = {p.kind for p in inspect.signature(plot).parameters.values()}
        assert kinds == {inspect.Parameter.POSITIONAL_OR_KEYWORD}
        assert {"df", "theme", "fig"} <= set(inspect.signature(plot).parameters)


PLOTS = {
    "line": lambda **k: viz.scalar_line(LOG, "head", "Activation", ["rm2", "max_abs", "min_abs"], **k),
    "lines of 3": lambda **k: viz.scalar_line(LOG, "head", ["Activation", "Gradient", "Weight"], "rm2", **k),
    "histogram": lambda **k: viz.exp_hist(LOG, "head", "Activation", 19, dtype_annotation="float8_e4m3fn", **k),
    "histograms": lambda **k: viz.exp_hist(LOG, ATTENTION, "Gradient", 0, dtype_annotation=["e4m3", "fp16"], **k),
    "map": lambda **k: viz.scalar_global_heatmap(LOG, "Activation", "rm2", **k),
    "maps": lambda **k: viz.scalar_global_heatmap(LOG, None, "mean", **k),
    "exponents": lambda **k: viz.exp_heatmap(LOG, "head", "Activation", "float8_e4m3fn", **k),
    "overview": lambda **k: viz.overview(LOG, train_stats={"loss": np.linspace(9, 1, 20)}, **k),
}


@pytest.mark.parametrize(("name", "theme"), in_turn(PLOTS))
def test_nothing_is_cut_off_or_overlaps(name, theme, faults):
    assert faults(PLOTS[name](theme=theme)) == []


@pytest.mark.parametrize("name", [n for n in PLOTS if not n.endswith("s") or n == "exponents"])
def test_nothing_is_cut_off_at_half_the_size(name, faults):
    size = (7.0, 4.8) if name == "overview" else (4.6, 2.8)
    assert faults(PLOTS[name](figsize=size)) == []


@pytest.mark.parametrize("count", [1, 5, 50, 500])
def test_layers_are_named_at_any_number(count, faults):
    df = example_log(layers=count, steps=5, tensor_types=["Activation"])
    figure = viz.scalar_global_heatmap(df, "Activation", "rm2")
    assert faults(figure) == []
    labels = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert labels[0] in ("embed", "layers.0")
    assert len(labels) == count if count <= 5 else 8 <= len(labels) <= 50


def test_long_names_are_shortened_not_cut(faults):
    df = LOG.copy()
    df[NAME] = ["model.decoder.a_very_long_module_name_of_a_block." * 2 + str(n) for n in df[NAME]]
    assert faults(viz.scalar_global_heatmap(df, "Activation", "rm2")) == []
    assert faults(viz.scalar_line(df, layers(df)[:3], "Activation", "rm2")) == []


def test_a_figure_is_drawn_again_in_place():
    figure = viz.exp_hist(LOG, "head", "Activation", 3)
    again = viz.scalar_global_heatmap(LOG, "Activation", "rm2", fig=figure)
    assert again is figure
    assert len(figure.axes) == 1
    assert drawn(figure.axes[0]).plot == "scalar_global_heatmap"


def test_a_plot_fits_into_part_of_a_figure():
    whole = Figure(figsize=(10, 4))
    left, right = whole.subfigures(1, 2)
    assert viz.exp_hist(LOG, "head", "Activation", 3, fig=right) is right
    whole.canvas.draw()
    assert not left.axes
    assert right.axes[0].bbox.x0 >= right.bbox.x0
    assert right.axes[0].bbox.x1 <= right.bbox.x1


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_every_kind_of_file(kind, tmp_path):
    path = tmp_path / f"a.{kind}"
    viz.scalar_global_heatmap(LOG, "Activation", "rm2").savefig(path)
    assert path.stat().st_size > 1000


def test_panels_are_layers_and_types_in_the_order_of_the_model():
    figure = viz.scalar_line(LOG, ["head", "embed"], ["Activation", "Gradient"], "rm2")
    titles = [ax.get_title("left") for ax in figure.axes]
    assert titles == ["Activation · embed", "Activation · head", "Gradient · embed", "Gradient · head"]
    assert [drawn(ax).layers for ax in figure.axes[:2]] == [("embed",), ("head",)]


def test_col_wrap_and_sharing():
    figure = viz.scalar_line(LOG, ATTENTION, "Activation", "rm2", col_wrap=2, facet_kws={"sharey": False})
    assert len({round(ax.bbox.x0) for ax in figure.axes}) == 2
    a, b = figure.axes[:2]
    assert not a.get_shared_y_axes().joined(a, b)
    assert a.get_shared_x_axes().joined(a, b)


def test_step_0_is_a_step():
    figure = viz.exp_hist(LOG, "head", "Activation", 0)
    assert drawn(figure.axes[0]).at(0, 0).step == 0
    assert "step 0" in figure.texts[1].get_text()


def test_inc_takes_every_so_manieth_logged_step():
    table = drawn(viz.scalar_global_heatmap(LOG, "Activation", "rm2", inc=8).axes[0])
    assert table.steps.tolist() == [0, 8, 16]
    assert drawn(viz.scalar_global_heatmap(LOG, "Activation", "rm2", inc=1000).axes[0]).steps.tolist() == [0]


def test_one_step_one_layer(faults):
    one = LOG[(LOG[STEP] == 7) & (LOG[NAME] == "head")]
    for figure in (
        viz.scalar_global_heatmap(one, "Activation", "rm2"),
        viz.scalar_line(one, "head", "Activation", "rm2"),
        viz.exp_heatmap(one, "head", "Activation"),
        viz.overview(one),
    ):
        assert faults(figure) == []
    assert viz.scalar_line(one, "head", "Activation", "rm2").axes[0].lines[0].get_marker() == "o"


def test_statistics_that_are_all_nan_are_a_picture(faults):
    df = LOG.copy()
    df[("scalar_stats", "rm2")] = np.nan
    assert faults(viz.scalar_global_heatmap(df, "Activation", "rm2")) == []
    assert faults(viz.overview(df, scalar_metric="rm2")) == []
    figure = viz.scalar_line(df, "head", "Activation", "rm2")
    assert faults(figure) == []
    assert "no finite value" in [t.get_text() for t in figure.axes[0].texts]


def test_a_tensor_of_nans_has_a_histogram_that_says_so():
    figure = viz.exp_hist(LOG, "head", "Gradient", 19)
    assert "all values are NaN" in [t.get_text() for t in figure.axes[0].texts]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: viz.exp_hist(LOG, "haed", "Activation", 0), "no layer 'haed' in this log; did you mean 'head'"),
        (lambda: viz.exp_hist(LOG, "head", "Activatoin", 0), "did you mean 'Activation'"),
        (lambda: viz.exp_hist(LOG, "head", "Activation", 77), "no step 77 in this log; the nearest are 18 and 19"),
        (lambda: viz.scalar_line(LOG, "head", "Activation", "rm3"), "no statistic 'rm3' in this log; did you mean"),
        (lambda: viz.scalar_global_heatmap(LOG, "Activation", "zz"), "this log has 'mean', 'std'"),
        (lambda: viz.scalar_line(LOG, "head", "Activation", "rm2", x="stpe"), "did you mean 'type' or 'step'"),
        (lambda: viz.exp_heatmap(LOG, re.compile("zzz"), "Activation"), "no layer matches the pattern 'zzz'"),
        (lambda: viz.overview(LOG, layer="haed"), "did you mean 'head'"),
        (lambda: viz.overview(LOG, step=77), "the nearest are 18 and 19"),
    ],
)
def test_what_is_not_in_the_log_is_answered_by_what_is(call, message):
    with pytest.raises(UnknownName, match=re.escape(message)):
        call()


def test_an_unknown_format_is_answered_by_the_nearest():
    with pytest.raises(UnknownName, match="did you mean 'float8_e4m3fn'"):
        viz.exp_hist(LOG, "head", "Activation", 0, dtype_annotation="float8_e4m3f")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: viz.scalar_global_heatmap(LOG, "Activation", "rm2", inc=0), "at least 1, not 0"),
        (lambda: viz.scalar_line(LOG, "head", "Weight", "rm2", col_wrap=0), "at least 1, not 0"),
        (lambda: viz.scalar_line(LOG, "head", "Weight", "rm2", facet_kws={"aspect": 2}), "may have 'sharex'"),
        (lambda: viz.exp_hist(LOG, "head", "Weight", 0, dtype_info=(True,)), "three of True or False"),
        (lambda: viz.scalar_line(LOG, "head", "Weight", []), "no scalar_metric was given"),
        (lambda: viz.exp_hist(LOG, "head", "Weight", 0, theme="drak"), "did you mean 'dark'"),
    ],
)
def test_a_bad_argument_says_what_is_allowed(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_several_rows_in_a_cell_ask_for_a_choice():
    with pytest.raises(ValueError, match="several rows have the same type and step"):
        viz.scalar_global_heatmap(LOG, "Activation", "rm2", y="type")


# ------------------------------------------------------------------------------------------------ ranks


def of_two_ranks():
    """Return the log with the rows of two ranks; those of the second are twice as large."""
    both = pd.concat([LOG, LOG], ignore_index=True)
    both[("metadata", "rank")] = np.repeat([0, 1], len(LOG))
    for metric in ("mean", "std", "mean_abs", "max_abs", "min_abs", "rm2", "rm4", "rm8"):
        both.loc[both[("metadata", "rank")] == 1, ("scalar_stats", metric)] *= 2
    return both


RANKED = of_two_ranks()


def test_ranks_are_merged_in_every_plot():
    alone = viz.scalar_global_heatmap(RANKED, "Activation", "rm2", rank=0).axes[0]
    merged = viz.scalar_global_heatmap(RANKED, "Activation", "rm2").axes[0]
    # rm2 of 1 and 2 together is sqrt((1 + 4) / 2)
    np.testing.assert_allclose(drawn(merged).values, drawn(alone).values * np.sqrt(2.5), rtol=1e-6)
    line = viz.scalar_line(RANKED, "head", "Activation", "numel").axes[0]
    assert line.lines[0].get_ydata().tolist() == [2 * 4096] * 20  # one point for each step
    table = viz.exp_heatmap(RANKED, "head", "Activation").axes[0]
    np.testing.assert_allclose(drawn(table).values, drawn(viz.exp_heatmap(LOG, "head", "Activation").axes[0]).values)
    assert "step 19" in " ".join(text.get_text() for text in viz.overview(RANKED, "head", step=19).texts)


def test_a_list_of_ranks_has_a_panel_for_each():
    fig = viz.scalar_line(RANKED, "head", "Activation", "rm2", rank=[0, 1])
    assert [ax.get_title("left") for ax in fig.axes] == ["rank 0", "rank 1"]
    fig = viz.scalar_global_heatmap(RANKED, ["Activation", "Weight"], "rm2", rank=[0, 1])
    assert [ax.get_title("left") for ax in fig.axes] == [
        f"{kind} · rank {rank}" for kind in ("Activation", "Weight") for rank in (0, 1)
    ]
    assert len(viz.exp_hist(RANKED, "head", "Activation", 3, rank=[0, 1]).axes) == 2
    assert len(viz.exp_heatmap(RANKED, "head", "Activation", rank=[0, 1]).axes) == 2
    assert len(viz.exp_heatmap(RANKED, "head", "Activation", rank=1).axes) == 1


def test_an_axis_of_ranks_keeps_them_apart():
    here = RANKED[RANKED[("metadata", "step")] == 0]
    ax = viz.scalar_global_heatmap(here, "Activation", "rm2", x="rank").axes[0]
    assert drawn(ax).values.shape == (8, 2)


def test_norms_have_panels_of_ranks_and_say_nan():
    figure = viz.norms(RANKED, rank=[0, 1])
    assert [ax.get_title("left") for ax in figure.axes[:2]] == ["weight norm · rank 0", "weight norm · rank 1"]
    df = LOG.copy()
    at = (df[("metadata", "tensor_type")] == "Weight") & (df[STEP] == 7)
    df.loc[at, ("scalar_stats", "nans")] = 1
    marks = {line.get_label(): list(line.get_xdata()) for line in viz.norms(df).axes[0].lines}
    assert marks["NaN"] == [7]


def test_panels_of_different_steps_show_all_of_them():
    late = LOG[(LOG[NAME] != "head") | (LOG[STEP] >= 12)]
    late = late[(late[NAME] != "embed") | (late[STEP] < 5)]
    for figure in (
        viz.scalar_line(late, ["embed", "head"], "Activation", "rm2"),
        viz.exp_heatmap(late, ["embed", "head"], "Activation"),
    ):
        for ax in figure.axes:
            assert ax.get_xlim()[0] <= 0
            assert ax.get_xlim()[1] >= 19


def test_an_overview_of_a_log_without_rows_says_so():
    with pytest.raises(UnknownName, match="no rows; nothing was logged"):
        viz.overview(LOG.iloc[:0])
