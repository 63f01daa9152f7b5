"""Which feature predictions rely on: accuracy of the worst group, and what is followed where two features disagree.

>>> feature_reliance([1, 0, 0], labels=[1, 1, 0], attribute=[1, 0, 1])[:2]
(0.5, 0.5)
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tandv.arrays import as_array
from tandv.curves import as_curves

__all__ = ["Reliance", "WorstGroup", "feature_reliance", "group_curves", "worst_group_accuracy"]


class WorstGroup(NamedTuple):
    """Accuracy of each group of (label, attribute), of the worst of them, and of all samples.

    >>> worst_group_accuracy([1, 0], [1, 1], attribute=[0, 1]).groups["samples"].tolist()
    [1, 1]

    Args:
        groups: a row per group: `accuracy`, `samples` and its 95 % interval `low` to `high` (Wilson 1927), since the
            worst of several small groups is low by chance alone. A group without samples is NaN and not the worst.
        worst: the lowest accuracy, 0 to 1.
        worst_group: its label and attribute.
        average: the accuracy of all samples.
    """

    groups: pd.DataFrame
    worst: float
    worst_group: tuple[Any, Any]
    average: float


def worst_group_accuracy(predictions: ArrayLike, labels: ArrayLike, attribute: ArrayLike) -> WorstGroup:
    """Return the accuracy of the worst group, groups being label × attribute (Sagawa et al. 2020).

    >>> found = worst_group_accuracy(["cow", "camel"], ["cow", "cow"], attribute=["grass", "sand"])
    >>> found.worst, found.worst_group, found.average
    (0.0, ('cow', 'sand'), 0.5)

    Args:
        predictions: the predicted class of each sample, [sample].
        labels: the true class of each sample, [sample].
        attribute: the value of a spurious feature of each sample, [sample].

    Raises ValueError if the lengths differ.
    """
    guesses, labels, attribute = _aligned(predictions=predictions, labels=labels, attribute=attribute)
    right = guesses == labels
    rows = {}
    for label in np.unique(labels).tolist():
        for value in np.unique(attribute).tolist():
            here = (labels == label) & (attribute == value)
            rows[label, value] = _share(right[here])
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["accuracy", "samples", "low", "high"])
    table.index = pd.MultiIndex.from_tuples(list(rows), names=["label", "attribute"])
    table["samples"] = table["samples"].astype(np.int64)
    worst = int(np.nanargmin(table["accuracy"]))
    return WorstGroup(table, float(table["accuracy"].iloc[worst]), list(rows)[worst], float(right.mean()))


def _share(right: np.ndarray) -> tuple[float, int, float, float]:
    n = len(right)
    if not n:
        return math.nan, 0, math.nan, math.nan
    share, z = float(right.mean()), 1.959963984540054
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return share, n, max(middle - half, 0.0), min(middle + half, 1.0)


class Reliance(NamedTuple):
    """What predictions follow where label and spurious attribute disagree.

    >>> feature_reliance([1, 0], labels=[1, 0], attribute=[0, 1]).conflicts
    2

    Args:
        true: the share of conflicting samples predicted as their label, 0 to 1.
        spurious: the share predicted as the attribute suggests.
        aligned: the accuracy where label and attribute agree; NaN if there is no such sample.
        conflicts: the number of samples where they disagree.
        chance: 1/k, the share of each under guessing among k classes.
    """

    true: float
    spurious: float
    aligned: float
    conflicts: int
    chance: float


def feature_reliance(
    predictions: ArrayLike, labels: ArrayLike, attribute: ArrayLike, suggests: Mapping[Any, Any] | None = None
) -> Reliance:
    """Return whether predictions follow the true feature or a spurious one, by the samples where they disagree.

    Geirhos et al. (2019) call such samples a cue conflict.

    >>> feature_reliance([1, 0, 0], labels=[1, 1, 0], attribute=[1, 0, 1])[:2]
    (0.5, 0.5)

    Args:
        predictions: the predicted class of each sample, [sample].
        labels: the true class of each sample, [sample].
        attribute: the value of a spurious feature of each sample, [sample].
        suggests: the label that each value of the attribute goes with, such as {"grass": "cow", "sand": "camel"}; by
            default the attribute's values are labels themselves.

    Raises ValueError if the lengths differ, or for a value of the attribute that suggests no label.
    """
    guesses, labels, attribute = _aligned(predictions=predictions, labels=labels, attribute=attribute)
    classes = np.unique(labels).tolist()
    values = np.unique(attribute).tolist()
    meaning = dict.fromkeys(values) | {v: v for v in values if v in classes} if suggests is None else suggests
    if unmapped := [value for value in values if meaning.get(value) is None]:
        raise ValueError(
            f"the attribute values {unmapped} are not labels ({classes}); say which label each goes with: "
            f"suggests={{{unmapped[0]!r}: {classes[0]!r}, ...}}"
        )
    suggested = np.array([meaning[value] for value in attribute.tolist()])
    conflict = suggested != labels

    def share(match: np.ndarray, where: np.ndarray) -> float:
        return float(match[where].mean()) if where.any() else math.nan

    true, aligned = share(guesses == labels, conflict), share(guesses == labels, ~conflict)
    return Reliance(true, share(guesses == suggested, conflict), aligned, int(conflict.sum()), 1 / len(classes))


def group_curves(
    history: Mapping[int, ArrayLike], labels: ArrayLike, attribute: ArrayLike, suggests: Mapping[Any, Any] | None = None
) -> pd.DataFrame:
    """Return accuracies of groups and reliance over training, as curves.

    Columns: `average_accuracy`, `worst_group_accuracy`, `true` and `spurious` with their `chance`.

    >>> group_curves({100: [1, 1]}, labels=[1, 0], attribute=[1, 0])["worst_group_accuracy"].to_dict()
    {100: 0.0}

    Args:
        history: {step: predicted class of each sample, [sample]}.
        labels: the true class of each sample, [sample].
        attribute: the value of a spurious feature of each sample, [sample].
        suggests: the label that each value of the attribute goes with, such as {"grass": "cow", "sand": "camel"}; by
            default the attribute's values are labels themselves.
    """
    rows = {}
    for step in sorted(history):
        groups = worst_group_accuracy(history[step], labels, attribute)
        reliance = feature_reliance(history[step], labels, attribute, suggests)
        rows[step] = {
            "average_accuracy": groups.average,
            "worst_group_accuracy": groups.worst,
            "true": reliance.true,
            "spurious": reliance.spurious,
            "chance": reliance.chance,
        }
    return as_curves(pd.DataFrame.from_dict(rows, orient="index"))


def _aligned(**columns: ArrayLike) -> list[np.ndarray]:
    arrays = {name: as_array(values) for name, values in columns.items()}
    if len({array.shape for array in arrays.values()}) > 1 or any(a.ndim != 1 or not a.size for a in arrays.values()):
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(
            f"shapes are {shapes}; give one value of each for every sample (predicted classes, not scores)"
        )
    return list(arrays.values())
