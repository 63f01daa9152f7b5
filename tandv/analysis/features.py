"""What single features do: how they respond to augmentation and to classes, and what can be decoded from them.

Outputs are {layer: array}, the array [sample, ...]; axes after the first are flattened into features. The names of
`correlations` can be imported from here too.

>>> activation_sparsity(np.eye(4)).share
0.75
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tandv.analysis.augmentations import augmentation_analysis
from tandv.analysis.correlations import (
    chance_correlation,
    compute_layerwise_cross_correlation,
    correlate,
    correlation_summary,
    layerwise_cross_correlation,
    read_corr_means,
    store_corr_means,
)
from tandv.analysis.samples import rows_of_features
from tandv.analysis.similarity import History, as_samples, check_finite
from tandv.arrays import as_array
from tandv.messages import missing

__all__ = [
    "Decodability",
    "Selectivity",
    "Sparsity",
    "activation_sparsity",
    "augmentation_analysis",
    "chance_correlation",
    "class_selectivity",
    "compute_layerwise_cross_correlation",
    "correlate",
    "correlation_summary",
    "decodability_curves",
    "layerwise_cross_correlation",
    "linear_decodability",
    "read_corr_means",
    "store_corr_means",
]


class Sparsity(NamedTuple):
    """How many activations are zero.

    >>> Sparsity(share=0.75, dead=0.5).dead
    0.5

    Args:
        share: the share of activations that are zero, 0 to 1.
        dead: the share of features that are zero for every sample, 0 to 1.
    """

    share: float
    dead: float


def activation_sparsity(activations: ArrayLike, *, threshold: float = 0.0) -> Sparsity:
    """Return the share of activations that are zero, and of features that are zero for every sample.

    >>> activation_sparsity([[0.0, 1.0], [0.0, 0.0]])
    Sparsity(share=0.75, dead=0.5)

    Args:
        activations: [sample, ...].
        threshold: abs(x) ≤ `threshold` counts as zero. NaN does not.
    """
    zero = np.abs(as_samples(activations, "activations")) <= threshold
    return Sparsity(float(zero.mean()), float(zero.all(0).mean())) if zero.size else Sparsity(math.nan, math.nan)


@dataclass(frozen=True, eq=False)
class Selectivity:
    """How selectively features respond to classes.

    >>> class_selectivity([[3.0], [1.0]], labels=["cat", "dog"]).preferred.tolist()
    ['cat']

    Args:
        means: class means, [class, feature]; NaN for a class without samples.
        index: the selectivity of each feature, 0 to 1; NaN for a feature without a preference.
        preferred: the class with the largest mean, [feature].
    """

    means: pd.DataFrame
    index: np.ndarray
    preferred: np.ndarray


@np.errstate(invalid="ignore")  # what is not finite gives NaN, and a BLAS may or may not say so
def class_selectivity(activations: ArrayLike, labels: ArrayLike, classes: Sequence | None = None) -> Selectivity:
    """Return how selectively each feature responds to a class: (μmax − μrest)/(μmax + μrest), Morcos et al. 2018.

    μmax is the largest class mean and μrest the mean of the other classes' means: 0 for equal responses, 1 for a
    response to one class alone. It is defined for activations that are not negative (after a ReLU): NaN where μmax or
    μrest is negative, where both are zero, or if there are fewer than two classes. Positions of a sequence or of an
    image are averaged over, so that features are units and channels.

    >>> class_selectivity([[3.0, 1.0], [1.0, 1.0]], labels=["cat", "dog"]).index.tolist()
    [0.5, 0.0]

    Args:
        activations: [sample, feature], [sample, position, feature] or [sample, feature, height, width].
        labels: the class of each sample, [sample].
        classes: all classes, also those that `labels` lacks; by default those in `labels`.

    Raises ValueError if there is not one label per sample, or if `classes` lacks one.
    """
    samples, labels = as_samples(rows_of_features(activations), "activations"), as_array(labels)
    if labels.shape != samples.shape[:1]:
        raise ValueError(
            f"there are {len(samples)} samples and labels of shape {labels.shape}; give one label for each"
        )
    present = np.unique(labels).tolist()
    named = present if classes is None else list(classes)
    if unknown := [label for label in present if label not in named]:
        raise ValueError(f"labels hold {unknown}, which are not among classes={named}; name all classes")
    means = np.full((len(named), samples.shape[1]), np.nan)
    for row, label in enumerate(named):
        if label in present:
            means[row] = samples[labels == label].mean(0)
    table = pd.DataFrame(means, index=pd.Index(named, name="class"))
    known = means[[label in present for label in named]]
    best = known.argmax(0)
    names = np.array([label for label in named if label in present])
    if len(known) < 2:
        return Selectivity(table, np.full(samples.shape[1], np.nan), names[best])
    top = known.max(0)
    rest = (known.sum(0) - top) / (len(known) - 1)
    valid = (rest >= 0) & (top > 0)
    index = np.full(samples.shape[1], np.nan)
    index[valid] = (top[valid] - rest[valid]) / (top[valid] + rest[valid])
    return Selectivity(table, index, names[best])


class Decodability(NamedTuple):
    """How well a linear probe decodes labels from a representation.

    >>> Decodability(accuracy=0.9, spread=0.05, chance=0.5).chance
    0.5

    Args:
        accuracy: the mean accuracy on held-out folds, 0 to 1.
        spread: the standard deviation of the accuracy over folds.
        chance: the accuracy of always guessing the most frequent label.
    """

    accuracy: float
    spread: float
    chance: float


def linear_decodability(
    activations: ArrayLike, labels: ArrayLike, *, folds: int = 5, strength: float = 1.0, seed: int = 0
) -> Decodability:
    """Return how well a linear probe decodes labels from a representation, cross-validated (Alain & Bengio 2016).

    The probe is a logistic regression on standardised features. What is decodable lies above the chance level.

    >>> linear_decodability([[0.0]] * 5 + [[1.0]] * 5, labels=["cat"] * 5 + ["dog"] * 5).accuracy
    1.0

    Args:
        activations: [sample, ...].
        labels: the label of each sample, [sample].
        folds: the number of folds of the cross-validation.
        strength: the inverse of the L2 penalty.
        seed: of the split into folds.

    Raises ValueError if a label has fewer samples than there are folds, and for activations that are not finite.
    """
    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import StratifiedKFold, cross_val_score
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ModuleNotFoundError as error:
        raise missing("scikit-learn", "analysis", "a linear probe") from error

    samples, labels = as_samples(activations, "activations"), as_array(labels)
    if labels.shape != samples.shape[:1]:
        raise ValueError(
            f"there are {len(samples)} samples and labels of shape {labels.shape}; give one label for each"
        )
    check_finite(samples, "activations", "a linear probe")
    names, counts = np.unique(labels, return_counts=True)
    if len(names) < 2 or counts.min() < folds:
        few = ", ".join(f"{name!r}: {count}" for name, count in zip(names.tolist(), counts.tolist(), strict=True))
        raise ValueError(
            f"{folds} folds need two or more labels with at least {folds} samples each, here {few}; "
            "take more samples or fewer folds, and bin labels that are continuous"
        )
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=500))
    split = StratifiedKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():  # a probe that has almost converged will do
        warnings.simplefilter("ignore", ConvergenceWarning)
        scores = cross_val_score(probe, samples, labels, cv=split)
    return Decodability(float(scores.mean()), float(scores.std()), float(counts.max() / counts.sum()))


def decodability_curves(
    history: History, targets: Mapping[str, ArrayLike], *, folds: int = 5, strength: float = 1.0, seed: int = 0
) -> pd.DataFrame:
    """Return how well labels can be decoded from each layer over training: curves of accuracy and of the chance level.

    Columns are `<layer>/<target>`, and `chance/<target>`. A layer that is not finite at a step has NaN there.

    >>> history = {100: {"fc": [[0.0]] * 5 + [[1.0]] * 5}}
    >>> decodability_curves(history, {"shape": [0] * 5 + [1] * 5}).loc[100].to_dict()
    {'fc/shape': 1.0, 'chance/shape': 0.5}

    Args:
        history: {step: {layer: [sample, ...]}}.
        targets: named labels of the same samples, such as {"shape": ..., "background": ...}.
        folds: the number of folds of the cross-validation.
        strength: the inverse of the L2 penalty.
        seed: of the split into folds.
    """
    rows: dict[int, dict[str, float]] = {}
    for step in sorted(history):
        rows[step] = {}
        for layer, array in history[step].items():
            for target, labels in targets.items():
                if np.isfinite(as_samples(array, "activations")).all():
                    found = linear_decodability(array, labels, folds=folds, strength=strength, seed=seed)
                else:
                    counts = np.unique(as_array(labels), return_counts=True)[1]
                    found = Decodability(math.nan, math.nan, float(counts.max() / counts.sum()))
                rows[step] |= {f"{layer}/{target}": found.accuracy, f"chance/{target}": found.chance}
    out = pd.DataFrame.from_dict(rows, orient="index")
    out.index = pd.Index(out.index.astype(np.int64), name="step")
    return out
