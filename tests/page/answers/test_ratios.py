"""Ratios of a statistic to what it began as."""

import numpy as np

from tandv.page.answers.columns import columns
from tandv.page.answers.ratios import changes, early, logs_of_ratios, ratios


def test_a_change_is_measured_from_the_median_of_the_first_five_values():
    assert early(np.array([[100.0, 1, 2, -3, 4, 1e9]])).tolist() == [3]


def test_a_layer_that_appears_late_is_measured_from_where_it_appears():
    values = np.full((2, 300), np.nan)
    values[0] = 1
    values[1, 200:] = 8
    assert early(values).tolist() == [1, 8]


def test_few_values_have_the_median_that_they_have():
    values = np.array([[np.nan, 4, np.inf, 2], [np.nan] * 4, [np.nan, np.nan, np.nan, 7]])
    np.testing.assert_array_equal(early(values), [3, np.nan, 7])


def test_of_no_steps_there_is_no_median():
    assert np.isnan(early(np.zeros((2, 0), np.float32))).all()


def test_the_largest_float32_does_not_overflow():
    largest = np.finfo(np.float32).max
    assert early(np.full((1, 4), largest)).tolist() == [largest]


def test_what_was_and_is_zero_has_not_changed():
    values = np.array([0.0, 2, 0, np.inf, np.nan])
    np.testing.assert_array_equal(ratios(values, np.array([0.0, 0, 2, 2, 2])), [1, np.inf, 0, np.inf, np.nan])


def test_of_a_column_the_change_is_shown_that_is_largest_up_or_down():
    of = columns(np.arange(4), None, None, 2)
    assert logs_of_ratios(np.array([4.0, 1 / 8, 2, 1]), of).tolist() == [-3, 1]


def test_pooling_before_the_logarithm_is_pooling_after_it():
    sizes = np.random.default_rng(0).lognormal(size=(3, 100)).astype(np.float32)
    of = columns(np.arange(100), None, None, 7)
    logs = np.log2(sizes)
    for column, part in enumerate(np.split(logs, of.edges[1:], axis=1)):
        expected = part[np.arange(3), np.abs(part).argmax(1)]
        np.testing.assert_array_equal(logs_of_ratios(sizes, of)[:, column], expected)


def test_a_change_is_the_same_whether_it_is_pooled_first_or_last():
    values = np.random.default_rng(0).normal(size=(40, 100)).astype(np.float32)
    values[np.random.default_rng(1).random(values.shape) < 0.2] = np.nan
    values[3], values[4, 20:] = 0, 0
    values[5, :10] = 0
    values[6, 50] = np.inf
    of = columns(np.arange(100), None, None, 9)
    np.testing.assert_array_equal(changes(values, of), logs_of_ratios(ratios(values, early(values)[:, None]), of))
