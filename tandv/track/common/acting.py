"""What is done about the findings of a run that goes on: warn, save checkpoints, call a function, stop."""

from collections.abc import Mapping, Sequence
from typing import Any

from tandv.analysis.findings.finding import Finding, Severity
from tandv.track.common.on_finding import Action
from tandv.track.common.reporting import warn
from tandv.track.common.saving import Checkpoints
from tandv.track.common.watching import Watching


class Acting:
    """Acts on findings in the thread of training, where a step ends.

    >>> acting = Acting(Watching(dict), {"error": ["stop"], "warning": ["warn"]})
    >>> acting.act(7, None)
    >>> acting.facts()
    {}

    Args:
        watching: looks for them.
        actions: what is done, by severity.
    """

    def __init__(self, watching: Watching, actions: Mapping[Severity, Sequence[Action]]):
        self.watching = watching
        self._actions = actions
        self._stop: Finding | None = None
        self._told: list[dict[str, Any]] = []
        self._warned: set[str | int] = set()  # failures by their text, functions by their identity
        self.is_ending = False  # whether the rules look for the last time, when nothing else goes on
        self.is_calling = False  # whether a function of the user's is running

    @staticmethod
    def within(step: int) -> str:
        """Return what is said where a function of the user's ends a step.

        Args:
            step: the step that is ending already.
        """
        return (
            f"on_finding: a function called tracker.step() at step {step}, which is ending already; what it passed is "
            "not kept, and such calls do nothing"
        )

    def act(self, step: int, checkpoints: Checkpoints | None) -> None:
        """Act on what is new; `stop` then is the finding that stops the run, if one does.

        Args:
            step: the step that ends.
            checkpoints: saves them; None where nothing is saved, or another process does.
        """
        for one in self.watching.news():
            actions = self._actions.get(one.severity, ())
            if not actions:
                continue
            self._told.append({**one.as_dict(), "told_at": step})
            saved = self._save(one, checkpoints) if "save" in actions else ""
            for function in actions:
                if callable(function):
                    self._call(function, one)
            stops = "stop" in actions and self._stop is None
            if stops:
                self._stop = one
            too_late = " (Found where the run ended, too late to stop it.)" if stops and self.is_ending else ""
            if "warn" in actions or "save" in actions or too_late:
                warn(f"{one.in_words()}{saved}{too_late}")
        if (failure := self.watching.failure) is not None and failure not in self._warned:
            self._warned.add(failure)
            warn(f"{failure}. The log itself goes on")

    @property
    def stop(self) -> Finding | None:
        """The finding that stops the run, None if none does."""
        return self._stop

    def end(self, step: int, checkpoints: Checkpoints | None) -> None:
        """Act on what is found at the end of the run, which nothing stops any more.

        Args:
            step: the step that would come next.
            checkpoints: as in `act`.
        """
        self.is_ending = True
        self.watching.close(None)
        self.act(step, checkpoints)

    def facts(self) -> dict[str, Any]:
        """Return what run.json reports."""
        return {"findings_while_training": list(self._told)} if self._told else {}

    def _save(self, one: Finding, checkpoints: Checkpoints | None) -> str:
        if checkpoints is None:
            return ""
        saved = checkpoints.save_before(one.step, f"{one.kind} at step {one.step}")
        if not saved:
            return " (No copy of the weights is there to be saved.)"
        steps = ", ".join(f"{step:,}" for step in saved)
        if saved[0] > one.step:
            return f" (Being saved: the weights of step {steps}, the earliest there are; none is from before it.)"
        return f" (Being saved: the weights of step {steps}, from before it.)"

    def _call(self, function: Any, one: Finding) -> None:
        outer, self.is_calling = self.is_calling, True
        try:
            function(one)
        except Exception as error:  # the user's, of any class: training goes on
            if id(function) not in self._warned:  # it may have no hash
                self._warned.add(id(function))
                name = getattr(function, "__name__", type(function).__name__)
                warn(f"on_finding: {name} raised {type(error).__name__}: {error}; training goes on")
        finally:
            self.is_calling = outer
