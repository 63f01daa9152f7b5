"""Averages of curves: over runs that differ in their seed, over neighbouring steps, over epochs.

>>> epoch_means({"loss": [4.0, 2.0, 1.0, 1.0]}, steps_per_epoch=2)["loss"].to_dict()
{0: 3.0, 2: 1.0}
"""

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from tandv.curves.curves import Curves, as_curves, several_runs
from tandv.messages import check_choices, named_arguments


class Band(NamedTuple):
    """Several runs as one: tables with a row per step and a column per quantity.

    >>> mean_and_band([{"loss": [1.0]}, {"loss": [3.0]}], "range").runs["loss"].tolist()
    [2]

    Args:
        mean: the mean over the runs that have a value at the step.
        low: the lower edge of the band around the mean.
        high: its upper edge.
        runs: how many runs have a value at the step.
    """

    mean: pd.DataFrame
    low: pd.DataFrame
    high: pd.DataFrame
    runs: pd.DataFrame


BandKind = Literal["std", "range", "confidence"]
CONFIDENCE = 0.95


@named_arguments
def mean_and_band(runs: Sequence[Curves] | Mapping[str, Curves], band: BandKind = "std") -> Band:
    """Average runs that differ in their seed: at each step, over those that have a value there.

    >>> mean_and_band([{"loss": [1.0, 0.5]}, {"loss": [3.0, 0.7]}], "range").high["loss"].tolist()
    [3.0, 0.7]

    Args:
        runs: the curves of each run, as `as_curves` takes them: a list of them, or a dict by the run's name.
        band: "std" for one sample standard deviation to each side (NaN of a single run), "range" for the lowest and
            the highest value, "confidence" for the interval that holds the mean of all possible seeds with 95 %
            (Student's t, which takes the runs for independent and the values at a step for normally distributed; NaN
            of a single run).

    Raises ValueError if there is no run, TypeError for what is no list of runs.
    """
    check_choices(band=(band, BandKind))
    tables = [as_curves(run) for run in _each_of(runs)]
    if not tables:
        raise ValueError("there is no run to take the mean of; give at least one")
    names = list(dict.fromkeys(name for table in tables for name in table.columns))
    by_step = pd.concat(tables).reindex(columns=names).groupby(level="step")
    mean = by_step.mean()
    if band == "range":
        return Band(mean, by_step.min(), by_step.max(), by_step.count())
    spread = by_step.std()
    if band == "confidence":
        count = by_step.count()
        spread = spread * _students_factor(count.to_numpy())
    return Band(mean, mean - spread, mean + spread, by_step.count())


def mean_and_reach(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean of values of several seeds, and how far its 95 % confidence interval reaches to either side.

    >>> mean, reach = mean_and_reach([100, 110, 120])
    >>> mean, round(reach, 2)  # 4.303 standard errors of 10 / √3
    (110.0, 24.84)

    Args:
        values: a value of each seed; the reach of a single one is NaN, as is the mean of none.

    Raises TypeError for anything else.
    """
    try:
        known = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        known = np.array(np.nan)
    if known.ndim != 1:
        raise TypeError(f"values are one number of each seed, such as [100, 110, 120], not {type(values).__name__}")
    if not len(known):
        return float("nan"), float("nan")
    spread = float(known.std(ddof=1)) if len(known) > 1 else float("nan")
    return float(known.mean()), spread * float(_students_factor(np.array(len(known))))


def _each_of(runs: Any) -> list[Any]:
    """Return the runs of a list or of a dict of several."""
    if several_runs(runs):
        return list(runs.values())
    if isinstance(runs, str | Mapping | pd.DataFrame | pd.Series) or not isinstance(runs, Iterable):
        raise TypeError(
            'runs are the curves of several runs, such as [{"loss": [1.0]}, {"loss": [3.0]}], '
            f"not {type(runs).__name__}"
        )
    return list(runs)


def _students_factor(count: np.ndarray) -> np.ndarray:
    """Return the reach of the confidence interval of a mean of so many values, in their sample standard deviations."""
    from scipy.special import stdtrit

    several = np.maximum(count, 2)
    return np.where(count > 1, stdtrit(several - 1, 0.5 + CONFIDENCE / 2) / np.sqrt(several), np.nan)


@named_arguments
def smoothed(curves: Curves, window: int) -> pd.DataFrame:
    """Return the moving average of every curve; fewer values count near the ends and where values are missing.

    >>> smoothed({"loss": [0.0, 3.0, 6.0]}, 3)["loss"].tolist()
    [1.5, 3.0, 4.5]

    Args:
        curves: whatever `as_curves` takes.
        window: how many logged steps are averaged, half of them on each side.

    Raises ValueError if `window` is less than 1, TypeError if it is no number.
    """
    if _number("window", window) < 1:
        raise ValueError(f"a window of {window} values holds nothing; give at least 1")
    table = as_curves(curves).sort_index()
    return _counting_alike(table.rolling(window, center=True, min_periods=1).mean().where(table.notna()), table)


@named_arguments
def epoch_means(curves: Curves, steps_per_epoch: int) -> pd.DataFrame:
    """Return the mean of every curve over each epoch, at the step with which the epoch begins.

    Missing values do not count; the mean of an epoch without any value is missing.

    >>> epoch_means({"loss": [4.0, 2.0, 1.0, 1.0, 3.0]}, steps_per_epoch=2)["loss"].to_dict()
    {0: 3.0, 2: 1.0, 4: 3.0}

    Args:
        curves: whatever `as_curves` takes.
        steps_per_epoch: how many training steps an epoch has.

    Raises ValueError if `steps_per_epoch` is less than 1, TypeError if it is no number.
    """
    if _number("steps_per_epoch", steps_per_epoch) < 1:
        raise ValueError(f"an epoch of {steps_per_epoch} steps has none; give at least 1")
    table = as_curves(curves).sort_index()
    return _counting_alike(table.groupby(table.index // steps_per_epoch * steps_per_epoch).mean(), table)


def _number(argument: str, value: Any) -> Any:
    if not isinstance(value, Real):
        raise TypeError(f"{argument} is a number, such as 10, not {type(value).__name__}")
    return value


def _counting_alike(averages: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Return averages whose steps count what those of the table do: steps, epochs, ..."""
    averages.attrs = {name: value for name, value in table.attrs.items() if name == "unit"}
    return averages
