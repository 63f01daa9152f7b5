"""Rules from exact laws, each with what it must not report."""

import numpy as np
import pytest
from analysis.findings.made import from_step, log, told

from tandv.analysis.findings import Matrices, laws

N = 20


def of(rule, tensors, steps=N):
    return rule(Matrices(log(steps, tensors)))


@pytest.mark.parametrize("name", ["exp_avg_sq", "nu", "square_avg"])
def test_a_second_moment_falls_no_faster_than_its_decay(name):
    kind = f"Optimiser_State.{name}"
    halved = {"mean": from_step(8, N, 1.0, 0.5)}
    assert told(of(laws.second_moment_collapse, {(kind, "a"): {"mean": 1.0}, (kind, "b"): halved})) == [
        ("second_moment_collapse", "b", 8)
    ]  # fmt: skip
    decays = {"mean": 0.9 ** np.arange(N)}
    assert of(laws.second_moment_collapse, {(kind, "a"): decays}) == []
    # ten steps between two recorded ones
    apart = np.arange(0, 10 * N, 10)
    assert of(laws.second_moment_collapse, {(kind, "a"): {"mean": 0.9**apart}}, apart) == []
    assert len(of(laws.second_moment_collapse, {(kind, "a"): {"mean": 0.7**apart}}, apart)) == 1


def test_a_batch_norm_gives_the_mean_square_of_its_weight_and_bias():
    def outputs(ratio):
        size = np.sqrt(ratio * (4.0 + 9.0))
        norm = {"type": "BatchNorm2d"}
        return {
            ("Activation", "bn"): {**norm, "rm2": size},
            ("Weight", "bn"): {**norm, "rm2": 2.0},
            ("Weight", "bn.bias"): {**norm, "rm2": 3.0},
        }

    assert of(laws.stale_norm, outputs(from_step(9, N, 1.0, 1.04))) == []
    assert told(of(laws.stale_norm, outputs(from_step(9, N, 1.0, 1.06)))) == [("stale_norm", "bn", 9)]
    assert told(of(laws.stale_norm, outputs(from_step(9, N, 1.0, 0.49)))) == [("stale_norm", "bn", 9)]
    [always] = of(laws.stale_norm, outputs(np.full(N, 2.0)))
    assert (always.step, always.severity) == (0, "note")
    shortly = np.where((np.arange(N) >= 9) & (np.arange(N) < 13), 2.0, 1.0)  # four steps, not five
    assert of(laws.stale_norm, outputs(shortly)) == []


@pytest.mark.parametrize(("kind", "mean"), [("Tanh", 0.0), ("Sigmoid", 0.5)])
def test_the_mean_derivative_of_tanh_and_sigmoid_comes_from_two_moments(kind, mean):
    def outputs(derivative):  # of its largest
        top = 1.0 if kind == "Tanh" else 0.25
        square = (1.0 if kind == "Tanh" else mean) - top * derivative
        return {("Activation", "act"): {"type": kind, "mean": mean, "rm2": np.sqrt(square)}}

    assert told(of(laws.saturated, outputs(from_step(7, N, 0.5, 0.04)))) == [("saturated", "act", 7)]
    assert of(laws.saturated, outputs(from_step(7, N, 0.5, 0.06))) == []


def test_a_layer_of_zeros_is_dead_and_one_value_keeps_it_alive():
    dead = {("Activation", "act"): {"type": "ReLU", "zeros": from_step(6, N, 40, 100)}}
    [found] = of(laws.dead, dead)
    assert told([found]) == [("dead", "act", 6)]
    assert found.before == "In the recorded step before, 60 % of them were not zero."
    alive = {("Activation", "act"): {"type": "ReLU", "zeros": from_step(6, N, 40, 99)}}
    assert of(laws.dead, alive) == []


@pytest.mark.parametrize(
    ("kind", "words"),
    [("ReLU", "or use LeakyReLU or GELU."), ("GELU", "or normalise what goes into the GELU."), ("LSTM", "its gates")],
)
def test_what_brings_a_dead_layer_back_is_not_what_it_already_is(kind, words):
    [found] = of(laws.dead, {("Activation", "act"): {"type": kind, "zeros": 100}})
    assert words in found.advice
    assert found.advice.count("GELU") == (kind != "LSTM")


def test_where_functions_have_no_row_the_gradients_tell_and_the_last_layer_is_the_cause():
    gradients = {("Gradient", "Net"): {"type": "Net"}} | {
        ("Gradient", name): {"zeros": from_step(5, N, 0, 100 if name in "ab" else 0)} for name in "abc"
    }
    [found] = of(laws.dead, gradients)
    assert told([found]) == [("dead", "b", 5)]
    assert list(found.evidence) == ["Zero as well: a."]
    nothing = {key: {**one, "zeros": 100} for key, one in gradients.items()}  # a loss of exactly 0
    assert of(laws.dead, nothing) == []


@pytest.mark.parametrize(("mean", "named"), [(-0.8, True), (-0.79, False), (0.8, False)])
def test_the_layer_whose_outputs_are_all_negative_is_named_as_the_cause(mean, named):
    """Their mean magnitude is 0.8: they are all negative where the mean is -0.8."""
    [found] = of(
        laws.dead,
        {
            ("Activation", "fc"): {"mean": mean},
            ("Activation", "act"): {"type": "ReLU", "zeros": from_step(6, N, 40, 100)},
            ("Weight", "fc"): {},
        },
    )
    whose = (
        "'fc' at that step, whose outputs are all negative (mean -0.8)" if named else "the layer before it at that step"
    )
    assert f"the bias and the learning rate of {whose}; start again" in found.advice


def test_of_a_layer_without_gradients_its_own_outputs_are_the_cause_and_at_the_beginning_how_they_begin():
    tensors = {
        ("Activation", "a"): {"mean": -0.8},
        ("Activation", "Net"): {"type": "Net"},
        ("Gradient", "Net"): {"type": "Net"},
        ("Gradient", "a"): {"zeros": 100},
        ("Weight", "a"): {},
    }
    begin = "look at how the bias and the weights of 'a' begin"
    [found] = of(laws.dead, tensors)
    assert f"{begin}, whose outputs are all negative (mean -0.8), or use" in found.advice
    [found] = of(laws.dead, tensors | {("Activation", "a"): {}})
    assert f"{begin}, or use" in found.advice


def test_a_branch_that_begins_at_zero_is_not_dead():
    zero = {"zeros": 100, "rm2": 0.0}
    assert of(laws.dead, {("Activation", "a"): zero, ("Weight", "a"): zero}) == []


def test_probabilities_have_a_mean_of_one_over_their_number():
    def model(mean, **more):
        outputs = {"mean": mean, "mean_abs": mean, "max_abs": 0.9, **more}
        return {
            ("Activation", "Net"): {"type": "Net", **outputs},
            ("Activation", "head"): {},
            ("Weight", "head.bias"): {"numel": 10},
        }

    assert told(of(laws.probabilities_as_logits, model(0.1))) == [("probabilities_as_logits", "Net", 0)]
    assert of(laws.probabilities_as_logits, model(0.11)) == []
    assert of(laws.probabilities_as_logits, model(0.1, mean_abs=0.2)) == []  # some are negative
    assert of(laws.probabilities_as_logits, model(0.1, max_abs=1.5)) == []


def test_a_second_moment_that_fell_in_most_layers_is_of_none_and_a_matrix_is_named_before_its_bias():
    kind, fell = "Optimiser_State.nu", {"mean": from_step(8, N, 1.0, 0.5)}
    lower = {"mean": from_step(8, N, 1.0, 0.4)}
    four = {(kind, name): {} for name in ("a", "b", "c", "d")}
    assert told(of(laws.second_moment_collapse, four | {(kind, "a"): fell, (kind, "a.bias"): lower}))[0][1] == "a"
    assert told(of(laws.second_moment_collapse, four | {(kind, name): fell for name in "abc"}))[0][1] == "*"
