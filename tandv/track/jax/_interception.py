"""Calls of the user's functions, during which modules, marked values and jitted programs are watched."""

from collections.abc import Callable
from typing import Any

from tandv.track.jax import _haiku, _linen, _objects
from tandv.track.jax._calls import Calls
from tandv.track.jax._naming import Namer
from tandv.track.jax._recompiled import Recompiled
from tandv.track.jax._rows import OnDevice


class Interception:
    """What one tracker watches while it calls a function; `remove` ends it."""

    def __init__(self, calls: Calls, namer: Namer):
        self._calls, self._namer = calls, namer
        self._recompiled = Recompiled()
        self._is_watching = False
        self.functions: list[Any] = []  # that were called in the current step
        self.is_lowered = False  # whether one was compiled apart, which then runs without the tracker
        self.is_inside = False  # whether one of them was called while JAX traced a function around it

    def prepare(self, function: Callable[..., Any], args: Any, kwargs: Any, model_state: Any) -> None:
        """Watch the objects that a call may reach, whose names are looked for in them and in the model's state."""
        if not self._is_watching:
            self._is_watching = True
            _objects.watch()
        _objects.watch_new()
        self._namer.models = [(args, kwargs), *_objects.reached(function), model_state]
        self._namer.tracked = model_state

    def call(self, function: Callable[..., Any], args: Any, kwargs: Any, records: bool) -> Any:
        """Return what a function returns."""
        if not callable(function):
            raise TypeError(
                f"tracker.intercept() takes your function first, then its arguments, not a {type(function).__name__}: "
                "write tracker.intercept(train_step, params, batch) in place of train_step(params, batch)"
            )
        with _linen.watched(), _haiku.watched(), self._calls.on(records):
            output = function(*args, **kwargs)
        self.functions.append(function)  # one that raised need not have given rows
        return output

    def note_new_programs(self, function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        """Warn where a function is compiled again and again."""
        for jaxpr, name in self._calls.new:
            self._recompiled.note(jaxpr, name, function, args, kwargs)

    def take_found(self) -> list[OnDevice]:
        """Return what was measured since the last time."""
        found, self._calls.found = self._calls.found, []
        return found

    def remove(self) -> None:
        """Restore what was changed in JAX and in the classes of objects."""
        self._calls.remove()
        self._calls.forget()
        if self._is_watching:
            self._is_watching = False
            _objects.unwatch()
