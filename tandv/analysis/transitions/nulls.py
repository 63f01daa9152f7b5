"""Null curves: a curve without its transitions, its noise shuffled in blocks.

Whatever a detector finds on them is a false alarm. Blocks are longer than the noise is correlated, so that
autocorrelated noise causes as many apparent changes as in the curve; noise that differs along the run keeps its place.
(Künsch 1989.)

>>> import numpy as np
>>> loss = pd.Series(np.exp(-np.arange(300) / 50) + 0.01 * np.sin(np.arange(300.0) ** 2), name="loss")
>>> null_curves(loss, 3).shape
(300, 3)
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from tandv.analysis.transitions.bumps import Detection, find
from tandv.analysis.transitions.pace import FLOOR, differences
from tandv.analysis.transitions.transition import FEWEST, P, known


def null_curves(curve: pd.Series, count: int = 99, *, seed: int = 0) -> pd.DataFrame:
    """Return null curves of a curve: one column for each, indexed by the steps at which it is known.

    Args:
        curve: values by step.
        count: how many null curves.
        seed: of the shuffling.

    Raises ValueError for a curve of fewer than 8 known values.
    """
    steps, values = known(curve)
    if len(values) < FEWEST:
        raise ValueError(f"{curve.name} has {len(values)} known values; null curves need at least {FEWEST}")
    floor = FLOOR * np.maximum(np.abs(values), 0.1 * np.ptp(values))
    found = find(steps, values, limit=np.log(P), floor=floor, removed=np.zeros(len(values), bool))
    trend, shuffled = _shuffled(found, count, seed)
    return pd.DataFrame((trend + shuffled).T, index=pd.Index(steps.astype(np.int64), name="step"))


def false_alarms(curve: pd.Series, detector: Callable[..., list], *, count: int = 19, seed: int = 0) -> float:
    """Return how many transitions a detector finds in 1,000 steps of null curves; NaN for fewer than 8 known values.

    >>> from tandv.analysis.transitions import transitions
    >>> noise = 0.02 * np.sin(np.arange(300.0) ** 2)
    >>> false_alarms(pd.Series(np.exp(-np.arange(300) / 50) + noise, name="loss"), transitions)
    0.0

    Args:
        curve: values by step.
        detector: a function like those in DETECTORS.
        count: how many null curves.
        seed: of the shuffling.
    """
    if len(known(curve)[1]) < FEWEST:
        return np.nan
    nulls = null_curves(curve, count, seed=seed)
    alarms = sum(len(detector(null.rename(str(curve.name)), nulls=0)) for _, null in nulls.items())
    return 1000 * alarms / (count * float(nulls.index[-1] - nulls.index[0]))


def _shuffled(found: Detection, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the trend of a curve without its transitions, and its noise shuffled `count` times."""
    points = len(found.values)
    # Noise is whatever is faster than the bumps; the slower trend must not be shuffled.
    wide = max([5.0] + [2.0 * found.windows.widths[b.scale] for b in found.bumps]) if found.bumps else points / 16
    wide = min(max(wide, 5.0), max(points / 5, 2.0))
    width = np.array([int(wide)])
    between, change = np.diff(found.steps), np.diff(found.background)
    pace, run = np.zeros(len(change)), differences(found.steps, width)[0]
    for _ in range(2):  # the second pass adds back what the first one smoothed away (twicing: Tukey 1977)
        left = np.concatenate([[0.0], np.cumsum(change - pace * between)])
        pace += differences(left, width)[0] / run
    trend = np.concatenate([[0.0], np.cumsum(pace * between)])
    trend += np.mean(found.background - trend)
    residual = (found.background - trend) / found.noise.sigma
    residual -= np.median(residual)
    # Residuals far beyond the noise are remains of the trend at a steep place, which must not be moved elsewhere.
    most = 4 * float(found.noise.level[found.windows.widths <= wide].max())
    residual = np.clip(residual, -most, most)
    length = int(np.clip(2.5 * wide, min(10, points), max(points // 4, 1)))
    rng = np.random.default_rng(seed)
    blocks = -(-points // length)
    starts = rng.integers(0, points - length + 1, (count, blocks))
    picked = (starts[:, :, None] + np.arange(length)).reshape(count, -1)[:, :points]
    return trend, residual[picked] * found.noise.sigma
