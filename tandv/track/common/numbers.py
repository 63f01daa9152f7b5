"""The numbers of the loop, such as a loss: taken when they are given, read when they have arrived from their device.

>>> mean_of([known(0.5), known(1.5)])(True)
1.0
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tandv.curves.of_run import RESERVED
from tandv.names import check_writable

Reading = Callable[[bool], float | None]
"""Reads a number: called with True it waits for the device, with False it returns None if it has not arrived."""

ALLOWED = "allowed are numbers of Python, and NumPy, PyTorch and JAX arrays of one number, on any device"


def known(value: Any) -> Reading:
    """Return how a number on the host is read, which is taken now.

    >>> known("0.5")
    Traceback (most recent call last):
    TypeError: it is a str

    Args:
        value: whatever `float` takes, apart from text; an array of one number.

    Raises TypeError or ValueError saying what is wrong.
    """
    if isinstance(value, np.ndarray | np.generic):
        if value.size != 1:
            raise ValueError(f"it is an array of shape {value.shape}")
        if np.ma.getmaskarray(value).any():
            raise ValueError("it is masked, which is no number")
        if value.dtype.kind not in "biufV":  # numbers of ml_dtypes are of kind V
            raise TypeError(f"it is an array of {value.dtype}")
        number = float(np.asarray(value).reshape(()).astype(np.float64))
    elif isinstance(value, str | bytes | bytearray) or not hasattr(value, "__float__"):
        raise TypeError(f"it is a {type(value).__name__}")
    else:
        number = float(value.detach() if hasattr(value, "detach") else value)
    return lambda wait: number


def check_curve(name: str) -> None:
    """Raise ValueError for a name that no curve can have.

    >>> check_curve("step")
    Traceback (most recent call last):
    ValueError: the steps are counted by the tracker, from track(init_step=...) on

    Args:
        name: the name of a number.
    """
    check_writable(name, "number")
    if name in RESERVED:
        raise ValueError("the steps are counted by the tracker, from track(init_step=...) on")


def mean_of(readings: Sequence[Reading]) -> Reading:
    """Return how the mean of some readings is read; NaN where one of them is.

    >>> mean_of([known(2.0), known(3.0)])(False)
    2.5

    Args:
        readings: at least one, as a framework gives them.
    """
    if len(readings) == 1:
        return readings[0]

    def mean(wait: bool) -> float | None:
        read = [reading(wait) for reading in readings]
        numbers = [number for number in read if number is not None]
        if len(numbers) < len(read):
            return None
        if all(number == 0.0 and math.copysign(1.0, number) < 0 for number in numbers):
            return -0.0  # the exact sum has lost the sign in some versions of Python
        try:
            return math.fsum(numbers) / len(numbers)
        except OverflowError:  # of the sum, which the mean need not share
            return sum(number / len(numbers) for number in numbers)
        except ValueError:  # infinity less infinity
            return math.nan

    return mean
