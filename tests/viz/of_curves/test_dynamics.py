"""Plots of training dynamics: what stands in which panel, in whose colour, and that every word can be read."""

import math
import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from themes import in_turn

from tandv import viz
from tandv.analysis.generalisation import grokking
from tandv.analysis.transitions import Evidence, Transition
from tandv.curves.of_run import line
from tandv.log.logframe import example_log
from tandv.viz.layout.style import THEMES
from tandv.viz.layout.tables import drawn
from tandv.viz.of_curves.dynamics import panel_of

LIGHT = THEMES["light"]
STEPS = list(range(0, 100, 10))
RUN = {
    "step": STEPS,
    "train_loss": [2.0, 1.0, 0.5, 0.2, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1],
    "test_loss": [2.0, 2.2, 2.4, 2.5, 2.4, 2.0, 1.0, 0.5, 0.3, 0.2],
    "train_acc": [0.1, 0.5, 0.9, 1, 1, 1, 1, 1, 1, 1],
    "test_acc": [0.1, 0.1, 0.1, 0.1, 0.2, 0.3, 0.7, 0.9, 0.97, 1.0],
    "learning_rate": [0.1] * 5 + [0.01] * 5,
    "weight_norm": [1.0, math.nan, 3, 4, 5, 6, 7, 8, 9, 10],
}
JUMP = Transition("test_acc", 50, 60, 70, 0.3, 0.9, Evidence())


def panels(figure):
    return {ax.get_title("left"): ax for ax in figure.axes}


def curves(ax):
    """Return the values of the lines that are curves, by their colours."""
    return {
        line.get_color(): list(line.get_ydata())
        for line in ax.lines
        if line.get_gid() is None and line.get_linestyle() == "-" and len(line.get_xdata()) == len(STEPS)
    }


def marks(ax, gid="transition"):
    return [(line.get_color(), list(line.get_xdata())) for line in ax.lines if line.get_gid() == gid]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_what_belongs_together_shares_a_panel():
    figure = viz.training_dynamics(RUN)
    found = panels(figure)
    assert list(found) == [
        *("loss", "accuracy", "loss gap", "accuracy gap"),
        *("learning rate", "weight_norm"),
    ]
    assert curves(found["loss"]) == {LIGHT.series[0]: RUN["train_loss"], LIGHT.series[1]: RUN["test_loss"]}
    gap = curves(found["accuracy gap"])[LIGHT.series[0]]
    assert gap == pytest.approx([0, 0.4, 0.8, 0.9, 0.8, 0.7, 0.3, 0.1, 0.03, 0])
    assert legend(figure) == ["train", "test", "no value"]
    assert list(panels(viz.training_dynamics(RUN, ["train_loss", "weight_norm"]))) == ["loss", "weight_norm"]
    assert "loss gap" not in panels(viz.training_dynamics(RUN, gap=False))
    assert viz.training_dynamics(RUN, "train_acc").axes[0].get_ylabel() == "accuracy"


def test_a_transition_has_the_colour_of_its_curve():
    found = panels(viz.training_dynamics(RUN, transitions=[JUMP]))
    assert marks(found["accuracy"]) == [(LIGHT.series[1], [60, 60])]
    assert marks(found["loss"]) == marks(found["learning rate"]) == []


def test_several_runs_stand_side_by_side_with_the_same_heights():
    runs = {"seed 0": RUN, "seed 1": {name: values for name, values in RUN.items() if name != "weight_norm"}}
    figure = viz.training_dynamics(runs, transitions={"seed 1": [JUMP]}, gap=False)
    found = panels(figure)
    assert list(found) == [
        *("loss · seed 0", "loss · seed 1", "accuracy · seed 0", "accuracy · seed 1"),
        *("learning rate · seed 0", "learning rate · seed 1", "weight_norm · seed 0"),
    ]
    assert found["loss · seed 0"].get_ylim() == found["loss · seed 1"].get_ylim()
    assert marks(found["accuracy · seed 0"]) == []
    assert marks(found["accuracy · seed 1"]) == [(LIGHT.series[1], [60, 60])]


def test_seeds_become_a_mean_and_a_band():
    runs = {"a": {"train_loss": [1.0, 2.0]}, "b": {"train_loss": [3.0, 2.0]}}
    figure = viz.training_dynamics(runs, band="range", yscale="linear")
    (ax,) = figure.axes
    assert list(ax.lines[0].get_ydata()) == [2.0, 2.0]
    (shade,) = ax.collections
    corners = shade.get_paths()[0].vertices
    assert (corners[corners[:, 0] == 0, 1].min(), corners[corners[:, 0] == 0, 1].max()) == (1.0, 3.0)
    assert figure.texts[1].get_text() == "2 runs  |  2 steps, 0 to 1, mean and range"
    spread = viz.training_dynamics(runs, band="std", yscale="linear").axes[0].collections[0].get_paths()[0].vertices
    assert spread[:, 1].max() == pytest.approx(2 + math.sqrt(2))  # sample standard deviation of 1 and 3


def test_the_transitions_of_seeds_are_marked_at_the_edge():
    figure = viz.training_dynamics({"a": RUN, "b": RUN}, band="std", transitions={"a": [JUMP], "b": [JUMP]}, gap=False)
    assert marks(panels(figure)["accuracy"]) == [(LIGHT.series[1], [60, 60])]
    assert marks(panels(figure)["loss"]) == []


def test_the_table_that_is_drawn_is_remembered():
    ax = panels(viz.training_dynamics(RUN))["accuracy"]
    assert drawn(ax).read(60) == {"train_acc": 1.0, "test_acc": 0.7}


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("val_loss", ("loss", "val")),
        ("loss", ("loss", "")),
        ("worst_group_accuracy", ("accuracy", "worst_group")),
        ("spurious", ("relied on", "spurious")),
        ("gloss", ("gloss", "")),
    ],
)
def test_where_a_quantity_belongs(name, where):
    assert panel_of(name) == where


def test_one_step_is_named_and_not_counted():
    assert viz.training_dynamics({"step": [3], "loss": [1.0]}).texts[1].get_text() == "step 3"


def test_grokking_shows_both_steps_and_the_delay():
    figure = viz.grokking_plot(RUN, grokking(RUN, window=0))
    above, below = figure.axes
    assert marks(above, "memorised") == [(LIGHT.series[0], [30, 30])]
    assert marks(above, "generalised") == [(LIGHT.series[1], [80, 80])]
    assert marks(below, "generalised") == marks(above, "generalised")
    assert [t.get_text() for t in figure.texts] == [
        "grokking",
        "memorised at 30  |  generalised at 80  |  50 steps later, 2.67 times as many",
    ]
    assert legend(figure) == ["train", "test", "memorised", "generalised", "delay"]
    [delay] = [patch for patch in above.patches if patch.get_label() == "delay"]
    assert to_hex(delay.get_facecolor()) not in LIGHT.series  # it is of neither curve


def interval(ax):
    """Return where the error bars of means begin and end, and the means."""
    return [
        (bars[2][0].get_segments()[0][:, axis].tolist(), bars[0].get_xydata()[0, axis])
        for bars in ax.containers
        for axis in (0 if bars.has_xerr else 1,)
    ]


def test_several_runs_have_a_mean_step_with_its_confidence_interval():
    late = RUN | {"test_acc": [0.1] * 9 + [1.0]}
    seeds = {"seed 0": RUN, "seed 1": late, "seed 2": RUN | {"test_acc": [0.1] * 10}}
    figure = viz.grokking_plot(seeds, {name: grokking(run, window=0) for name, run in seeds.items()})
    above = figure.axes[0]
    assert marks(above, "generalised") == [(LIGHT.series[1], [80, 90])]
    assert interval(above) == [([30, 30], 30), (pytest.approx([85 - 12.706 * 5, 85 + 12.706 * 5], abs=0.01), 85)]
    assert figure.texts[0].get_text() == "grokking in 2 of 3 runs"
    assert figure.texts[1].get_text().startswith("memorised at 30 ± 0 (3 of 3)  |  generalised at 85 ± 63.5 (2 of 3)")
    with pytest.raises(ValueError, match="found= is of 'seed 0', and the runs are 'seed 0', 'seed 1', 'seed 2'"):
        viz.grokking_plot(seeds, grokking(RUN))


def test_capabilities_of_several_runs_have_the_mean_of_their_steps():
    seeds = {f"seed {i}": {"step": [0, 10, 20, 30], "sums": [0.0, i > 1, 1, 1], "never": [0.0] * 4} for i in (0, 1, 2)}
    (ax,) = viz.emergence_plot(seeds, 0.5).axes
    assert [t.get_text() for t in ax.get_yticklabels()] == [
        *("sums ≥ 0.5: 16.7 ± 14.3 (3 of 3)", "never ≥ 0.5: not reached"),
    ]
    ((low, high), mean) = interval(ax)[0]
    assert (low, high, mean) == pytest.approx((50 / 3 - 14.342, 50 / 3 + 14.342, 50 / 3), abs=0.01)


def test_without_generalisation_there_is_no_delay():
    figure = viz.grokking_plot(RUN | {"test_acc": [0.1] * 10})
    assert [t.get_text() for t in figure.texts] == ["no grokking", "memorised at 30  |  not generalised"]
    assert marks(figure.axes[0], "generalised") == []


def test_capabilities_stand_in_the_order_in_which_they_emerge():
    table = {"step": STEPS, "late": RUN["test_acc"], "early": RUN["train_acc"], "never": [0.1] * 10}
    figure = viz.emergence_plot(table, 0.8)
    (ax,) = figure.axes
    assert [t.get_text() for t in ax.get_yticklabels()] == [
        *("early ≥ 0.8: 20", "late ≥ 0.8: 70", "never ≥ 0.8: not reached"),
    ]
    assert [(list(line.get_xdata()), list(line.get_ydata())) for line in ax.lines if line.get_gid() == "emerges"] == [
        ([20], [0]),
        ([70], [1]),
    ]
    assert figure.texts[1].get_text() == "2 of 3 pass their threshold  |  10 steps, 0 to 90"


def test_what_a_setting_does():
    runs = {0.1: [{"loss": [2.0, 0.5]}, {"loss": [2.0, 0.7]}], 0.01: {"loss": [2.0, 1.8]}}
    figure = viz.setting_effects(runs, "loss")
    left, right = figure.axes
    assert legend(figure) == ["learning rate 0.01", "learning rate 0.1", "95 % interval of the mean"]
    assert sorted(tuple(line.get_ydata()) for line in left.lines if len(line.get_xdata()) == 2) == [
        *((2.0, 0.5), (2.0, 0.7), (2.0, 1.8)),
    ]
    mean = next(line for line in right.lines)
    assert np.array(mean.get_xydata()).tolist() == [[0.01, 1.8], [0.1, 0.6]]
    assert right.get_ylabel() == "last loss"
    assert interval(right) == [(pytest.approx([0.6 - 12.706 * 0.1, 0.6 + 12.706 * 0.1], abs=1e-4), pytest.approx(0.6))]
    assert right.collections[0].get_offsets().data.tolist() == [[0.01, 1.8], [0.1, 0.5], [0.1, 0.7]]
    best = viz.setting_effects(runs, "loss", setting="batch size", outcome="highest").axes[1]
    assert (best.get_xlabel(), best.lines[0].get_ydata().tolist()) == ("batch size", [2.0, 2.0])


def test_norms_of_all_layers_and_of_each():
    log = example_log(layers=3, steps=5)
    figure = viz.norms(log, transitions=[JUMP], per_layer=True)
    assert list(panels(figure)) == ["weight norm", "gradient norm"]
    ax = panels(figure)["weight norm"]
    total = next(line.get_ydata() for line in ax.lines if line.get_label() == "all together")
    parts = [line.get_ydata() for line in ax.lines if line.get_label() in ("embed", "layers.0.attention.wq", "head")]
    assert len(parts) == 3
    np.testing.assert_allclose(np.sqrt(sum(part**2 for part in parts)), total)
    assert marks(ax) == [(LIGHT.ink, [60, 60])]


CHANGES = pd.DataFrame(
    {"relative": [0.5, math.nan, 0.1], "usual": [0.2, 0.3, math.nan]}, index=["fc1", "fc1.bias", "fc2"]
)


def test_changes_of_layers_stand_beside_what_is_usual():
    (ax,) = viz.layer_changes(CHANGES).axes
    assert [bar.get_width() for bar in ax.patches] == [0.5, 0, 0.1]
    assert [list(line.get_xdata())[:2] for line in ax.lines if line.get_gid() == "usual"] == [[0.2, 0.3]]
    assert [list(line.get_ydata()) for line in ax.lines if line.get_label() == "not finite"] == [[1]]
    assert ax.yaxis_inverted()
    assert "usual" not in legend(viz.layer_changes(CHANGES.iloc[[0, 1]], usual=None))


TABLE = pd.DataFrame(RUN).set_index("step")
LONG = "a capability of which much is to be said " * 4
PLOTS = {
    "dynamics": lambda **k: viz.training_dynamics(RUN, transitions=[JUMP], **k),
    "runs": lambda **k: viz.training_dynamics({"a": RUN, "a run of a long name": RUN}, xscale="log", **k),
    "seeds": lambda **k: viz.training_dynamics({str(i): TABLE * (1 + 0.1 * i) for i in range(5)}, band="std", **k),
    "one step": lambda **k: viz.training_dynamics({"step": [3], "loss": [1.0]}, band="std", **k),
    "grokking": lambda **k: viz.grokking_plot(RUN, **k),
    "emergence": lambda **k: viz.emergence_plot(RUN, {"train_acc": 0.9, "test_acc": 0.9, "weight_norm": 20}, **k),
    "emergence, long names": lambda **k: viz.emergence_plot({LONG: [0.1, 0.9], LONG + "2": [0.1, 0.2]}, 0.5, **k),
    "emergence, log": lambda **k: viz.emergence_plot(RUN, {"test_acc": 0.9}, xscale="log", **k),
    "setting": lambda **k: viz.setting_effects({10.0**-i: RUN for i in range(6)}, ["test_loss", "test_acc"], **k),
    "changes": lambda **k: viz.layer_changes(CHANGES, subtitle="steps 0 and 10", **k),
    "norms": lambda **k: viz.norms(example_log(layers=12, steps=20), per_layer=True, **k),
}


@pytest.mark.parametrize(("name", "theme"), in_turn(PLOTS))
def test_nothing_is_cut_off_or_overlaps(name, theme, faults):
    assert faults(PLOTS[name](theme=theme)) == []


@pytest.mark.parametrize("name", ["dynamics", "grokking", "emergence", "setting", "norms"])
def test_it_is_drawn_again_in_place(name):
    figure = PLOTS[name]()
    count = len(figure.axes)
    assert PLOTS[name](fig=figure) is figure
    assert len(figure.axes) == count


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: viz.training_dynamics(RUN, "train_los"), LookupError, "did you mean 'train_loss'"),
        (lambda: viz.training_dynamics(TABLE.iloc[:0]), ValueError, "have no step"),
        (lambda: viz.training_dynamics(RUN, band="sem"), ValueError, "not one of 'std', 'range'"),
        (lambda: viz.grokking_plot({"loss": [1.0]}), ValueError, "lack 'train_acc' and 'test_acc'"),
        (lambda: viz.layer_changes(CHANGES, "l2"), LookupError, "no column 'l2'; there are 'relative', 'usual'"),
        (
            lambda: viz.setting_effects({"adam": RUN}, "test_loss"),
            ValueError,
            "numbers as values, not 'adam'; runs with",
        ),
        (lambda: viz.setting_effects({1: RUN}, "los"), LookupError, "no run has 'los'; there are train_loss"),
        (
            lambda: viz.setting_effects({1: RUN}, "train_loss", outcome="best"),
            ValueError,
            "outcome='best' is not one of 'last', 'lowest', 'highest'",
        ),
    ],
)
def test_a_bad_argument_says_what_is_allowed(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()


def test_a_curve_that_is_given_now_and_then_is_a_line(tmp_path):
    numbers = [{"loss": 3.0 - step} | ({"val_loss": 1.0} if step % 2 else {}) for step in range(4)]
    numbers[2]["loss"] = math.nan
    (tmp_path / "curves.jsonl").write_text("".join(line(step, given) for step, given in enumerate(numbers)))
    (panel,) = viz.training_dynamics(tmp_path).axes
    lines = {one.get_label(): one.get_xdata().tolist() for one in panel.lines}
    assert lines["val"] == [1, 3]
    assert lines["NaN"] == [2]


def test_a_band_lies_within_its_panel():
    seeds = {f"seed {i}": {"loss": [4.0, 2.0, 2.0], "norm": [10.0 * i, 5.0, 3.0]} for i in (1, 2, 3)}
    for panel in viz.training_dynamics(seeds, band="std").axes:
        low, high = panel.collections[0].get_paths()[0].get_extents().intervaly
        assert panel.get_ylim()[0] <= low and high <= panel.get_ylim()[1]


def test_what_a_gap_is_stands_at_its_axis_and_small_panels_name_rows_and_columns_once():
    found = panels(viz.training_dynamics(RUN))
    assert [found[name].get_ylabel() for name in ("loss", "loss gap", "accuracy gap")] == [
        "",
        "test − train",
        "train − test",
    ]
    figure = viz.training_dynamics(
        {"seed 0": RUN, "seed 1": RUN}, quantities=["train_loss", "test_loss"], figsize=(2.6, 3)
    )
    assert [ax.get_title("left") for ax in figure.axes][1:] == ["seed 1", "loss gap", ""]


def test_a_mean_over_seeds_says_where_some_of_them_have_no_value():
    steps = range(5)
    seeds = {
        "a": {"step": steps, "loss": [5.0, 4, 3, 2, 1]},
        "b": {"step": steps, "loss": [5.0, 4, math.nan, math.nan, 1]},
    }
    ax = viz.training_dynamics(seeds, "loss", band="range").axes[0]
    [marks] = [line for line in ax.lines if line.get_label() == "no value in some runs"]
    assert marks.get_xdata().tolist() == [2, 3]
    seeds["b"]["loss"] = [5.0, 4, 3, 2, 2]
    shorter = {"step": range(3), "loss": [5.0, 4, 3]}  # a run that ended before has no row there, which is no NaN
    ax = viz.training_dynamics({**seeds, "c": shorter}, "loss", band="range").axes[0]
    assert not [line for line in ax.lines if "some runs" in str(line.get_label())]
