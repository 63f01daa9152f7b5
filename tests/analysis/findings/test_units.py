"""Single units of a layer: dead ones, and one that carries far more than the others."""

import numpy as np
import pytest
from analysis.findings.made import from_step, log, told

from tandv.analysis.findings import Matrices, units

N = 60


def of(rule, tensors):
    return rule(Matrices(log(N, tensors)))


def counted(dead, kind="Activation", of=128):
    return {(kind, "layers.3"): {"units": float(of), "dead_units": dead}}


def test_dead_units_are_told_by_their_number_from_the_first_of_the_steps_on():
    [found] = of(units.dead_units, counted(from_step(40, N, 0.0, 37.0)))
    assert told([found]) == [("dead_units", "layers.3", 21)]
    assert (found.severity, found.numbers["dead"], found.numbers["units"]) == ("note", 37, 128)
    assert found.what.startswith("37 of 128 units of 'layers.3' have been zero for every sample of the last 20")


@pytest.mark.parametrize(("dead", "severity"), [(31, None), (32, "note"), (95, "note"), (96, "warning"), (128, None)])
def test_a_quarter_is_a_note_and_three_quarters_a_warning_and_all_is_the_layer(dead, severity):
    found = of(units.dead_units, counted(float(dead)))
    assert [one.severity for one in found] == ([] if severity is None else [severity])


def test_units_without_gradient_are_dead_where_the_function_has_no_row():
    model = counted(90.0, "Gradient") | {("Gradient", "out"): {"units": 10.0, "dead_units": 0.0}}
    [found] = of(units.dead_units, model)
    assert (found.tensor_type, found.layer) == ("Gradient", "layers.3") and "got no gradient" in found.what


def test_of_few_units_no_share_is_told():
    assert of(units.dead_units, counted(6.0, of=7)) == []


def outlier(unit, ratio):
    return {("Activation", "layers.2"): {"units": 64.0, "largest_unit": unit, "largest_unit_ratio": ratio}}


def test_an_outlier_channel_is_named_with_its_size():
    [found] = of(units.outlier_channel, outlier(17.0, from_step(30, N, 2.0, 60.0)))
    assert told([found]) == [("outlier_channel", "layers.2", 30)]
    assert (found.severity, found.numbers) == ("note", {"unit": 17, "times": 60.0})
    assert found.what.startswith(
        "Unit 17 of the output of 'layers.2' carries up to 60 times the rms of the median unit"
    )


def test_a_unit_each_in_turn_is_no_outlier_and_neither_is_one_below_the_limit():
    assert of(units.outlier_channel, outlier(np.arange(N) % 7.0, 60.0)) == []
    assert of(units.outlier_channel, outlier(17.0, 16.0)) == []


@pytest.mark.parametrize(("zeros", "many"), [(50, 1), (49, 0)])
def test_without_counts_half_of_the_units_without_gradient_are_told_by_their_bias(zeros, many):
    tensors = {("Activation", "a"): {}, ("Weight_Gradient", "a.bias"): {"zeros": from_step(30, N, 0, zeros)}}
    assert told(of(units.dead_units, tensors)) == [("dead_units", "a", 30)] * many


def test_zeros_that_a_dropout_passes_on_are_told_of_the_layer_they_come_from():
    tensors = {
        ("Activation", "t.linear1"): {"units": 32.0, "dead_units": 0.0},
        ("Activation", "t.dropout"): {"units": 32.0, "dead_units": 20.0, "type": "Dropout"},
        ("Gradient", "t.linear1"): {"units": 32.0, "dead_units": 20.0},
        ("Gradient", "t.dropout"): {"units": 32.0, "dead_units": 0.0, "type": "Dropout"},
    }
    [found] = of(units.dead_units, tensors)
    assert (found.layer, found.tensor_type) == ("t.linear1", "Gradient")
    alone = {key: one for key, one in tensors.items() if key[1] == "t.dropout"}  # where the layer has no row
    assert [one.layer for one in of(units.dead_units, alone)] == ["t.dropout"]


def test_of_layers_that_die_in_one_step_the_first_in_the_forward_pass_is_told():
    tensors = {("Activation", name): {"type": "ReLU", "units": 16.0, "dead_units": 9.0} for name in ("z", "a")}
    [found] = of(units.dead_units, tensors)
    assert (found.layer, found.evidence) == ("z", ["The same in a."])


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        (["ReLU"], "use LeakyReLU or GELU"),
        (["Linear"], "use LeakyReLU or GELU"),
        (["GELU"], "normalise what goes into the GELU"),
        (["Linear", "LayerNorm", "SiLU"], "normalise what goes into the SiLU"),
        (["Linear", "Linear", "GELU"], "use LeakyReLU or GELU"),  # the function after the first has no row
        (["LSTM"], "look at the biases and the scale of its gates"),
    ],
)
def test_the_advice_is_for_the_function_that_the_units_go_through(kinds, words):
    tensors = {("Activation", str(at)): {"type": kind} for at, kind in enumerate(kinds)}
    tensors["Activation", "0"] |= {"units": 16.0, "dead_units": 9.0}
    [found] = of(units.dead_units, tensors)
    assert f", or {words}" in found.advice
    if words.startswith("look"):
        assert "LeakyReLU" not in found.advice and "GELU" not in found.advice
