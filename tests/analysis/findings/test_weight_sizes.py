"""Rules about the sizes of weights and of their updates: each sees its fault, at its threshold, and not below."""

import numpy as np
import pytest
from analysis.findings.made import from_step, log, told

from tandv.analysis.findings import Matrices, weight_sizes

N = 60
AT = 40


def of(rule, tensors, steps=N):
    return rule(Matrices(log(steps, tensors)))


def weights(**of_each):
    return {("Weight", name): {} for name in of_each} | {
        ("Weight_Update", name): {"rm2": value} for name, value in of_each.items()
    }


def test_updates_half_as_large_as_the_weight_in_a_third_of_the_layers_twice():
    calm, large = 1e-3, np.where(np.isin(np.arange(N), [AT, AT + 1]), 0.51, 0.3)
    assert told(of(weight_sizes.updates_too_large, weights(a=large, b=calm, c=calm))) == [
        ("updates_too_large", "*", AT)
    ]
    assert of(weight_sizes.updates_too_large, weights(a=large, b=calm, c=calm, d=calm)) == []
    once = np.where(np.arange(N) == AT, 0.51, 0.3)
    assert of(weight_sizes.updates_too_large, weights(a=once, b=calm, c=calm)) == []


def test_updates_that_jump_in_half_of_the_layers():
    calm, jump = 1e-3, from_step(AT, N, 1e-3, 1.7e-2)  # 4.09 bits
    half = weights(a=jump, b=jump, c=calm, d=calm)
    assert told(of(weight_sizes.updates_too_large, half)) == [("updates_too_large", "*", AT)]
    assert of(weight_sizes.updates_too_large, weights(a=jump, b=calm, c=calm, d=calm)) == []
    less = from_step(AT, N, 1e-3, 1.5e-2)  # 3.9 bits
    assert of(weight_sizes.updates_too_large, weights(a=less, b=less)) == []


def sizes(**of_each):
    return {("Weight", name): {"rm2": size} for name, size in of_each.items()}


def test_without_updates_a_norm_that_doubles_tells_that_one_was_as_large_as_the_weight():
    doubled = from_step(AT, N, 0.1, 0.21)  # by the update of the step before
    [found] = of(weight_sizes.updates_too_large, sizes(a=doubled, b=1.0))
    assert told([found]) == [("updates_too_large", "*", AT - 1)]
    assert found.what.startswith("The typical update is at least 1.1 of its weight at step 39:")
    assert "for the rms of 1 of 2 matrices to change from 0.1 to 0.21" in found.before
    assert of(weight_sizes.updates_too_large, sizes(a=doubled, b=1.0, c=1.0)) == []
    assert of(weight_sizes.updates_too_large, sizes(a=doubled), np.arange(N) * 2) == []  # of two updates


@pytest.mark.parametrize(("at", "many"), [(30, 1), (10, 0)])  # the first updates of small weights are large
def test_without_updates_a_norm_that_grows_by_half_later_on(at, many):
    grown = from_step(at, N, 1.0, 1.6)
    assert len(of(weight_sizes.updates_too_large, sizes(a=grown, b=1.0))) == many
    assert of(weight_sizes.updates_too_large, sizes(a=from_step(30, N, 1.0, 1.4))) == []


def test_without_updates_a_norm_that_grows_by_half_twice():
    twice = np.where(np.arange(N) < 5, 1.0, np.where(np.arange(N) == 5, 1.6, 2.6))
    assert told(of(weight_sizes.updates_too_large, sizes(a=twice, b=1.0, c=1.0))) == [("updates_too_large", "*", 4)]
    assert of(weight_sizes.updates_too_large, sizes(a=twice, b=1.0, c=1.0, d=1.0)) == []


def test_a_bias_and_a_norm_have_any_ratio():
    norm = {"type": "LayerNorm"}
    tensors = {("Weight", name): norm for name in ("n", "n.bias")}
    tensors |= {("Weight_Update", name): {**norm, "rm2": 5.0} for name in ("n", "n.bias")}
    assert of(weight_sizes.updates_too_large, tensors) == []


@pytest.mark.parametrize(("bits", "steps", "many"), [(0.11, 8, 1), (0.11, 7, 0), (0.09, 30, 0)])
def test_a_weight_that_grows_eight_steps_in_a_row(bits, steps, many):
    size = 2.0 ** (bits * np.clip(np.arange(N) - AT + 1, 0, steps))
    found = of(weight_sizes.weight_growth, {("Weight", "a"): {"rm2": size}, ("Weight", "b"): {}})
    assert told(found) == [("weight_growth", "a", AT)] * many


@pytest.mark.parametrize(("steps", "many"), [(16, 1), (15, 0)])
def test_at_the_beginning_a_weight_must_grow_longer_than_updates_of_one_size_make_it(steps, many):
    size = 2.0 ** (0.11 * np.clip(np.arange(N) - 2, 0, steps))
    assert len(of(weight_sizes.weight_growth, {("Weight", "a"): {"rm2": size}})) == many
    linear = np.hypot(0.02, 0.005 * np.arange(N))  # from 0.02 by 0.005 a step
    assert of(weight_sizes.weight_growth, {("Weight", "a"): {"rm2": linear}}) == []


def test_the_typical_weight_shrinks_to_a_quarter():
    def model(end):
        size = np.geomspace(1.0, end, N)
        return {("Weight", name): {"rm2": size} for name in "ab"}

    every_tenth = np.arange(N) * 10
    assert told(of(weight_sizes.weights_shrink, model(0.24), every_tenth)) == [("weights_shrink", "*", 0)]
    assert of(weight_sizes.weights_shrink, model(0.26), every_tenth) == []  # a half is gone only after 250 steps
    assert told(of(weight_sizes.weights_shrink, model(0.49))) == [("weights_shrink", "*", 0)]
    assert of(weight_sizes.weights_shrink, model(0.51)) == []


def test_a_weight_that_begins_at_zero_may_grow_and_have_any_update():
    grows = 1e-4 * 2.0 ** np.clip(np.arange(N), 0, 12)  # to 4,096 times its size
    tensors = {("Weight", "a"): {"rm2": grows}, ("Weight_Update", "a"): {"rm2": grows}}
    assert of(weight_sizes.weight_growth, tensors) == []
    assert of(weight_sizes.updates_too_large, tensors) == []
    assert of(weight_sizes.updates_too_large, tensors | {("Weight", "a"): {"rm2": 1e-4}}) != []


def test_a_weight_that_stays_and_then_grows_a_thousandfold_does_not_begin_at_zero():
    size = 2.0 ** np.clip(0.5 * (np.arange(N) - 30), 0, 12)
    assert told(of(weight_sizes.weight_growth, {("Weight", "a"): {"rm2": size}})) == [("weight_growth", "a", 31)]
    grows = np.where(np.arange(N) < 5, 0.0, size)  # a gate that opens
    assert of(weight_sizes.weight_growth, {("Weight", "a"): {"rm2": grows}}) == []
