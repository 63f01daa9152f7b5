"""`budget="2%"`: how much longer tracking may make training, and the interval that keeps to it.

Steps that are recorded and steps that are not take turns, each timed from the end of the step before. What
recording a step costs is how much longer it takes than others do, together with the step after it, in
which a device may still be at work for it. It is the median of many such differences, and at the least the
time that the tracker itself has spent: in its hooks, in `step()` and in the thread that writes.

On a device that computes while Python goes on, times are right where the loop waits for the device at least
once in a step or two, as reading the loss does. Where it hardly ever waits, the differences may
show too little, and what the tracker itself has spent on the host is all that is sure.
"""

import math
import re
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

_CALIBRATION = 4  # the interval while costs are not known yet
_WARMING_UP = 2  # recorded steps and others that are not counted: frameworks compile in them
_ENOUGH = 3  # steps of each kind that are
_WINDOW = 32  # the latest steps of each kind, of which medians are taken
_PATIENCE = 16  # recorded steps for which an interval is kept; what it costs too much is left out
_ROUND = 64  # steps, of which some are left out for comparison where nearly all are recorded
_LONGEST = 1 << 20


def share(budget: Any) -> float:
    """Return a budget as a share of the training time.

    >>> share("2%"), share(0.02)
    (0.02, 0.02)

    Args:
        budget: text in percent or a number, more than 0 and at most 1.

    Raises ValueError for anything else.
    """
    found = budget
    if isinstance(budget, str):
        percent = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*%\s*", budget)
        found = float(percent[1]) / 100 if percent else math.nan
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 < found <= 1:
        raise ValueError(
            f'budget={budget!r} must say how much longer training may take, as text in percent such as "2%" '
            "or as a share such as 0.02, more than nothing and at most 100%"
        )
    return float(found)


class Spent(NamedTuple):
    """What tracking has cost so far.

    >>> Spent(steps=100, recorded=25, plain=0.01, cost=0.004, achieved=0.1).achieved
    0.1

    Args:
        steps: all steps.
        recorded: those of them that were recorded.
        plain: seconds that a step takes without tracking.
        cost: seconds that recording adds to a step.
        achieved: share by which tracking has prolonged training.
    """

    steps: int
    recorded: int
    plain: float
    cost: float
    achieved: float


class Budget:
    """Choose the steps to record so that training takes at most a share longer.

    `every` is a power of two, so that the steps of a longer interval are among those of a shorter one. A step is left
    out as long as its cost would exceed the budget of the steps so far; the cost of calibration is made up for later.

    >>> budget = Budget("2%")
    >>> [step for step in range(12) if budget.wants(step)]
    [0, 4, 8]

    Args:
        budget: how much longer training may take, such as "2%" or 0.02.
        clock: returns the time in seconds.
        beside: returns the seconds that the tracker has computed in its own thread so far.
    """

    def __init__(
        self,
        budget: str | float,
        clock: Callable[[], float] = time.perf_counter,
        beside: Callable[[], float] = lambda: 0.0,
    ):
        self.share = share(budget)
        self.every = _CALIBRATION
        self._clock = clock
        self._beside = beside
        self._others = _Kind(_WARMING_UP)  # steps that are neither recorded nor just after one
        self._longer = _Kind(0)  # by how much recorded steps and those after them take longer
        self._own = _Kind(_WARMING_UP)  # the tracker's time for each recorded step
        self._since: float | None = None  # the end of the latest step
        self._latest: float | None = None  # the time of the latest step, if it was recorded
        self._inside = threading.local()  # has `is_timed`: whether a timed function has called what runs
        self._in_step = self._beside_before = 0.0
        self._adding = threading.Lock()  # autograd's threads call hooks, too
        self._steps = self._count = 0
        self._next_choice = 0  # recorded steps until then
        self._time = self._costs = 0.0  # of all steps without tracking, and of tracking
        self._exit: float | None = None  # when the end began

    def wants(self, step: int) -> bool:
        """Tell whether `step`, counted from 0, is to be recorded."""
        if step % self.every:
            return False
        if self.every < 4 and step % _ROUND >= _ROUND - 3:
            return False  # to compare with: a step just after a recorded one, and two others
        if not self._is_known:
            return True
        return self._costs + self._cost() <= self.share * (self._time + self._plain())

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return `function`, with its time counted as the tracker's."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            if getattr(self._inside, "is_timed", False):
                return function(*args, **kwargs)
            self._inside.is_timed, entered = True, self._clock()
            try:
                return function(*args, **kwargs)
            finally:
                self._inside.is_timed = False
                seconds = self._clock() - entered
                with self._adding:
                    self._in_step += seconds

        return timed

    def begin(self) -> None:
        """Start to time the first step."""
        self._since = self._clock()

    def step_ended(self, recorded: bool) -> None:
        """Take the time of the step that ends now, which was `recorded` or not."""
        now = self._clock()
        with self._adding:
            own, self._in_step = self._in_step, 0.0
        if self._since is not None:
            self._note(now - self._since, own, recorded)
        self._since = now

    def exit_begins(self) -> None:
        """Count all time from now on as the tracker's: training is over, and the log is written."""
        self._exit = self._clock()

    @property
    def spent(self) -> Spent | None:
        """What tracking has cost, with the time since training ended; None while too few steps were compared."""
        if not self._is_known:
            return None
        costs = self._costs + (self._clock() - self._exit if self._exit is not None else 0.0)
        return Spent(self._steps, self._count, self._plain(), self._cost(), costs / self._time)

    def facts(self) -> dict[str, Any]:
        """Return what run.json reports about the budget."""
        spent = self.spent
        about = {"wanted": self.share, "every": self.every if spent else None}
        if spent:
            about |= {
                "achieved": round(spent.achieved, 6),
                "seconds_of_a_step": round(spent.plain, 9),
                "seconds_for_recording_a_step": round(spent.cost, 9),
            }
        return about

    def summary(self) -> str:
        """Return one line that reports the interval chosen and the cost achieved."""
        spent = self.spent
        if spent is None:
            return (
                f"budget {_percent(self.share)}: {self._steps} steps were too few to know what tracking costs; "
                f"{self._count} were recorded"
            )
        kept = "was kept" if spent.achieved <= self.share else "was not kept yet"
        return (
            f"budget {_percent(self.share)} {kept}: every {_ordinal(self.every)} step was recorded at the end, "
            f"{spent.recorded:,} of {spent.steps:,} in all, which made training {_percent(spent.achieved)} longer "
            f"(a step takes {1e3 * spent.plain:.3g} ms, recording it {1e3 * spent.cost:.3g} ms)"
        )

    # Inside.

    @property
    def _is_known(self) -> bool:
        return min(len(self._longer.kept), len(self._others.kept)) >= _ENOUGH

    def _note(self, seconds: float, own: float, recorded: bool) -> None:
        was_known = self._is_known
        if self._latest is not None and self._others.kept:
            after = 0.0 if recorded else seconds - self._plain()
            self._longer.add(self._latest - self._plain() + after)
        if self._latest is None and not recorded:
            self._others.add(seconds)
        if recorded:
            beside, before = self._beside(), self._beside_before
            self._beside_before = beside
            self._own.add(own + beside - before)
        self._latest = seconds if recorded else None
        self._steps += 1
        self._count += recorded
        if not self._is_known:
            return
        plain, cost = self._plain(), self._cost()
        steps, times = (1, int(recorded)) if was_known else (self._steps, self._count)
        self._time += steps * plain
        self._costs += times * cost
        self._choose(cost / (self.share * plain) if plain > 0 else _LONGEST)

    def _choose(self, needed: float) -> None:
        """Set the shortest interval that keeps to the budget, rarely; shorten it only with a margin."""
        if self._count >= self._next_choice and (needed > self.every or needed < 0.4 * self.every):
            self._next_choice = self._count + _PATIENCE
            self.every = 1 << min(_LONGEST.bit_length() - 1, max(0, math.ceil(math.log2(max(needed, 1.0)))))

    def _plain(self) -> float:
        return self._others.median

    def _cost(self) -> float:
        """Return the seconds that recording a step adds."""
        usual = self._own.median
        at_times = max(0.0, self._own.mean - usual)  # such as a flush: a median ignores what few steps cost
        return max(self._longer.median, usual) + at_times


class _Kind:
    """The latest times of one kind of step."""

    def __init__(self, to_ignore: int) -> None:
        self.kept: deque[float] = deque(maxlen=_WINDOW)
        self._to_ignore = to_ignore

    def add(self, seconds: float) -> None:
        if self._to_ignore:
            self._to_ignore -= 1
        else:
            self.kept.append(seconds)
            self.median = statistics.median(self.kept)
            self.mean = statistics.fmean(self.kept)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _ordinal(n: int) -> str:
    return "single" if n == 1 else f"{n}nd" if n % 10 == 2 and n % 100 != 12 else f"{n}th"


__all__ = ["Budget", "Spent", "share"]
