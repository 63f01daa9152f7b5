"""Group the names of checkpoints by all that is not their step: one group is one model over training.

>>> [(one.name, one.steps) for one in grouped(["raw_1.pt", "ema_1.pt", "raw_2.pt"])[0]]
[('raw_*', [1, 2]), ('ema_*', [1])]
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from tandv.checkpoints.file_names import CHOSEN, COUNTERS, NAMED_SO, OUTER, RUNS, Token, stem_of, tokens
from tandv.checkpoints.parsed_names import ParsedName, parsed_names, text_of
from tandv.checkpoints.times_in_names import seconds_in

# What a step is read from: the first that there is.
_LEVELS = (("counter",), ("number",), ("decimal",), ("date",), ("duration",))
# A step beside an epoch; alone, these may be a seed or an index.
_STEP_IN_SHORT = ("s", "st", "stp", "i")


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


def grouped(names: Sequence[str], pattern: re.Pattern[str] | None = None) -> tuple[list[Group], list[int]]:
    """Return the groups of some names, the largest first, and the places of the names without a step.

    Args:
        names: names of files and folders.
        pattern: finds the step, which is its one group.
    """
    parsed, dates_as = parsed_names(names, pattern)
    kinds = {one.kind for name in parsed for one in name.tokens}
    level = next((level for level in _LEVELS if kinds & {*level}), ())
    if pattern is not None:
        level = ("counter",)
        having = [name for name in parsed if any(one.word == CHOSEN for one in name.tokens)]
    else:
        alike = {name.form() for name in parsed if any(one.kind in level for one in name.tokens)}
        having = [name for name in parsed if name.form() in alike]  # 1, 1.5, 2
    by_form: dict[object, list[ParsedName]] = {}
    for name in having:
        by_form.setdefault(name.form(), []).append(name)
    groups = [group for members in by_form.values() for group in _read(members, dates_as)]
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


def is_part_of_a_models_name(name: str) -> bool:
    """Tell whether the last number of a name is a size or a version of a model, and no step: gpt2, llama-7b, fp8.

    >>> [is_part_of_a_models_name(name) for name in ("resnet50.pt", "llama-7b", "model_2.pt", "ckpt5.pt", "net3.pt")]
    [True, True, False, False, False]
    """
    stem = stem_of(name)
    found = tokens(stem)
    numbers = [one for one in found if one.kind in ("number", "decimal")]
    if not numbers or any(one.kind == "counter" for one in found):
        return False
    last = numbers[-1]
    text, before, after = stem[last.start : last.end], stem[: last.start], stem[last.end : last.end + 1]
    glued = before[-1:].isalpha() and len(text) < 4 and not NAMED_SO.fullmatch(last.word)
    return glued or after.isalpha() or text[-1] in "bB"


def _read(members: list[ParsedName], dates_as: str = "") -> list[Group]:
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
            parts: dict[int | float | str, list[ParsedName]] = {}
            for name, value in zip(members, values[i], strict=True):
                parts.setdefault(value, []).append(name)
            return [group for part in parts.values() for group in _read(part, dates_as)]
    token = columns[main][0]
    texts = [name.stem[one.start : one.end] for name, one in zip(members, columns[main], strict=True)]
    if token.kind == "date":
        rule = f"the order of the dates in the names{dates_as and f' ({dates_as})'}, 0, 1, 2, ..."
        return [_in_order(members, columns, values[main], rule)]
    if token.kind == "duration":
        return [_in_order(members, columns, [*map(seconds_in, texts)], _ORDERS["duration"])]
    if _are_versions(columns[main], texts):
        versions = [tuple(map(int, re.findall(r"\d+", text))) for text in texts]
        columns[main] = [one._replace(value=text) for one, text in zip(columns[main], texts, strict=True)]
        return [_in_order(members, columns, versions, _ORDERS["version"])]
    rule = "what step_pattern finds" if token.word == CHOSEN else _RULES[token.kind].format(token.word)
    beside = _beside(columns, values, main)
    return [Group(
        _name_of(members, columns, main), [name.place for name in members], [_as_step(one) for one in values[main]],
        rule + beside, inferred=token.kind == "decimal" or bool(beside),
    )]  # fmt: skip


_RULES = {
    "counter": "the number of the {} in the names",
    "number": "the number in the names",
    "decimal": "the only number in the names, a decimal",
}


_ORDERS = {
    "duration": "the order of the durations in the names, 0, 1, 2, ...",
    "version": "the order of the versions in the names, 1.10 after 1.9, as 0, 1, 2, ...",
}


def _are_versions(column: Sequence[Token], texts: Sequence[str]) -> bool:
    """Tell whether numbers are versions, of which 1.1 and 1.10 are two."""
    dotted = {text: one.value for text, one in zip(texts, column, strict=True) if re.fullmatch(r"\d+(\.\d+)+", text)}
    called_so = any(RUNS.fullmatch(one.word) for one in column)
    return bool(dotted) and (
        called_so or len({*dotted.values()}) < len(dotted) or any(t.count(".") > 1 for t in dotted)
    )


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
        if COUNTERS[rank] in OUTER:  # e12_s3400, e13_s3700
            short = [i for i in numbers if columns[i][0].word in _STEP_IN_SHORT]
            return next((i for i in reversed(short) if _counts_on(values[main], values[i])), main)
        if COUNTERS[rank] == "checkpoint":  # checkpoint_1_100, checkpoint_2_200: as if it had several within the first
            return next((i for i in reversed(numbers) if _counts_on(values[main], values[i])), main)
        return main
    for kind in ("number", "decimal", "date", "duration"):
        these = [i for i, column in enumerate(columns) if column[0].kind == kind]
        if these:
            return next((i for i in reversed(these) if len(set(values[i])) == count), these[-1])
    raise AssertionError("names of a group have a step")


def _beside(columns: list[list[Token]], values: list[list[int | float | str]], main: int) -> str:
    """Return what is said of an epoch and another number, each of which could be the step."""
    count, chosen = len(values[main]), columns[main][0]
    if chosen.kind == "number":
        outer = [i for i, one in enumerate(columns) if one[0].word in OUTER and one[0].kind == "counter"]
        words = [columns[i][0].word for i in outer if len(set(values[i])) == count > 1]
        return f" after {chosen.word!r}, not that of the {words[0]}" if words and chosen.word else ""
    if chosen.kind == "counter" and chosen.word in OUTER:
        numbers = [i for i, one in enumerate(columns) if one[0].kind == "number" and not one[0].word]
        if any(_counts_on(values[main], values[i]) for i in numbers):
            return ", not the larger one beside it"
    return ""


def _counts_on(numbered: Sequence, counted: Sequence) -> bool:
    """Tell whether a number rises with that of a checkpoint, of which there are several, and is larger everywhere."""
    in_order = [value for _, value in sorted(zip(numbered, counted, strict=True))]
    rises = all(before < after for before, after in pairwise(in_order))
    return len(counted) > 1 and rises and all(one < other for one, other in zip(numbered, counted, strict=True))


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


def _composed(members: list[ParsedName], columns: list[list[Token]], outer: int, inner: int) -> Group:
    """Return a group whose names count epochs, and something within each."""
    words = columns[outer][0].word, columns[inner][0].word or "number"
    pairs = [(one.value, two.value) for one, two in zip(columns[outer], columns[inner], strict=True)]
    if (length := _length(members, columns[inner])) is not None:
        return Group(
            text_of(members[0].stem, members[0].tokens), [name.place for name in members],
            [_as_step(a) * length + _as_step(b) for a, b in pairs],
            f"{words[0]} · {length} + {words[1]}, by the numbers in the names", inferred=True,
        )  # fmt: skip
    rule = (
        f"the places in the order of {words[0]} and {words[1]}, 0, 1, 2, ...: the {words[1]} begins anew with each "
        f"{words[0]}, and how long that is the names do not say"
    )
    return _in_order(members, columns, pairs, rule)


def _length(members: list[ParsedName], inner: list[Token]) -> int | None:
    """Return the length of an epoch where all names tell the same: iter50_of_500."""
    lengths = set()
    for name, token in zip(members, inner, strict=True):
        after = [one for one in name.tokens if one.start >= token.end][:1]
        lengths.add(after[0].value if after and after[0].word == "of" else None)
    (length,) = lengths if len(lengths) == 1 else (None,)
    return length if isinstance(length, int) else None


def _in_order(members: list[ParsedName], columns: list[list[Token]], keys: Sequence, rule: str) -> Group:
    places = {key: place for place, key in enumerate(sorted(set(keys)))}
    return Group(
        text_of(members[0].stem, members[0].tokens, _constant(columns)), [name.place for name in members],
        [places[key] for key in keys], rule, inferred=True, ordinal=True,
    )  # fmt: skip


def _name_of(members: list[ParsedName], columns: list[list[Token]], main: int) -> str:
    step = columns[main][0]
    constant = _constant(columns)
    return text_of(members[0].stem, members[0].tokens, lambda one: one != step and constant(one))


def _constant(columns: list[list[Token]]) -> Callable[[Token], bool]:
    fixed = [column[0] for column in columns if not _varies([one.value for one in column])]
    return lambda one: one in fixed


def _as_step(value: object) -> int | float:
    assert isinstance(value, int | float)
    return value
