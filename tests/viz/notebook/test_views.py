"""Going from one view to the next is arithmetic on plain data."""

from typing import Literal

import pytest

from tandv.log.logframe import example_log, layers, steps
from tandv.viz.layout.tables import Place
from tandv.viz.notebook.views import View, back, change, choices, current, drilled, moved, only_step, push

DF = example_log(layers=4, steps=6)


def heat(df, tt, scalar_metric, fig=None):
    """A stand-in with the parameters of a heat map."""


def histogram(df, layer, tt, step, kind: Literal["bar", "line"] = "bar", fig=None):
    """A stand-in with the parameters of a histogram."""


TOP = View(heat, {"df": DF, "tt": "Activation", "scalar_metric": "rm2"})
HISTOGRAM = View(histogram, {"df": DF, "layer": layers(DF)[1], "tt": "Activation", "step": 0})


def test_a_change_replaces_arguments_of_the_top_only():
    stack = push((TOP,), HISTOGRAM)
    changed = change(stack, step=3)
    assert changed[0] == TOP and changed[1].arguments == {**HISTOGRAM.arguments, "step": 3}
    assert stack[1].arguments["step"] == 0


def test_back_returns_to_exactly_where_one_was():
    zoom = (((0.0, 2.0), (3.0, 1.0)),)
    stack = push((TOP,), HISTOGRAM, zoom)
    assert back(stack) == (TOP._replace(limits=zoom),)
    assert back(back(stack)) == back(stack)


def test_a_cell_opens_the_histogram_of_its_layer_and_step_zero_included():
    view = drilled(TOP, Place("head", "Gradient", 0, 1.0), histogram)
    assert view == View(histogram, {"df": DF, "layer": "head", "tt": "Gradient", "step": 0})
    without_type = drilled(TOP, Place("head", None, 2, 1.0), histogram)
    assert without_type is not None and without_type.arguments["tt"] == "Activation"
    assert drilled(TOP, None, histogram) is None
    assert drilled(HISTOGRAM, Place("head", "Gradient", 0, 1.0), histogram) is None


@pytest.mark.parametrize(
    ("by", "changed"),
    [
        ({"steps": 1}, {"step": 1}),
        ({"steps": -1}, {}),
        ({"steps": 99}, {"step": 5}),
        ({"layers": 1}, {"layer": layers(DF)[2]}),
        ({"layers": -1}, {"layer": layers(DF)[0]}),
        ({"layers": 9}, {"layer": layers(DF)[3]}),
    ],
)
def test_arrow_keys_stop_at_the_ends(by, changed):
    assert moved(HISTOGRAM, **by) == changed


def test_keys_do_nothing_where_there_is_nothing_to_move():
    assert moved(TOP, steps=1, layers=1) == {}
    several = View(histogram, {**HISTOGRAM.arguments, "layer": layers(DF)[:2]})
    assert moved(several, layers=1) == {}


def test_choices_come_from_the_log_and_the_signature():
    found = choices(HISTOGRAM)
    assert found["layer"] == layers(DF) and found["step"] == steps(DF)
    assert found["kind"] == ["bar", "line"]
    assert "fig" not in found and "df" not in found
    assert (current(HISTOGRAM, "kind"), current(HISTOGRAM, "step"), current(TOP, "tt")) == ("bar", 0, "Activation")


def with_phases(df, tt, phase=None, fig=None):
    """A stand-in with the parameters of a plot that can show a phase."""


def test_a_log_with_phases_has_a_control_for_them_which_a_drill_keeps():
    df = DF.copy()
    df[("metadata", "phase")] = ["rollout" if step else "" for step in df[("metadata", "step")]]
    view = View(with_phases, {"df": df, "tt": "Activation", "phase": "rollout"})
    assert choices(view)["phase"] == ["rollout"]
    assert "phase" not in choices(View(with_phases, {"df": DF, "tt": "Activation"}))
    opened = drilled(view, Place(step=3, layer=layers(DF)[1], tt=None, value=None), histogram)
    assert opened is not None and opened.arguments["phase"] == "rollout"


def test_views_that_differ_in_the_step_alone():
    given = HISTOGRAM.arguments
    assert only_step(HISTOGRAM, View(histogram, {**given, "step": 4}), {})
    chosen = {k: v for k, v in given.items() if k != "layer"}
    assert only_step(View(histogram, chosen), View(histogram, {**given, "step": 4}), {"layer": given["layer"]})
    for other in ({"layer": "other"}, {"df": DF.copy()}, {"kind": "line"}, {"step": None}):
        assert not only_step(HISTOGRAM, View(histogram, {**given, **other}), {})
    assert not only_step(HISTOGRAM, View(heat, given), {})
