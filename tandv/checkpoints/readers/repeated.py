"""Refuse a file whose dictionaries stand in each other so often, or so deep, that reading all of it would not end.

A pickle may name one dictionary in many places, and that one another in many: 2 kB are enough for 10 million places.
How deep Python can follow depends on who else has set its limit of recursion, so the depth has a limit of its own.
"""

from typing import Any

from tandv.checkpoints.entries import Entry
from tandv.checkpoints.readers.opaque import parts_of
from tandv.checkpoints.warnings import UnreadableCheckpoint

_MOST, _TIMES = 1_000_000, 100  # places in all, and places of each part on average
_DEEPEST = 100  # levels


def refuse_repeated(loaded: Any) -> None:
    """Raise UnreadableCheckpoint for over a million places, each part in 100 of them on average, or over 100 levels.

    >>> shared = {"a": 1}
    >>> refuse_repeated([shared, shared])

    Args:
        loaded: what a file holds.
    """
    places: dict[int, int] = {}
    count = _places(loaded, places, 1)
    if count > _MOST and count > _TIMES * len(places):
        raise UnreadableCheckpoint(
            f"its {len(places):,} dictionaries and lists stand in each other more than {_MOST:,} times, as in no "
            "checkpoint; save the state dict alone"
        )


def _places(node: Any, known: dict[int, int], level: int) -> int:
    """Return how many dictionaries and lists there are, each counted in every place that it stands in."""
    if isinstance(node, Entry | str | bytes | int | float | None):
        return 0
    if id(node) in known:
        return known[id(node)]
    known[id(node)] = 0  # an object may hold itself
    parts = parts_of(node)
    if parts is None:
        del known[id(node)]
        return 0
    if level > _DEEPEST:
        raise UnreadableCheckpoint(f"its dictionaries are nested more than {_DEEPEST} levels deep, as in no checkpoint")
    known[id(node)] = 1 + sum(_places(child, known, level + 1) for child in parts.values())
    return known[id(node)]
