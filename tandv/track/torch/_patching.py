"""Functions of torch whose calls trackers hear of: replaced while anyone listens, put back when the last has left."""

import functools
from collections.abc import Callable
from typing import Any

Listener = Callable[[Any, tuple[Any, ...], Any], None]


class Overheard:
    """Tells listeners of each call of a method or function: its first argument, the others, and what it returned.

    Trackers come and go in any order, so none of them may put back what it has found.
    """

    def __init__(self, name: str):
        self._name = name
        self._listeners: list[Listener] = []
        self._owner: Any = None
        self._original: Any = None
        self._heard: Any = None

    def join(self, owner: Any, listener: Listener) -> None:
        """Begin to listen to a function of `owner`, a class or module."""
        if not self._listeners:
            self._owner, self._original = owner, getattr(owner, self._name)
            self._heard = self._told(self._original)
            setattr(owner, self._name, self._heard)
        self._listeners.append(listener)

    def leave(self, listener: Listener) -> None:
        """Listen no longer; nothing happens where nobody did."""
        if listener in self._listeners:
            self._listeners.remove(listener)
            if not self._listeners and getattr(self._owner, self._name) is self._heard:
                setattr(self._owner, self._name, self._original)

    def _told(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def told(mine: Any, *arguments: Any, **keywords: Any) -> Any:
            returned = original(mine, *arguments, **keywords)
            for listener in list(self._listeners):
                listener(mine, (*arguments, *keywords.values()), returned)
            return returned

        return told
