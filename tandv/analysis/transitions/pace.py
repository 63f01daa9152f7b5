"""How fast a curve changes, over windows of many widths.

The pace at width h between two points is the mean of the h values after it less the mean of the h before it, over the
same difference of the steps. Beyond its ends a curve is continued by its first and last value. Differences of such
means weigh the changes of the curve by a triangle, which never creates a new maximum: where the pace of a curve only
falls, as in every plain decay, it only falls at every width, however unevenly the steps are spaced. (Log-concave
weights are totally positive of order two: Schoenberg 1951.)
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

FLOOR = 1e-6  # of abs(x): rounding of float32 sums and of printed digits
_ROUNDED = {np.float32: 2.4e-7, np.float64: 1e-14}  # of abs(x): a few units in the last place of sums
WIDEST = 6  # the widest window is this fraction of the curve on each side
_RATIO = 2**0.5  # from one width to the next


class Windows(NamedTuple):
    """The differences of a curve at H widths between its n points: arrays of shape (H, n - 1)."""

    widths: np.ndarray  # h, in points
    rise: np.ndarray  # mean after less mean before
    run: np.ndarray  # the same of the steps
    ends: np.ndarray  # standard deviation of `rise` for white noise, in multiples of that in the middle
    pace: np.ndarray  # rise / run


def widths(points: int) -> np.ndarray:
    """Return the widths at which a curve of so many points is searched, √2 apart.

    >>> widths(60).tolist()
    [1, 2, 4, 5, 8]
    """
    widest = max(points // WIDEST, 1)
    powers = _RATIO ** np.arange(int(2 * np.log2(widest)) + 1)
    return np.unique(np.floor(powers + 1e-9).astype(np.int64))


def windows(steps: np.ndarray, values: np.ndarray) -> Windows:
    """Return the differences and the pace of a curve at all widths."""
    all_widths = widths(len(values))
    rise, run = differences(values, all_widths), _run(steps.tobytes())
    return Windows(all_widths, rise, run, _ends(len(values)), rise / run)


def rounding(values: np.ndarray) -> float:
    """Return the rounding of values relative to the largest: that of float32 if they are such numbers, else of float64.

    >>> rounding(np.array([0.5, 3.0])), rounding(np.array([0.1, 3.0]))
    (2.4e-07, 1e-14)
    """
    with np.errstate(over="ignore", under="ignore"):
        short = values.astype(np.float32)
    return _ROUNDED[np.float32 if (short == values).all() else np.float64]


def differences(values: np.ndarray, all_widths: np.ndarray) -> np.ndarray:
    """Return the means of the h values after each place between points less the means of the h before, for each h.

    >>> differences(np.array([0.0, 0.0, 1.0, 1.0]), np.array([1, 2])).tolist()
    [[0.0, 1.0, 0.0], [0.5, 1.0, 0.5]]
    """
    n, pad = len(values), int(all_widths[-1])
    sums = np.empty(n + 2 * pad + 1)
    sums[0] = 0.0
    np.cumsum(np.pad(values - values[0], pad, mode="edge"), out=sums[1:])  # less of its level: less rounding
    middle, out = sums[pad + 1 : pad + n], np.empty((len(all_widths), n - 1))
    for row, h in zip(out, all_widths.tolist(), strict=True):
        np.add(sums[pad + 1 + h : pad + n + h], sums[pad + 1 - h : pad + n - h], out=row)
        row -= 2 * middle
        row /= h
    return out


def averages(values: np.ndarray, all_widths: np.ndarray) -> np.ndarray:
    """Return the means of the h values before and the h after each place between points, for each h."""
    n, pad = len(values), int(all_widths[-1])
    sums = np.concatenate([[0.0], np.cumsum(np.pad(values, pad, mode="edge"))])
    wide = [(sums[pad + 1 + h : pad + n + h] - sums[pad + 1 - h : pad + n - h]) / (2 * h) for h in all_widths.tolist()]
    return np.array(wide)


@lru_cache(maxsize=4)  # curves of one run share their steps
def _run(steps: bytes) -> np.ndarray:
    made = differences(np.frombuffer(steps), widths(len(steps) // 8))
    made.flags.writeable = False
    return made


@lru_cache(maxsize=64)
def _ends(points: int) -> np.ndarray:
    after = np.arange(points - 1, 0, -1)
    out = []
    for h in widths(points).tolist():
        # where fewer than h values are left, the last of them counts for all that are missing
        short = np.where(after < h, ((h - after + 1) ** 2 + after - 1) / h**2, 1 / h)
        out.append(np.sqrt((short + short[::-1]) * h / 2))
    made = np.array(out)
    made.flags.writeable = False
    return made
