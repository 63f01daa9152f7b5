"""Steps in columns: which lie in each, and what of several steps is shown."""

import numpy as np
import pytest

from tandv.log.shown import ABSENT, INFINITE, NAN
from tandv.page.answers.columns import columns, flagged, highest, largest, lowest

UNEVEN = np.array([0, 1, 2, 4, 8, 16, 1000])


def test_uneven_steps_are_spread_by_their_number():
    of = columns(UNEVEN, None, None, 3)
    assert of.edges.tolist() == [0, 2, 4]
    assert of.starts.tolist() == [0, 2, 8, 1000]
    assert of.pooled == 3


def test_with_room_for_all_each_step_is_a_column():
    of = columns(UNEVEN, None, None, 100)
    assert of.starts.tolist() == [*UNEVEN, 1000] and of.pooled == 1


@pytest.mark.parametrize(
    ("first", "last", "starts"),
    [
        (1, 4, [1, 2, 4, 4]),
        (0.5, 4.5, [1, 2, 4, 4]),
        (-50, 1, [0, 1, 1]),
        (16, 10**9, [16, 1000, 1000]),
        (4, 4, [4, 4]),
    ],
)
def test_both_ends_are_included_and_may_lie_beyond_what_is_logged(first, last, starts):
    assert columns(UNEVEN, first, last, 100).starts.tolist() == starts


@pytest.mark.parametrize(("first", "last"), [(5, 7), (2000, 3000), (-9, -1)])
def test_where_nothing_was_logged_there_is_no_column(first, last):
    of = columns(UNEVEN, first, last, 10)
    assert len(of.edges) == 0 and of.starts.tolist() == [first] and of.pooled == 0
    assert largest(np.ones((2, 7), np.float32), of).shape == (2, 0)


def test_a_log_without_steps_has_no_column():
    assert columns(np.zeros(0, np.int64), None, None, 10).starts.tolist() == [0]


def test_a_spike_of_one_step_survives_with_its_sign():
    values = np.zeros((2, 1000), np.float32)
    values[0, 617], values[1, 617] = 5, -7
    of = columns(np.arange(1000), None, None, 10)
    assert largest(values, of)[:, 6].tolist() == [5, -7]
    assert np.count_nonzero(largest(values, of)) == 2


def test_nan_is_left_out_unless_there_is_nothing_else():
    values = np.array([np.nan, 2, np.nan, np.nan, -3, np.inf])
    of = columns(np.arange(6), None, None, 3)
    np.testing.assert_array_equal(largest(values, of), [2, np.nan, np.inf])
    np.testing.assert_array_equal(highest(values, of), [2, np.nan, np.inf])
    np.testing.assert_array_equal(lowest(values, of), [2, np.nan, -3])


def test_minus_infinity_is_larger_in_size_than_any_number():
    of = columns(np.arange(2), None, None, 1)
    assert largest(np.array([[1e30, -np.inf]]), of).tolist() == [[-np.inf]]


def test_a_flag_of_one_step_survives_and_absent_is_a_column_only_if_all_its_steps_are():
    flags = np.array([0, NAN, ABSENT, INFINITE, ABSENT, ABSENT, ABSENT, 0], np.uint8)
    of = columns(np.arange(8), None, None, 4)
    assert flagged(flags, of).tolist() == [NAN, INFINITE, ABSENT, 0]
