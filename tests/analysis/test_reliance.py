"""Accuracies of groups that can be counted by hand, and which of two features predictions follow."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from tandv.analysis.reliance import feature_reliance, group_curves, worst_group_accuracy


def test_groups_are_label_by_attribute():
    labels = ["cow"] * 5 + ["camel"] * 5
    ground = ["grass"] * 4 + ["sand"] + ["sand"] * 5
    predictions = ["cow"] * 4 + ["camel"] + ["camel"] * 4 + ["cow"]
    found = worst_group_accuracy(predictions, labels, ground)
    assert found.groups.loc[("cow", "grass"), ["accuracy", "samples"]].tolist() == [1, 4]
    assert found.groups.loc[("camel", "sand"), ["accuracy", "samples"]].tolist() == [0.8, 5]
    assert (found.worst, found.worst_group, found.average) == (0, ("cow", "sand"), 0.8)


def test_an_absent_group_is_nan_and_not_the_worst():
    found = worst_group_accuracy([0, 1, 1], [0, 0, 1], [0, 0, 1])
    assert math.isnan(found.groups.loc[(1, 0), "accuracy"])
    assert found.groups.loc[(1, 0), "samples"] == 0
    assert (found.worst, found.worst_group) == (0.5, (0, 0))


@pytest.mark.parametrize(("right", "n"), [(0, 3), (2, 7), (9, 9), (40, 50)])
def test_the_interval_is_wilsons(right, n):
    found = worst_group_accuracy([1] * right + [0] * (n - right), [1] * n, [0] * n)
    expected = binomtest(right, n).proportion_ci(method="wilson")
    assert found.groups.iloc[0][["low", "high"]].tolist() == pytest.approx([expected.low, expected.high], abs=1e-12)


def test_conflicts_tell_the_true_feature_from_the_spurious_one():
    labels, ground = ["cow", "cow", "camel", "camel", "cow"], ["grass", "sand", "grass", "sand", "sand"]
    suggests = {"grass": "cow", "sand": "camel"}  # in conflict: samples 1, 2 and 4
    follows_ground = ["cow", "camel", "cow", "camel", "camel"]
    found = feature_reliance(follows_ground, labels, ground, suggests)
    assert found == (0, 1, 1, 3, 0.5)
    assert feature_reliance(labels, labels, ground, suggests)[:3] == (1, 0, 1)
    mixed = feature_reliance(["cow", "cow", "cow", "camel", "goat"], labels, ground, suggests)
    assert mixed[:3] == (pytest.approx(1 / 3), pytest.approx(1 / 3), 1)


def test_without_conflict_nothing_can_be_told():
    found = feature_reliance([0, 1], [0, 1], [0, 1])
    assert np.isnan(found[:2]).all()
    assert (found.aligned, found.conflicts) == (1, 0)


def test_an_attribute_has_to_suggest_a_label():
    with pytest.raises(
        ValueError, match=r"\['grass', 'sand'\] are not labels \(\[0, 1\]\).*suggests=\{'grass': 0, ...\}"
    ):
        feature_reliance([0, 1], [0, 1], ["grass", "sand"])
    with pytest.raises(ValueError, match=r"predictions \(2, 3\), labels \(2,\).*predicted classes, not scores"):
        worst_group_accuracy(np.zeros((2, 3)), [0, 1], [0, 1])


def test_groups_over_training_become_curves():
    labels, attribute = [0, 0, 1, 1], [0, 1, 1, 0]
    curves = group_curves({10: labels, 0: attribute}, labels, attribute)
    assert curves.index.tolist() == [0, 10]
    assert curves["average_accuracy"].tolist() == [0.5, 1]
    assert curves["worst_group_accuracy"].tolist() == [0, 1]
    assert curves["spurious"].tolist() == [1, 0]
    assert curves["true"].tolist() == [0, 1]
    assert curves["chance"].tolist() == [0.5, 0.5]
