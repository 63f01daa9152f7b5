"""Rules about steps of an optimiser that have no effect: each sees its fault, at its threshold, and not below."""

import numpy as np
import pytest
from analysis.findings.made import from_step, log, told

from tandv.analysis.findings import Matrices, optimiser

N = 30


def of(rule, tensors, without=()):
    return rule(Matrices(log(N, {key: one for key, one in tensors.items() if key not in without})))


def test_updates_that_are_rounded_away():
    def model(share):
        return {("Weight", "a"): {}, ("Weight_Gradient", "a"): {"rounded_away": share}}

    assert told(of(optimiser.rounded_away, model(from_step(9, N, 0.0, 0.51)))) == [("rounded_away", "*", 9)]
    assert of(optimiser.rounded_away, model(from_step(9, N, 0.0, 0.5))) == []


def test_updates_of_zero_tell_the_same_without_insight():
    def model(zeros):
        return {("Weight", "a"): {}, ("Weight_Gradient", "a"): {}, ("Weight_Update", "a"): {"zeros": zeros}}

    assert told(of(optimiser.rounded_away, model(from_step(9, N, 0, 51)))) == [("rounded_away", "*", 9)]
    assert of(optimiser.rounded_away, model(from_step(9, N, 0, 50))) == []
    assert of(optimiser.rounded_away, model(100)) == []  # the optimiser did not step at all


def test_epsilon_rules_where_the_second_moment_is_small():
    def model(share, zeros=0):
        moment = {("Optimiser_State.exp_avg_sq", "a"): {"zeros": zeros, "mean": 1e-20}}
        return {("Weight", "a"): {}, ("Weight_Gradient", "a"): {"epsilon_regime": share}} | moment

    assert told(of(optimiser.epsilon_regime, model(from_step(9, N, 0.0, 0.81)))) == [("epsilon_regime", "*", 9)]
    assert of(optimiser.epsilon_regime, model(from_step(9, N, 0.0, 0.79))) == []
    assert of(optimiser.epsilon_regime, model(0.9, zeros=90)) == []  # dead units have no second moment


@pytest.mark.parametrize(("mean", "many"), [(0.99e-16, 1), (1.01e-16, 0)])
def test_without_insight_the_mean_second_moment_is_held_against_the_usual_epsilon(mean, many):
    tensors = {("Weight", "a"): {}, ("Weight_Gradient", "a"): {}, ("Optimiser_State.nu", "a"): {"mean": mean}}
    assert len(of(optimiser.epsilon_regime, tensors)) == many


def test_one_norm_at_every_step_is_clipping_and_matters_where_nothing_moves():
    def model(norms, moved):
        return {("Weight", "a"): {}, ("Weight_Gradient", "a"): {"rm2": norms}, ("Weight_Update", "a"): {"rm2": moved}}

    assert told(of(optimiser.clipped_to_nothing, model(1e-6, 0.9e-5))) == [("clipped_to_nothing", "*", 0)]
    assert of(optimiser.clipped_to_nothing, model(1e-6, 1.1e-5)) == []
    assert of(optimiser.clipped_to_nothing, model(1e-6 * (1 + np.arange(N) / 100), 0.9e-5)) == []


@pytest.mark.parametrize(
    ("at", "dtype", "severity"), [(20, "float32", "warning"), (21, "float32", "note"), (21, "bfloat16", "warning")]
)
def test_in_a_wide_format_late_in_a_run_all_may_be_learned(at, dtype, severity):
    tensors = {
        ("Weight", "a"): {"dtype": dtype},
        ("Weight_Gradient", "a"): {"rounded_away": from_step(at, N, 0.0, 0.9)},
    }
    [found] = of(optimiser.rounded_away, tensors)
    assert (found.step, found.severity) == (at, severity)
