"""Keras on torch: its layers are modules of torch, which are tracked as such."""

from collections.abc import Callable
from typing import Any

from tandv.integrations._trainers_run import TrainersRun
from tandv.track.torch import TorchTracker, track

__all__ = ["stepping", "track"]


def stepping(model: Any, function: Callable[[Any], Any], run: TrainersRun) -> tuple[TorchTracker, Callable[[Any], Any]]:
    """Return a tracker of a model, and Keras's function of a step with the end of the step.

    Args:
        model: the model.
        function: what Keras calls for a batch: (data) -> logs.
        run: what owns the tracker.
    """
    tracker = track(model, **run.settings)

    def step(data: Any) -> Any:
        if run.running is None:
            return function(data)
        with run.harmless():
            rate = getattr(model.optimizer.learning_rate, "value", None)
            run.numbers({} if rate is None else {"lr": rate.detach()})
        logs = function(data)
        with run.harmless():
            run.numbers(dict(logs))
            run.step_done()
            run.next_step()
        return logs

    return tracker, step
