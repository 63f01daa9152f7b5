"""The life of a run: its block, `start` and `close`, the exit of Python, forks, errors that never reach training."""

import atexit
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from tandv.track.common._framework import Framework
from tandv.track.common.acting import Acting
from tandv.track.common.between import BetweenSteps
from tandv.track.common.budget import Budget
from tandv.track.common.on_finding import saves
from tandv.track.common.reporting import print_line, warn
from tandv.track.common.saving import Checkpoints
from tandv.track.settings import Settings


class Lifetime(Framework):
    """A run from its beginning to its end.

    Its state is "new", "on", "failed" (tracking has stopped, training goes on), "elsewhere" (in a forked process) or
    "over".
    """

    settings: Settings
    path: Path | str
    out_path: Path | str  # text where it is an address, such as "s3://bucket/run"
    steps: int  # number of the current step
    recording: bool
    _open: Callable[..., Any]  # makes the writer, or what stands for it where another process writes
    _writer: Any
    _recorded: int  # steps since entering
    _budget: Budget | None
    _checkpoints: Checkpoints | None
    _acting: Acting | None
    between: BetweenSteps | None = None  # where not every step is recorded

    def __init__(self) -> None:
        self._state = "new"
        self._warned: set[str] = set()
        self._telling = threading.RLock()  # threads of autograd and of data-parallel models do
        self._closed_by_function = False  # of `on_finding`: the loop, which does not know of it, goes on

    @property
    def is_on(self) -> bool:
        """Tell whether tracking is active: the block has begun, and neither ended nor failed."""
        return self._state == "on"

    def _check_running(self, method: str) -> None:
        if self._state == "new" or (self._state == "over" and not self._closed_by_function):
            raise RuntimeError(
                f"tracker.{method}() outside its block; write `with track(...) as tracker:` around the loop, or call "
                "tracker.start() before it and tracker.close() after it"
            )

    def __enter__(self) -> Self:
        if self._state != "new":
            now = "this tracker has been started already" if self._state == "on" else "this tracker has been used"
            raise RuntimeError(f"{now}; call track(...) again for another run")
        self._writer = self._open()
        self.path, self.out_path = self._writer.path, self._writer.out_path
        self._state = "on"
        _on.add(self)
        try:
            self.attach()
            if self._budget is not None:
                self._budget.begin()
            rule, of_findings = self.settings.save_rule(), saves(self.settings.on_finding)
            if rule is not None and (source := self.weights()) is not None:
                self._checkpoints = Checkpoints(rule, self._writer.folder / "checkpoints", source, of_findings)
                self._checkpoints.begin(self.steps)
            self._guard("the first step", self._begin)
        except BaseException:
            self._stop("failed")
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if self._state == "on" and self.has_measured and (error is not None or not self._recorded):
            if error is None:
                warn(
                    "tracker.step() was not called; what was measured is kept as one step: call it after each step of "
                    "the optimiser"
                )
            self._guard("the last step", self._keep)
        if self._state == "on":
            self._guard("the last numbers", self._keep_numbers)
        self._stop("finished" if error is None else f"ended by {type(error).__name__}")

    def start(self) -> Self:
        """Begin to record, as the `with` block does; for callbacks, and notebooks that go on from cell to cell.

        >>> import torch
        >>> from tandv.track.torch import track
        >>> model = torch.nn.Linear(3, 1)
        >>> tracker = track(model).start()
        >>> model(torch.ones(1, 3)).sum().backward()
        >>> tracker.step()
        >>> tracker.close()

        Raises RuntimeError if it has been started before.
        """
        return self.__enter__()

    def close(self, error: BaseException | None = None) -> None:
        """End the recording and write the log, as the end of the `with` block does.

        Does nothing if it has ended already, or was never started. Python closes what is left open when it exits.

        Args:
            error: the exception that ended training, if there was one; `run.json` keeps its class.
        """
        if self._state not in ("new", "over"):
            if self._acting is not None and self._acting.is_calling:
                self._closed_by_function = True
                warn(
                    f"on_finding: a function called tracker.close() at step {self.steps}: what was recorded is "
                    "written; training goes on and is not tracked from here on"
                )
            self.__exit__(type(error) if error is not None else None, error, None)

    def fail(self, where: str, error: Exception) -> None:
        """Report the first failure inside the tracker and stop tracking; training goes on.

        Args:
            where: at what it failed, for the warning.
            error: the exception.
        """
        with self._telling:
            is_first = self._state == "on"
            self._state = "failed" if is_first else self._state
        if is_first:
            self.recording = False
            self._release()
            warn(
                f"tracking stopped at step {self.steps}, {where}: {type(error).__name__}: {error}. "
                f"Training goes on; the rows so far are kept in {self.path}"
            )

    def warn_once(self, message: str, about: str | None = None) -> None:
        """Warn once about something that is not recorded.

        Args:
            message: the warning.
            about: messages with the same are one; by default those with the same text.
        """
        with self._telling:
            is_new = (about or message) not in self._warned
            self._warned.add(about or message)
        if is_new:
            warn(message)

    # What `Tracker` adds.

    def _begin(self) -> None:
        """Begin a step."""
        raise NotImplementedError

    def _keep(self) -> None:
        """Give the writer what was measured in the current step."""
        raise NotImplementedError

    def _keep_numbers(self) -> None:
        """Give the writer the numbers of the current step."""
        raise NotImplementedError

    def _facts(self) -> dict[str, Any]:
        """Return what run.json reports when the run ends."""
        raise NotImplementedError

    # Inside.

    def _guard(self, where: str, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # an error of the tracker, of any class, must not reach training
            self.fail(where, error)

    def _release(self) -> None:
        try:
            self.detach()
        except Exception as error:
            warn(f"could not take everything off the model: {type(error).__name__}: {error}")

    def _elsewhere(self) -> None:
        """Stop in a process forked from the one that tracks, which has neither its thread nor its files."""
        self.recording = False
        self._state = "elsewhere"
        self._telling = threading.RLock()  # a thread that is not in this process may hold the other

    def _read_checks(self) -> None:
        assert self.between is not None
        self.between.end_of_step(self.steps)  # of one that was not ended, as where training raised an error
        self.between.read(wait=True)

    def _warn_of_gaps(self) -> None:
        try:
            if (missing := self.coverage_summary()) is not None:
                warn(missing)
        except Exception as error:
            warn(f"could not tell what was recorded: {type(error).__name__}: {error}")

    def _stop(self, status: str) -> None:
        self.recording = False
        if self._state in ("elsewhere", "over"):
            return
        if self._budget is not None:
            self._budget.exit_begins()
        failed = self._state == "failed"
        if not failed:
            self._release()
        self._state = "over"
        _on.discard(self)
        if status == "finished" and not failed:
            self._warn_of_gaps()
        if self.between is not None:
            self._guard("the check of the last steps", self._read_checks)
        try:
            self.drain()
        except Exception as error:
            warn(f"the last steps could not be read: {type(error).__name__}: {error}")
        if self._acting is not None and self._writer.writes:
            try:
                self._writer.wait()
                self._acting.end(self.steps, self._checkpoints)
            except Exception as error:
                warn(f"findings could not be looked for at the end: {type(error).__name__}: {error}")
        if self._checkpoints is not None:
            self._checkpoints.close(self.steps)
        try:
            self._writer.close("tracking failed" if failed else status, self._facts)
        except Exception as error:
            warn(f"could not close the log in {self.path}: {type(error).__name__}: {error}")
        self.out_path = self._writer.out_path
        if self._budget is not None:
            print_line(self._budget.summary())


_on: weakref.WeakSet[Lifetime] = weakref.WeakSet()


def _after_fork() -> None:
    for tracker in list(_on):
        tracker._elsewhere()


def _at_exit() -> None:
    """Close trackers that were started and never closed."""
    for tracker in list(_on):
        tracker._stop("ended with Python, without close()")


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_after_fork)
