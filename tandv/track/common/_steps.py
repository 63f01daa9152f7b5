"""Which steps are recorded: by number, by a budget, by what the steps before have shown, and as the disk keeps up."""

from collections.abc import Callable
from typing import Any

from tandv.track.common._lifetime import Lifetime
from tandv.track.common.budget import Budget
from tandv.track.common.measurements import Block
from tandv.track.common.reporting import warn

_HELD = 4 << 20  # bytes of measurements that wait for other steps


class ChosenSteps(Lifetime):
    """A run of which some steps are recorded."""

    measurements: Any
    _skipped = 0  # steps, while the writer had no room for them
    _is_followed = False  # something is given each step's rows as they come
    _held: tuple[tuple[Callable[[], list[Block]], int], ...] = ()  # of steps that the writer was not given yet

    def hold(self, make: Callable[[], list[Block]], size: int) -> None:
        """Keep a step's measurements until the next flush, so that the writer's thread summarises many in a row.

        One step takes it ten times as long: training has emptied the caches of the processor, and the interpreter runs
        either the hooks of training or that thread. Nothing is held up where others wait for it: other processes, or
        what is sent elsewhere while the run goes on.

        Args:
            make: returns the step's rows.
            size: bytes of the measurements.
        """
        self._held += ((make, size),)
        if self._is_followed or not self.decides_alone or sum(size for _, size in self._held) > _HELD:
            self.drain()

    def drain(self) -> None:
        while self._held:
            (make, size), *later = self._held
            self._held = tuple(later)  # before they are given away: what Ctrl-C interrupts is not written twice
            self._writer.append(make, size)

    def keep_to_budget(self, part: Any, *names: str) -> None:
        """Count the time of some methods as the tracker's, where it has a budget.

        Args:
            part: an object of the tracker.
            names: its methods.
        """
        if self._budget is not None:
            for name in names:
                setattr(part, name, self._budget.timed(getattr(part, name)))

    def _begin(self) -> None:
        self.recording = False
        self._writer.check()
        wanted = self._is_recorded(self.steps) or self._is_wanted()
        self.recording = self.agreed(wanted and self._has_room())
        if self.recording:
            if self.between is not None:
                self.between.wants_next = False
            self.start_of_step()

    def _is_recorded(self, step: int) -> bool:
        if self._budget is not None:
            return self._budget.wants(step)
        every = self.settings.every
        return bool(every(step)) if callable(every) else step % every == 0

    def _is_wanted(self) -> bool:
        """Tell whether a step is recorded because of what the steps before it have shown."""
        by_check = self.between is not None and self.between.wants_next
        by_rule = self._acting is not None and self._acting.watching.wants_next
        return (by_check or by_rule) and self.decides_alone

    def _end_check(self) -> None:
        """End the check of a step that was not recorded."""
        assert self.between is not None
        if self.recording:
            self.between.forget()
            self.between.read()
        else:
            self.between.end_of_step(self.steps)

    def _has_room(self) -> bool:
        """Tell whether the writer keeps up; if not, the step is left out, because training must not wait."""
        if self._writer.has_room:
            return True
        self._skipped += 1
        if self._skipped == 1:
            warn(
                f"writing to {self.path} is slower than training: step {self.steps} is not recorded, nor are others "
                "until it has caught up (run.json will say how many); record fewer steps by every=, fewer layers by "
                "include=, or give a faster disk by path="
            )
        return False

    def _keep_to(self, budget: Budget) -> None:
        """Let a budget choose the steps, and time the tracker for it."""
        self._budget = budget
        self._begin, self._end = budget.timed(self._begin), budget.timed(self._end)
        self.step_over, self._take = budget.timed(self.step_over), budget.timed(self._take)
        self.keep_to_budget(self.measurements, "add", "share")
