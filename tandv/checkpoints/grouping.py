"""Group the names of checkpoints by all that is not their step: one group is one model over training.

>>> [(one.name, one.steps) for one in grouped(["raw_1.pt", "ema_1.pt", "raw_2.pt"])[0]]
[('raw_*', [1, 2]), ('ema_*', [1])]
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple, get_args

from tandv.checkpoints.file_names import (
    CHOSEN,
    COUNTERS,
    OUTER,
    Dates,
    Token,
    joined_thousands,
    number_in,
    stem_of,
    tokens,
    tokens_around,
)

_LEVELS = (("counter",), ("number",), ("decimal",), ("date",))  # what a step is read from: the first that there is
_DIFFER = ("counter", "number", "decimal", "date")
_LITERAL = ("setting", "run")
_SEPARATORS = re.compile(r"^[-_.= ]+|[-_.= ]+$|(?<=[-_.= ])[-_.= ]+")


class Group(NamedTuple):
    """The names that differ by their step only.

    Args:
        name: the names with `*` for the step and for what changes with it.
        members: the places of its names among all.
        steps: the step of each.
        rule: what the steps are, as the end of "steps are ...".
        inferred: whether the steps are not just a number of the name, which is worth a warning.
        ordinal: whether they are the places in an order, 0, 1, 2, ...
    """

    name: str
    members: list[int]
    steps: list[int | float]
    rule: str
    inferred: bool = False
    ordinal: bool = False


class _Name(NamedTuple):
    place: int
    stem: str
    tokens: list[Token]

    def columns(self) -> list[Token]:
        return [one for one in self.tokens if one.kind in _DIFFER]


def grouped(names: Sequence[str], pattern: re.Pattern[str] | None = None) -> tuple[list[Group], list[int]]:
    """Return the groups of some names, the largest first, and the places of the names without a step.

    Args:
        names: names of files and folders.
        pattern: finds the step, which is its one group.
    """
    parsed = _parsed(names, pattern)
    kinds = {one.kind for name in parsed for one in name.tokens}
    level = next((level for level in _LEVELS if kinds & {*level}), ())
    if pattern is not None:
        level = ("counter",)
        having = [name for name in parsed if any(one.word == CHOSEN for one in name.tokens)]
    else:
        texts = {_text(name.stem, name.tokens) for name in parsed if any(one.kind in level for one in name.tokens)}
        having = [name for name in parsed if _text(name.stem, name.tokens) in texts]  # 1, 1.5, 2
    by_text: dict[str, list[_Name]] = {}
    for name in having:
        by_text.setdefault(_text(name.stem, name.tokens), []).append(name)
    groups = [group for members in by_text.values() for group in _read(members)]
    without = {name.place for name in parsed} - {name.place for name in having}
    return sorted(groups, key=lambda one: -len(one.members)), sorted(without)


def steps_of(names: Sequence[str]) -> list[int | float | None]:
    """Return the step in each name, or None.

    >>> steps_of(["epoch=1-step=200.ckpt", "last.ckpt", "checkpoint-500"])
    [200, None, 500]
    >>> steps_of(["p53_2_final.pt", "p53_10_final.pt"])
    [2, 10]
    """
    found = {place: step for group in grouped(names)[0] for place, step in zip(group.members, group.steps, strict=True)}
    return [found.get(place) for place in range(len(names))]


def is_marked(name: str, *kinds: str) -> bool:
    """Tell whether a name has a token of some kinds, such as a "tag" (best, last, final) or a "setting" (seed3)."""
    return any(one.kind in kinds for one in tokens(stem_of(name)))


def _parsed(names: Sequence[str], pattern: re.Pattern[str] | None) -> list[_Name]:
    if pattern is not None:
        return [_Name(place, stem_of(name), _chosen(name, pattern)) for place, name in enumerate(names)]
    stems = joined_thousands([stem_of(name) for name in names])
    dates = _dates(stems)
    parsed = [_Name(place, stem, tokens(stem, dates)) for place, stem in enumerate(stems)]
    # numbers of runs and versions (v1, v2) are steps where nothing else differs
    if not any(one.kind == "counter" for name in parsed for one in name.tokens):
        numbers = [tuple(one.value for one in name.columns()) for name in parsed]
        if len(set(numbers)) == 1 and len(parsed) > 1:
            return [
                name._replace(tokens=[t._replace(kind="number") if t.kind == "run" else t for t in name.tokens])
                for name in parsed
            ]
    return parsed


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
    value = number_in(found[1] or "") if found and found.end(1) <= len(stem) else None
    return tokens(stem) if found is None or value is None else tokens_around(stem, *found.span(1), value)


def _text(stem: str, found: Sequence[Token], literal: Callable[[Token], bool] = lambda one: False) -> str:
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


def _read(members: list[_Name]) -> list[Group]:
    """Return the group of names of one text, or several where other numbers than the step tell runs apart."""
    columns = [list(column) for column in zip(*(name.columns() for name in members), strict=True)]
    values = [[one.value for one in column] for column in columns]
    main = _main(columns, values)
    outer = [i for i in range(len(columns)) if i != main and columns[i][0].word in OUTER and _varies(values[i])]
    if columns[main][0].kind != "counter" or columns[main][0].word not in OUTER:
        for i in outer:
            if _begins_anew(values[i], values[main]):
                return [_composed(members, columns, i, main)]
    plain = [i for i in range(len(columns)) if i != main and columns[i][0].kind != "counter" and _varies(values[i])]
    for i in plain:
        if _tells_runs_apart(values[i], values[main], columns[i][0].kind):
            parts: dict[int | float | str, list[_Name]] = {}
            for name, value in zip(members, values[i], strict=True):
                parts.setdefault(value, []).append(name)
            return [group for part in parts.values() for group in _read(part)]
    token = columns[main][0]
    if token.kind == "date":
        return [_in_order(members, columns, values[main], "the order of the dates in the names, 0, 1, 2, ...")]
    return [Group(
        _name_of(members, columns, main), [name.place for name in members], [_as_step(one) for one in values[main]],
        "what step_pattern finds" if token.word == CHOSEN else _RULES[token.kind].format(token.word),
        inferred=token.kind == "decimal",
    )]  # fmt: skip


_RULES = {
    "counter": "the number of the {} in the names",
    "number": "the number in the names",
    "decimal": "the only number in the names, a decimal",
}


def _main(columns: list[list[Token]], values: list[list[int | float | str]]) -> int:
    """Return the column that the step is in."""
    count = len(values[0])
    counters = sorted(
        (COUNTERS.index(column[0].word), i) for i, column in enumerate(columns) if column[0].kind == "counter"
    )
    # a checkpoint may be numbered without being counted: checkpoint_1_500, checkpoint_1_1000
    numbers = [i for i, column in enumerate(columns) if column[0].kind == "number"]
    if counters:
        rank, main = counters[0]
        if COUNTERS[rank] in ("checkpoint", *OUTER) and len(set(values[main])) < count:
            for known in ([], values[main]):  # by itself, or within an epoch: epoch_1_50, epoch_2_50
                for i in reversed(numbers):
                    if len(set(zip(values[i], known or values[i], strict=True))) == count:
                        return i
        return main
    for kind in ("number", "decimal", "date"):
        these = [i for i, column in enumerate(columns) if column[0].kind == kind]
        if these:
            return next((i for i in reversed(these) if len(set(values[i])) == count), these[-1])
    raise AssertionError("names of a group have a step")


def _varies(values: Sequence[object]) -> bool:
    return len(set(values)) > 1


def _begins_anew(outer: Sequence, inner: Sequence) -> bool:
    """Tell whether an inner counter begins anew with each value of the outer: it does not rise with both."""
    return any(after[1] <= before[1] for before, after in pairwise(sorted(set(zip(outer, inner, strict=True)))))


def _tells_runs_apart(other: Sequence, steps: Sequence, kind: str) -> bool:
    """Tell whether a number marks runs: steps repeat with other values of it, or its values go back and forth."""
    pairs = set(zip(other, steps, strict=True))
    if len(set(steps)) < len(steps):
        return len(pairs) > len(set(steps))
    values = set(other)
    if kind == "decimal" or len(values) == len(other):  # a metric, or counted with the step
        return False
    in_order = [value for _, value in sorted(zip(steps, other, strict=True))]
    return in_order != sorted(other) and min(Counter(other).values()) > 1


def _composed(members: list[_Name], columns: list[list[Token]], outer: int, inner: int) -> Group:
    """Return a group whose names count epochs, and something within each."""
    words = columns[outer][0].word, columns[inner][0].word or "number"
    pairs = [(one.value, two.value) for one, two in zip(columns[outer], columns[inner], strict=True)]
    if (length := _length(members, columns[inner])) is not None:
        return Group(
            _text(members[0].stem, members[0].tokens), [name.place for name in members],
            [_as_step(a) * length + _as_step(b) for a, b in pairs],
            f"{words[0]} · {length} + {words[1]}, by the numbers in the names", inferred=True,
        )  # fmt: skip
    rule = (
        f"the places in the order of {words[0]} and {words[1]}, 0, 1, 2, ...: the {words[1]} begins anew with each "
        f"{words[0]}, and how long that is the names do not say"
    )
    return _in_order(members, columns, pairs, rule)


def _length(members: list[_Name], inner: list[Token]) -> int | None:
    """Return the length of an epoch where all names tell the same: iter50_of_500."""
    lengths = set()
    for name, token in zip(members, inner, strict=True):
        after = [one for one in name.tokens if one.start >= token.end][:1]
        lengths.add(after[0].value if after and after[0].word == "of" else None)
    (length,) = lengths if len(lengths) == 1 else (None,)
    return length if isinstance(length, int) else None


def _in_order(members: list[_Name], columns: list[list[Token]], keys: Sequence, rule: str) -> Group:
    places = {key: place for place, key in enumerate(sorted(set(keys)))}
    return Group(
        _text(members[0].stem, members[0].tokens, _constant(columns)), [name.place for name in members],
        [places[key] for key in keys], rule, inferred=True, ordinal=True,
    )  # fmt: skip


def _name_of(members: list[_Name], columns: list[list[Token]], main: int) -> str:
    step = columns[main][0]
    constant = _constant(columns)
    return _text(members[0].stem, members[0].tokens, lambda one: one != step and constant(one))


def _constant(columns: list[list[Token]]) -> Callable[[Token], bool]:
    fixed = [column[0] for column in columns if not _varies([one.value for one in column])]
    return lambda one: one in fixed


def _as_step(value: object) -> int | float:
    assert isinstance(value, int | float)
    return value
