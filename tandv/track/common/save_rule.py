"""The rule that chooses at which steps checkpoints are saved, and how many there may be.

>>> from tandv.track import jumps_of
>>> rule = SaveRule(every=500, on=jumps_of("loss"), before=3, at_most=20, at_most_bytes="2 GB")
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tandv.track.common.triggers import Trigger

_UNITS = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}


@dataclass(frozen=True)
class SaveRule:
    """At which steps the weights are saved, and how many files there may be.

    >>> from tandv.track import crossing_of, jumps_of
    >>> rule = SaveRule(every=500, on=[jumps_of("loss"), crossing_of("test_acc", 0.5)], before=3, at_most=20)
    >>> [trigger.quantity for trigger in rule.triggers]
    ['loss', 'test_acc']

    Args:
        every: interval in steps of regular checkpoints. When these become too many, every second of them is removed,
            and they are saved half as often from then on.
        on: `jumps_of` or `crossing_of` a number that `tracker.step(loss=...)` is given, or a list of them. Where one
            fires, the weights after that step are saved, and those of the steps around it:
        before: so many steps up to it, of which copies are kept in memory;
        apart: the interval of these copies, in steps;
        after: once more, so many steps later.
        at_most: number of all files; with both `every` and `on` half of them for each.
        at_most_bytes: size of all files, as a number of bytes or as text such as "2 GB"; halved likewise.
        memory: size of the copies in memory; a warning says where it holds fewer than `before`.
    """

    every: int | None = None
    on: Trigger | Sequence[Trigger] | None = None
    before: int = 0
    apart: int = 1
    after: int = 0
    at_most: int = 20
    at_most_bytes: int | str = "2 GB"
    memory: int | str = "1 GB"

    @property
    def triggers(self) -> list[Trigger]:
        """Return the triggers of `on` as a list."""
        return [] if self.on is None else list(self.on) if isinstance(self.on, Sequence) else [self.on]


def rule_problems(rule: Any, of_findings: bool = False) -> list[str]:
    """Return what is wrong with the argument `save=` of `track`.

    >>> rule_problems(SaveRule())
    ['save: it says neither every= nor on=, so nothing would be saved']

    Args:
        rule: anything; right are None and a `SaveRule` whose fields are.
        of_findings: whether findings save checkpoints, so that it need not say when.
    """
    if rule is None:
        return []
    if not isinstance(rule, SaveRule):
        return [f"save={rule!r} must be a SaveRule, such as tandv.track.SaveRule(every=500)"]
    found = []
    for name, least in (("before", 0), ("after", 0), ("apart", 1), ("at_most", 1), ("every", 1)):
        value = getattr(rule, name)
        if not (isinstance(value, int) and value >= least) and not (name == "every" and value is None):
            found.append(f"save: {name}={value!r} must be a whole number, {least} or more")
    for name in ("at_most_bytes", "memory"):
        try:
            in_bytes(getattr(rule, name))
        except ValueError as error:
            found.append(f"save: {name}={error}")
    odd = [one for one in rule.triggers if not (hasattr(one, "quantity") and hasattr(one, "begin"))]
    if odd:
        found.append(f"save: on={odd[0]!r} must be jumps_of('loss'), crossing_of('test_acc', 0.5), or a list of such")
    if rule.every is None and not rule.triggers and not of_findings:
        found.append("save: it says neither every= nor on=, so nothing would be saved")
    return found


def in_bytes(size: int | str) -> int:
    """Return a size in bytes.

    >>> in_bytes("2 GB"), in_bytes("512MiB"), in_bytes(10)
    (2000000000, 536870912, 10)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]I?)?B?", str(size).strip().upper())
    if found is None or float(found[1]) <= 0:
        raise ValueError(f"{size!r} must be a number of bytes, such as 2_000_000_000 or '2 GB'")
    return int(float(found[1]) * _UNITS[found[2] or ""])


def in_words(size: float) -> str:
    """Return a number of bytes as text, in the largest unit that it fills.

    >>> in_words(2_500_000), in_words(12)
    ('2.5 MB', '12 B')
    """
    for unit, each in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= each:
            return f"{size / each:.3g} {unit}"
    return f"{size:.0f} B"
