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
