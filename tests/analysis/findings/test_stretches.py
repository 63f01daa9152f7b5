"""Stretches of steps, and what is unusual beside a tensor's own last steps."""

import numpy as np

from tandv.analysis.findings.stretches import begins, earliest, history, leaps, log2


def test_a_stretch_begins_where_it_first_lasts_long_enough():
    mask = np.array([[1, 1, 0, 1, 1, 1], [0, 0, 0, 0, 1, 1], [1, 1, 1, 1, 1, 1]], bool)
    assert begins(mask, 3).tolist() == [3, -1, 0]
    assert begins(mask[:, :2], 3).tolist() == [-1, -1, -1]
    assert earliest(begins(mask, 3)) == 2


def test_history_is_of_the_twenty_steps_before_and_knows_gaps():
    values = np.arange(40.0)[None]
    median, spread = history(values, np.array([0, 0]), np.array([30, 5]))
    assert median[0] == 19.5  # of 10 to 29
    assert spread[0] == 1.4826 * 5.0  # the deviations are .5, .5, 1.5, 1.5, ... 9.5, 9.5
    assert np.isnan(median[1])  # five steps are too few
    values[0, 10:20] = np.nan
    median, _ = history(values, np.array([0]), np.array([30]))
    assert median[0] == 24.5


def test_a_leap_exceeds_both_bits_and_spreads():
    calm = np.zeros((1, 30))
    calm[0, 25] = 2.9
    assert not leaps(calm, 3.0, 8.0)[0].any()
    calm[0, 25] = 3.1
    above, by = leaps(calm, 3.0, 8.0)
    assert np.flatnonzero(above[0]).tolist() == [25]
    assert by[0, 25] == np.float32(31)  # of the least spread, 0.1
    wild = np.tile([0.0, 2.0], 15)[None].copy()  # a spread of 1.48
    wild[0, 25] = 12.0
    assert not leaps(wild, 3.0, 8.0)[0].any()
    wild[0, 25] = 13.0
    assert leaps(wild, 3.0, 8.0)[0][0, 25] == 12.0


def test_nothing_leaps_in_the_first_steps():
    values = np.zeros((1, 9))
    values[0, 7] = 9.0
    assert not leaps(values, 3.0, 8.0)[0].any()
    values[0, 8] = 9.0
    assert leaps(values, 3.0, 8.0)[0][0, 8] == 9.0


def test_zero_has_no_logarithm():
    assert np.isnan(log2(np.array([0.0, np.inf, np.nan]))).all()
