"""Rules that watch a number during training and fire at the step at which it changes.

>>> losses = [1.0 + 0.01 * (step % 3) for step in range(100)] + [5.0]
>>> watch = jumps_of("loss").begin()
>>> [step for step, loss in enumerate(losses) if watch(step, loss)]
[100]
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

Watch = Callable[[int, float], str | None]  # (step, value): why it fires, in words

_FEWEST = 50  # values before the first at which it may fire
_WIDTHS = (2, 8, 32, 128)  # values that are averaged before and after a change
_REACH = 10  # times its width: how far back it is compared, but at least
_LEAST_REACH = 150
_LEAST_QUIET = 20  # values after it has fired
_MOST = (_REACH + 2) * _WIDTHS[-1]  # values that are needed


class Trigger(Protocol):
    """What `SaveRule(on=...)` takes: the name of a number, and a fresh watch over it for each run."""

    @property
    def quantity(self) -> str: ...

    def begin(self) -> Watch: ...


@dataclass(frozen=True)
class _Jumps:
    quantity: str
    contrast: float
    least_noise: float
    least: float

    def begin(self) -> Watch:
        return _JumpWatch(self)


def jumps_of(quantity: str, *, contrast: float = 2.0, least_noise: float = 6.0, least: float = 0.05) -> Trigger:
    """Fire when a number changes faster than it did just before, or is no longer finite.

    >>> watch = jumps_of("loss").begin()
    >>> [watch(step, loss) for step, loss in enumerate([0.5, 0.4, float("nan")])]
    [None, None, 'loss is nan at step 2']

    A change is the mean of the last 2, 8, 32 or 128 values less the mean of as many before. It fires early in a
    transition, not at its end.

    Args:
        quantity: name of the number, as `tracker.step(loss=...)` is given it.
        contrast: the change is at least so many times the largest one at the 150 (or ten times as many) values before.
        least_noise: the change is more than so many times its standard deviation under the noise of the values,
            estimated robustly from second differences.
        least: the change is more than this share of the largest absolute value among them.
    """
    return _Jumps(quantity, contrast, least_noise, least)


class _JumpWatch:
    def __init__(self, rule: _Jumps):
        self._rule = rule
        self._kept = np.zeros(2 * _MOST)
        self._known = 0  # values that are kept
        self._count = 0  # values so far
        self._fired = -math.inf  # count at which it fired last

    def __call__(self, step: int, value: float) -> str | None:
        name = self._rule.quantity
        if not math.isfinite(value):
            first, self._known = self._known > 0, 0
            return f"{name} is {value} at step {step}" if first else None
        if self._known == len(self._kept):
            self._kept[:_MOST] = self._kept[-_MOST:]
            self._known = _MOST
        self._kept[self._known] = value
        self._known, self._count = self._known + 1, self._count + 1
        if self._known <= _FEWEST:
            return None
        values, since = self._kept[: self._known], self._count - self._fired
        # A slow change need not be looked for at each value, and one that was reported is not reported again.
        widths = [
            width for width in _WIDTHS if self._count % (width // 2) == 0 and since > max(3 * width, _LEAST_QUIET)
        ]
        found = (self._change(values, width) for width in widths)
        change = next((one for one in found if one), None)
        if change is None:
            return None
        self._fired = self._count
        return f"{name} went from {change[0]:.4g} to {change[1]:.4g} by step {step}"

    def _change(self, values: np.ndarray, width: int) -> tuple[float, float] | None:
        """Return the levels before and after, if a change of that width has just come."""
        recent = values[-max(_REACH * width, _LEAST_REACH) - 2 * width :]
        if len(recent) < 5 * width:
            return None
        sums = np.cumsum(np.concatenate([[0.0], recent]))
        means = (sums[width:] - sums[:-width]) / width
        changes = np.abs(means[width:] - means[:-width])
        now = float(changes[-1])
        if now < self._rule.contrast * changes[:-width].max() or now <= self._rule.least * np.abs(recent).max():
            return None
        bends = np.diff(values[-_LEAST_REACH:], 2)
        noise = 1.4826 * float(np.median(np.abs(bends))) / math.sqrt(6)  # of white noise
        if now <= self._rule.least_noise * math.sqrt(2 / width) * noise:
            return None
        return float(means[-1 - width]), float(means[-1])


@dataclass(frozen=True)
class _Crossing:
    quantity: str
    level: float

    def begin(self) -> Watch:
        before: list[float] = []

        def watch(step: int, value: float) -> str | None:
            crossed = bool(before) and (before[-1] < self.level) != (value < self.level) and not math.isnan(value)
            if not math.isnan(value):
                before[:] = [value]
            return f"{self.quantity} crossed {self.level:g} by step {step}" if crossed else None

        return watch


def crossing_of(quantity: str, level: float) -> Trigger:
    """Fire when a number passes a level, upwards or downwards.

    >>> watch = crossing_of("test_acc", 0.5).begin()
    >>> [watch(step, value) for step, value in enumerate([0.1, 0.6, 0.7])]
    [None, 'test_acc crossed 0.5 by step 1', None]

    Args:
        quantity: name of the number, as `tracker.step(test_acc=...)` is given it.
        level: in the unit of the number.
    """
    return _Crossing(quantity, level)
