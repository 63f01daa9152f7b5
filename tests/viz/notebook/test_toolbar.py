"""Controls show what is drawn, and long menus can be searched."""

import re

import pytest

from tandv import viz
from tandv.log.files import write_parquet
from tandv.log.logframe import example_log, layers, steps, tensor_types

DF = example_log(layers=22, steps=8)
NAMES = layers(DF)


@pytest.fixture
def viewer_of():
    viewers = []

    def made(plot, **arguments):
        viewers.append(viz.interactive(plot, df=DF, **arguments))
        return viewers[-1]

    yield made
    for viewer in viewers:
        viewer.close()


def values(viewer):
    return {name: control.value for name, control in viewer.controls.items()}


def test_the_controls_of_an_overview_show_what_it_chose_itself(viewer_of):
    viewer = viewer_of(viz.overview, dtype_annotation="float8_e4m3fn")
    shown = values(viewer)
    assert {name: shown[name] for name in ("layer", "tt", "scalar_metric")} == {
        "layer": "head",
        "tt": "Activation",
        "scalar_metric": "rm2",
    }
    assert shown["step"] in (6, 7) and shown["dtype_annotation"] == ("float8_e4m3fn",)
    viewer._on_key(type("Event", (), {"key": "left"}))
    assert viewer.error == "" and viewer.state.arguments["step"] == shown["step"] - 1 == viewer.controls["step"].value
    assert viewer.state.arguments["layer"] == "head"  # another step does not bring another layer
    viewer.controls["tt"].value = "Gradient"
    assert viewer.error == "" and viewer.state.arguments["tt"] == "Gradient"


def test_no_choice_of_tensor_types_shows_all_of_them(viewer_of):
    viewer = viewer_of(viz.scalar_global_heatmap)
    assert viewer.controls["tt"].value == tuple(tensor_types(DF))
    viewer.controls["tt"].value = ("Weight",)
    assert viewer.state.arguments["tt"] == ["Weight"] and viewer.controls["tt"].value == ("Weight",)


def test_patterns_and_lists_show_what_they_choose(viewer_of):
    viewer = viewer_of(viz.exp_hist, layer=re.compile(r"\.2\."), tt=["Weight", re.compile("^Grad")], step=[0, 5])
    assert viewer.controls["layer"].value == tuple(name for name in NAMES if ".2." in name)
    assert viewer.controls["tt"].value == ("Gradient", "Weight")
    assert viewer.controls["step"].value == (0, 5)
    assert viewer.controls["dtype_annotation"].value == ("float16",)  # of the log


def test_a_menu_of_many_layers_is_searched_by_words_and_draws_nothing_until_one_is_chosen(viewer_of):
    viewer = viewer_of(viz.exp_hist, layer="head", tt="Weight", step=0)
    menu, search = viewer.controls["layer"], viewer._controls["layer"].search
    before = viewer.state
    search.value = "MLP 1."
    assert [label for label, _ in menu.options] == ["layers.1.mlp.up", "layers.1.mlp.down", "head"]
    assert menu.value == "head" and viewer.state is before
    menu.value = "layers.1.mlp.up"
    assert viewer.state.arguments["layer"] == "layers.1.mlp.up"
    viewer.select(layer="embed")  # is shown although the words do not find it
    assert menu.value == "embed"
    search.value = ""
    assert [label for label, _ in menu.options] == NAMES


def test_a_search_in_a_list_keeps_what_is_chosen(viewer_of):
    viewer = viewer_of(viz.scalar_line, layer=[NAMES[0], NAMES[4]], tt="Weight", scalar_metric="std")
    listed, search = viewer.controls["layer"], viewer._controls["layer"].search
    search.value = "head"
    assert [label for label, _ in listed.options] == [NAMES[0], NAMES[4], "head"]
    assert viewer.error == "" and viewer.state.arguments["layer"] == [NAMES[0], NAMES[4]]
    listed.value = (*listed.value, "head")
    assert viewer.state.arguments["layer"] == [NAMES[0], NAMES[4], "head"]


def test_few_choices_have_no_search(viewer_of):
    viewer = viewer_of(viz.exp_hist, layer=NAMES[3], tt="Weight", step=0)
    assert viewer._controls["tt"].search is None and viewer._controls["step"].search is None


def test_a_phase_can_be_chosen_and_given_up():
    df = DF.copy()
    df[("metadata", "phase")] = ["rollout" if step % 2 else "" for step in df[("metadata", "step")]]
    viewer = viz.interactive(viz.scalar_global_heatmap, df=df, tt="Weight")
    menu = viewer.controls["phase"]
    assert (menu.label, menu.value) == ("(outside of any)", None)
    menu.value = "rollout"
    assert viewer.state.arguments["phase"] == "rollout" and viewer.error == ""
    menu.value = None
    assert viewer.state.arguments["phase"] is None and menu.label == "(outside of any)"
    viewer.close()


def test_steps_make_a_slider(viewer_of):
    viewer = viewer_of(viz.exp_hist, layer="head", tt="Weight", step=steps(DF)[3])
    assert viewer.controls["step"].value == 3 and viewer.controls["step"].options[3] == ("3", 3)


def test_a_log_that_grows_gives_the_slider_its_new_steps(tmp_path):
    path = tmp_path / "log.parquet"
    write_parquet(example_log(layers=3, steps=4), path)
    viewer = viz.interactive(viz.exp_hist, df=path, layer="head", tt="Weight", step=3)
    write_parquet(example_log(layers=3, steps=8), path)
    viewer.select(step=6)
    assert viewer.error == "" and viewer.controls["step"].value == 6
    viewer._on_key(type("Event", (), {"key": "right"}))
    assert viewer.state.arguments["step"] == 7
    viewer.close()
