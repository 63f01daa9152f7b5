"""How far weights have moved, how many dimensions activations span, and how two checkpoints differ.

A representation is an array [sample, ...]; axes after the first are flattened into features. The names of `similarity`
can be imported from here too.

>>> weight_change([3.0, 4.0], [3.0, 5.0]).l2
1.0
"""

import math
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tandv.analysis.attention import attention_entropy
from tandv.analysis.similarity import (
    Arrays,
    History,
    Svcca,
    as_samples,
    centred,
    chance_cka,
    check_finite,
    cka_curves,
    euclidean_length,
    fewest,
    in_range,
    linear_cka,
    svcca,
)
from tandv.arrays import as_array
from tandv.messages import check_choices, missing

Kind = Literal["weights", "activations", "attention"]
Method = Literal["pca", "tsne"]

__all__ = [
    "EffectiveDimension",
    "Projection",
    "Svcca",
    "WeightChange",
    "chance_cka",
    "cka_curves",
    "compare_representations",
    "cosine_similarity",
    "effective_dimension",
    "linear_cka",
    "project",
    "svcca",
    "weight_change",
]


class WeightChange(NamedTuple):
    """How far an array has moved.

    >>> weight_change([3.0, 4.0], [3.0, 5.0]).mean
    0.5

    Args:
        l2: ‖after − before‖.
        relative: l2 over ‖before‖.
        max: the largest absolute difference.
        mean: the mean absolute difference.
        cosine_similarity: of before and after, -1 to 1.
    """

    l2: float
    relative: float
    max: float
    mean: float
    cosine_similarity: float


@np.errstate(invalid="ignore")  # what is not finite gives NaN, and a BLAS may or may not say so
def weight_change(before: ArrayLike, after: ArrayLike) -> WeightChange:
    """Return how far weights have moved, and whether they still point in the same direction.

    `cosine_similarity` is NaN if either is all zero; `relative` is inf for a start at zero.

    >>> weight_change([3.0, 4.0], [3.0, 5.0]).relative
    0.2

    Args:
        before: weights of any shape.
        after: the same weights later.

    Raises ValueError if shapes differ.
    """
    old, new = as_array(before), as_array(after)
    if old.shape != new.shape:
        raise ValueError(f"before has shape {old.shape} and after {new.shape}; compare the same array at two steps")
    if not old.size:
        return WeightChange(0.0, 0.0, 0.0, math.nan, math.nan)
    old, new = old.ravel().astype(np.float64), new.ravel().astype(np.float64)
    with np.errstate(invalid="ignore"):  # inf − inf
        moved = new - old
    l2, start = euclidean_length(moved), euclidean_length(old)
    relative = l2 / start if start else (math.inf if l2 else 0.0)
    size = np.abs(moved)
    return WeightChange(l2, relative, float(size.max()), float(size.mean()), cosine_similarity(old, new))


@np.errstate(invalid="ignore")  # what is not finite gives NaN, and a BLAS may or may not say so
def cosine_similarity(one: ArrayLike, other: ArrayLike) -> float:
    """Return the cosine of the angle between two arrays taken as vectors; NaN if either is all zero or not finite.

    >>> cosine_similarity([1, 0], [-2, 0])
    -1.0

    Args:
        one: an array of any shape.
        other: an array of as many values.

    Raises ValueError if they differ in size.
    """
    first, second = (as_array(array).ravel().astype(np.float64) for array in (one, other))
    if first.shape != second.shape:
        raise ValueError(f"the arrays have {first.size} and {second.size} values; compare arrays of one shape")
    # Each is scaled first, so that neither tiny nor huge values leave the range of float64.
    scales = [float(np.abs(vector).max(initial=0)) for vector in (first, second)]
    if not all(0 < scale < math.inf for scale in scales):
        return math.nan
    first, second = first / scales[0], second / scales[1]
    return float(np.clip(first @ second / (np.linalg.norm(first) * np.linalg.norm(second)), -1, 1))


class EffectiveDimension(NamedTuple):
    """How many dimensions are spanned, by four measures of the singular values σ, with λ = σ².

    >>> effective_dimension(np.eye(4)[:, :3], centre=False).components_90
    3.0

    Args:
        stable_rank: Σλ/λ₁.
        participation_ratio: (Σλ)²/Σλ².
        components_90: the fewest λ that hold 90 % of their sum.
        nuclear_norm_ratio: Σσ/σ₁.
    """

    stable_rank: float
    participation_ratio: float
    components_90: float
    nuclear_norm_ratio: float


@np.errstate(invalid="ignore")  # what is not finite gives NaN, and a BLAS may or may not say so
def effective_dimension(activations: ArrayLike, *, centre: bool = True) -> EffectiveDimension:
    """Return how many dimensions a representation effectively spans: each measure is k for k equally strong directions.

    All are NaN if nothing varies, or if there is a NaN or infinity.

    >>> effective_dimension(np.eye(4)[:, :3], centre=False).participation_ratio
    3.0

    Args:
        activations: [sample, ...].
        centre: whether features are centred, so that λ are the eigenvalues of their covariance.

    Raises ValueError for fewer than two samples.
    """
    samples = in_range(as_samples(activations, "activations"))
    samples = centred(samples) if centre else samples
    sizes = np.linalg.svd(samples, compute_uv=False) if np.isfinite(samples).all() else np.zeros(1)
    if not sizes.max(initial=0) > 0:
        return EffectiveDimension(*[math.nan] * 4)
    sizes = sizes / sizes[0]
    power = sizes**2
    participation = power.sum() ** 2 / (power**2).sum()
    return EffectiveDimension(float(power.sum()), float(participation), float(fewest(power, 0.9)), float(sizes.sum()))


def compare_representations(
    before: Arrays,
    after: Arrays,
    kind: Kind = "weights",
    *,
    causal: bool = False,
) -> pd.DataFrame:
    """Compare the weights, activations or attention of a model at two checkpoints: one row per layer.

    All kinds have the columns of `WeightChange`. Activations also have `cka`, `cka_chance` and
    `participation_ratio_before` and `_after`; attention has `entropy_before` and `entropy_after`, means in nats.

    >>> compare_representations({"fc": [1.0, 0.0]}, {"fc": [0.0, 1.0]}).loc["fc", "cosine_similarity"].item()
    0.0

    Args:
        before: {layer: array}: weights of any shape, activations [sample, ...], or attention [..., query, key].
        after: the same layers later; activations and attention of the same samples.
        kind: "weights", "activations" or "attention".
        causal: whether attention is causal.

    Raises ValueError naming every layer that is only in one of them or differs in shape.
    """
    check_choices(kind=(kind, Kind))
    before, after = ({layer: as_array(one) for layer, one in arrays.items()} for arrays in (before, after))
    problems = [
        f"{layer!r} is in {side} only; compare the layers that both have"
        for side, one, other in (("before", before, after), ("after", after, before))
        for layer in one
        if layer not in other
    ]
    problems += [
        f"{layer!r} has shape {np.shape(old)} before and {np.shape(after[layer])} after"
        for layer, old in before.items()
        if layer in after and np.shape(old) != np.shape(after[layer])
    ]
    if problems or not before:
        raise ValueError("cannot compare:\n  " + "\n  ".join(problems or ["there are no layers"]))
    rows = {}
    for layer, old in before.items():
        new = after[layer]
        rows[layer] = dict(weight_change(old, new)._asdict())
        if kind == "activations":
            rows[layer] |= {"cka": linear_cka(old, new), "cka_chance": chance_cka(old, new)}
            for name, array in (("before", old), ("after", new)):
                rows[layer][f"participation_ratio_{name}"] = effective_dimension(array).participation_ratio
        elif kind == "attention":
            for name, array in (("before", old), ("after", new)):
                rows[layer][f"entropy_{name}"] = float(np.nanmean(attention_entropy(array, causal=causal)))
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("layer")


class Projection(NamedTuple):
    """Samples projected to few dimensions.

    >>> project({0: {"fc": np.eye(3)}}, "fc").points.shape
    (3, 2)

    Args:
        points: coordinates, indexed by step and sample.
        explained: the share of the variance that each dimension explains; None for t-SNE.
    """

    points: pd.DataFrame
    explained: np.ndarray | None


def project(
    history: History,
    layer: str,
    *,
    method: Method = "pca",
    dimensions: int = 2,
    perplexity: float | None = None,
    seed: int = 0,
) -> Projection:
    """Project a layer's samples over training to few dimensions, in one basis shared by all checkpoints.

    PCA and t-SNE are fitted to the samples of all steps at once, so that a point moves only if its representation does.
    Distances between groups in t-SNE mean nothing.

    >>> project({0: {"fc": np.eye(3)}, 1: {"fc": 2 * np.eye(3)}}, "fc").points.index.names
    FrozenList(['step', 'sample'])

    Args:
        history: {step: {layer: [sample, ...]}}.
        layer: the name of the layer.
        method: "pca" or "tsne".
        dimensions: of the projection.
        perplexity: of t-SNE; by default 30, or a third of the points if they are few.
        seed: of t-SNE.

    Raises ValueError if no step has the layer, if its number of features changes, or for values that are not finite.
    """
    check_choices(method=(method, Method))
    try:
        from sklearn.decomposition import PCA
        from sklearn.manifold import TSNE
    except ModuleNotFoundError as error:
        raise missing("scikit-learn", "analysis", "a projection") from error

    steps = [step for step in sorted(history) if layer in history[step]]
    if not steps:
        known = ", ".join(dict.fromkeys(name for arrays in history.values() for name in arrays)) or "none"
        raise ValueError(f"layer {layer!r} is at no step; known layers: {known}")
    arrays = [as_samples(history[step][layer], f"{layer!r} at step {step}") for step in steps]
    if len({array.shape[1] for array in arrays}) > 1:
        raise ValueError(f"layer {layer!r} changes its number of features; a shared basis needs the same at all steps")
    for step, array in zip(steps, arrays, strict=True):
        check_finite(array, f"{layer!r} at step {step}", "a projection")
    values = np.concatenate(arrays)
    index = pd.MultiIndex.from_tuples(
        [(step, sample) for step, array in zip(steps, arrays, strict=True) for sample in range(len(array))],
        names=["step", "sample"],
    )
    if method == "pca":
        found = PCA(n_components=dimensions, svd_solver="full").fit(values)
        return Projection(pd.DataFrame(found.transform(values), index=index), found.explained_variance_ratio_)
    found = TSNE(
        n_components=dimensions,
        perplexity=min(30, (len(values) - 1) / 3) if perplexity is None else perplexity,
        init="pca",
        random_state=seed,
    )
    return Projection(pd.DataFrame(found.fit_transform(values).astype(np.float64), index=index), None)
