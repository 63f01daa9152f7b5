"""Refuse a file whose dictionaries stand in each other so often that nobody could go through all of it.

A pickle may name one dictionary in many places, and that one another in many: 2 kB are enough for 10 million places.
"""

from typing import Any

from tandv.checkpoints.entries import Entry
from tandv.checkpoints.readers.opaque import parts_of
from tandv.checkpoints.warnings import UnreadableCheckpoint

_MOST, _TIMES = 1_000_000, 100  # places in all, and places of each part on average


def refuse_repeated(loaded: Any) -> None:
    """Raise UnreadableCheckpoint for a file of more than a million places, each part in 100 of them on average.

    >>> shared = {"a": 1}
    >>> refuse_repeated([shared, shared])

    Args:
        loaded: what a file holds.
    """
    places: dict[int, int] = {}
    count = _places(loaded, places)
    if count > _MOST and count > _TIMES * len(places):
        raise UnreadableCheckpoint(
            f"its {len(places):,} dictionaries and lists stand in each other more than {_MOST:,} times, as in no "
            "checkpoint; save the state dict alone"
        )


def _places(node: Any, known: dict[int, int]) -> int:
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
    known[id(node)] = 1 + sum(_places(child, known) for child in parts.values())
    return known[id(node)]
