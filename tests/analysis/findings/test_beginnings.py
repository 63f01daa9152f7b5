"""How a run begins: weights, inputs, signals along the depth."""

import numpy as np
import pytest
from analysis.findings.made import log, told

from tandv.analysis.findings import Matrices, beginnings


def of(rule, tensors, steps=6):
    return rule(Matrices(log(steps, tensors)))


@pytest.mark.parametrize(("gain", "many"), [(8.1, 1), (7.9, 0), (1 / 65, 1), (1 / 63, 0), (0.0, 0)])
def test_a_gain_is_the_rms_times_the_root_of_the_inputs(gain, many):
    # 400 values and a bias of 4: 100 inputs
    tensors = {
        ("Weight", "a"): {"rm2": gain / 10, "numel": 400},
        ("Weight", "a.bias"): {"numel": 4},
        ("Weight", "z"): {},
    }
    assert told(of(beginnings.bad_init, tensors)) == [("bad_init", "a", 0)] * many


def test_a_last_layer_may_begin_small_but_not_large():
    for gain, many in ((0.001, 0), (9.0, 1)):
        tensors = {
            ("Weight", "a"): {},
            ("Weight", "z"): {"rm2": gain / 10, "numel": 400},
            ("Weight", "z.bias"): {"numel": 4},
        }
        assert len(of(beginnings.bad_init, tensors)) == many


def test_a_weight_without_bias_is_not_judged():
    assert of(beginnings.bad_init, {("Weight", "a"): {"rm2": 100.0, "numel": 400}}) == []


@pytest.mark.parametrize(("size", "many"), [(31.0, 1), (29.0, 0)])
def test_the_input_is_estimated_from_the_output_of_the_first_layer(size, many):
    # a gain of 2 and a bias of 3: outputs of √((2 · size)² + 3²)
    tensors = {
        ("Activation", "a"): {"rm2": np.hypot(2 * size, 3.0)},
        ("Weight", "a"): {"rm2": 0.2, "numel": 400},
        ("Weight", "a.bias"): {"rm2": 3.0, "numel": 4},
    }
    found = of(beginnings.input_scale, tensors)
    assert told(found) == [("input_scale", "a", 0)] * many
    assert [round(one.numbers["input_rms"], 3) for one in found] == [size] * many


def chain(bits, layers, kind):
    """Return layers of which each gives `bits` more than the one before."""
    tensors = {("Activation", f"l{at}"): {} for at in range(layers)} | {
        ("Weight", f"l{at}"): {} for at in range(layers)
    }
    return tensors | {(kind, f"l{at}"): {"rm2": 2.0 ** (bits * at)} for at in range(layers)}


def test_outputs_and_gradients_explode_or_vanish_in_the_direction_they_are_computed_in():
    kinds = [
        told(of(beginnings.depth, chain(bits, 7, kind)))[0][0]
        for kind in ("Activation", "Gradient")
        for bits in (2.0, -2.0)
    ]
    assert kinds == ["exploding_depth", "vanishing_depth", "vanishing_depth", "exploding_depth"]


@pytest.mark.parametrize(("bits", "layers"), [(1.6, 7), (4.0, 5)])
def test_less_than_ten_bits_or_six_layers_are_no_finding(bits, layers):
    assert of(beginnings.depth, chain(bits, layers, "Gradient")) == []
