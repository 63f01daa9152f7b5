"""When a network memorises, when it generalises, and the gap between training and test data.

Each answer has `words`: a sentence that also says what cannot be known from the curves.

>>> run = {"step": [0, 10, 20, 30], "train_acc": [0.1, 1, 1, 1], "test_acc": [0.1, 0.1, 0.5, 1]}
>>> found = grokking(run)
>>> found.is_grokking, found.delay, found.ratio
(True, 20, 3.0)
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from tandv.analysis.passages import Passage, emergence, first_passage
from tandv.analysis.reliance import (
    Reliance,
    WorstGroup,
    feature_reliance,
    group_curves,
    worst_group_accuracy,
)
from tandv.curves import Curves, as_curves, unit_of
from tandv.curves.outcomes import accuracies_of, in_percent

__all__ = [
    "Grokking",
    "Passage",
    "Reliance",
    "WorstGroup",
    "emergence",
    "feature_reliance",
    "first_passage",
    "generalisation_gap",
    "grokking",
    "group_curves",
    "worst_group_accuracy",
]


class Grokking(NamedTuple):
    """When a run memorised and when it generalised, and whether that is grokking; None for what cannot be known.

    >>> grokking({"train_acc": [0.1, 1, 1, 1], "test_acc": [0.1, 0.1, 0.5, 1]}).gap
    0.9

    Args:
        memorisation: when training accuracy reached its threshold.
        generalisation: when test accuracy reached its threshold.
        delay: from memorisation to generalisation, in steps, or what the steps of the curves count.
        ratio: the step of generalisation over that of memorisation.
        gap: training minus test accuracy at memorisation.
        is_grokking: whether it is grokking.
        words: all of that in a sentence.
    """

    memorisation: Passage
    generalisation: Passage
    delay: int | float | None
    ratio: float | None
    gap: float | None
    is_grokking: bool | None
    words: str


def grokking(
    curves: Curves,
    *,
    threshold: float = 0.95,
    train_threshold: float | None = None,
    window: int = 100,
    train: str | None = None,
    test: str | None = None,
    least_ratio: float = 2.0,
    least_gap: float = 0.3,
) -> Grokking:
    """Return when a run memorised, when it generalised, and whether that is grokking (Power et al. 2022).

    Memorisation is the first step at which training accuracy reaches its threshold and stays there, generalisation the
    same of test accuracy. It is grokking if generalisation takes much longer than memorisation and the test accuracy
    was still far below that of training at memorisation. Accuracies that exceed 1.5 are taken for percent, which the
    words say; gaps and thresholds are shares all the same.

    >>> grokking({"train_acc": [0.1, 1, 1, 1], "test_acc": [0.1, 0.1, 0.5, 1]}).is_grokking
    True

    Args:
        curves: curves with both accuracies.
        threshold: the accuracy that counts as generalised, 0 to 1; above 1 it is percent.
        train_threshold: the accuracy that counts as memorised; by default `threshold`.
        window: the median over so many following steps (or epochs, ...) must be at the threshold too.
        train: the name of the training accuracy; by default train_acc, or what is called alike (train/accuracy, ...).
        test: the name of the test accuracy; by default test_acc, or what is called alike (val_acc, eval/accuracy, ...).
        least_ratio: how many times as many steps as memorisation generalisation must take at least.
        least_gap: how far test accuracy must be below training accuracy at memorisation at least.

    Raises ValueError if `train` or `test` is not a column of the curves.
    """
    table = as_curves(curves)
    train, test = _accuracies(table.columns, train, test)
    if missing := [name for name in (train, test) if name not in table.columns]:
        raise ValueError(
            f"the curves lack {' and '.join(map(repr, missing))}; they have {', '.join(map(repr, table.columns))}: "
            "name yours by grokking(curves, train=..., test=...)"
        )
    table, percent = _as_shares(table.sort_index(), [train, test])
    threshold, train_threshold = (_share(level) for level in (threshold, train_threshold or threshold))
    memorised = first_passage(table[train], train_threshold, window=window)
    generalised = first_passage(table[test], threshold, window=window)
    if memorised.step is None:
        unknown = table[train].notna().sum() == 0
        words = memorised.words + percent
        return Grokking(memorised, generalised, None, None, None, None if unknown else False, words)
    gap, gap_words = _gap(table, train, test, memorised.step, window)
    if generalised.step is None:
        unknown = table[test].notna().sum() == 0
        words = f"{memorised.words}; {generalised.words}{percent}"
        return Grokking(memorised, generalised, None, None, gap, None if unknown else False, words)
    delay = generalised.step - memorised.step
    ratio = generalised.step / memorised.step if memorised.step > 0 else (math.inf if delay > 0 else None)
    late = ratio is not None and delay > 0 and ratio >= least_ratio
    is_grokking = None if gap is None and late else late and gap is not None and gap >= least_gap
    words = f"{memorised.words}; {generalised.words}; "
    if delay <= 0:
        words += "it did not generalise later than it memorised"
    else:
        words += f"that is {delay:,} {unit_of(table)}s later" + (
            f", {ratio:.3g} times as many" if ratio != math.inf else ""
        )
        words += f"; {gap_words}"
    return Grokking(memorised, generalised, delay, ratio, gap, is_grokking, words + percent)


def _accuracies(names: Iterable[str], train: str | None, test: str | None) -> tuple[str, str]:
    """Return the names of both accuracies: those that were given, the usual ones, or a pair called alike."""
    usual = ("train_acc", "test_acc")
    pair = usual if set(usual) <= set(names) else accuracies_of(names) or usual
    return train or pair[0], test or pair[1]


def _as_shares(table: pd.DataFrame, names: list[str]) -> tuple[pd.DataFrame, str]:
    """Return accuracies from 0 to 1, and words on those that were percent: all of them, if one exceeds 1.5."""
    highest = table[names].max().max()
    if not (in_percent(highest) and highest <= 100 + 1e-4):
        return table, ""
    return table.assign(**{name: table[name] / 100 for name in names}), (
        f" (accuracies up to {highest:.4g} are taken for percent)"
    )


def _share(level: float) -> float:
    return level / 100 if level > 1 else level


def _gap(table: pd.DataFrame, train: str, test: str, step: float, window: int) -> tuple[float | None, str]:
    """Return training less test accuracy at the step, or at the nearest one within the window where both are known."""
    known = table[[train, test]].dropna()
    if known.empty:
        return None, f"{train} and {test} are never known at the same step, so the gap at {step:,} is not known"
    away = np.abs(known.index.to_numpy() - step)
    nearest = int(away.argmin())
    near = known.index.to_numpy()[nearest].item()
    if away.min() > window:
        words = f"no {test} within {window:,} {unit_of(table)}s of {step:,}, the nearest is at {near:,}"
        return None, f"{words}: the gap is not known"
    gap = float(known[train].iloc[nearest] - known[test].iloc[nearest])
    return gap, f"at {near:,} {test} was {gap:.3g} below {train}"


_TESTED = ("test", "val", "valid", "validation")


def generalisation_gap(curves: Curves, *, missing_ok: bool = False) -> pd.DataFrame:
    """Return the curves `loss_gap` and `accuracy_gap`: how much worse a network is on data that it was not trained on.

    `loss_gap` is test_loss - train_loss, `accuracy_gap` train_acc - test_acc (or val_loss, train_accuracy, ...), so
    that more is worse in both. NaN where one of the two is missing.

    >>> generalisation_gap({"train_acc": [0.5, 1.0], "test_acc": [0.5, 0.25]})["accuracy_gap"].tolist()
    [0.0, 0.75]

    Args:
        curves: curves of losses or accuracies.
        missing_ok: return an empty table if there is no such pair.

    Raises ValueError if there is no such pair.
    """
    table = as_curves(curves).sort_index()
    out = {}
    for gap, words in (("loss_gap", ("loss",)), ("accuracy_gap", ("acc", "accuracy"))):
        for word in words:
            seen, unseen = f"train_{word}", [f"{tested}_{word}" for tested in _TESTED]
            found = next((name for name in unseen if name in table.columns), None)
            if found is not None and seen in table.columns and gap not in out:
                worse, better = (found, seen) if word == "loss" else (seen, found)
                out[gap] = table[worse] - table[better]
    if not out and not missing_ok:
        raise ValueError(
            "a gap needs train_loss and test_loss (or val_loss), or train_acc and test_acc; "
            f"the curves are {', '.join(map(repr, table.columns))}"
        )
    return pd.DataFrame(out, index=table.index)
