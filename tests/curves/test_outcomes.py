"""Outcomes are told by their names, with the data that they are of."""

import pytest

from tandv.curves.outcomes import accuracies_of, data_of, in_percent, is_accuracy, is_outcome, way_of


@pytest.mark.parametrize(
    ("name", "way", "data"),
    [
        ("train_loss", "falls", "seen"),
        ("valLoss", "falls", "unseen"),
        ("loss where known", "falls", ""),
        ("eval/perplexity", "falls", "unseen"),
        ("val", "falls", "unseen"),
        ("error rate", "falls", ""),
        ("train_accuracy", "rises", "seen"),
        ("val/top5_acc", "rises", "unseen"),
        ("F1", "rises", ""),
        ("episode_return", "rises", ""),
    ],
)
def test_outcomes(name, way, data):
    assert (way_of(name), data_of(name)) == (way, data)


@pytest.mark.parametrize(
    "name", ["loss_scale", "grad_norm", "lr", "weight_norm", "stable_rank/fc", "mode_0", "layer5", "train/grad_norm"]
)
def test_what_is_inside_a_network_is_none(name):
    assert not is_outcome(name)


def test_accuracies_belong_together_by_what_is_left_of_their_names():
    assert accuracies_of(["train/acc", "val/acc", "test/acc"]) == ("train/acc", "test/acc")
    assert accuracies_of(["train_top5_acc", "val_acc"]) is None
    assert accuracies_of(["train_accuracy", "eval_accuracy", "loss"]) == ("train_accuracy", "eval_accuracy")
    assert accuracies_of(["acc", "test_acc"]) is None


def test_accuracies_and_their_scale_are_told():
    assert all(is_accuracy(name) for name in ("test_acc", "valAcc", "testacc", "acc@5", "top1_acc", "eval/accuracy"))
    assert not any(is_accuracy(name) for name in ("accumulated_loss", "acceleration", "loss"))
    assert [in_percent(highest) for highest in (0.9, 1 + 1e-9, 1.05, 3.0, 100.0)] == [False, False, False, True, True]
