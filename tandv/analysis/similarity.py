"""How similar two representations are, compared with chance: linear CKA and SVCCA.

A representation is an array [sample, ...]; axes after the first are flattened into features. The representations of a
model at one step are a dict by layer, those over training {step: {layer: array}}.

>>> x = np.random.default_rng(0).normal(size=(50, 4))
>>> round(linear_cka(x, 3 * x[:, ::-1] + 1), 6)  # the same up to order, scale and shift
1.0
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tandv.arrays import as_array

Arrays = Mapping[str, ArrayLike]
History = Mapping[int, Arrays]


def as_samples(values: ArrayLike, name: str = "the array") -> np.ndarray:
    """Return [sample, feature] in float64; raise ValueError if there are not at least two samples."""
    array = as_array(values)
    if array.ndim < 1 or len(array) < 2:
        raise ValueError(f"{name} has shape {array.shape}; give [sample, feature] with at least two samples")
    return array.reshape(len(array), -1).astype(np.float64)


def check_finite(samples: np.ndarray, name: str, what: str) -> None:
    """Raise a ValueError if there are NaNs or infinities, where `what` needs numbers.

    >>> check_finite(np.eye(2), "activations", "a projection")
    """
    bad = ~np.isfinite(samples).all(axis=tuple(range(1, samples.ndim)))
    if bad.any():
        nans, infs = int(np.isnan(samples).sum()), int(np.isinf(samples).sum())
        raise ValueError(
            f"{name}: {nans:,} NaN and {infs:,} infinite values in {int(bad.sum()):,} of {len(samples):,} samples, the "
            f"first is {int(bad.argmax())}; {what} needs numbers: leave these samples out"
        )


def _same_samples(x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return both as centred [sample, feature]; a constant feature becomes exactly zero."""
    first, second = as_samples(x, "the first array"), as_samples(y, "the second array")
    if len(first) != len(second):
        raise ValueError(
            f"the arrays hold {len(first)} and {len(second)} samples; give both the same inputs in the same order"
        )
    return centred(in_range(first)), centred(in_range(second))


def in_range(samples: np.ndarray, *, each: bool = False) -> np.ndarray:
    """Return samples, multiplied by a power of two where fourth powers of the largest would leave float64's range.

    >>> in_range(np.array([[2.0**600, 1.0], [0.0, 0.0]]), each=True)[0].tolist()
    [0.5, 1.0]

    Args:
        samples: [sample, feature].
        each: whether each feature has a power of its own.
    """
    axis = 0 if each else None
    largest = np.max(np.abs(samples), axis, where=np.isfinite(samples), initial=0)
    powers = np.where((largest > 2.0**100) | (largest < 2.0**-100), np.frexp(largest)[1], 0)
    return np.ldexp(samples, -powers) if powers.any() else samples


def euclidean_length(vector: np.ndarray) -> float:
    """Return the Euclidean length, also of values whose squares leave the range of float64."""
    largest = float(np.abs(vector).max())
    if not 0 < largest < math.inf:
        return largest
    with np.errstate(over="ignore"):  # beyond the largest float64 it is infinite
        return float(np.float64(largest) * np.linalg.norm(vector / largest))


def centred(samples: np.ndarray) -> np.ndarray:
    """Subtract each feature's mean; a feature whose values are all equal and finite becomes exactly zero."""
    least = samples.min(0)  # rounding of the mean would otherwise leave a false signal
    constant = (least == samples.max(0)) & np.isfinite(least)
    with np.errstate(invalid="ignore"):  # infinities make only that feature NaN
        return np.where(constant, 0, samples - samples.mean(0))


@np.errstate(invalid="ignore")  # what is not finite gives NaN, and a BLAS may or may not say so
def linear_cka(x: ArrayLike, y: ArrayLike, *, debiased: bool = False) -> float:
    """Return the similarity of two representations of the same samples: linear CKA (Kornblith et al. 2019), 0 to 1.

    ‖YᵀX‖²/(‖XᵀX‖·‖YᵀY‖) of centred features, Frobenius norms. It is invariant to rotation, scale and shift, and biased
    upwards when features outnumber samples. NaN if one of the representations is constant.

    >>> linear_cka([[0], [1], [2]], [[0], [1], [0]])
    0.0

    Args:
        x: a representation, [sample, ...].
        y: another representation of the same samples, [sample, ...].
        debiased: use the unbiased estimate of Song et al. (2012) as Nguyen et al. (2021) do, which is 0 on average for
            independent representations and may be negative.

    Raises ValueError if the numbers of samples differ (debiased: or are fewer than four).
    """
    first, second = _same_samples(x, y)
    if debiased:
        return _debiased_cka(first @ first.T, second @ second.T)
    if max(first.shape[1], second.shape[1]) <= len(first):  # the smaller of features² and samples²
        parts = [np.linalg.norm(a.T @ b) for a, b in ((first, second), (first, first), (second, second))]
        return _ratio(float(parts[0] ** 2), float(parts[1] * parts[2]))
    one, other = first @ first.T, second @ second.T
    return _ratio(float(np.vdot(one, other)), float(np.linalg.norm(one) * np.linalg.norm(other)))


@np.errstate(invalid="ignore")  # what is not finite gives NaN, and a BLAS may or may not say so
def chance_cka(x: ArrayLike, y: ArrayLike) -> float:
    """Return linear CKA under chance: its mean over all pairings of samples.

    Exactly tr(K)·tr(L)/((n − 1)·‖K‖·‖L‖), with K and L the Gram matrices of centred features.

    >>> round(chance_cka([[0], [1], [2]], [[0], [1], [0]]), 6)  # n = 3, one direction each
    0.5

    Args:
        x: a representation, [sample, ...].
        y: another representation of the same samples, [sample, ...].

    Raises ValueError if the numbers of samples differ.
    """
    first, second = _same_samples(x, y)
    return math.prod(_concentration(array) for array in (first, second)) / (len(first) - 1)


def _concentration(array: np.ndarray) -> float:
    """Return tr(K)/‖K‖ of a centred array: the square root of the participation ratio."""
    gram = array.T @ array if array.shape[1] <= len(array) else array @ array.T
    return _ratio(float(np.trace(gram)), float(np.linalg.norm(gram)))


def _debiased_cka(one: np.ndarray, other: np.ndarray) -> float:
    n = len(one)
    if n < 4:
        raise ValueError(f"debiased CKA needs at least four samples, not {n}; take more, or debiased=False")

    def hsic(a: np.ndarray, b: np.ndarray) -> float:
        rows, columns = a.sum(1), b.sum(1)
        total = np.vdot(a, b) + rows.sum() * columns.sum() / ((n - 1) * (n - 2)) - 2 * rows @ columns / (n - 2)
        return float(total / (n * (n - 3)))

    for gram in (one, other):
        np.fill_diagonal(gram, 0)
    return _ratio(hsic(one, other), math.sqrt(max(hsic(one, one) * hsic(other, other), 0)))


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0 else math.nan


class Svcca(NamedTuple):
    """The similarity of two representations by SVCCA.

    >>> svcca([[0], [1], [2]], [[0], [1], [2]]).directions
    (1, 1)

    Args:
        mean: the mean canonical correlation, 0 to 1.
        chance: its mean for independent directions.
        directions: how many directions of each were compared.
    """

    mean: float
    chance: float
    directions: tuple[int, int]


@np.errstate(invalid="ignore")  # what is not finite gives NaN, and a BLAS may or may not say so
def svcca(x: ArrayLike, y: ArrayLike, *, variance: float = 0.99) -> Svcca:
    """Return how well two representations can be linearly mapped to each other: SVCCA (Raghu et al. 2017), 0 to 1.

    `mean` is that of the min(k, l) canonical correlations between the main singular directions of both. `chance` is its
    mean for independent directions of the same numbers (Wachter 1980); it is near 1 if they are as many as the samples,
    when SVCCA is meaningless. Both are NaN if one of the two is constant or holds NaN or infinity.

    >>> t = np.arange(8.0)
    >>> round(svcca(np.c_[t, t**2], np.c_[t**2 + t, 5 * t]).mean, 6)
    1.0

    Args:
        x: a representation, [sample, ...].
        y: another representation of the same samples, [sample, ...].
        variance: the share of the variance that the kept singular directions hold.

    Raises ValueError if the numbers of samples differ.
    """
    first, second = (main_directions(array, variance) for array in _same_samples(x, y))
    return svcca_of(first, second)


def main_directions(array: np.ndarray, variance: float = 0.99) -> np.ndarray:
    """Return an orthonormal basis [sample, k] of the fewest directions that hold `variance` of a centred array."""
    if not 0 < variance <= 1:
        raise ValueError(f"variance is {variance}; allowed is a share above 0 and at most 1, such as 0.99")
    if not np.isfinite(array).all():  # a diverged layer has no directions; other layers are still measured
        return np.zeros((len(array), 0))
    left, sizes, _ = np.linalg.svd(array, full_matrices=False)
    real = int((sizes > sizes.max(initial=0) * max(array.shape) * np.finfo(np.float64).eps).sum())
    return left[:, : min(fewest(sizes**2, variance), real)]


def fewest(power: np.ndarray, share: float) -> int:
    """Return how many of the descending values of `power` hold `share` of their sum, within rounding."""
    return int(np.argmax(np.cumsum(power) >= share * power.sum() * (1 - 1e-12))) + 1 if len(power) else 0


def svcca_of(first: np.ndarray, second: np.ndarray) -> Svcca:
    """Return SVCCA from the main directions of two layers."""
    small, large = sorted((first.shape[1], second.shape[1]))
    if not small:
        return Svcca(math.nan, math.nan, (first.shape[1], second.shape[1]))
    correlations = np.linalg.svd(first.T @ second, compute_uv=False)
    mean = float(np.minimum(correlations, 1).mean())
    return Svcca(mean, _chance_correlation(small, large, len(first) - 1), (first.shape[1], second.shape[1]))


def _chance_correlation(small: int, large: int, dimensions: int) -> float:
    """Return the mean canonical correlation of two random subspaces, by Wachter's law for many dimensions."""
    certain = max(small + large - dimensions, 0)  # directions that two subspaces of this size must share
    if certain >= small:
        return 1.0
    if small == 1:  # exact: the length of a unit vector's projection
        a, b = large / 2, dimensions / 2
        return math.exp(math.lgamma(a + 0.5) + math.lgamma(b) - math.lgamma(a) - math.lgamma(b + 0.5))
    alpha, beta = small / dimensions, large / dimensions
    middle = alpha + beta - 2 * alpha * beta
    half = 2 * math.sqrt(alpha * beta * (1 - alpha) * (1 - beta))
    # Squared correlations lie within middle ± half with density √(half² − (x − middle)²)/(2π·alpha·x·(1 − x)).
    angle = (np.arange(4096) + 0.5) * np.pi / 4096
    squared = middle + half * np.cos(angle)
    weight = np.sin(angle) ** 2 / (squared * (1 - squared))
    free = float((np.sqrt(squared) * weight).sum() / weight.sum())
    return (certain + (small - certain) * free) / small


def cka_curves(history: History, *, debiased: bool = False) -> pd.DataFrame:
    """Return the similarity of each layer to itself one checkpoint before, and at the end, as curves.

    Columns are `<layer>/cka_to_previous` (NaN at its first step) and `<layer>/cka_to_final` (1 at the last). Steps at
    which a layer is missing are NaN and skipped.

    >>> curves = cka_curves({0: {"fc": [[0], [1], [2]]}, 10: {"fc": [[0], [1], [0]]}})
    >>> curves["fc/cka_to_final"].round(6).to_dict()
    {0: 0.0, 10: 1.0}

    Args:
        history: {step: {layer: [sample, ...]}}, of the same samples at every step.
        debiased: use the unbiased estimate; see `linear_cka`.
    """
    steps = sorted(history)
    out = pd.DataFrame(index=pd.Index(steps, name="step", dtype=np.int64))
    for layer in dict.fromkeys(layer for step in steps for layer in history[step]):
        known = [step for step in steps if layer in history[step]]
        final, columns = history[known[-1]][layer], {"cka_to_previous": {}, "cka_to_final": {}}
        for before, step in zip([None, *known], known, strict=False):
            current = history[step][layer]
            if before is not None:
                columns["cka_to_previous"][step] = linear_cka(history[before][layer], current, debiased=debiased)
            columns["cka_to_final"][step] = linear_cka(current, final, debiased=debiased)
        for name, values in columns.items():
            out[f"{layer}/{name}"] = pd.Series(values, dtype=np.float64).reindex(steps)
    return out
