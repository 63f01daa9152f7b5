"""What tracking is in every framework: which tensors, which steps, and never to harm the run."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from tandv.track._measurements import Measurements, Quantity
from tandv.track._writer import FORMATS, Writer, default_folder, warn

Pattern = str | re.Pattern[str]
Every = int | Callable[[int], bool]


class Tracker:
    """Record the tensors of a training run, step by step, between `with track(...)` and its end.

    `step()` is called after each optimiser step. `path` is the run's folder, `out_path` the finished log.
    A framework's tracker says what to record (`attach`, `detach`, `end_of_step`).
    """

    out_path: Path
    path: Path

    def __init__(
        self,
        *,
        title: str,
        measurements: Any = None,
        every: Every = 1,
        init_step: int | None = None,
        exponents: tuple[int, int] | None = None,
        name: str | None = None,
        path: str | Path | None = None,
        offload_inc: int = 10,
        offload_type: str = ".pkl",
        async_offload: bool = False,
        info: dict[str, Any] | None = None,
    ):
        self.measurements = measurements if measurements is not None else Measurements(exponents)
        self.steps = init_step or 0  # the step that is going on
        self.recording = False
        self.of_step: dict[str, float] = {}  # numbers about the whole step, which all its rows get
        self._every = every
        self._flush_every = offload_inc
        self._recorded = 0  # steps since entering
        self._state = "new"
        self._said: set[str] = set()
        self.path = Path(path).absolute() if path is not None else default_folder(name, title)
        self.out_path = self.path / f"log{offload_type}"
        self._open = lambda: Writer(self.path, offload_type, async_offload, {"model": title} | (info or {}))

    # What a framework's tracker adds.

    def attach(self) -> None:
        raise NotImplementedError

    def detach(self) -> None:
        raise NotImplementedError

    @property
    def has_measured(self) -> bool:
        """Tell whether something of the current step was measured."""
        return bool(self.measurements)

    def end_of_step(self) -> None:
        """Record what is only known when the step is over."""

    def start_of_step(self) -> None:
        """Get ready for a step that is recorded."""

    def drain(self) -> None:
        """Hand the writer what was recorded but is still elsewhere, such as on a device."""

    # The context manager.

    def __enter__(self) -> Self:
        if self._state != "new":
            raise RuntimeError("this tracker has been used; call track(...) again for another run")
        self._writer = self._open()
        self.path, self.out_path = self._writer.folder, self._writer.out_path
        self._state = "on"
        try:
            self.attach()
            self._begin()
        except BaseException:
            self._stop("failed")
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if self._state == "on" and self.has_measured and (error is not None or not self._recorded):
            if error is None:
                warn("tracker.step() was not called; what was measured is kept as one step")
            self._guard("the last step", self._keep)
        self._stop("finished" if error is None else f"ended by {type(error).__name__}")

    def step(self) -> None:
        """End the current training step; call it after each optimiser step.

        Raises RuntimeError outside the `with` block.
        """
        if self._state == "new" or self._state == "over":
            raise RuntimeError("tracker.step() outside its block; write `with track(...) as tracker:` around the loop")
        if self._state != "on":
            return
        if self.recording:
            self._guard("the end of a step", self._end)
        self.steps += 1
        self._guard("the start of a step", self._begin)

    def fail(self, where: str, error: Exception) -> None:
        """Report the first failure inside the tracker and stop tracking; training goes on."""
        if self._state == "on":
            self._state = "failed"
            self.recording = False
            self._release()
            warn(
                f"tracking stopped at step {self.steps}, {where}: {type(error).__name__}: {error}. "
                f"Training goes on; the rows so far are kept in {self.path}"
            )

    def say_once(self, message: str) -> None:
        """Warn about a thing that is left out, once for each message."""
        if message not in self._said:
            self._said.add(message)
            warn(message)

    # Inside.

    def _begin(self) -> None:
        self.recording = self._is_recorded(self.steps)
        if self.recording:
            self.start_of_step()

    def _is_recorded(self, step: int) -> bool:
        return bool(self._every(step)) if callable(self._every) else step % self._every == 0

    def _end(self) -> None:
        self.end_of_step()
        self._keep()
        if self._recorded % self._flush_every == 0:
            self.drain()
            self._writer.flush()

    def _keep(self) -> None:
        taken = self.measurements.take(self.steps)
        more = {name: np.full(len(taken.dtypes), value) for name, value in self.of_step.items()}
        self.of_step = {}
        self._writer.append(taken._replace(scalars=taken.scalars | more))
        self._recorded += 1

    def _guard(self, where: str, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # whatever it is, it is the tracker's and must not reach training
            self.fail(where, error)

    def _release(self) -> None:
        try:
            self.detach()
        except Exception as error:
            warn(f"could not take everything off the model: {type(error).__name__}: {error}")

    def _stop(self, status: str) -> None:
        self.recording = False
        failed = self._state == "failed"
        if not failed:
            self._release()
        self._state = "over"
        try:
            self.drain()
        except Exception as error:
            warn(f"the last steps could not be read: {type(error).__name__}: {error}")
        try:
            self._writer.close("tracking failed" if failed else status)
        except Exception as error:
            warn(f"could not close the log in {self.path}: {type(error).__name__}: {error}")
        self.out_path = self._writer.out_path


def selector(
    include: Pattern | None, exclude: Pattern | None, names: Sequence[str], kind: str = "layer"
) -> Callable[[str], bool]:
    """Return a test whether a dotted name is tracked; patterns are searched, as `re.search` does.

    Raises ValueError for a pattern that is no regular expression or that leaves nothing to track.
    """
    found = []
    patterns: dict[str, re.Pattern[str] | None] = {}
    for argument, pattern in (("include", include), ("exclude", exclude)):
        try:
            patterns[argument] = re.compile(pattern) if pattern is not None else None
        except (re.error, TypeError) as error:
            found.append(f"{argument}={pattern!r} is not a regular expression: {error}")
            continue
        if pattern is not None and not any(patterns[argument].search(name) for name in names):  # type: ignore[union-attr]
            found.append(f"{argument}={pattern!r} matches no {kind}; there are {_some(names)}")
    if found:
        raise ValueError("; ".join(found))

    def selects(name: str) -> bool:
        wanted, unwanted = patterns["include"], patterns["exclude"]
        return (wanted is None or bool(wanted.search(name))) and not (unwanted and unwanted.search(name))

    if not any(map(selects, names)):
        raise ValueError(f"include={include!r} and exclude={exclude!r} together leave no {kind} to track")
    return selects


def settings_problems(*, every: Any, offload_inc: Any, offload_type: Any, exponents: Any, init_step: Any) -> list[str]:
    """Return what is wrong with the settings that every framework's `track` shares."""
    found = []
    if not callable(every) and not (isinstance(every, int) and every > 0):
        found.append(f"every={every!r} must be a positive number of steps or a function of the step")
    if not (isinstance(offload_inc, int) and offload_inc > 0):
        found.append(f"offload_inc={offload_inc!r} must be a positive number of tracked steps")
    if offload_type not in FORMATS:
        found.append(f"offload_type={offload_type!r} must be one of {', '.join(map(repr, FORMATS))}")
    if init_step is not None and not (isinstance(init_step, int) and init_step >= 0):
        found.append(f"init_step={init_step!r} must be a step number, 0 or more")
    if exponents is not None and not (
        isinstance(exponents, tuple)
        and len(exponents) == 2
        and all(isinstance(edge, int) for edge in exponents)
        and exponents[0] <= exponents[1]
    ):
        found.append(f"exponents={exponents!r} must be (lowest, highest), two whole numbers such as (-16, 16)")
    return found


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:10])
    return shown + (f" and {len(names) - 10} more" if len(names) > 10 else "")


__all__ = ["Every", "Pattern", "Quantity", "Tracker", "selector", "settings_problems"]
