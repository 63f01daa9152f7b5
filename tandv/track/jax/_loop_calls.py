"""The functions that steps have called, to tell a `tracker.step()` at the top of a loop from one at its end."""

from collections.abc import Callable
from typing import Any


class LoopCalls:
    """The functions that were intercepted in this step and in the one before it."""

    def __init__(self) -> None:
        self.function: Any = None  # the first of the run
        self._now: list[Callable[..., Any]] = []
        self._before: list[Callable[..., Any]] = []
        self._all_but_first: bool | None = None  # each step so far has called functions but the first

    def add(self, function: Callable[..., Any]) -> bool:
        """Add a call; return whether it is the first of the run."""
        is_first = self.function is None
        self.function = function if is_first else self.function
        if not any(one is function for one in self._now):
            self._now.append(function)
        return is_first

    def step_over(self) -> None:
        """Note the end of a step."""
        is_empty = not self._now
        self._all_but_first = is_empty if self._all_but_first is None else self._all_but_first and not is_empty
        self._before, self._now = self._now, []

    @property
    def are_at_the_end(self) -> bool:
        """Tell whether a step is missing at the end, and the first one was empty: each was ended before its calls.

        What calls other functions than the step before is an evaluation after the loop.
        """
        known = self._before
        return bool(self._all_but_first and self._now and all(any(f is one for one in known) for f in self._now))
