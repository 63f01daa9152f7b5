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

from tandv.curves import as_curves

__all__ = ["Reliance", "WorstGroup", "feature_reliance", "group_curves", "worst_group_accuracy"]


class WorstGroup(NamedTuple):
    """Accuracy of each group of (label, attribute), of the worst of them, and of all samples.

    `groups` has `accuracy`, `samples` and the 95 % interval `low` to `high` (Wilson 1927), since the worst
    of several small groups is low by chance alone. A group without a sample is NaN, and not the worst.
    """

    groups: pd.DataFrame
    worst: float
    worst_group: tuple[Any, Any]
    average: float


def worst_group_accuracy(predictions: ArrayLike, labels: ArrayLike, attribute: ArrayLike) -> WorstGroup:
    """Give the accuracy of the group that fares worst, groups being label × attribute (Sagawa et al. 2020).

    >>> found = worst_group_accuracy(["cow", "camel"], ["cow", "cow"], attribute=["grass", "sand"])
    >>> found.worst, found.worst_group, found.average
    (0.0, ('cow', 'sand'), 0.5)
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
    """What predictions follow where label and spurious attribute disagree, as shares of these `conflicts`.

    `true` follows the label, `spurious` what the attribute suggests; a guess among k classes gives 1/k each
    (`chance`). `aligned` is the accuracy where both agree. NaN if there is no such sample.
    """

    true: float
    spurious: float
    aligned: float
    conflicts: int
    chance: float


def feature_reliance(
    predictions: ArrayLike, labels: ArrayLike, attribute: ArrayLike, suggests: Mapping[Any, Any] | None = None
) -> Reliance:
    """Say whether a network follows the true feature or a spurious one, by the samples where they disagree.

    `suggests` says which label each value of the attribute goes with, such as {"grass": "cow", "sand": "camel"};
    without it the attribute is coded by the labels themselves. Geirhos et al. (2019) call it a cue conflict.

    >>> feature_reliance([1, 0, 0], labels=[1, 1, 0], attribute=[1, 0, 1])[:2]
    (0.5, 0.5)
    """
    guesses, labels, attribute = _aligned(predictions=predictions, labels=labels, attribute=attribute)
    classes = np.unique(labels).tolist()
    values = np.unique(attribute).tolist()
    meaning = dict.fromkeys(values) | {v: v for v in values if v in classes} if suggests is None else suggests
    if silent := [value for value in values if meaning.get(value) is None]:
        raise ValueError(
            f"the attribute values {silent} are not labels ({classes}); say which label each goes with: "
            f"suggests={{{silent[0]!r}: {classes[0]!r}, ...}}"
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
    """Follow groups over training: from {step: predictions} to curves of accuracy and of what is relied on.

    Columns: `average_accuracy`, `worst_group_accuracy`, `true` and `spurious` with their `chance`.
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
    arrays = {name: np.asarray(values) for name, values in columns.items()}
    if len({array.shape for array in arrays.values()}) > 1 or any(a.ndim != 1 or not a.size for a in arrays.values()):
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(
            f"shapes are {shapes}; give one value of each for every sample (predicted classes, not scores)"
        )
    return list(arrays.values())
