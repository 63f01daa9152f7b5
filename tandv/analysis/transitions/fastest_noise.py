"""The standard deviation of the fastest noise of a curve at each point, as if it were white."""

import numpy as np

from tandv.analysis.transitions.median import median

CLIPPED = 0.766  # mean of min(abs(x), 3 medians of abs(x)) of a standard normal x
_WINDOW = 61  # points over which the standard deviation of the noise is taken as constant
_START = 24  # points at the start of a curve
_FEW = 17  # points, the fewest that are asked for it


def local_sigma(values: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """Return the standard deviation of white noise at each point, from second differences, which remove a trend."""
    n = len(values)
    error = np.full(n, np.inf)
    error[1:-1] = np.abs(np.diff(values, 2)) / np.sqrt(6)
    error[1:-1][removed[:-2] | removed[1:-1] | removed[2:]] = np.inf
    known = error[np.isfinite(error)]
    if len(known) < 5:
        error[1:-1] = np.abs(np.diff(values, 2)) / np.sqrt(6)
        known = error[1:-1]
    far = int(0.95 * (len(known) - 1))
    overall = float(np.minimum(known, np.partition(known, far)[far]).mean()) / 0.75
    if n < _WINDOW:
        return np.full(n, float(np.minimum(known, 3 * median(known)).mean()) / CLIPPED)
    width = min(max(_WINDOW, n // 10), n)
    wide = _in_windows(error, width, overall)
    # windows differ by chance as well: only what is more than that is kept
    logs = np.log(np.maximum(wide, 1e-300))
    by_chance = 0.9 / width
    wide = np.exp(logs.mean() + (logs - logs.mean()) * np.sqrt(max(1 - by_chance / max(logs.var(), 1e-9), 0.0)))
    # noise may fall faster than that, as at the start of a run; few points are less sure
    few = _in_windows(error, _FEW, overall)
    at, later = float(few[_FEW // 2]), float(few[_FEW + _FEW // 2])
    if at > 1.3 * later > 0:  # and go on so within the first of them
        few[: _FEW // 2] *= np.minimum(at / later, 8.0) ** (np.arange(_FEW // 2, 0, -1) / _FEW)
    sigma = np.maximum(np.maximum(wide, 0.8 * few), 0.05 * overall)
    size = np.abs(values)
    if size.min() > 0 and abs(np.sign(values).sum()) == n:
        # at the start of a decay too few values tell whether noise is in proportion to them
        share, first = median(sigma / size), slice(0, _START)
        sigma[first] = np.clip(share * size[first], sigma[first], 2 * sigma[first])
    return sigma


def _in_windows(error: np.ndarray, width: int, overall: float) -> np.ndarray:
    """Return clipped means of the finite ones of windows, as standard deviations, linear between knots."""
    n = len(error)
    knots = np.unique(np.append(np.arange(0, n, max(width // 4, 1)), n - 1))
    first = np.clip(knots - width // 2, 0, n - width)
    ordered = np.sort(error[first[:, None] + np.arange(width)], axis=1)
    count = np.isfinite(ordered).sum(axis=1)
    rows = np.arange(len(knots))
    # in a mostly constant curve, such as an accuracy, the rare changes are the noise
    bound = np.maximum(3 * ordered[rows, count // 2], ordered[rows, (0.8 * count).astype(int)])
    clipped = np.where(np.isfinite(ordered), np.minimum(ordered, bound[:, None]), 0.0).sum(axis=1)
    good = count >= min(12, 0.7 * width)
    if not good.any():
        return np.full(n, overall)
    return np.interp(np.arange(n), knots[good], clipped[good] / count[good] / CLIPPED)
