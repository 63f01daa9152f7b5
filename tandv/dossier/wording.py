"""Steps, levels and counts in words, the same in all parts of a dossier."""

import math
from collections.abc import Sequence
from typing import Any


def number(step: float) -> str:
    """Return a step, or a number of steps.

    >>> number(1590), number(33.0), number(0.25)
    ('1,590', '33', '0.25')

    Args:
        step: whole, or a fraction of an epoch.
    """
    return f"{int(step):,}" if float(step).is_integer() else f"{step:,}"


def span(unit: str, first: float, last: float) -> str:
    """Return a stretch of a run.

    >>> span("step", 260, 1590), span("epoch", 3, 3)
    ('steps 260 to 1,590', 'epoch 3')

    Args:
        unit: what steps count, in the singular.
        first: its first step.
        last: its last.
    """
    return f"{unit} {number(first)}" if first == last else f"{unit}s {number(first)} to {number(last)}"


def short(value: Any) -> str:
    """Return a value with three digits, whole from a thousand on; a dash for none.

    >>> short(0.123456), short(1234567.0), short(None), short(3), short(-0.0000123)
    ('0.123', '1,234,567', '–', '3', '-1.23e-05')

    Args:
        value: a number, text or None.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if 1e3 <= abs(value) < 1e9 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def percent(share: float) -> str:
    """Return a share as percent.

    >>> percent(0.12345), percent(float("nan"))
    ('12 %', 'an unknown share')

    Args:
        share: 0 to 1, or more.
    """
    return "an unknown share" if math.isnan(share) else f"{100 * share:.2g} %" if share < 1 else f"{100 * share:.0f} %"


def counted(count: int, noun: str) -> str:
    """Return a number with what it counts.

    >>> counted(1, "step"), counted(2, "quantity"), counted(0, "checkpoint")
    ('1 step', '2 quantities', 'no checkpoints')

    Args:
        count: how many.
        noun: what, in the singular.
    """
    several = noun.removesuffix("y") + "ies" if noun.endswith("y") else noun + "s"
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {several}" if count else f"no {several}"


def listed(names: Sequence[str]) -> str:
    """Return names as a list in a sentence.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')

    Args:
        names: one or more.
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def change(one: Any, verbs: Sequence[str] = ("rises", "falls")) -> str:
    """Return how a quantity changes, in words.

    >>> change({"quantity": "loss", "before": 2.0, "after": 0.5})
    'loss falls from 2 to 0.5'
    >>> change({"quantity": "loss", "before": 2.0, "after": float("nan")})
    'loss, 2 before, has no finite value'

    Args:
        one: a dict with `quantity`, `before` and `after`; of a curve that ends in NaN, the latter is not finite.
        verbs: for a change upwards and for one downwards.
    """
    before, after = one["before"], one["after"]
    if after is None or not math.isfinite(after):
        return f"{one['quantity']}, {short(before)} before, has no finite value"
    if before is None or not math.isfinite(before):
        return f"{one['quantity']} is {short(after)}"
    return f"{one['quantity']} {verbs[0] if after >= before else verbs[1]} from {short(before)} to {short(after)}"
