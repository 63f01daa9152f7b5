"""What may be asked, checked once: each kind of question with its fields, and a sentence for all that is wrong.

A question comes from a browser, so that anything may be in it.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tandv.analysis.whatif.scales import one_scale
from tandv.formats import Format, number_format
from tandv.messages import UnknownName

MOST_COLUMNS = 4096
MOST_QUESTIONS = 64
MOST_METRICS = 32
_LONGEST = 1000  # characters of a name
_LARGEST = 2**53  # beyond it a browser's numbers are not whole


class BadQuestion(ValueError):
    """A question that has no answer; the message says what is wrong with it."""


class Field(NamedTuple):
    """A field of a question: what it may be, and what it is where it is not given, if it need not be.

    Args:
        check: returns the value as it is used, or raises BadQuestion with the end of a sentence.
        default: the value where the field is missing or null; ... if it must be given.
    """

    check: Callable[[Any], Any]
    default: Any = ...


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise BadQuestion(f"must be text, not {_shown(value)}")
    if len(value) > _LONGEST:
        raise BadQuestion(f"has {len(value):,} characters, allowed are {_LONGEST:,}")
    return value


def _step(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LARGEST:
        raise BadQuestion(f"must be a step, a number of at most {_LARGEST} in size, not {_shown(value)}")
    return value


def _width(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= MOST_COLUMNS:
        raise BadQuestion(f"must be a number of columns from 1 to {MOST_COLUMNS:,}, not {_shown(value)}")
    return int(value)


def _run(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not float(value).is_integer() or value < 0:
        raise BadQuestion(f"must be the number of a run, from 0 on, not {_shown(value)}")
    return int(value)


def _flag(value: Any) -> bool:
    if value not in (True, False):
        raise BadQuestion(f"must be true or false, not {_shown(value)}")
    return bool(value)


def _format(value: Any) -> Format:
    try:
        return number_format(_text(value))
    except UnknownName as error:
        raise BadQuestion(f"is unknown: {error}") from None


def _scale(value: Any) -> str:
    try:
        return one_scale(_text(value))
    except ValueError as error:
        raise BadQuestion(f"is unknown: {error}") from None


def _number(least: float, most: float) -> Callable[[Any], float]:
    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise BadQuestion(f"must be a number from {least:g} to {most:g}, not {_shown(value)}")
        return float(value)

    return check


def _rank(value: Any) -> int:
    """Return a rank, which is a number or, in an address, text."""
    if isinstance(value, bool) or not isinstance(value, int | str) or not str(value)[:12].isdecimal():
        raise BadQuestion(f"must be the number of a rank, from 0 on, not {_shown(value)}")
    return int(str(value)[:12])


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list) or not 1 <= len(value) <= MOST_METRICS:
        raise BadQuestion(f"must be a list of 1 to {MOST_METRICS} names, not {_shown(value)}")
    return [_text(one) for one in value]


_TENSOR = {"tt": Field(_text), "layer": Field(_text)}
_COLUMNS = {"from": Field(_step, None), "to": Field(_step, None), "w": Field(_width)}

_OF_A_RUN = {"phase": Field(_text, None), "rank": Field(_rank, None)}  # of every question

QUESTIONS: dict[str, dict[str, Field]] = {
    "meta": {},
    "curves": {},
    "transitions": {},
    "heat": {
        "tt": Field(_text),
        "metric": Field(_text),
        **_COLUMNS,
        "format": Field(_format, None),
        "change": Field(_flag, False),
        "against": Field(_run, None),
    },
    "map": {**_TENSOR, **_COLUMNS},
    "lines": {**_TENSOR, "metrics": Field(_texts), **_COLUMNS},
    "at": {**_TENSOR, "step": Field(_step), "metric": Field(_text)},
    "casts": {
        "tt": Field(_text),
        **_COLUMNS,
        "format": Field(_format, None),
        "scale": Field(_scale, None),
        "underflow": Field(_number(0, 1), None),
        "sqnr": Field(_number(-1000, 1000), None),
    },
    "firsts": {"format": Field(_format, None)},
    "findings": {},
}


def checked(question: Any) -> tuple[str, dict[str, Any]]:
    """Return the kind of a question and its fields as they are used; fields that its kind does not have are left out.

    >>> kind, fields = checked({"kind": "firsts", "format": "e4m3"})
    >>> kind, fields["format"].max
    ('firsts', 448.0)

    Args:
        question: anything that was sent.

    Raises BadQuestion naming everything that is wrong.
    """
    if not isinstance(question, Mapping):
        raise BadQuestion(f"a question is an object with a kind, not {_shown(question)}")
    kind = question.get("kind")
    if not isinstance(kind, str) or kind not in QUESTIONS:
        raise BadQuestion(f"there is no question of the kind {_shown(kind)}; there are {', '.join(QUESTIONS)}")
    fields, wrong = {}, []
    for name, field in (QUESTIONS[kind] | _OF_A_RUN).items():
        value = question.get(name)
        try:
            if value is not None:
                fields[name] = field.check(value)
            elif field.default is ...:
                raise BadQuestion("is missing")
            else:
                fields[name] = field.default
        except BadQuestion as error:
            wrong.append(f"{name} {error}")
    first, last = fields.get("from"), fields.get("to")
    if first is not None and last is not None and first > last:
        wrong.append(f"from {first} lies after to {last}")
    if wrong:
        raise BadQuestion(f"{kind}: {'; '.join(wrong)}")
    return kind, fields


def _shown(value: Any) -> str:
    """Return a value as it stands in a message, which stays short whatever was sent."""
    if isinstance(value, dict | list):
        return f"a {'list' if isinstance(value, list) else 'object'} of {len(value):,}"
    if isinstance(value, int) and abs(value) > _LARGEST:
        return "a number beyond all steps"  # whose digits may be millions
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
