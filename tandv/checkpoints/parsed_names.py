"""Names of checkpoints with their tokens, read so that all names of a folder agree.

>>> [one.value for name in parsed_names(["step_500", "step_10_000"])[0] for one in name.tokens]
[500, 10000]
"""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple, get_args

from tandv.checkpoints.file_names import Dates, Token, joined_thousands, number_in, stem_of, tokens, tokens_around
from tandv.checkpoints.times_in_names import is_timestamp, whole_durations, years_first

_TIMES = ("date", "duration")
_DIFFER = ("counter", "number", "decimal", *_TIMES)
_LITERAL = ("setting", "run", "part")
_SEPARATORS = re.compile(r"^[-_.= ]+|[-_.= ]+$|(?<=[-_.= ])[-_.= ]+")


class ParsedName(NamedTuple):
    """A name with its tokens.

    Args:
        place: its place among all names.
        stem: the name without its ending.
        tokens: its tokens, in its order.
    """

    place: int
    stem: str
    tokens: list[Token]

    def columns(self) -> list[Token]:
        """Return the tokens that may differ within a group."""
        return [one for one in self.tokens if one.kind in _DIFFER]

    def form(self) -> tuple[str, tuple[bool, ...]]:
        """Return what names of one group have in common: the text between tokens, and which tokens are times."""
        return text_of(self.stem, self.tokens), tuple(one.kind in _TIMES for one in self.columns())


def parsed_names(names: Sequence[str], pattern: re.Pattern[str] | None = None) -> tuple[list[ParsedName], str]:
    """Return names with their tokens, and how their dates are written if the year is not first.

    >>> parsed_names(["step_1.pt", "step_20.pt"])[0][1].form()
    ('step_*', (False,))

    Args:
        names: names of files and folders.
        pattern: finds the step, which is its one group.
    """
    if pattern is not None:
        return [ParsedName(place, stem_of(name), _chosen(name, pattern)) for place, name in enumerate(names)], ""
    stems, dates_as = years_first(joined_thousands(whole_durations([stem_of(name) for name in names])))
    dates = _dates(stems)
    parsed = [ParsedName(place, stem, tokens(stem, dates)) for place, stem in enumerate(stems)]
    times = [one.value for name in parsed for one in name.tokens if one.kind == "date" and is_timestamp(str(one.value))]
    if all(str(time).endswith("000") for time in times):  # such as 1,500,000,000 tokens
        parsed = [name._replace(tokens=[_counted(one) for one in name.tokens]) for name in parsed]
    # numbers of runs and versions (v1, v2) are steps where nothing else differs
    if not any(one.kind == "counter" for name in parsed for one in name.tokens):
        numbers = [tuple(one.value for one in name.columns()) for name in parsed]
        if len(set(numbers)) == 1 and len(parsed) > 1:
            parsed = [
                name._replace(tokens=[t._replace(kind="number") if t.kind == "run" else t for t in name.tokens])
                for name in parsed
            ]
    return parsed, dates_as


def _counted(token: Token) -> Token:
    """Return a time since 1970 as the number that it is, any other token as it is."""
    if token.kind != "date" or not is_timestamp(str(token.value)):
        return token
    return token._replace(kind="number", value=number_in(str(token.value)) or 0)


def _dates(stems: Sequence[str]) -> Dates:
    """Return how far dates go on in all names: 20240501_1000 may be at ten o'clock, or of step 1000."""
    having = [stem for stem in stems if re.search(r"(?:19|20)\d\d", stem)]
    found = {dates: [_followed(tokens(stem, dates)) for stem in having] for dates in get_args(Dates)}
    days, minutes, seconds = ([one for one in found[dates] if one] for dates in get_args(Dates))
    of_several_days = len({date for date, _ in days}) > 1 and all(behind for _, behind in days)
    if of_several_days and not any(behind for _, behind in minutes):  # each number is a time
        return "minutes"
    # where one number cannot be a time, none is
    return "days" if any(behind for _, behind in seconds) else "seconds"


def _followed(found: Sequence[Token]) -> tuple[object, bool] | None:
    """Return the date in a name, and whether a number is right behind it."""
    for one, after in pairwise([*found, None]):
        if one is not None and one.kind == "date":
            return one.value, after is not None and after.kind == "number" and after.start - one.end <= 1
    return None


def _chosen(name: str, pattern: re.Pattern[str]) -> list[Token]:
    stem, found = stem_of(name), pattern.search(name)
    text = (found[1] or "").rstrip(".") if found else ""  # of 1.pt a pattern such as [\d.]+ finds "1."
    value = number_in(text)
    if found is None or value is None or found.start(1) + len(text) > len(stem):
        return tokens(stem)
    return tokens_around(stem, found.start(1), found.start(1) + len(text), value)


def text_of(stem: str, found: Sequence[Token], literal: Callable[[Token], bool] = lambda one: False) -> str:
    """Return a name with `*` for what differs within a group, without tags such as "best"."""
    out, at = "", 0
    for one in found:
        out += stem[at : one.start]
        if one.kind in _LITERAL or literal(one):
            out += stem[one.start : one.end]
        elif one.kind not in ("tag", "resave"):
            out += "*"
        at = one.end
    out += stem[at:]
    return _SEPARATORS.sub("", out) if any(one.kind in ("tag", "resave") for one in found) else out
