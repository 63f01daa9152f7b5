"""Calls of torch's functions are observed: a function is replaced while there are listeners, and restored after."""

import functools
import threading
from collections.abc import Callable
from typing import Any

Listener = Callable[[Any, tuple[Any, ...], Any], None]
_replacing = threading.Lock()  # trackers may start and end in several threads


class Observed:
    """Replaces a function by one that calls listeners with its first argument, the others, and what it returned.

    Trackers start and end in any order, so only the last to end may restore the original.
    """

    def __init__(self, name: str):
        self._name = name
        self._listeners: list[Listener] = []
        self._owner: Any = None
        self._original: Any = None
        self._patched: Any = None

    def join(self, owner: Any, listener: Listener) -> None:
        """Add a listener to the function of `owner`, a class or module."""
        with _replacing:
            if not self._listeners:
                self._owner, self._original = owner, getattr(owner, self._name)
                self._patched = self._told(self._original)
                setattr(owner, self._name, self._patched)
            self._listeners.append(listener)

    def leave(self, listener: Listener) -> None:
        """Remove a listener, if it is there."""
        with _replacing:
            if listener in self._listeners:
                self._listeners.remove(listener)
                if not self._listeners and getattr(self._owner, self._name) is self._patched:
                    setattr(self._owner, self._name, self._original)

    def _told(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def told(mine: Any, *arguments: Any, **keywords: Any) -> Any:
            returned = original(mine, *arguments, **keywords)
            for listener in list(self._listeners):
                listener(mine, (*arguments, *keywords.values()), returned)
            return returned

        return told
