"""Curves of metrics: what is drawn where, and that every word can be read."""

import math
import re

import numpy as np
import pandas as pd
import pytest
from themes import in_turn

from tandv import viz
from tandv.analysis.transitions import Evidence, Transition
from tandv.curves import as_curves
from tandv.log.logframe import example_log
from tandv.viz.layout.style import THEMES
from tandv.viz.layout.tables import drawn

STEPS = [0, 1, 10, 100, 1000]
CURVES = pd.DataFrame(
    {
        "spectral": [1.0, 2.0, 9.0, 10.0, 5.0],
        "rank": [3.0] * 5,
        "condition": [2.0, math.nan, math.inf, 8.0, 0.5],
        "rank:fc1": [0.0, 1.0, 2.0, 3.0, 4.0],
    },
    index=STEPS,
)
JUMP = Transition("spectral", 1, 5, 10, 2.0, 9.0, Evidence())
LIGHT = THEMES["light"]


def panels(figure):
    return {ax.get_title("left"): ax for ax in figure.axes}


def lines(ax, gid=None):
    """Return x and y of the lines of a kind (None: the curves)."""
    return [
        (list(line.get_xdata()), list(line.get_ydata()))
        for line in ax.lines
        if line.get_gid() == gid and line.get_linestyle() != "None" and len(line.get_xdata())
    ]


def marks(ax, gid):
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in ax.lines if line.get_gid() == gid]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_panel_for_each_metric_but_none_for_single_tensors():
    figure = viz.metric_curves(CURVES)
    assert list(panels(figure)) == ["spectral", "rank", "condition"]
    assert lines(panels(figure)["spectral"]) == [(STEPS, CURVES["spectral"].tolist())]
    assert [t.get_text() for t in figure.texts] == ["3 metrics", "5 steps, 0 to 1,000"]


def test_the_metrics_that_are_asked_for_in_their_order():
    figure = viz.metric_curves(CURVES, ["rank:fc1", "spectral"], col_wrap=1)
    assert list(panels(figure)) == ["rank:fc1", "spectral"]
    assert len({ax.bbox.x0 for ax in figure.axes}) == 1
    figure = viz.metric_curves(CURVES, "rank")
    assert (figure.texts[0].get_text(), figure.axes[0].get_ylabel()) == ("rank", "rank")


def test_the_largest_and_the_smallest_value_are_marked():
    ax = panels(viz.metric_curves(CURVES))["spectral"]
    assert (marks(ax, "largest"), marks(ax, "smallest")) == ([([100], [10.0])], [([0], [1.0])])
    assert marks(panels(viz.metric_curves(CURVES))["rank"], "largest") == []  # a constant has neither
    assert marks(panels(viz.metric_curves(CURVES, extremes=False))["spectral"], "largest") == []


def test_transitions_are_a_line_at_the_middle_and_a_band():
    figure = viz.metric_curves(CURVES, transitions=[JUMP])
    ax = panels(figure)["spectral"]
    assert [x for x, _ in lines(ax, "transition")] == [[5, 5]]
    [band] = ax.patches
    assert (band.get_x(), band.get_x() + band.get_width()) == (1, 10)
    assert not panels(figure)["rank"].patches
    assert legend(figure)[0] == "transition"


def test_transitions_are_found_if_wanted():
    curve = {"loss": np.where(np.arange(60) < 30, 2.0, 0.5)}
    ax = viz.metric_curves(curve, transitions=True).axes[0]
    assert [x for x, _ in lines(ax, "transition")] == [[30, 30]]
    assert not viz.metric_curves(curve).axes[0].patches


def test_runs_have_colours_of_their_own_and_so_have_their_transitions():
    runs = {"seed 0": CURVES, "seed 1": CURVES[["spectral"]] * 2}
    figure = viz.metric_curves(runs, ["spectral", "rank"], transitions={"seed 1": [JUMP]})
    ax = panels(figure)["spectral"]
    assert [y[0] for _, y in lines(ax)] == [1, 2]
    colours = [line.get_color() for line in ax.lines if line.get_label() in runs]
    assert colours == list(LIGHT.series[:2])
    assert [line.get_color() for line in ax.lines if line.get_gid() == "transition"] == [LIGHT.series[1]]
    assert legend(figure) == ["seed 0", "seed 1", "transition", "largest", "smallest"]
    assert len(lines(panels(figure)["rank"])) == 1


def test_what_is_not_a_number_leaves_a_gap_and_a_mark():
    figure = viz.metric_curves(CURVES, "condition")
    ax = figure.axes[0]
    assert np.isnan(lines(ax)[0][1]).tolist() == [False, True, True, False, False]
    at = {line.get_label(): list(line.get_xdata()) for line in ax.lines if line.get_linestyle() == "None"}
    assert (at["no value"], at["infinite"]) == ([1], [10])
    given = as_curves(CURVES)
    given.attrs["nan"] = {"condition": [1]}  # as of a run, whose loop gave NaN
    figures = [viz.metric_curves(given, "condition"), viz.training_dynamics(given, "condition")]
    assert ["NaN" in [line.get_label() for line in figure.axes[0].lines] for figure in figures] == [True, True]
    figure = viz.metric_curves({"a": [-1.0, 0.0, 2.0]}, yscale="log2")
    at = {line.get_label(): list(line.get_xdata()) for line in figure.axes[0].lines}
    assert at["not positive"] == [0, 1]


def test_step_0_has_a_place_on_a_logarithmic_axis(faults):
    figure = viz.metric_curves(CURVES, "spectral", transitions=[JUMP], xscale="log")
    ax = figure.axes[0]
    assert faults(figure) == []
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "1", "10", "100", "1,000"]
    places = ax.transData.transform([(step, 1) for step in (0, 9, 99, 999)])[:, 0]
    assert np.diff(places) == pytest.approx([np.diff(places)[0]] * 3)


def test_a_constant_is_not_magnified():
    low, high = viz.metric_curves({"a": [3.0, 3.0 + 1e-7]}).axes[0].get_ylim()
    assert (low, high) == pytest.approx((2.7, 3.3))


def test_the_table_that_is_drawn_is_remembered():
    figure = viz.metric_curves({"a": CURVES, "b": CURVES.iloc[:2] * 2}, "spectral")
    found = drawn(figure.axes[0])
    assert found.read(1) == {"a": 2.0, "b": 4.0}
    assert math.isnan(found.read(1000)["b"])


PLOTS = {
    "one": lambda **k: viz.metric_curves(CURVES, "condition", yscale="auto", **k),
    "three": lambda **k: viz.metric_curves(CURVES, transitions=[JUMP], **k),
    "runs": lambda **k: viz.metric_curves({"a": CURVES, "a run of a long name": CURVES * 1e6}, xscale="log", **k),
    "many": lambda **k: viz.metric_curves({f"metric {i}": CURVES["spectral"].to_list() for i in range(25)}, **k),
    "nothing": lambda **k: viz.metric_curves({"a": [math.nan, math.nan]}, **k),
    "one step": lambda **k: viz.metric_curves({"step": [7], "a": [1.0]}, **k),
}


@pytest.mark.parametrize(("name", "theme"), in_turn(PLOTS))
def test_nothing_is_cut_off_or_overlaps(name, theme, faults):
    assert faults(PLOTS[name](theme=theme)) == []


def test_it_is_drawn_again_in_place(tmp_path):
    figure = viz.metric_curves(CURVES)
    assert viz.metric_curves(CURVES, "rank", fig=figure) is figure
    assert len(figure.axes) == 1
    figure.savefig(tmp_path / "a.pdf")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: viz.metric_curves(CURVES, "spectrl"), LookupError, "did you mean 'spectral'"),
        (lambda: viz.metric_curves({"a": CURVES, "b": CURVES}, transitions=[JUMP]), ValueError, "by the run's name"),
        (lambda: viz.metric_curves({"a": CURVES}, transitions={"c": []}), LookupError, "but the runs are ['a']"),
        (lambda: viz.metric_curves(CURVES, xscale="cubic"), ValueError, "xscale='cubic' is not one of 'linear', 'log'"),
        (lambda: viz.metric_curves(CURVES.iloc[:0]), ValueError, "have no step"),
    ],
)
def test_a_bad_argument_says_what_is_allowed(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()


def test_an_uncertain_transition_is_a_faint_line_without_a_band_and_named_so():
    curve = {"step": [0, 10, 20, 30], "loss": [2.0, 2.0, 1.0, 1.0]}
    certain, uncertain = (Transition("loss", 10, 12, 20, 2.0, 1.0, Evidence(p=p)) for p in (1e-5, 0.008))
    drawn = {}
    for name, one in (("certain", certain), ("uncertain", uncertain)):
        figure = viz.metric_curves(curve, transitions=[one])
        [line] = [line for line in figure.axes[0].lines if list(line.get_xdata()) == [12, 12]]
        drawn[name] = (line.get_alpha(), len(figure.axes[0].patches), legend(figure)[0])
    assert drawn == {"certain": (1, 1, "transition"), "uncertain": (0.6, 0, "uncertain transition")}


def test_a_learning_rate_explains_what_it_changes_wherever_it_is_drawn():
    steps = np.arange(300)
    loss = 1 - 0.5 * (steps > 151) + 0.02 * np.random.default_rng(1).standard_normal(300)
    run = {"loss": loss, "learning_rate": np.where(steps <= 150, 0.1, 0.01)}
    figure = viz.metric_curves(run, "loss", transitions=True)
    marked = {line.get_gid(): line.get_xdata() for line in figure.axes[0].lines}
    assert list(marked["change of the learning rate"]) == pytest.approx([151.5, 151.5], abs=1)
    assert legend(figure)[0] == "change of the learning rate"


@pytest.mark.parametrize("given", [True, "loss", [1, 2]])
def test_what_are_no_transitions_is_said(given):
    calls = [lambda: viz.norms(example_log(), transitions=given)]
    calls += [lambda: viz.metric_curves({"loss": [2.0, 1.0]}, transitions=given)] if given is not True else []
    for call in calls:
        with pytest.raises(TypeError, match="transitions are a list, as find_transitions"):
            call()
