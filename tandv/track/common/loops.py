"""Where `track` and `tracker.step` stand in a training loop: not inside of it, and not at its top."""

import weakref
from typing import Any, Protocol

from tandv.track.settings import Settings

_RUNS = 3  # in a row, before anything is said

IN_LOOP = (
    "track() was called three times in a row for the same model, each time for a run of one step: it stands inside of "
    "the training loop, where each call makes a folder of its own; call it once, around the loop, and tracker.step() "
    "at the end of each iteration"
)

LEFT_OPEN = (
    "another run records the same model with the same settings and was not closed, as where a cell of a notebook runs "
    "again: both record until tracker.close() ends one of them; its folder is "
)

TOP_OF_LOOP = (
    "the first tracker.step() ended a step in which nothing was computed, and none ended the last iteration: it is "
    "called at the top of the loop, so that all rows stand one step later than the iteration that they describe; call "
    "it at the end of the loop, "
)


class Run(Protocol):
    """What is asked of a tracker."""

    @property
    def took_one_step(self) -> bool:
        """Tell whether it has ended one step, in which the model was trained."""
        ...

    settings: Settings


class OneStepRuns:
    """Counts how many runs of each model, one after another, took one step; keeps no model and no run alive."""

    def __init__(self) -> None:
        self._models: dict[int, tuple[weakref.ref[Any], Any, int]] = {}
        self._open: dict[int, weakref.ref[Any]] = {}

    def begins(self, model: Any, run: Run) -> bool:
        """Tell whether the run before, which was left open, was the third of one step in a row.

        Args:
            model: the model, or the function that trains it.
            run: the tracker of the run that begins.
        """
        before = self._open.get(id(model))
        left_open = before() if before is not None else None
        told = left_open is not None and self.ends(model, left_open)
        self._open[id(model)] = weakref.ref(run)
        return told

    def said_at_beginning(self, model: Any, run: Any) -> list[str]:
        """Return what is to be said where a run begins.

        Args:
            model: the model.
            run: its tracker: `asked` is what `track` was given beside the settings.
        """
        left_open = self._left_open(model, run)
        return [*([left_open] if left_open else []), *([IN_LOOP] if self.begins(model, run) else [])]

    def _left_open(self, model: Any, run: Any) -> str | None:
        reference = self._open.get(id(model))
        before = reference() if reference is not None else None
        if before is None or before is run or not before.is_on:
            return None
        try:
            is_same = before.settings == run.settings and before.asked == run.asked
        except Exception:  # of what the user has given, which may refuse to be compared
            return None
        return f"{LEFT_OPEN}{before.path}" if is_same else None

    def ends(self, model: Any, run: Run) -> bool:
        """Tell whether this run is the third of one step in a row.

        Args:
            model: the model, or the function that trains it.
            run: the tracker of the run that ends.
        """
        key, place = id(model), (run.settings.name, run.settings.path)
        latest = self._open.get(key)
        if latest is None or latest() is not run:
            return False  # it has been counted: another one has begun since
        del self._open[key]
        reference, known, count = self._models.get(key, (None, None, 0))
        if reference is None or reference() is not model or known != place or not run.took_one_step:
            reference, count = weakref.ref(model), 0
        self._models = {one: about for one, about in self._models.items() if about[0]() is not None}
        self._models[key] = reference, place, count + run.took_one_step
        return count + run.took_one_step == _RUNS


one_step_runs = OneStepRuns()
