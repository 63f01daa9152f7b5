"""Steps read off curves drawn by hand, what is missing said in words."""

import math

import numpy as np
import pandas as pd
import pytest

from tandv.analysis.generalisation import generalisation_gap, grokking


def logistic(steps: np.ndarray, half: float, width: float) -> np.ndarray:
    return 1 / (1 + np.exp(-(steps - half) / width))


def run(memorise: float, generalise: float, width: float = 20, end: int = 3000) -> pd.DataFrame:
    """Accuracies that reach 0.95 about 2.94 widths after their half-way points, recorded every 10 steps."""
    steps = np.arange(0, end + 1, 10)
    accuracies = {"train_acc": logistic(steps, memorise, 20), "test_acc": logistic(steps, generalise, width)}
    return pd.DataFrame(accuracies, index=pd.Index(steps, name="step"))


def test_a_run_that_groks_is_told_with_its_steps():
    found = grokking(run(200, 2000))
    # ln(0.95/0.05) = 2.944: 200 + 58.9 and 2000 + 58.9, at the next recorded step
    assert (found.memorisation.step, found.memorisation.after) == (260, 250)
    assert (found.generalisation.step, found.generalisation.after) == (2060, 2050)
    assert (found.delay, found.ratio) == (1800, pytest.approx(2060 / 260))
    assert found.gap == pytest.approx(logistic(np.array(260), 200, 20))
    assert found.is_grokking is True
    assert "1,800 steps later, 7.92 times as many" in found.words


def test_thresholds_and_names_are_settable():
    curves = run(200, 2000).rename(columns={"train_acc": "fit", "test_acc": "held_out"})
    found = grokking(curves, threshold=0.5, train_threshold=0.99, train="fit", test="held_out")
    assert (found.memorisation.step, found.generalisation.step) == (300, 2000)  # ln 99 = 4.595
    assert grokking(curves, train="fit", test="held_out", least_ratio=10).is_grokking is False


def test_ordinary_learning_is_not_grokking():
    together = grokking(run(200, 200))
    assert (together.delay, together.is_grokking) == (0, False)
    assert "did not generalise later" in together.words
    slow_end = grokking(run(200, 200, width=150))  # reaches 0.95 late, but was at 0.6 at memorisation
    assert slow_end.ratio > 2
    assert grokking(run(200, 200, width=150), least_gap=0.5).is_grokking is False


def test_memorising_alone_is_not_grokking_and_says_how_far_it_came():
    found = grokking(run(200, 5000, width=1000))
    assert (found.delay, found.ratio, found.is_grokking) == (None, None, False)
    assert "test_acc did not reach 0.95 by step 3,000 (highest: 0.1192 at 3,000)" in found.words
    assert found.gap > 0.9


def test_a_run_that_never_memorises():
    found = grokking(run(9000, 9000))
    assert (found.memorisation.step, found.gap, found.is_grokking) == (None, None, False)
    assert found.words.startswith("train_acc did not reach 0.95 by step 3,000")


def test_missing_values_are_passed_over_and_said():
    curves = run(200, 2000)
    curves.loc[1900:2100, "test_acc"] = np.nan
    found = grokking(curves)
    assert (found.generalisation.step, found.generalisation.after) == (2110, 1890)
    assert "after 1,890 (21 values between are missing)" in found.words


def test_a_gap_that_is_not_known_is_not_guessed():
    curves = run(200, 2000)
    curves.loc[:1000, "test_acc"] = np.nan
    found = grokking(curves)
    assert (found.delay, found.gap, found.is_grokking) == (1800, None, None)
    assert "no test_acc within 100 steps of 260, the nearest is at 1,010: the gap is not known" in found.words
    curves["test_acc"] = np.nan
    nothing = grokking(curves)
    assert nothing.is_grokking is None
    assert nothing.generalisation.words == "test_acc has no known value"


def test_a_record_that_begins_memorised_says_so():
    found = grokking(run(200, 2000).loc[500:])
    assert (found.memorisation.step, found.memorisation.after) == (500, None)
    assert "at its first known step, 500: it was reached then or before" in found.words


def test_without_accuracies_the_columns_are_named():
    with pytest.raises(
        ValueError,
        match="lack 'test_acc'; they have 'train_acc', 'loss': name yours by grokking\\(curves, train=..., test=",
    ):
        grokking({"step": [0], "train_acc": [1.0], "loss": [1.0]})


def test_the_gap_is_worse_where_it_is_larger():
    curves = {
        "step": [0, 1, 2],
        "train_loss": [2.0, 1.0, 0.5],
        "val_loss": [2.5, math.nan, 1.5],
        "train_accuracy": [0.5, 0.9, 1.0],
        "test_accuracy": [0.25, 0.5, 1.0],
    }
    table = generalisation_gap(curves)
    assert list(table) == ["loss_gap", "accuracy_gap"]
    assert table["loss_gap"].dropna().to_dict() == {0: 0.5, 2: 1.0}
    assert table["accuracy_gap"].tolist() == pytest.approx([0.25, 0.4, 0])
    with pytest.raises(ValueError, match="a gap needs train_loss and test_loss .*; the curves are 'train_loss'"):
        generalisation_gap({"train_loss": [1.0]})
    assert generalisation_gap({"train_loss": [1.0]}, missing_ok=True).empty


def test_a_delay_is_in_what_the_steps_count():
    epochs = np.arange(0, 20000, 100)
    run = {
        "epoch": epochs,
        "train_acc": np.clip(epochs / 1000, 0, 1),
        "test_acc": 0.05 + 0.94 * logistic(epochs, 12000, 200),
    }
    found = grokking(run)
    assert (found.memorisation.step, found.generalisation.step, found.delay) == (1000, 12700, 11700)
    assert "reached 0.95 at epoch 12,700" in found.words and "11,700 epochs later" in found.words


def test_accuracies_in_percent_are_taken_as_such_and_that_is_said():
    shares = {"train_acc": np.array([0.1, 0.96, 1, 1]), "test_acc": np.array([0.1, 0.2, 0.5, 0.97])}
    right = grokking({"step": [1, 10, 100, 1000], **shares})
    found = grokking({"step": [1, 10, 100, 1000], **{name: 100 * values for name, values in shares.items()}})
    assert (found.memorisation.step, found.delay, found.is_grokking) == (10, 990, True)
    assert found.gap == pytest.approx(right.gap) == pytest.approx(0.76)
    assert "(accuracies up to 100 are taken for percent)" in found.words and "percent" not in right.words
    assert grokking({"step": [1, 10, 100, 1000], **shares}, threshold=95).delay == 990


def test_a_run_in_percent_whose_test_accuracy_stays_low_does_not_grok():
    found = grokking({"train_acc": [10.0, 99, 100], "test_acc": [0.5, 0.9, 0.96]})  # below one percent throughout
    assert found.is_grokking is False and found.generalisation.step is None


def test_accuracies_that_are_called_alike_are_found():
    run = {"train/accuracy": [0.1, 1.0, 1.0, 1.0], "eval/accuracy": [0.1, 0.1, 0.5, 1.0]}
    found = grokking(run)
    assert (found.memorisation.quantity, found.generalisation.quantity, found.delay) == (*run, 2)


def test_shares_a_little_above_1_are_no_percent():
    run = {"train_acc": [0.1, 1.02, 1.01, 1.0], "test_acc": [0.1, 0.1, 0.5, 1.0]}
    found = grokking(run)
    assert found.delay == 2 and "percent" not in found.words
