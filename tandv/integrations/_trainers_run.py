"""What the callbacks of all trainers share: a tracker that is started, given numbers and ended without any harm."""

import inspect
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields
from typing import Any

from tandv.messages import unknown
from tandv.track import FindingStop
from tandv.track.common.reporting import warn
from tandv.track.common.tracker import Tracker
from tandv.track.settings import Settings, refuse

_OF_THE_TRAINER = ("module", "model", "optimizer", "model_state", "optimizer_state")
_LATER = ("use_wandb", "mlflow", "init_step")  # can be judged only where training begins


class TrainingDidNotEnd(Exception):
    """What `run.json` names where a training began again and the one before had no end, as after an exception."""


class TrainersRun:
    """Own the tracker of a training whose loop is a framework's.

    A step ends where the next one begins, so that what the trainer logs after a step belongs to it. Whatever fails is
    reported once and ends tracking, except for `FindingStop`, which the user asked for.

    Args:
        track: the function that makes the tracker.
        settings: its keyword arguments.
    """

    def __init__(self, track: Callable[..., Tracker], settings: Mapping[str, Any]):
        check(track, settings)
        self.settings = dict(settings)
        self.tracker: Tracker | None = None
        self._trained: Any = None
        self.is_pending = self._is_broken = False

    @property
    def steps(self) -> int:
        """The number of the step that comes next."""
        return 0 if self.tracker is None else self.tracker.steps + self.is_pending

    @property
    def running(self) -> Tracker | None:
        """The tracker while it records; None before, after, and where it has failed."""
        return self.tracker if self.tracker is not None and self.tracker.is_on else None

    def begin(self, make: Callable[[], Tracker], trained: Any = None) -> None:
        """Start the tracker that `make` returns, in place of one that was left open.

        Args:
            make: returns the tracker.
            trained: the model, of which trackers of other callbacks that were left open are ended, too.
        """
        of_model = [one for one in _begun if trained is not None and one._trained is trained]
        for one in {self, *of_model}:
            one.close(TrainingDidNotEnd() if one.running is not None else None)
        _begun.add(self)
        self._trained = trained
        self._is_broken = False
        with self.harmless("tracking did not begin"):
            self.tracker = make().start()

    def numbers(self, numbers: Mapping[str, Any]) -> None:
        """Keep numbers of the current step, or of the one that has just ended."""
        if (tracker := self.running) is not None and numbers:
            tracker.numbers(**numbers)

    def step_done(self) -> None:
        """Note that the optimiser has stepped."""
        self.is_pending = self.running is not None

    def next_step(self) -> None:
        """End the step that is done, if one is. Raises `FindingStop` where `track(on_finding="stop")` asks for it."""
        if self.is_pending and (tracker := self.running) is not None:
            self.is_pending = False
            tracker.step()

    def close(self, error: BaseException | None = None) -> None:
        """End the recording; the tracker stays, with the path of its log."""
        with self.harmless("the run could not be closed"), suppress(*([FindingStop] if error is not None else [])):
            self.next_step()
        with self.harmless("the run could not be closed"):
            if self.tracker is not None:
                self.tracker.close(error)
        self._trained = None

    @contextmanager
    def harmless(self, what: str = "tracking stopped") -> Iterator[None]:
        """Keep what goes wrong inside from the trainer: warn once, and stop tracking.

        Args:
            what: the beginning of the warning.
        """
        try:
            yield
        except FindingStop:
            raise
        except Exception as error:  # of any class: training must go on
            self.is_pending = False
            if self.tracker is not None and self.tracker.is_on:
                self.tracker.fail("in the trainer's callback", error)
            elif not self._is_broken:
                warn(f"{what}: {error or type(error).__name__}. Training goes on")
            self._is_broken = True


_begun: weakref.WeakSet[TrainersRun] = weakref.WeakSet()


def check(track: Callable[..., Any], settings: Mapping[str, Any]) -> None:
    """Raise what is wrong with the arguments of a callback, before any training begins.

    >>> from tandv.track.torch import track
    >>> check(track, {"evry": 10})
    Traceback (most recent call last):
    TypeError: no argument 'evry' in tandv.track.torch.track; did you mean 'every'?

    Args:
        track: the function that will be called.
        settings: the keyword arguments for it.

    Raises TypeError for arguments that it has not, ValueError for values that are wrong.
    """
    where = f"{track.__module__.partition('._')[0]}.{track.__name__}"
    if taken := [name for name in _OF_THE_TRAINER if name in settings]:
        raise TypeError(f"{taken[0]}= is what the trainer trains; leave it out, the callback takes it from there")
    names = [name for name in inspect.signature(track).parameters if name not in _OF_THE_TRAINER]
    if wrong := [unknown("argument", name, names, where) for name in settings if name not in names]:
        raise TypeError("; ".join(wrong))
    known = {field.name for field in fields(Settings)}.difference(_LATER)
    refuse(Settings(**{name: value for name, value in settings.items() if name in known}).problems())
