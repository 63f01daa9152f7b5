"""How fast a curve changes, measured in windows of many widths, and how much of that may be noise.

The pace at scale s is the change of the curve over the elapsed steps, both averaged with a Gaussian weight of s points.
Such averaging never creates a new maximum: where the pace of a curve only falls, as in every plain decay, it only falls
at every scale, however unevenly the steps are spaced. (Gaussian weights are totally positive; Lindeberg 1990.)
"""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import percentile_filter, uniform_filter1d

FINEST, RATIO = 0.7, 2**0.5  # the finest scale in points; the factor from one scale to the next
COARSEST = 12  # the coarsest scale is this fraction of the curve
FLOOR = 1e-6  # of abs(x): rounding of float32 sums and of printed digits

_WINDOW = 61  # points over which the scale of the noise is taken as constant
_CLIP = 0.766  # mean of min(abs(x), 3 medians of abs(x)) of a standard normal x
_SHORT = 40  # points, below which noise is taken as white
_OUTLIER = 6.0


class Window(NamedTuple):
    """A Gaussian window of `scale` points between the points of one curve, and the pace of the curve in it."""

    scale: float
    kernel: np.ndarray  # its Fourier transform
    size: int
    weight: np.ndarray
    steps: np.ndarray  # mean number of steps from a point to the next
    pace: np.ndarray  # change per step
    white: float  # standard deviation of the change per point, of white noise of 1, away from the ends
    ends: np.ndarray  # how much more it is near the ends


class Noise(NamedTuple):
    """The noise of a curve at each scale."""

    sigma: np.ndarray  # standard deviation of the fastest noise at each point
    pace: list[np.ndarray]  # standard error of the pace, for each window
    level: list[float]  # standard error of the mean level over a window's width, in units of `sigma`
    excess: list[float]  # noise in multiples of white noise: large where a curve drifts smoothly


def smooth(values: np.ndarray, window: Window) -> np.ndarray:
    """Return Gaussian-weighted sums along the last axis."""
    spectrum = np.fft.rfft(values, window.size) * window.kernel
    return np.fft.irfft(spectrum, window.size)[..., : values.shape[-1]]


def windows(steps: np.ndarray, values: np.ndarray) -> list[Window]:
    """Return windows on a curve at all scales, from two points to a twelfth of it."""
    count = max(1, 1 + int(np.floor(np.log(max(len(values) / COARSEST, 1.0) / FINEST) / np.log(RATIO))))
    return [window(steps, values, FINEST * RATIO**k) for k in range(count)]


def window(steps: np.ndarray, values: np.ndarray, scale: float) -> Window:
    """Return the window of a scale in points on a curve."""
    n = len(values) - 1
    size = 1 << int(np.ceil(np.log2(2 * n)))
    distance = np.minimum(np.arange(size), size - np.arange(size))
    kernel = np.fft.rfft(np.exp(-0.5 * (distance / scale) ** 2))
    empty = np.zeros(0)
    bare = Window(scale, kernel, size, empty, empty, empty, 0.0, empty)
    weight = smooth(np.ones(n), bare)
    between = smooth(np.diff(steps), bare)
    white = np.sqrt(_white_variance(n, scale)) / weight
    middle = float(white[n // 2])
    pace = smooth(np.diff(values), bare) / between
    return Window(scale, kernel, size, weight, between / weight, pace, middle, white / middle)


def _white_variance(n: int, scale: float) -> np.ndarray:
    """Return the variance of the weighted sum of n differences of white noise: of the interior and of the two ends."""
    at = np.arange(n)
    weights = np.exp(-0.5 * (np.arange(-n, n + 1) / scale) ** 2)
    squares = np.concatenate([[0.0], np.cumsum(np.diff(weights) ** 2)])
    first, last = np.exp(-((at / scale) ** 2)), np.exp(-(((n - 1 - at) / scale) ** 2))
    return squares[2 * n - 1 - at] - squares[n - at] + first + last


def noise(values: np.ndarray, background: np.ndarray, removed: np.ndarray, bank: list[Window]) -> Noise:
    """Measure the noise of a curve at every scale; `background` are its values without bumps.

    Points that are `removed` were interpolated and do not count. Slow noise is distinguished from a trend by high-order
    differences of the pace, which are small where the curve is smooth and large where it drifts.
    """
    least = FLOOR * np.maximum(np.abs(values), 0.1 * np.ptp(values))
    sigma = np.hypot(_local_sigma(background, removed), least)
    between = np.sqrt((sigma[1:] ** 2 + sigma[:-1] ** 2) / 2)
    change = np.diff(background)
    local, factors, counts = [], [], []
    for gaussian in bank:
        spread = np.sqrt(np.maximum(smooth(between**2, gaussian) / gaussian.weight, 0))
        spread = np.maximum(spread, 0.5 * between)
        factor, count = _excess(
            smooth(change, gaussian) / gaussian.weight, spread * gaussian.white, removed, gaussian.scale
        )
        local.append(spread)
        factors.append(factor)
        counts.append(count)
    growth = np.exp(
        _smoothed_over_scales(np.log([gaussian.scale for gaussian in bank]), np.array(factors), np.array(counts))
    )
    pairs = list(zip(bank, growth, local, strict=True))
    errors = [g * v.white * v.ends * spread / v.steps for v, g, spread in pairs]
    # A level over s points and the pace at scale s have about the same noise (2.4 for white noise).
    levels = np.maximum.accumulate(
        [1.0 if v.scale <= 1 else max(1.0, 2.4 * g * v.white * v.scale) for v, g, _ in pairs]
    )
    usual = max((x for v, x in zip(bank, levels, strict=True) if v.scale <= len(background) / 30), default=1.0)
    return Noise(sigma, errors, np.maximum(levels, usual).tolist(), growth.tolist())


def _local_sigma(values: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """Return the standard deviation of white noise at each point, from second differences, which remove a trend."""
    error = np.abs(np.diff(values, 2)) / np.sqrt(6)
    error = np.concatenate([error[:1], error, error[-1:]])
    if removed.any() and not removed.all():
        known = error[~removed]
        usual = percentile_filter(known, 50, size=min(31, len(known)), mode="mirror")
        error = np.where(removed, np.interp(np.arange(len(values)), np.flatnonzero(~removed), usual), error)
    width = min(max(_WINDOW, len(values) // 10), len(values))
    middle = percentile_filter(error, 50, size=width, mode="mirror")
    bound = 3 * middle
    if len(values) >= _WINDOW:  # in a mostly constant curve, such as an accuracy, the rare changes are the noise
        bound = np.maximum(bound, percentile_filter(error, 80, size=width, mode="mirror"))
    sigma = uniform_filter1d(np.minimum(error, bound), width, mode="mirror") / _CLIP
    overall = np.minimum(error, np.quantile(error, 0.95)).mean() / 0.75
    return np.maximum(sigma, 0.05 * overall) if len(values) >= _WINDOW else sigma


def _excess(pace: np.ndarray, expected: np.ndarray, removed: np.ndarray, scale: float) -> tuple[float, float]:
    """Return noise over expected noise at a scale, and from how many samples; NaN if the curve is too short."""
    n, apart = len(pace), max(round(3 * scale), 2)
    if n < _SHORT:  # too short: the bump itself would be measured
        return np.nan, 0.0
    for weights in ((1, -4, 6, -4, 1), (1, -3, 3, -1), (1, -2, 1)):
        span = (len(weights) - 1) * apart
        left = n - span
        if left >= 0.6 * n or (len(weights) == 3 and left >= max(0.4 * n, 10)):
            # 1.25: paces three scales apart are still slightly correlated
            norm = np.sqrt(1.25 * sum(w * w for w in weights))
            contrast = sum(w * pace[k * apart : left + k * apart] for k, w in enumerate(weights)) / norm
            middle = slice(span // 2, span // 2 + left)
            ratio = np.abs(contrast) / expected[middle]
            here = ~removed[middle]
            ratio = ratio[here] if here.sum() >= 8 else ratio
            return float(np.minimum(ratio, 3 * np.median(ratio)).mean() / _CLIP), left / (2 * scale)
    return np.nan, 0.0


def _smoothed_over_scales(scale: np.ndarray, factors: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the logarithms of the factors, smoothed over neighbouring scales and extrapolated to the widest ones.

    Factors are at least a half, and grow at most as those of a random-walk velocity: with the square of the scale.
    """
    known = np.isfinite(factors) & (factors > 0)
    if not known.any():
        return np.zeros(len(scale))
    logs = np.log(np.where(known, factors, 1.0))
    out = np.full(len(scale), np.nan)
    for k in np.flatnonzero(known):
        weight = np.where(known, counts * np.exp(-2 * (scale - scale[k]) ** 2), 0)
        out[k] = np.average(logs, weights=weight)
    for k in range(1, len(out)):
        out[k] = min(out[k], out[k - 1] + 2 * (scale[k] - scale[k - 1])) if np.isfinite(out[k - 1]) else out[k]
    last = int(np.flatnonzero(known)[-1])
    fitted = np.flatnonzero(known)[-5:]
    slope = float(np.clip(np.polyfit(scale[fitted], out[fitted], 1)[0], 0, 1)) if len(fitted) >= 3 else 0.3
    out[last + 1 :] = out[last] + slope * (scale[last + 1 :] - scale[last])
    out = np.where(np.isfinite(out), out, out[known][0])
    return np.maximum(out, np.log(0.5))


def without_outliers(values: np.ndarray) -> np.ndarray:
    """Replace single points far from two neighbours on each side by the median of these."""
    n = len(values)
    if n < 9:
        return values
    padded = np.pad(values, 2, mode="edge")
    around = np.stack([padded[:n], padded[1 : n + 1], padded[3 : n + 3], padded[4:]])
    middle = np.median(around, axis=0)
    away = np.abs(values - middle)
    usual = percentile_filter(away, 50, size=max(31, n // 12) | 1, mode="mirror") / 0.6745
    out = (away > _OUTLIER * usual) & (away > 2 * np.ptp(around, axis=0))
    out[[0, -1]] = False
    return np.where(out, middle, values)
