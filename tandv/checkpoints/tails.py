"""Two measures of how far the spectrum of a trained matrix is from that of noise: its tail, and what stands out of it.

Both are those of Martin & Mahoney, Implicit self-regularization in deep neural networks, JMLR 2021, with the fit of
Clauset, Shalizi & Newman, Power-law distributions in empirical data, SIAM Review 2009.
"""

import math
from functools import lru_cache

import numpy as np

NAN = math.nan
FEWEST = 20  # eigenvalues below which no tail is fitted
TAIL = 10  # eigenvalues of which a tail has at least so many
_TRACY_WIDOM_99 = 2.0234  # of 100 matrices of noise alone, one has its largest eigenvalue beyond it
_CHUNK = 1 << 18  # distances computed at a time


def power_law(eigenvalues: np.ndarray) -> float:
    """Return the exponent of the power law that fits the tail of some eigenvalues; NaN of fewer than 20 above zero.

    The tail begins at the eigenvalue x₀ from which on the fit is closest to the data by Kolmogorov and Smirnov's
    distance, of all that leave at least 10; the exponent is 1 + k/Σ log(x/x₀), the most likely one of its k values.

    >>> x = (1 - (np.arange(1000) + 0.5) / 1000) ** (-1 / 2)  # quantiles of a density that falls like x^-3
    >>> round(power_law(x), 1)
    3.0

    Args:
        eigenvalues: squares of singular values, ascending.
    """
    x = eigenvalues[eigenvalues > 0]
    if len(x) < FEWEST:
        return NAN
    logs = np.log(x / x[-1])
    starts = np.flatnonzero(np.diff(x, prepend=-1.0) > 0)  # equal values begin one tail together
    starts = starts[len(x) - starts >= TAIL]
    count = len(x) - starts
    excess = np.cumsum(logs[::-1])[::-1][starts] - count * logs[starts]  # Σ log(x/x₀)
    with np.errstate(divide="ignore"):
        slopes = count / excess  # of the tail's distribution function, one less than that of the density
    best, closest = NAN, math.inf
    step = max(_CHUNK // len(x), 1)
    for first in range(0, len(starts), step):
        some = slice(first, first + step)
        distance = _distances(logs, starts[some], count[some], slopes[some])
        at = int(np.argmin(distance))
        if distance[at] < closest:
            best, closest = float(1 + slopes[some][at]), float(distance[at])
    return best


def _distances(logs: np.ndarray, starts: np.ndarray, count: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """Return the largest distance of each fitted distribution from the observed one, over its tail."""
    first = int(starts[0])
    rank = np.arange(first, len(logs)) - starts[:, None]  # of each value in each tail; negative before it
    with np.errstate(over="ignore", invalid="ignore"):
        fitted = -np.expm1(-slopes[:, None] * (logs[first:] - logs[starts][:, None]))
    share = rank / count[:, None]
    apart = np.maximum(np.abs(fitted - share), np.abs(fitted - share - 1 / count[:, None]))
    apart[rank < 0] = 0
    return np.where(np.isfinite(slopes), apart.max(1), math.inf)


def spikes(eigenvalues: np.ndarray, longer: int) -> float:
    """Return how many eigenvalues of a Gram matrix are larger than noise of the same spread has them.

    Noise is independent entries of one variance, whose eigenvalues follow Marchenko and Pastur's law. The variance is
    the median eigenvalue over the law's median (Gavish & Donoho 2014), which a few large eigenvalues do not move. The
    edge is where of 100 matrices of noise one has its largest eigenvalue (Johnstone 2001; Tracy & Widom).

    >>> noise = np.random.default_rng(0).standard_normal((200, 100))
    >>> noise[:, 0] += 3  # one direction that is no noise
    >>> spikes(np.linalg.eigvalsh(noise.T @ noise), 200)
    1.0

    Args:
        eigenvalues: squares of singular values, ascending.
        longer: the longer side of the matrix.
    """
    shorter = len(eigenvalues)
    if longer == 1:
        return 0.0
    variance = float(np.median(eigenvalues)) / (longer * _median(shorter / longer))
    roots = math.sqrt(longer - 1), math.sqrt(shorter)
    scale = sum(roots) * (1 / roots[0] + 1 / roots[1]) ** (1 / 3)
    edge = variance * (sum(roots) ** 2 + _TRACY_WIDOM_99 * scale)
    return float(np.count_nonzero(eigenvalues > edge))


@lru_cache(maxsize=4096)
def _median(ratio: float) -> float:
    """Return the median of Marchenko and Pastur's law for a ratio of sides of at most 1, by its integral."""
    low, high = (1 - math.sqrt(ratio)) ** 2, (1 + math.sqrt(ratio)) ** 2
    # x = middle − half·cos(angle) takes the roots at both ends out of the density
    angle = (np.arange(20_000) + 0.5) * (math.pi / 20_000)
    x = (low + high) / 2 - (high - low) / 2 * np.cos(angle)
    mass = np.sin(angle) ** 2 / x
    share = np.cumsum(mass) - mass / 2
    return float(np.interp(share[-1] / 2, share, x))
