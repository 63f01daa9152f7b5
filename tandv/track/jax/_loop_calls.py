"""The functions that steps have called, to tell a `tracker.step()` at the top of a loop from one at its end."""

import weakref
from collections.abc import Callable
from typing import Any

_Function = Callable[[], Any]  # returns the function, or None where it is gone


class LoopCalls:
    """The functions that were intercepted in this step and in the one before it; none is kept alive."""

    def __init__(self) -> None:
        self._first: _Function | None = None  # of the run
        self._now: list[_Function] = []
        self._before: list[_Function] = []
        self._all_but_first: bool | None = None  # each step so far has called functions but the first

    @property
    def function(self) -> Any:
        """The first function of the run, None before it and where it is gone."""
        return self._first() if self._first is not None else None

    def add(self, function: Callable[..., Any]) -> bool:
        """Add a call; return whether it is the first of the run."""
        is_first, held = self._first is None, _weakly(function)
        self._first = held if self._first is None else self._first
        if not _has(self._now, held()):
            self._now.append(held)
        return is_first

    def step_over(self) -> None:
        """Note the end of a step."""
        is_empty = not self._now
        self._all_but_first = is_empty if self._all_but_first is None else self._all_but_first and not is_empty
        self._before, self._now = self._now, []

    @property
    def has_called(self) -> bool:
        """Tell whether any function was called."""
        return self._first is not None

    @property
    def are_at_the_end(self) -> bool:
        """Tell whether a step is missing at the end, and the first one was empty: each was ended before its calls.

        What calls other functions than the step before is an evaluation after the loop.
        """
        return bool(self._all_but_first and self._now and all(_has(self._before, held()) for held in self._now))


def _weakly(function: Any) -> _Function:
    """Return a weak reference to a function, of a method to that of its class."""
    try:
        return weakref.ref(getattr(function, "__func__", function))
    except TypeError:  # of some objects there is none
        return lambda: None


def _has(functions: list[_Function], function: Any) -> bool:
    return function is not None and any(held() is function for held in functions)
