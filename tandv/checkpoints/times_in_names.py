"""Times in the names of checkpoints: dates, durations and seconds since 1970, which are an order and no steps.

>>> [is_timestamp(text) for text in ("1714521600", "1714521600123", "1714521600.5", "5000")]
[True, True, True, False]
"""

import re
from collections.abc import Sequence

DATE = r"(?:19|20)\d\d(?P<sep>[-_.]?)(?:0[1-9]|1[0-2])(?P=sep)(?:0[1-9]|[12]\d|3[01])"
MINUTES = r"[T_\- ](?:[01]\d|2[0-3])[:.h]?[0-5]\d"
SECONDS = (
    r"[T_\- ]?(?:[01]\d|2[0-3])(?P<mid>[-:.h]?)[0-5]\d(?:(?P=mid)|m)[0-5]\d(?:\.\d+|\d{6}|\d{3})?[sZ]?"  # or fractions
)
DURATION = r"(?:\d+d[-_]?)?\d+h[-_]?\d+m(?:in)?(?:[-_]?\d+s)?|\d+d[-_]?\d+h|\d+m(?:in)?[-_]?\d+s"

# Seconds, milliseconds and microseconds since 1970, of the years 2001 to 2033.
_TIMESTAMP = re.compile(r"1\d{9}(?:\d{3}|\d{6}|\.\d+)?")
_YEAR_LAST = re.compile(r"(?<![A-Za-z\d.])(\d\d)([-_.])(\d\d)\2((?:19|20)\d\d)(?!\d)")
_SEVERAL_UNITS = re.compile(rf"(?<![A-Za-z0-9.])(?:{DURATION})(?![A-Za-z0-9])")
_ONE_UNIT = re.compile(r"(?<![A-Za-z0-9.])(\d+)(d|h|m|s)(?:ays?|ours?|rs?|in|ins|ec|ecs)?(?![A-Za-z0-9])")
_OF_SECONDS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
_WHOLE = {"d": "{}d0h", "h": "{}h0m", "m": "0h{}m", "s": "0m{}s"}


def is_timestamp(text: str) -> bool:
    """Tell whether a number may be a time since 1970."""
    return _TIMESTAMP.fullmatch(text) is not None


def seconds_in(duration: str) -> int:
    """Return how long a duration is.

    >>> seconds_in("12h30m"), seconds_in("1d12h"), seconds_in("5m_10s")
    (45000, 129600, 310)
    """
    return sum(int(count) * _OF_SECONDS[unit] for count, unit in re.findall(r"(\d+)([dhms])", duration))


def whole_durations(stems: Sequence[str]) -> list[str]:
    """Return names with all durations in several units, where at least one name has such: `3h` beside `2h30m`.

    >>> whole_durations(["run_2h30m", "run_3h", "run_45min"]), whole_durations(["model_3h", "model_30m"])
    (['run_2h30m', 'run_3h0m', 'run_0h45m'], ['model_3h', 'model_30m'])
    """
    if not any(map(_SEVERAL_UNITS.search, stems)):
        return [*stems]
    return [
        stem if _SEVERAL_UNITS.search(stem) else _ONE_UNIT.sub(lambda one: _WHOLE[one[2]].format(one[1]), stem)
        for stem in stems
    ]


def years_first(stems: Sequence[str]) -> tuple[list[str], str]:
    """Return names with their dates as year, month, day, and how these were written, "" if they were so before.

    Of two numbers that may both be a month, the first is taken for the day.

    >>> years_first(["01-05-2024", "15-04-2024"]), years_first(["04-15-2024"])
    ((['2024-05-01', '2024-04-15'], 'day, month, year'), (['2024-04-15'], 'month, day, year'))
    """
    found = [one for stem in stems for one in _YEAR_LAST.finditer(stem)]
    firsts, seconds = [int(one[1]) for one in found], [int(one[3]) for one in found]
    for written, days, months, order in (
        ("day, month, year", firsts, seconds, r"\4-\3-\1"),
        ("month, day, year", seconds, firsts, r"\4-\1-\3"),
    ):
        if found and all(1 <= day <= 31 for day in days) and all(1 <= month <= 12 for month in months):
            return [_YEAR_LAST.sub(order, stem) for stem in stems], written
    return [*stems], ""
