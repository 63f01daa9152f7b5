"""Lines over the steps: values, gaps, marks and long runs."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from tandv import viz
from tandv.curves import as_curves, of_run, read_curves
from tandv.log.logframe import curves, example_log
from tandv.viz.layout.log_ticks import decimal_ticks
from tandv.viz.layout.style import theme
from tandv.viz.layout.tables import drawn
from tandv.viz.of_log.lines import MOST_POINTS, draw_curves, thin, wants_log2

OVERFLOWS = example_log(layers=4, steps=30)  # its last layer has infinities at the end
LOG = OVERFLOWS.copy()
LOG[("scalar_stats", "infs")] = 0
RM2 = ("scalar_stats", "rm2")


def test_a_line_is_the_statistic_over_the_steps():
    ax = viz.scalar_line(LOG, "head", "Activation", ["rm2", "max_abs"]).axes[0]
    expected = curves(LOG, "head", "Activation", ["rm2", "max_abs"])
    for line, name in zip(ax.lines, expected.columns, strict=False):
        assert line.get_xdata().tolist() == expected.index.tolist()
        assert np.allclose(line.get_ydata(), expected[name])


def test_the_legend_is_above_the_data():
    figure = viz.scalar_line(LOG, "head", "Activation", ["rm2", "max_abs"])
    figure.canvas.draw()
    assert figure.legends[0].get_window_extent().y0 >= figure.axes[0].bbox.y1
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["rm2", "max_abs"]


def test_nan_leaves_a_gap_and_a_mark():
    df = LOG.copy()
    df[RM2] = df[RM2].mask(df[("metadata", "step")].isin([3, 4]))
    ax = viz.scalar_line(df, "head", "Activation", "rm2").axes[0]
    assert np.isnan(ax.lines[0].get_ydata()[[3, 4]]).all()
    marks = {line.get_label(): line.get_xdata().tolist() for line in ax.lines[1:]}
    assert marks == {"NaN": [3, 4]}


def test_a_zero_on_a_log2_axis_is_marked():
    df = LOG.copy()
    df[RM2] = df[RM2].mask(df[("metadata", "step")] == 5, 0.0)
    ax = viz.scalar_line(df, "head", "Activation", "rm2", yscale="log2").axes[0]
    assert {line.get_label(): line.get_xdata().tolist() for line in ax.lines[1:]} == {"zero": [5]}


def test_log2_is_chosen_where_it_reads_best():
    assert wants_log2(np.array([1.0, 100.0, np.nan, 0.0]))
    assert not wants_log2(np.array([-1.0, 100.0]))
    assert not wants_log2(np.array([1.0, 2.0]))
    assert not wants_log2(np.array([np.nan]))
    assert viz.scalar_line(LOG, "head", "Weight", "rm2").axes[0].get_yscale() == "linear"
    assert viz.scalar_line(LOG, "head", "Activation", "rm2").axes[0].get_yscale() == "log"


def test_what_no_number_format_holds_is_read_in_decades():
    df = LOG.copy()
    df[("scalar_stats", "update_norm")] = 10.0 ** (df[("metadata", "step")] % 4)
    for metric, some in (("update_norm", ["10", "100"]), ("rm2", ["2⁰"])):
        figure = viz.scalar_line(df, "head", "Activation", metric)
        figure.canvas.draw()
        assert set(some) <= {label.get_text() for label in figure.axes[0].get_yticklabels()}


def test_a_long_line_keeps_its_extremes_in_few_points():
    steps = np.arange(100_000)
    values = np.sin(steps / 1000)
    values[54_321], values[60_000] = 50.0, np.nan
    x, y = thin(steps, values)
    assert len(x) <= MOST_POINTS
    assert np.nanmax(y) == 50.0
    assert (np.diff(x) >= 0).all()


@pytest.mark.parametrize("kind", ["line", "scatter"])
def test_the_table_reads_the_values_at_the_nearest_step(kind):
    ax = viz.scalar_line(LOG, "head", "Activation", ["rm2", "std"], kind=kind).axes[0]
    expected = curves(LOG, "head", "Activation", "rm2").loc[7].item()
    assert drawn(ax).read(7.3)["rm2"] == pytest.approx(expected)
    assert drawn(ax).at(7.3, 0).step == 7


def with_insight(**columns):
    df = LOG.copy()
    for name, values in columns.items():
        df["scalar_stats", name] = values
    return df


def test_flips_of_signs_are_shown_as_percent_beside_those_of_a_coin():
    df = with_insight(sign_flips=0.25)
    ax = viz.scalar_line(df, "head", "Activation", "sign_flips").axes[0]
    ax.figure.canvas.draw()
    assert "30%" in [t.get_text() for t in ax.get_yticklabels()]
    assert {line.get_label(): line.get_ydata()[0] for line in ax.lines}["a coin: 50%"] == 0.5
    ax = viz.scalar_line(with_insight(minima=0.25), "head", "Activation", "minima").axes[0]
    assert "a coin: 50%" not in [line.get_label() for line in ax.lines]


def test_a_first_step_that_has_nothing_before_it_is_no_fault():
    df = with_insight(gradient_angle=np.where(LOG["metadata", "step"] == 0, np.nan, 90.0))
    ax = viz.scalar_line(df, "head", "Activation", "gradient_angle").axes[0]
    assert [line.get_label() for line in ax.lines] == ["_gradient_angle"]


def test_layers_without_insight_have_no_row_in_a_heat_map():
    df = with_insight(sign_flips=np.where(LOG["metadata", "tensor_type"] == "Weight", 0.5, np.nan))
    figure = viz.scalar_global_heatmap(df, None, "sign_flips")
    assert len(figure.axes) == 1
    assert any("changed their sign" in text.get_text() for text in figure.texts)


# --------------------------------------------------------------------------------- values that are not finite


def marks_of(ax):
    return {line.get_label(): line.get_xdata().tolist() for line in ax.lines if not line.get_label().startswith("_")}


def test_a_finite_statistic_is_marked_where_its_tensor_has_nan_or_infinity():
    df = OVERFLOWS.copy()
    at = (df[("metadata", "name")] == "head") & df[("metadata", "step")].isin([4, 5])
    df.loc[at, ("scalar_stats", "nans")] = df.loc[at, ("scalar_stats", "numel")] // 8
    ax = viz.scalar_line(df, "head", "Activation", "rm2").axes[0]
    found = marks_of(ax)
    assert found["NaN: up to 12.5%"] == [4, 5]
    [infinite] = [steps for label, steps in found.items() if label.startswith("infinite")]
    assert infinite == [27, 28, 29]
    assert drawn(ax).not_finite_at(4) == (0.125, 0.0)


@pytest.mark.parametrize("figsize", [(3.3, 2.2), (6.4, 3.0), (12.0, 5.0)])
def test_no_line_covers_a_mark(figsize):
    figure = viz.scalar_line(OVERFLOWS, "head", "Activation", ["rm2", "max_abs"], figsize=figsize)
    figure.canvas.draw()
    ax = figure.axes[0]
    marked = next(line for line in ax.lines if str(line.get_label()).startswith("infinite"))
    lane = marked.get_transform().transform(np.column_stack([marked.get_xdata(), marked.get_ydata()]))[:, 1].min()
    tops = [np.nanmax(ax.transData.transform(np.column_stack(line.get_data()))[:, 1]) for line in ax.lines[:2]]
    assert max(tops) < lane - marked.get_markersize() / 2


def test_a_tensor_of_nothing_but_infinities_is_infinite():
    df = LOG.copy()
    at = df[("metadata", "step")] == 7
    df.loc[at, RM2] = np.nan
    df.loc[at, ("scalar_stats", "infs")] = df.loc[at, ("scalar_stats", "numel")]
    assert marks_of(viz.scalar_line(df, "head", "Activation", "rm2").axes[0]) == {"infinite": [7]}


def test_a_loss_that_was_nan_is_marked_and_one_that_was_not_given_is_not(tmp_path):
    numbers = [{"loss": 2.0, "val_loss": 3.0}, {"loss": float("nan")}, {"loss": float("inf")}, {"val_loss": 1.0}]
    (tmp_path / "curves.jsonl").write_text("".join(of_run.line(step, given) for step, given in enumerate(numbers)))
    ax = Figure().subplots()
    draw_curves(read_curves(tmp_path), ax, style=theme("light"))
    found = {one.get_label(): (one.get_xdata().tolist(), one.get_ydata().tolist()) for one in ax.lines}
    assert found["loss"] == ([0], [2.0])
    assert found["val_loss"] == ([0, 3], [3.0, 1.0])
    assert found["NaN"][0] == [1]
    assert found["infinite"][0] == [2]


# -------------------------------------------------------------------------------------------- axes


def test_statistics_of_different_units_have_panels_of_their_own():
    figure = viz.scalar_line(LOG, "head", "Activation", ["rm2", "zeros", "max_abs", "nans"])
    assert [ax.get_title("left") for ax in figure.axes] == ["rm2, max_abs", "zeros, nans"]
    assert [drawn(ax).names for ax in figure.axes] == [("rm2", "max_abs"), ("zeros", "nans")]
    assert figure.axes[0].get_ylim() != figure.axes[1].get_ylim()
    assert figure.axes[1].get_yscale() == "linear"
    both = viz.scalar_line(LOG, "head", ["Activation", "Weight"], ["rm2", "nans"])
    assert [ax.get_title("left") for ax in both.axes] == [
        f"{kind} · {metric}" for kind in ("Activation", "Weight") for metric in ("rm2", "nans")
    ]
    assert len(viz.scalar_line(with_insight(own=1.0, other=2.0), "head", "Weight", ["own", "other"]).axes) == 2


def test_no_two_of_many_lines_look_alike():
    metrics = ["mean", "std", "mean_abs", "max_abs", "min_abs", "rm2", "rm4", "rm8", "update_mean_abs"]
    ax = viz.scalar_line(with_insight(update_mean_abs=1.0), "head", "Weight", metrics).axes[0]
    looks = {(line.get_color(), str(line._dash_pattern)) for line in ax.lines[: len(metrics)]}
    assert len(looks) == len(metrics)


@pytest.mark.parametrize(("values", "scale"), [([2.0, 1.5, 1.0], "linear"), ([1000.0, 10.0, 0.1], "log")])
def test_losses_have_decimal_axes(values, scale):
    figure = Figure(figsize=(6, 3))
    ax = figure.add_subplot()
    draw_curves(as_curves({"step": [0, 1, 2], "loss": values}), ax, style=theme("light"))
    figure.canvas.draw()
    assert ax.get_yscale() == scale
    labels = [label.get_text() for label in ax.get_yticklabels() if label.get_text()]
    assert len(labels) >= 3
    assert all(float(label.replace(",", "")) * 10**6 % 1 == 0 for label in labels)  # plain decimal numbers


def test_decimal_ticks_have_room():
    for high in (2.0, 30.0, 1e3, 1e9, 1e30):
        for inches in (0.6, 2.0, 6.0):
            figure = Figure(figsize=(4, inches))
            ax = figure.add_subplot()
            ax.set_yscale("log")
            ax.set_ylim(0.9, high)
            decimal_ticks(ax.yaxis)
            ticks = [t for t in ax.yaxis.get_majorticklocs() if 0.9 <= t <= high]
            assert len(ticks) >= 1
            assert len(ticks) * 9 * 1.1 <= max(ax.bbox.height * 72 / figure.dpi, 20)


def test_a_loss_that_becomes_nan_or_infinite_is_marked_and_one_of_few_steps_is_not():
    losses = {
        "train_loss": [3.0, 2.0, 1.0, np.inf, np.nan, np.nan],
        "test_loss": [3.0, np.nan, np.nan, 2.0, None, None],
    }
    ax = Figure(figsize=(6, 3)).add_subplot()
    draw_curves(as_curves({"step": range(6), **losses}), ax, style=theme("light"))
    found = marks_of(ax)
    assert (found["NaN"], found["infinite"]) == ([4, 5], [3])
    ax = Figure(figsize=(6, 3)).add_subplot()
    draw_curves(as_curves({"step": range(6), "test_loss": losses["test_loss"]}), ax, style=theme("light"))
    assert "NaN" not in marks_of(ax)


def test_a_panel_without_values_leaves_the_others_theirs():
    df = LOG.copy()
    df[RM2] = df[RM2].mask(df[("metadata", "name")] == "embed")
    for layers in (["embed", "head"], ["head", "embed"]):
        figure = viz.scalar_line(df, layers, "Activation", "rm2")
        figure.canvas.draw()
        ax = figure.axes[1]  # in model order, "head" is the second
        assert ax.get_ylim()[0] < np.nanmin(ax.lines[0].get_ydata())
        assert ax.get_ylim()[1] > np.nanmax(ax.lines[0].get_ydata())
