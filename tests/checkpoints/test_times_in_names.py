"""Dates, durations and times since 1970 in names."""

import pytest

from tandv.checkpoints.times_in_names import is_timestamp, seconds_in, whole_durations, years_first


@pytest.mark.parametrize(
    ("duration", "seconds"), [("12h30m", 45_000), ("2d3h", 183_600), ("90m_5s", 5405), ("1d-2h-3min-4s", 93_784)]
)
def test_durations_in_seconds(duration, seconds):
    assert seconds_in(duration) == seconds


def test_single_units_are_durations_only_beside_several():
    assert whole_durations(["1h30m", "2h", "45min", "2d"]) == ["1h30m", "2h0m", "0h45m", "2d0h"]
    assert whole_durations(["30m", "60m"]) == ["30m", "60m"]  # as likely millions


@pytest.mark.parametrize(
    ("names", "dates", "written"),
    [
        (["15-04-2024", "01-05-2024"], ["2024-04-15", "2024-05-01"], "day, month, year"),
        (["04.15.2024_12", "05.01.2024_13"], ["2024-04-15_12", "2024-05-01_13"], "month, day, year"),
        (["15-13-2024"], ["15-13-2024"], ""),
        (["15-04-2024", "04-15-2024"], ["15-04-2024", "04-15-2024"], ""),
        (["2024-04-15"], ["2024-04-15"], ""),
        (["step10-20-2000"], ["step10-20-2000"], ""),
    ],
)
def test_dates_with_the_year_last(names, dates, written):
    assert years_first(names) == (dates, written)


def test_times_since_1970_have_ten_digits_before_the_fraction():
    assert [*map(is_timestamp, ("1714521600", "1714521600123456", "171452160", "2714521600", "17145216001"))] == [
        True, True, False, False, False,
    ]  # fmt: skip
