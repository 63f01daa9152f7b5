"""The viewer under Agg, with mouse and keys that are made here."""

import pickle
import sys

import ipywidgets
import numpy as np
import pandas as pd
import pytest
from matplotlib.backend_bases import KeyEvent, MouseEvent, ResizeEvent

from tandv import viz
from tandv.curves.of_run import line
from tandv.log.files import write_parquet
from tandv.log.logframe import example_log, layers
from tandv.log.opened import Log
from tandv.messages import UnknownName
from tandv.viz.layout.tables import drawn
from tandv.viz.of_log.overview import show_step

DF = example_log(layers=6, steps=20)
LOSS = {"step": [0, 5, 10, 15], "train_loss": [4.0, 3.0, 2.0, 1.0]}


def mouse(viewer, name, ax, x, y, button=None):
    px, py = ax.transData.transform((x, y))
    MouseEvent(name, viewer.canvas, px, py, button=button)._process()


def click(viewer, ax, x, y, button=1):
    mouse(viewer, "button_press_event", ax, x, y, button)


def key(viewer, name):
    KeyEvent("key_press_event", viewer.canvas, name)._process()


def middle(ax):
    return sum(ax.get_ylim()) / 2


@pytest.fixture
def heatmap():
    viewer = viz.interactive(viz.scalar_global_heatmap, df=DF, tt="Gradient", scalar_metric="rm2")
    yield viewer
    viewer.close()


@pytest.fixture
def histogram():
    arguments = {"df": DF, "layer": layers(DF)[2], "tt": "Activation", "step": 0}
    viewer = viz.interactive(viz.exp_hist, train_stats=LOSS, **arguments)
    yield viewer
    viewer.close()


def loss_axes(viewer):
    return viewer.figure.subfigs[1].axes[0]


@pytest.mark.parametrize(("row", "step"), [(0, 0), (3, 7), (5, 19)])
def test_a_click_on_a_cell_opens_that_layer_and_step_and_right_click_goes_back(heatmap, row, step):
    before = heatmap.state
    click(heatmap, heatmap.figure.axes[0], step, row)
    assert heatmap.error == ""
    assert heatmap.state.plot is viz.exp_hist
    opened = {name: heatmap.state.arguments[name] for name in ("layer", "tt", "step")}
    assert opened == {"layer": layers(DF)[row], "tt": "Gradient", "step": step}
    click(heatmap, heatmap.figure.axes[0], 0, 0, button=3)
    assert heatmap.state.plot is before.plot and dict(heatmap.state.arguments) == dict(before.arguments)


def test_escape_goes_back_to_the_same_zoom(heatmap):
    ax = heatmap.figure.axes[0]
    ax.set_xlim(4.5, 9.5)
    click(heatmap, ax, 7, 3)
    key(heatmap, "escape")
    assert heatmap.figure.axes[0].get_xlim() == (4.5, 9.5)
    assert drawn(heatmap.figure.axes[0]).plot == "scalar_global_heatmap"


def test_a_click_beside_the_map_does_nothing_and_the_next_one_works(heatmap):
    MouseEvent("button_press_event", heatmap.canvas, 2, 2, button=1)._process()
    assert heatmap.state.plot is viz.scalar_global_heatmap
    click(heatmap, heatmap.figure.axes[0], 1, 1)
    assert heatmap.state.plot is viz.exp_hist


def test_the_cell_under_the_mouse_is_read_out(heatmap):
    ax = heatmap.figure.axes[0]
    mouse(heatmap, "motion_notify_event", ax, 7, 3)
    cell = DF[(DF["metadata"]["name"] == layers(DF)[3]) & (DF["metadata"]["tensor_type"] == "Gradient")]
    value = cell[cell["metadata"]["step"] == 7][("scalar_stats", "rm2")].iloc[0]
    assert heatmap.readout == f"{layers(DF)[3]} · Gradient · step 7 · {value:.4g}"


def test_the_cross_hair_stands_at_one_step_on_all_line_plots_and_the_loss():
    names = layers(DF)[:2]
    viewer = viz.interactive(
        viz.scalar_line, train_stats=LOSS, df=DF, layer=names, tt="Weight", scalar_metric=["std", "rm2"]
    )
    ax = viewer.figure.subfigs[0].axes[0]
    for x in np.linspace(1, 11.3, 30):
        mouse(viewer, "motion_notify_event", ax, x, middle(ax))
    assert viewer.error == ""
    lines = [line for _, line in viewer._drawing.cursor._lines]
    assert len(lines) == 3 and {float(line.get_xdata()[0]) for line in lines} == {11.0}
    assert viewer.readout.startswith("step 11 · ") and "train_loss 2 (at its step 10)" in viewer.readout
    assert viewer.readout.count("std ") == 2
    mouse(viewer, "motion_notify_event", loss_axes(viewer), 4.6, middle(loss_axes(viewer)))
    assert viewer.readout.startswith("step 5 · ") and viewer.readout.endswith("train_loss 3")
    viewer.close()


def test_a_click_in_the_overview_moves_its_own_cursor():
    viewer = viz.interactive(viz.overview, train_stats=LOSS, df=DF, tt="Activation", layer="embed", step=3)
    heat = next(ax for ax in viewer.figure.axes if (t := drawn(ax)) is not None and t.pick and t.y == "layer")
    click(viewer, heat, 12, 4)
    assert viewer.error == ""
    assert viewer.state.plot is viz.overview
    assert (viewer.state.arguments["layer"], viewer.state.arguments["step"]) == (layers(DF)[4], 12)
    assert viewer.controls["layer"].value == layers(DF)[4]
    viewer.close()


def test_redrawing_leaves_no_old_cursor_behind():
    viewer = viz.interactive(viz.scalar_line, train_stats=LOSS, df=DF, layer="embed", tt="Weight", scalar_metric="std")
    before = len(loss_axes(viewer).lines)
    for name in layers(DF):
        viewer.select(layer=name)
    assert len(loss_axes(viewer).lines) == before
    viewer.close()


def test_a_click_on_the_loss_sets_the_step_to_the_nearest_logged_one(histogram):
    ax = loss_axes(histogram)
    click(histogram, ax, 12.4, middle(ax))
    assert histogram.state.arguments["step"] == 12
    assert "step 12" in histogram.readout


def test_arrow_keys_move_step_and_layer(histogram):
    key(histogram, "right")
    key(histogram, "down")
    assert (histogram.state.arguments["step"], histogram.state.arguments["layer"]) == (1, layers(DF)[3])
    key(histogram, "left")
    key(histogram, "left")
    key(histogram, "up")
    assert (histogram.state.arguments["step"], histogram.state.arguments["layer"]) == (0, layers(DF)[2])


def test_controls_come_from_the_signature_and_change_the_plot(histogram):
    assert {"layer", "tt", "step", "kind"} <= set(histogram.controls)
    histogram.controls["step"].value = 9
    histogram.controls["tt"].value = "Gradient"
    histogram.controls["kind"].value = "line"
    shown = histogram.state.arguments
    assert (shown["step"], shown["tt"], shown["kind"]) == (9, "Gradient", "line")
    histogram.select(step=3)
    assert histogram.controls["step"].value == 3


def test_a_list_makes_a_list_to_select_from():
    viewer = viz.interactive(viz.scalar_line, df=DF, layer=["embed"], tt="Weight", scalar_metric=["std"])
    viewer.controls["layer"].value = ("embed", "head")
    assert viewer.state.arguments["layer"] == ["embed", "head"]
    viewer.close()


def test_an_error_in_a_callback_is_shown_and_the_view_stays(histogram):
    histogram._on_control(layer="no such layer")
    assert "no such layer" in histogram.error
    assert histogram.state.arguments["layer"] == layers(DF)[2]
    histogram.controls["step"].value = 4
    assert histogram.error == ""


def test_select_raises_and_the_view_stays(histogram):
    with pytest.raises(LookupError, match="no such layer"):
        histogram.select(layer="no such layer")
    assert histogram.state.arguments["layer"] == layers(DF)[2]


def test_what_is_shown_can_be_saved(heatmap, tmp_path):
    table = heatmap.data()
    assert table.shape == (20, 6) and list(table.columns) == layers(DF)
    heatmap.save(tmp_path / "shown.csv")
    again = pd.read_csv(tmp_path / "shown.csv", index_col=0)
    assert np.allclose(again, table, equal_nan=True)
    for suffix in ("png", "svg", "pdf"):
        assert heatmap.save(tmp_path / f"shown.{suffix}").stat().st_size > 5_000


def test_the_cross_hair_is_not_saved(tmp_path):
    viewer = viz.interactive(viz.scalar_line, df=DF, layer="embed", tt="Weight", scalar_metric="std")
    without = viewer.save(tmp_path / "a.png").read_bytes()
    mouse(viewer, "motion_notify_event", viewer.figure.axes[0], 9, middle(viewer.figure.axes[0]))
    assert viewer._drawing.cursor.step == 9
    assert viewer.save(tmp_path / "b.png").read_bytes() == without
    assert b"<svg" in viewer.save(tmp_path / "c.svg").read_bytes()
    viewer.close()


def test_a_figure_pulled_to_another_size_is_laid_out_anew(heatmap):
    left = heatmap.figure.axes[0].get_position().x0
    heatmap.figure.set_size_inches(5, 5.2)
    ResizeEvent("resize_event", heatmap.canvas)._process()
    assert heatmap.error == ""
    assert heatmap.figure.axes[0].get_position().x0 > 1.5 * left  # the names need the same room of half the width


def test_back_from_the_first_view_keeps_its_zoom(heatmap):
    ax = heatmap.figure.axes[0]
    ax.set_xlim(4.5, 9.5)
    key(heatmap, "escape")
    assert heatmap.figure.axes[0] is ax and ax.get_xlim() == (4.5, 9.5)


def test_the_cursor_of_a_histogram_rests_at_its_step(histogram):
    histogram.select(step=9)
    assert histogram._drawing.cursor.step == 10  # of the loss, which has every fifth step
    mouse(histogram, "motion_notify_event", loss_axes(histogram), 1, middle(loss_axes(histogram)))
    assert histogram._drawing.cursor.step == 1
    MouseEvent("motion_notify_event", histogram.canvas, 1, 1)._process()
    assert histogram._drawing.cursor.step == 10


def test_without_ipympl_it_says_what_to_install_and_shows_a_still_picture(monkeypatch, capsys):
    monkeypatch.setattr("tandv.viz.notebook.surface.in_notebook", lambda: True)
    monkeypatch.setattr("tandv.viz.notebook.viewer.Viewer.display", lambda self: None)
    monkeypatch.setitem(sys.modules, "ipympl.backend_nbagg", None)
    viewer = viz.interactive(viz.exp_hist, df=DF, layer="embed", tt="Weight", step=0)
    assert 'pip install "tandv[viz]"' in capsys.readouterr().err
    (image,) = [child for child in viewer.widget.children if isinstance(child, ipywidgets.Image)]
    before = bytes(image.value)
    assert before.startswith(b"\x89PNG")
    viewer.controls["layer"].value = "head"
    assert bytes(image.value) != before
    viewer.close()


def test_a_log_is_viewed_where_it_lies_and_a_click_reads_one_tensor(tmp_path, monkeypatch):
    write_parquet(DF, tmp_path / "log.parquet")
    viewer = viz.interactive(viz.scalar_global_heatmap, df=tmp_path / "log.parquet", tt="Gradient")
    read, whole = [], Log.frame
    monkeypatch.setattr(Log, "frame", lambda *given: read.append(whole(*given)) or read[-1])
    click(viewer, viewer.figure.axes[0], 7, 3)
    assert viewer.error == ""
    opened = {name: viewer.state.arguments[name] for name in ("layer", "tt", "step")}
    assert opened == {"layer": layers(DF)[3], "tt": "Gradient", "step": 7}
    assert read and sum(map(len, read)) <= 20  # of 600 rows
    key(viewer, "right")
    assert viewer.error == "" and viewer.state.arguments["step"] == 8
    viewer.close()


RUN = {"epoch": [0, 0.5, 1], "train_loss": [2.0, 1.0, 0.5], "train_acc": [0.1, 0.9, 1.0], "test_acc": [0.1, 0.2, 1.0]}


def test_curves_are_browsed_with_their_names_as_choices():
    viewer = viz.interactive(viz.training_dynamics, curves=RUN, gap=False)
    assert [value for _, value in viewer.controls["quantities"].options] == [
        None,
        "train_loss",
        "train_acc",
        "test_acc",
    ]
    assert viewer.data()["loss", "train_loss"].tolist() == [2.0, 1.0, 0.5]
    mouse(viewer, "motion_notify_event", viewer.figure.axes[0], 0.6, 1.0)
    assert viewer.readout == "epoch 0.5 · train_loss 1 · train_acc 0.9, test_acc 0.2"
    key(viewer, "right")  # there is no step to change
    assert viewer.error == ""
    viewer.controls["quantities"].index = 1
    assert viewer.data().columns.tolist() == ["train_loss"]
    viewer.close()


@pytest.mark.parametrize(
    ("plot", "arguments", "controls"),
    [
        (viz.grokking_plot, {"curves": RUN}, ["xscale"]),
        (viz.emergence_plot, {"curves": RUN, "thresholds": {"test_acc": 0.5}}, ["xscale"]),
        (viz.metric_curves, {"curves": {"seed 0": RUN}}, ["metrics", "xscale", "yscale"]),
        (
            viz.setting_effects,
            {"runs": {0.1: RUN, 0.2: [RUN]}, "quantities": "test_acc"},
            ["quantities", "xscale", "yscale"],
        ),
        (viz.layer_maps, {"curves": {"rank:fc": [1.0, 2.0]}}, ["colour"]),
        (viz.augmentation_effect, {"table": pd.DataFrame({"icc": [0.5]}, index=["fc"])}, ["quantity"]),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_every_plot_of_curves_and_tables_can_be_browsed(plot, arguments, controls):
    viewer = viz.interactive(plot, **arguments)
    assert list(viewer.controls) == controls and viewer.figure.axes
    viewer.close()


def test_bad_arguments_are_named():
    with pytest.raises(TypeError, match=r"needs the curves: interactive\(training_dynamics, curves=\{"):
        viz.interactive(viz.training_dynamics)
    with pytest.raises(TypeError, match=r"needs what it draws: interactive\(projection, points=\.\.\., "):
        viz.interactive(viz.projection)
    with pytest.raises(TypeError, match=r"scalar_line does not take colour; it takes df, layer, tt"):
        viz.interactive(viz.scalar_line, df=DF, layer="embed", tt="Weight", scalar_metric="std", colour="red")
    with pytest.raises(TypeError, match=r"needs the log: interactive\(exp_hist, df=read_pickle"):
        viz.interactive(viz.exp_hist, layer="embed")
    with pytest.raises(LookupError, match="did you mean"):
        viz.interactive(viz.exp_hist, df=DF, layer="embedd", tt="Weight", step=0)


def test_the_losses_of_the_logs_run_stand_beside_the_plot_without_being_asked_for(tmp_path):
    numbers = [{"lr": 0.1, "loss": 3.0, "val_loss": 4.0}, {"lr": 0.1, "loss": 2.0}, {"lr": 0.1, "val_loss": 1.0}]
    (tmp_path / "curves.jsonl").write_text("".join(line(step, given) for step, given in enumerate(numbers)))
    log = DF.copy()
    log.attrs["run"] = str(tmp_path)
    arguments = {"df": log, "layer": "embed", "tt": "Weight", "scalar_metric": "std"}
    viewer = viz.interactive(viz.scalar_line, **arguments)
    lines = {one.get_label(): one.get_xydata().tolist() for one in loss_axes(viewer).lines}
    assert {name: lines[name] for name in ("loss", "val_loss")} == {
        "loss": [[0, 3], [1, 2]],
        "val_loss": [[0, 4], [2, 1]],
    }
    assert "lr" not in lines
    viewer.close()
    numbers[1]["loss"], numbers[2]["loss"] = float("nan"), float("inf")
    (tmp_path / "curves.jsonl").write_text("".join(line(step, given) for step, given in enumerate(numbers)))
    viewer = viz.interactive(viz.scalar_line, **arguments)
    marks = [one.get_xydata().tolist() for one in loss_axes(viewer).lines if one.get_label() == "_not finite"]
    assert marks == [[[1, 0.02]], [[2, 0.98]]]
    viewer.close()
    viewer = viz.interactive(viz.scalar_line, train_stats=False, **arguments)
    assert len(viewer.figure.subfigs) < 2
    viewer.close()


LONG = example_log(layers=6, steps=60)


def pixels(viewer):
    return np.asarray(viewer.canvas.buffer_rgba()).copy()  # as the viewer has drawn it


@pytest.mark.parametrize(
    ("theme", "curves"), [("light", None), ("dark", {"step": range(60), "train": [1 / (1 + i) for i in range(60)]})]
)
def test_another_step_of_an_overview_is_the_picture_of_a_new_one(curves, theme, monkeypatch):
    given = {"df": LONG, "layer": "head", "tt": "Activation", "theme": theme}
    moved = []

    def showing(*arguments):
        moved.append(show_step(*arguments))
        return moved[-1]

    monkeypatch.setattr("tandv.viz.notebook.drawing.show_step", showing)
    viewer = viz.interactive(viz.overview, train_stats=curves, **given, step=30, scalar_metric="rm2")
    for step in (0, 57):
        viewer.select(step=step)
        fresh = viz.interactive(viz.overview, train_stats=curves, **given, step=step, scalar_metric="rm2")
        assert viewer._drawing.shown == fresh._drawing.shown
        assert np.array_equal(pixels(viewer), pixels(fresh))
        fresh.close()
    shown = pixels(viewer)
    viewer.canvas.draw()  # all of it, as when it is saved
    assert np.array_equal(pixels(viewer), shown)
    assert sum(moved) >= 2  # else nothing was tested
    viewer.close()


@pytest.mark.slow
def test_an_overview_is_drawn_as_a_whole_where_more_than_its_step_has_changed():
    df = LONG.copy()
    given = {"df": df, "layer": "head", "tt": "Activation", "scalar_metric": "rm2"}
    viewer = viz.interactive(viz.overview, **given, step=30)

    def as_new(step):
        fresh = viz.interactive(viz.overview, **given, step=step)
        same = np.array_equal(pixels(viewer), pixels(fresh))
        fresh.close()
        return same

    viewer.figure.axes[0].set_xlim(10, 20)  # a zoom
    assert as_new(31) is False
    viewer.select(step=31)
    assert as_new(31)
    df[("scalar_stats", "rm2")] *= 2
    viewer.select(step=32)
    with pytest.raises(UnknownName, match="no Activation at step 1000"):
        viewer.select(step=1000)
    assert as_new(32)
    viewer.select(step=33)
    assert as_new(33)
    assert pickle.loads(pickle.dumps(viewer.figure))._tandv_page.page is None
    viewer.close()
