"""What was read is kept, within a number of bytes."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import numpy as np

Found = TypeVar("Found")


class Kept:
    """Arrays that were made, by key; the ones used longest ago go when they take more than some bytes.

    >>> kept = Kept(most=100)
    >>> kept.get("a", lambda: np.zeros(10)).shape, kept.bytes
    ((10,), 80)

    Args:
        most: how many bytes the arrays may take; the newest is kept whatever it takes.
    """

    def __init__(self, most: int):
        self._most = most
        self._found: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self.bytes = 0

    def get(self, key: Hashable, make: Callable[[], Found]) -> Found:
        """Return what is kept under a key, else make and keep it.

        Args:
            key: names it, and what it was made of.
            make: makes it: an array, or tuples and dictionaries of arrays.
        """
        if key not in self._found:
            self.put(key, make())
        self._found.move_to_end(key)
        return self._found[key][0]

    def find(self, key: Hashable) -> Any:
        """Return what is kept under a key, None if nothing is.

        Args:
            key: names it.
        """
        if key not in self._found:
            return None
        self._found.move_to_end(key)
        return self._found[key][0]

    def put(self, key: Hashable, made: Any) -> None:
        """Keep something under a key, in the place of what is there.

        Args:
            key: names it.
            made: arrays, see `get`.
        """
        self.bytes -= self._found.pop(key, (None, 0))[1]
        self._found[key] = made, size_of(made)
        self.bytes += self._found[key][1]
        while self.bytes > self._most and len(self._found) > 1:
            self.bytes -= self._found.popitem(last=False)[1][1]

    def forget(self, gone: Callable[[Any], bool]) -> None:
        """Let go what is kept under some keys.

        Args:
            gone: tells whether a key is one of these.
        """
        for key in [key for key in self._found if gone(key)]:
            self.bytes -= self._found.pop(key)[1]


def size_of(made: Any) -> int:
    """Return the bytes of the arrays in something.

    >>> size_of((np.zeros(2), {"counts": np.zeros(3)}, None))
    40

    Args:
        made: an array, or tuples, lists and dictionaries of arrays.
    """
    if isinstance(made, np.ndarray):
        return made.nbytes
    if isinstance(made, dict):
        return sum(map(size_of, made.values()))
    return sum(map(size_of, made)) if isinstance(made, tuple | list) else 0
