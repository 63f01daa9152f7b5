"""Averages over seeds, neighbours and epochs, worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from tandv.curves import epoch_means, mean_and_band, mean_and_reach, smoothed


def test_seeds_become_a_mean_and_a_band():
    runs = [{"step": [0, 10], "loss": [1.0, 4.0]}, {"step": [0, 20], "loss": [3.0, 5.0], "acc": [0.5, 0.6]}]
    band = mean_and_band(runs)
    assert band.mean["loss"].to_dict() == {0: 2.0, 10: 4.0, 20: 5.0}
    assert band.low.loc[0, "loss"] == pytest.approx(2 - 2**0.5)  # sample standard deviation of 1 and 3
    assert band.high.loc[0, "loss"] == pytest.approx(2 + 2**0.5)
    assert np.isnan(band.high.loc[10, "loss"])
    assert band.runs["loss"].tolist() == [2, 1, 1] and band.runs["acc"].tolist() == [1, 0, 1]
    assert mean_and_band(runs, "range").low.loc[0].to_dict() == {"loss": 1.0, "acc": 0.5}


def test_a_band_of_nothing_or_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="no run to take the mean of"):
        mean_and_band([])
    with pytest.raises(ValueError, match="not one of 'std', 'range', 'confidence'"):
        mean_and_band([{"loss": [1.0]}], "all")


def test_the_confidence_interval_of_the_mean_is_students():
    runs = [{"loss": [1.0, 2.0]}, {"loss": [2.0, 2.0]}, {"step": [0], "loss": [3.0]}]
    band = mean_and_band(runs, "confidence")
    assert band.high["loss"].tolist() == pytest.approx([2 + 4.302653 / 3**0.5, 2.0])  # t of 2 degrees of freedom
    assert band.low.loc[0, "loss"] == pytest.approx(2 - 4.302653 / 3**0.5)
    assert mean_and_reach([1.0, 3.0]) == pytest.approx((2.0, 12.706205))  # t of 1, standard error 1
    assert np.isnan(mean_and_band(runs[:1], "confidence").low.to_numpy()).all()
    assert mean_and_reach([5.0])[0] == 5.0 and np.isnan(mean_and_reach([5.0])[1]) and np.isnan(mean_and_reach([])[0])


def test_smoothing_averages_neighbours_and_leaves_gaps():
    assert smoothed({"loss": [0.0, np.nan, 6.0, 3.0]}, 3)["loss"].fillna(-1).tolist() == [0.0, -1.0, 4.5, 4.5]
    assert smoothed({"epoch": [0, 1], "loss": [2.0, 1.0]}, 2).attrs == {"unit": "epoch"}
    with pytest.raises(ValueError, match="a window of 0 values holds nothing"):
        smoothed({"loss": [1.0]}, 0)


def test_the_mean_of_an_epoch_is_of_the_steps_that_are_known_in_it():
    curves = pd.DataFrame({"loss": [5.0, np.nan, 3.0, 1.0, np.nan]}, index=[0, 1, 9, 10, 30])
    means = epoch_means(curves, 10)
    assert (means.index.tolist(), means.index.name) == ([0, 10, 30], "step")
    assert means["loss"].tolist()[:2] == [4.0, 1.0] and np.isnan(means["loss"].iloc[2])
    with pytest.raises(ValueError, match="give at least 1"):
        epoch_means(curves, 0)
