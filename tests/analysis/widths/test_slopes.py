"""Slopes of lines in logarithms, against scipy and against lines that are drawn at random."""

import numpy as np
import pytest
from scipy import stats

from tandv.analysis.widths.slopes import slopes

WIDTHS = np.array([32.0, 64.0, 64.0, 128.0, 256.0])


def test_a_power_of_the_width_has_it_as_slope():
    found = slopes(WIDTHS, np.stack([3 * WIDTHS**power for power in (-1, -0.5, 0, 0.5, 1)]), np.zeros(5))
    assert found.slope == pytest.approx([-1, -0.5, 0, 0.5, 1]) and found.low == pytest.approx(found.high, abs=1e-6)


def test_one_line_alone_has_the_interval_of_student():
    sizes = np.array([1.0, 1.3, 1.1, 1.9, 2.0])
    found = slopes(WIDTHS, sizes[None], np.zeros(1))
    exact = stats.linregress(np.log2(WIDTHS), np.log2(sizes))
    reach = stats.t.ppf(0.975, 3) * exact.stderr
    assert found.slope[0] == pytest.approx(exact.slope)
    assert (found.low[0], found.high[0]) == pytest.approx((exact.slope - reach, exact.slope + reach))


def test_what_is_missing_or_zero_is_left_out():
    sizes = np.array([[1.0, 2.0, np.nan, 4.0, 0.0], [np.nan, 1.0, 1.0, np.nan, np.nan]])
    found = slopes(WIDTHS, sizes, np.zeros(2))
    assert found.slope[0] == pytest.approx(1) and np.isnan(found.slope[1])  # one width has no slope


def test_two_points_have_a_slope_and_no_interval():
    found = slopes(np.array([32.0, 64.0]), np.array([[1.0, 2.0]]), np.zeros(1))
    assert found.slope[0] == pytest.approx(1) and np.isnan(found.low[0]) and np.isnan(found.high[0])


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_intervals_of_many_lines_hold_the_slope_and_are_shorter_than_of_one(spread):
    random = np.random.default_rng(0)
    widths = np.array([64.0, 128.0, 256.0])
    deviation = 0.05 * np.exp(spread * random.normal(size=(1000, 1)))
    sizes = 2.0 ** (deviation * random.normal(size=(1000, 3)))
    found = slopes(widths, sizes, np.zeros(1000))
    inside = ((found.low <= 0) & (found.high >= 0)).mean()
    assert 0.93 < inside < 0.97
    alone = [slopes(widths, one[None], np.zeros(1)) for one in sizes[:50]]
    assert np.median(found.high - found.low) < 0.5 * np.median([one.high - one.low for one in alone])


def test_lines_of_another_kind_do_not_count():
    random = np.random.default_rng(1)
    widths = np.array([64.0, 128.0, 256.0, 512.0])
    sizes = 2.0 ** np.concatenate([0.01 * random.normal(size=(20, 4)), 2 * random.normal(size=(20, 4))])
    kinds = np.repeat([0, 1], 20)
    both, calm = slopes(widths, sizes, kinds), slopes(widths, sizes[:20], kinds[:20])
    assert both.high[:20] == pytest.approx(calm.high)
