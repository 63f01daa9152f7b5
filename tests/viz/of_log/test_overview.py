"""The overview: six panels that tell of one run, and where its cursor stands."""

import math

import numpy as np
import pytest

from tandv import viz
from tandv.curves import TrainingStats
from tandv.curves.of_run import line
from tandv.log.logframe import example_log
from tandv.viz.layout.tables import drawn
from tandv.viz.of_log.panels import interval_text

LOG = example_log(layers=10, steps=40)
LOSS = TrainingStats(steps=list(range(0, 40, 2)), train_loss=[5 - s / 10 for s in range(20)])


def texts(ax):
    return [t.get_text() for t in ax.texts]


def test_the_cursor_starts_where_most_values_overflow():
    figure = viz.overview(LOG, train_stats=LOSS)
    said = figure.texts[1].get_text()
    assert "head" in said
    step = int(said.split("step ")[1].split(" ")[0])
    assert step >= 36  # the example overflows in its last tenth
    layers_ax = figure.axes[1]
    assert any(list(line.get_xdata()) == [step, step] for line in layers_ax.lines)


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
