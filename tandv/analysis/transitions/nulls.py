"""Null curves: the same curve without its transitions, its noise shuffled in blocks.

What a detector finds on them is false by construction. Blocks are longer than the noise remembers, so that what
looks like a change because noise is autocorrelated looks so here too; where the noise is large it stays large.
(Künsch 1989.)

>>> import numpy as np
>>> loss = pd.Series(np.exp(-np.arange(300) / 50) + 0.01 * np.sin(np.arange(300.0) ** 2), name="loss")
>>> null_curves(loss, 3).shape
(300, 3)
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from tandv.analysis.transitions.bumps import SURE, Found, find, scores
from tandv.analysis.transitions.pace import smooth, window
from tandv.analysis.transitions.transition import FEWEST, known


def null_curves(curve: pd.Series, count: int = 99, *, seed: int = 0) -> pd.DataFrame:
    """Return null curves of a curve: one column for each, indexed by the steps at which it is known.

    Raises ValueError for a curve of fewer than 8 known values.
    """
    steps, values = known(curve)
    if len(values) < FEWEST:
        raise ValueError(f"{curve.name} has {len(values)} known values; null curves need at least {FEWEST}")
    trend, shuffled = _shuffled(find(steps, values), count, seed)
    return pd.DataFrame((trend + shuffled).T, index=pd.Index(steps.astype(np.int64), name="step"))


def false_alarms(curve: pd.Series, detector: Callable[..., list], *, count: int = 19, seed: int = 0) -> float:
    """Return how many transitions a detector finds in 1,000 steps of null curves; NaN for fewer than 8 values.

    >>> from tandv.analysis.transitions import transitions
    >>> false_alarms(pd.Series(1 / (1 + np.arange(100)), name="loss"), transitions)
    0.0
    """
    if len(known(curve)[1]) < FEWEST:
        return np.nan
    nulls = null_curves(curve, count, seed=seed)
    alarms = sum(len(detector(null.rename(str(curve.name)), nulls=0)) for _, null in nulls.items())
    return 1000 * alarms / (count * float(nulls.index[-1] - nulls.index[0]))


def largest(found: Found, count: int, *, seed: int = 0) -> np.ndarray:
    """Return for each of `count` null curves its largest change that is as surely fast as a transition must be.

    It is looked for in the noise alone: on a trend the noise would have to be faster still.
    """
    change = np.diff(_shuffled(found, count, seed)[1], axis=-1)
    out = np.zeros(count)
    used = {b.view for b in found.bumps} | set(range(0, len(found.views), 2))
    for k in sorted(used):
        view, error = found.views[k], found.noise.pace[k]
        pace = smooth(change, view) / (view.weight * view.steps)
        wide = np.sqrt(2 * np.pi) * view.scale * view.steps * error  # a step of 1 has the pace 1 / (sqrt(2 pi) scale)
        for sign in (1, -1):
            z = scores(sign * pace, error)
            np.maximum(out, np.where(z >= SURE, z * wide, 0.0).max(axis=-1), out=out)
    return out


def _shuffled(found: Found, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the trend of a curve without its transitions, and its noise, shuffled `count` times."""
    points = len(found.values)
    # Noise is what is faster than the bumps; the trend that is left must not be shuffled.
    scale = max([2.0] + [2 * found.views[b.view].scale for b in found.bumps]) if found.bumps else points / 40
    scale = min(max(scale, 2.0), max(points / 12, 1.0))
    wide = window(found.steps, found.quiet, scale)
    between, change = np.diff(found.steps), np.diff(found.quiet)
    pace = np.zeros(len(change))
    for _ in range(2):  # the second time adds what the first has smoothed away (twicing: Tukey 1977)
        pace += smooth(change - pace * between, wide) / smooth(between, wide)
    trend = np.concatenate([[0.0], np.cumsum(pace * between)])
    trend += np.mean(found.quiet - trend)
    residual = (found.quiet - trend) / found.noise.sigma
    residual -= np.median(residual)
    # What is left beyond the noise is of the trend, at a steep place, and must not be put elsewhere.
    most = 4 * max(x for v, x in zip(found.views, found.noise.level, strict=True) if v.scale <= max(scale, 1.0))
    residual = np.clip(residual, -most, most)
    length = int(np.clip(6 * scale, min(10, points), max(points // 4, 1)))
    rng = np.random.default_rng(seed)
    blocks = -(-points // length)
    starts = rng.integers(0, points - length + 1, (count, blocks))
    picked = (starts[:, :, None] + np.arange(length)).reshape(count, -1)[:, :points]
    return trend, residual[picked] * found.noise.sigma
