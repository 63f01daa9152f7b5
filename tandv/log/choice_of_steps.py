"""Which steps a choice means: a step, several, or a slice of them; the same wherever a log is read.

>>> steps_meant(slice(2.5, 9, 3)).among(np.arange(10), first=0).nonzero()[0].tolist()
[3, 6]
"""

import math
import operator
from collections.abc import Iterable, Iterator, Sequence
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from tandv.messages import UnknownName, near_steps

Steps = int | slice | Sequence[int]

_ALLOWED = "give a whole number, a list of them, or a slice such as slice(0, 100, 10)"
_LIMITS = np.iinfo(np.int64)


class StepsMeant(NamedTuple):
    """The steps that a choice means: each of some, or those from a first one to before a last one.

    Args:
        each: the steps, [n] integers; None where `start`, `stop` and `stride` say which.
        never: numbers that were given and that no step can be, such as 2.5.
        start: the first step; None for the first of the log.
        stop: what the steps end before; None for no end.
        stride: every how many steps one is meant, from the first on.
    """

    each: np.ndarray | None
    never: tuple[float, ...] = ()
    start: int | None = None
    stop: int | None = None
    stride: int = 1

    @property
    def fills_limits(self) -> bool:
        """Whether every step within the limits is meant."""
        return self.stride == 1 if self.each is None else len(self.each) < 2

    def limits(self, first: int, last: int) -> tuple[int, int]:
        """Return the lowest and the highest step that may be meant; the higher one first if there is none.

        Args:
            first, last: the first and the last step of the log.
        """
        if self.each is not None:
            return (int(self.each.min()), int(self.each.max())) if len(self.each) else (0, -1)
        return first if self.start is None else self.start, last if self.stop is None else self.stop - 1

    def among(self, steps: np.ndarray, first: int) -> np.ndarray:
        """Tell which of some steps [n] are meant.

        Args:
            steps: some steps of a log, [n] integers.
            first: the first step of the log.
        """
        if self.each is not None:
            return np.isin(steps, self.each)
        start = first if self.start is None else self.start
        mask = steps >= start
        if self.stop is not None:
            mask &= steps < self.stop
        return mask & (steps % self.stride == start % self.stride) if self.stride > 1 else mask

    def lacking(self, there: np.ndarray) -> list[float]:
        """Return the steps that were named one by one and are not there.

        Args:
            there: the steps that are there, in any order.
        """
        return [] if self.each is None else [*self.each[~np.isin(self.each, there)].tolist(), *self.never]


def steps_meant(step: Steps) -> StepsMeant:
    """Return the steps that a choice means; a whole number may be a float, and the ends of a slice may be any.

    >>> steps_meant([20, 10.0]).each.tolist(), steps_meant(3).limits(0, 99)
    ([20, 10], (3, 3))

    Args:
        step: a step, several, or a slice, which ends before its stop like `range`.

    Raises TypeError for what is no number, ValueError for a slice that does not ascend.
    """
    if isinstance(step, slice):
        return _of_slice(step)
    several: Any = step if isinstance(step, Iterable) and not isinstance(step, str | bytes | Iterator) else [step]
    if getattr(step, "ndim", 1) == 0:  # an array of one number, which cannot be iterated
        several = [step]
    numbers = [step_number(one) for one in several]
    whole = [one for one in numbers if isinstance(one, int) and _LIMITS.min <= one <= _LIMITS.max]
    never = tuple(one for one in numbers if not isinstance(one, int) or not _LIMITS.min <= one <= _LIMITS.max)
    return StepsMeant(np.array(whole, np.int64), never)


def step_number(given: Any) -> int | float:
    """Return a number that was given for one step: an integer, also where it is a float such as 3.0.

    >>> step_number(3.0), step_number(2.5)
    (3, 2.5)

    Args:
        given: the number; also an array of a single one.

    Raises TypeError for what is no number, such as a text or a truth value, ValueError for NaN and infinity.
    """
    if not isinstance(given, bool | np.bool_):
        try:
            return operator.index(given)
        except TypeError:
            given = given.item() if getattr(given, "ndim", None) == 0 else given  # an array of one number
        if isinstance(given, Real) and not isinstance(given, bool):
            number = float(given)
            if not math.isfinite(number):
                raise ValueError(f"{given} is no step; {_ALLOWED}")
            return int(number) if number.is_integer() else number
    raise TypeError(f"{given!r} is no step, which is a number; {_ALLOWED}")


def check_steps_there(meant: StepsMeant, there: np.ndarray, where: str) -> None:
    """Raise UnknownName for a step that was named and is not there, with the nearest.

    >>> check_steps_there(steps_meant(7), np.array([0, 5, 10]), "this log")
    Traceback (most recent call last):
    tandv.messages.UnknownName: no step 7 in this log; the nearest are 5 and 10 (it has 3 steps, 0 to 10)

    Args:
        meant: the steps that are meant.
        there: the steps that are there, in any order.
        where: what they are of, such as "this log".
    """
    if lacking := meant.lacking(there):
        raise UnknownName(f"no step {lacking[0]} in {where}; {near_steps(lacking[0], np.unique(there).tolist())}")


def _of_slice(given: slice) -> StepsMeant:
    stride = 1 if given.step is None else step_number(given.step)
    if not isinstance(stride, int) or stride < 1:
        raise ValueError(f"steps ascend: every {stride} steps is not possible; give a whole number from 1 on")
    return StepsMeant(None, (), _end(given.start, -math.inf), _end(given.stop, math.inf), stride)


def _end(given: Any, open_end: float) -> int | None:
    """Return the first whole number from an end of a slice on; None for no end."""
    if given is None:
        return None
    number = given if isinstance(given, float | np.floating) and not math.isfinite(given) else step_number(given)
    if number == open_end:
        return None
    if not math.isfinite(number):
        raise ValueError(f"a slice of steps cannot begin or end at {number}; {_ALLOWED}")
    return min(max(math.ceil(number), _LIMITS.min + 1), _LIMITS.max)
