"""The writers of a run of several ranks: the first rank's writes the log, those of others only send."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tandv.track.common.background import Background
from tandv.track.common.measurements import Block
from tandv.track.common.writer import Writer
from tandv.track.ranks.part import StepPart
from tandv.track.torch._missing_ranks import MissingRanks
from tandv.track.torch._shared_measurements import SharedMeasurements

_QUEUED = 128 << 20  # bytes of measurements that may wait for the thread
_END = 45.0  # seconds that the end of a run waits for other ranks at most

_Make = Callable[[], list[Block]]


class Leader:
    """Writes the log of all ranks: each step when the rows of all have come, or when it goes on without some.

    Args:
        measurements: of this rank.
        in_background: whether a thread does the work; else a step ends when its rows have come.
        stops: whether all ranks must record the same steps.
    """

    def __init__(self, measurements: SharedMeasurements, in_background: bool, stops: bool):
        self._measurements, self._in_background, self._stops = measurements, in_background, stops
        self._missing = MissingRanks(measurements.ranks)
        self._makes: dict[int, _Make] = {}  # of steps that are under way
        self._handing_on = 0  # steps that are no longer among these, and not yet with the writer
        self._lock = threading.Lock()
        self._left_out = False

    def begin(self, writer: Writer) -> None:
        """Write to a log from now on."""
        self._writer = writer
        self._measurements.queue = lambda task, size: writer.queue(task, size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    @property
    def has_room(self) -> bool:
        """Tell whether another step's rows can be taken now."""
        return self._stops or self._writer.has_room

    def append(self, make: _Make, size: int) -> None:
        """Keep the rows of the step that was taken last, when they have come."""
        step, tree = self._measurements.taken, self._measurements.ranks.tree
        with self._lock:
            self._makes[step] = make
        if not self._in_background:
            tree.wait(lambda: step in self._measurements.finished, _END)
            self._write_pending()  # also those that had come too late before
        self._write(step)

    def finished(self, part: StepPart) -> None:
        """Take a step as complete as it gets, in the thread of the tree."""
        self._missing.add(part)
        with self._lock:
            self._measurements.finished[part.step] = part
            if part.step not in self._makes and not part.who & 1:  # this rank has left the step out
                self._makes[part.step] = lambda: [self._measurements.block(self._measurements.finished.pop(part.step))]
        if self._in_background:
            self._write(part.step)

    def _write_pending(self) -> None:
        for step in sorted(self._makes):
            self._write(step)

    def wait(self) -> None:
        """Wait until all steps so far are written, though not for ever for other ranks."""
        self._writer.wait()
        self._measurements.ranks.tree.wait(lambda: not (self._makes or self._handing_on), _END)
        self._writer.wait()

    def _write(self, step: int) -> None:
        """Let the writer make the rows of a step, if they have come and the step has ended here."""
        with self._lock:
            if step not in self._makes or step not in self._measurements.finished:
                return
            self._handing_on += 1
            make, part = self._makes.pop(step), self._measurements.finished[step]
        try:
            self._hand_on(step, make, part)
        finally:
            with self._lock:
                self._handing_on -= 1

    def _hand_on(self, step: int, make: _Make, part: StepPart) -> None:
        if self._writer.has_room:
            self._writer.append(make, part.rows.nbytes)
        else:
            del self._measurements.finished[step]
            if not self._left_out:
                self._left_out = True
                self._missing.note(
                    f"writing to {self._writer.path} is slower than training: steps are left out until it has caught up"
                )

    def flush(self, facts: Mapping[str, Any] | None = None) -> None:
        """Write what has come so far, and which ranks it is of."""
        self._writer.flush({**(facts or {}), "ranks": self._missing.facts()})

    def check(self) -> None:
        """Report what the threads have to say; raise their first error."""
        self._missing.report()
        _check(self._measurements)
        self._writer.check()

    def close(self, status: str, facts: Callable[[], Mapping[str, Any]] = dict) -> None:
        """Wait for the steps that are under way, though not for ever, and finish the log."""
        tree = self._measurements.ranks.tree
        self._writer.wait()
        tree.end()
        tree.join(_END)
        self._write_pending()
        self._writer.close(status, lambda: {**facts(), "ranks": self._missing.facts()})
        self._missing.report()
        _check(self._measurements)


class Follower:
    """The writer of ranks that write no log, but send what they measure.

    Args:
        path: the run's folder.
        out_path: where the finished log will be.
        measurements: of this rank.
        in_background: whether a thread does the work.
        stops: whether all ranks must record the same steps.
    """

    writes = False

    def __init__(
        self,
        path: Path | str,
        out_path: Path | str,
        measurements: SharedMeasurements,
        in_background: bool,
        stops: bool,
    ):
        self.path, self.out_path, self.seconds = path, out_path, 0.0
        self._measurements, self._stops = measurements, stops
        self._background = Background(_QUEUED) if in_background else None
        measurements.queue = self._queue

    @property
    def has_room(self) -> bool:
        """Tell whether another step's rows can be taken now."""
        return self._stops or self._background is None or self._background.has_room

    def _queue(self, task: Callable[[], None], size: int) -> None:
        if self._background is None:
            task()
        else:
            self._background.give(task, size)

    def append(self, make: _Make, size: int) -> None:
        """Send nothing more where rank 0 tracks no longer: raises RuntimeError."""
        if over := self._measurements.ranks.tree.over:
            raise RuntimeError(over)

    def flush(self, facts: Any = None) -> None:
        pass

    def catch_up(self) -> None:
        pass

    def check(self) -> None:
        """Raise the first error of the threads."""
        if self._background is not None and (error := self._background.take_error()) is not None:
            raise error
        _check(self._measurements)

    def close(self, status: str, facts: Any = None) -> None:
        """Wait until what was measured is sent, though not for ever."""
        error = self._background.close() if self._background is not None else None
        tree = self._measurements.ranks.tree
        tree.end()
        tree.join(_END)
        if error is not None:
            raise error


def _check(measurements: SharedMeasurements) -> None:
    tree = measurements.ranks.tree
    if tree.error is not None:
        error, tree.error = tree.error, None
        raise error
