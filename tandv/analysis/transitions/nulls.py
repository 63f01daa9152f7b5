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

from tandv.analysis.transitions.bumps import MIN_Z, Detection, find, scores
from tandv.analysis.transitions.pace import smooth, window
from tandv.analysis.transitions.transition import FEWEST, known


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
    trend, shuffled = _shuffled(find(steps, values), count, seed)
    return pd.DataFrame((trend + shuffled).T, index=pd.Index(steps.astype(np.int64), name="step"))


def false_alarms(curve: pd.Series, detector: Callable[..., list], *, count: int = 19, seed: int = 0) -> float:
    """Return how many transitions a detector finds in 1,000 steps of null curves; NaN for fewer than 8 known values.

    >>> from tandv.analysis.transitions import transitions
    >>> false_alarms(pd.Series(1 / (1 + np.arange(100)), name="loss"), transitions)
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


def largest(found: Detection, count: int, *, seed: int = 0) -> np.ndarray:
    """Return for each of `count` null curves its largest change that is as certainly fast as a transition must be.

    Only the noise is searched: on top of a trend it would have to be faster still.

    Args:
        found: what `bumps.find` returns.
        count: how many null curves.
        seed: of the shuffling.
    """
    change = np.diff(_shuffled(found, count, seed)[1], axis=-1)
    out = np.zeros(count)
    used = {b.scale_index for b in found.bumps} | set(range(0, len(found.windows), 2))
    for k in sorted(used):
        gaussian, error = found.windows[k], found.noise.pace[k]
        pace = smooth(change, gaussian) / (gaussian.weight * gaussian.steps)
        wide = (
            np.sqrt(2 * np.pi) * gaussian.scale * gaussian.steps * error
        )  # a step of 1 has the pace 1 / (sqrt(2 pi) scale)
        for sign in (1, -1):
            z = scores(sign * pace, error)
            np.maximum(out, np.where(z >= MIN_Z, z * wide, 0.0).max(axis=-1), out=out)
    return out


def _shuffled(found: Detection, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the trend of a curve without its transitions, and its noise shuffled `count` times."""
    points = len(found.values)
    # Noise is whatever is faster than the bumps; the slower trend must not be shuffled.
    scale = max([2.0] + [2 * found.windows[b.scale_index].scale for b in found.bumps]) if found.bumps else points / 40
    scale = min(max(scale, 2.0), max(points / 12, 1.0))
    wide = window(found.steps, found.background, scale)
    between, change = np.diff(found.steps), np.diff(found.background)
    pace = np.zeros(len(change))
    for _ in range(2):  # the second pass adds back what the first one smoothed away (twicing: Tukey 1977)
        pace += smooth(change - pace * between, wide) / smooth(between, wide)
    trend = np.concatenate([[0.0], np.cumsum(pace * between)])
    trend += np.mean(found.background - trend)
    residual = (found.background - trend) / found.noise.sigma
    residual -= np.median(residual)
    # Residuals far beyond the noise are remains of the trend at a steep place, which must not be moved elsewhere.
    most = 4 * max(x for v, x in zip(found.windows, found.noise.level, strict=True) if v.scale <= max(scale, 1.0))
    residual = np.clip(residual, -most, most)
    length = int(np.clip(6 * scale, min(10, points), max(points // 4, 1)))
    rng = np.random.default_rng(seed)
    blocks = -(-points // length)
    starts = rng.integers(0, points - length + 1, (count, blocks))
    picked = (starts[:, :, None] + np.arange(length)).reshape(count, -1)[:, :points]
    return trend, residual[picked] * found.noise.sigma
