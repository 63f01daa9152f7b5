"""What a step comes to for each tensor type: numbers and a histogram small enough for a live chart.

Over the layers of a type: median, smallest and largest of `rm2` and `max_abs` (of every statistic, where a log has
neither) and of the columns of `track(insight=...)`; the shares of zeros, NaNs and infinities among all values; and how
many values of all layers lie in each power of two. A phase is summarised apart, as "rollout/Activation".

>>> step, summary = next(of_log(logframe.example_log(layers=2, steps=10)))
>>> sorted(summary.numbers)[:4]
['Activation/infs', 'Activation/max_abs/max', 'Activation/max_abs/median', 'Activation/max_abs/min']
"""

import heapq
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tandv.curves import run_curves
from tandv.glossary import insight_meaning
from tandv.log import logframe
from tandv.log.door import AnyLog, log_at

METRICS = ("rm2", "max_abs")
SHARES = ("zeros", "nans", "infs")
_COUNTS = {*SHARES, "numel", "calls"}
_AT_MOST = 510  # powers of two; W&B takes no more
_ROWS = 250_000  # of a log at a place that are in memory at a time


class Histogram(NamedTuple):
    """How many values lie in each power of two from `lowest` on: 2**n <= abs(x) < 2**(n + 1)."""

    lowest: int
    counts: np.ndarray

    @property
    def edges(self) -> np.ndarray:
        """The edges of the columns, one more than there are counts."""
        return np.arange(self.lowest, self.lowest + len(self.counts) + 1)


class Summary(NamedTuple):
    """Numbers by "tensor type/statistic", histograms by "tensor type/exponents"."""

    numbers: dict[str, float]
    histograms: dict[str, Histogram]


def of_block(block: Any) -> Summary:
    """Summarise the rows of one step in the form in which a tracker has them.

    Args:
        block: the rows of one step: `quantities`, `scalars`, `counts` and `lowest`.
    """
    kinds = ["/".join(filter(None, (one.phase, one.tensor_type))) for one in block.quantities]
    return summary(kinds, block.scalars, block.counts, range(block.lowest, block.lowest + block.counts.shape[1] - 2))


def of_log(df: AnyLog) -> Iterator[tuple[int, Summary]]:
    """Yield each step of a log, ascending, with its summary.

    Args:
        df: the log, or the place of one: a run's folder or a file.
    """
    if not isinstance(df, pd.DataFrame):  # some steps at a time, so that a large log need not be in memory
        log = log_at(df)
        steps = log.steps()
        several = max(1, _ROWS * len(steps) // log.rows)
        for start in range(0, len(steps), several):
            some = slice(steps[start], steps[min(start + several, len(steps)) - 1] + 1)
            yield from of_log(log.frame(step=some))
        return
    kind_of = df[("metadata", "tensor_type")]
    if logframe.phases(df):
        kind, phase = kind_of.astype(object), df[("metadata", "phase")].astype(object)
        kind_of = kind.where(phase == "", phase + "/" + kind)
    codes, names = logframe.numbered(kind_of)
    at, powers = df[("metadata", "step")].to_numpy(), logframe.exponents(df)
    scalars = {name: df[("scalar_stats", name)].to_numpy() for name in logframe.scalar_metrics(df)}
    lowest = powers[0] if powers else 0
    counts = np.zeros((len(df), (powers[-1] - lowest + 1 if powers else 0) + 2), np.int64)
    for power, place in [(logframe.INFINITE[0], 0), *((n, n - lowest + 1) for n in powers), (logframe.INFINITE[1], -1)]:
        counts[:, place] = df[("exponent_counts", power)].to_numpy()
    order = np.argsort(at, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(at[order])) + 1):
        if len(rows):
            kinds = [names[code] for code in codes[rows]]
            columns = {name: values[rows] for name, values in scalars.items()}
            yield (
                int(at[rows[0]]),
                summary(kinds, columns, counts[rows], range(lowest, lowest + counts.shape[1] - 2)),
            )


def with_loop(rows: Iterable[tuple[int, Summary]], log: AnyLog) -> Iterator[tuple[int, Summary]]:
    """Yield each step, ascending, with its summary and the numbers of the run's loop, such as "loss".

    Args:
        rows: steps with their summaries, ascending.
        log: the log that they are of.
    """
    both = heapq.merge(rows, _of_loop(run_curves(log)), key=itemgetter(0))
    for step, several in itertools.groupby(both, key=itemgetter(0)):
        numbers, histograms = {}, {}
        for _, one in several:
            numbers |= one.numbers
            histograms |= one.histograms
        yield step, Summary(numbers, histograms)


def _of_loop(curves: pd.DataFrame | None) -> Iterator[tuple[int, Summary]]:
    if curves is None:
        return
    given = curves.notna()
    for name, steps in curves.attrs.get("nan", {}).items():
        given.loc[steps, name] = True
    for step, values, there in zip(curves.index.tolist(), curves.to_numpy(), given.to_numpy(), strict=True):
        names = curves.columns[there]
        yield step, Summary(dict(zip(names, values[there].tolist(), strict=True)), {})


def summary(
    tensor_types: Sequence[str], scalars: Mapping[str, np.ndarray], counts: np.ndarray, powers: Sequence[int]
) -> Summary:
    """Summarise rows by tensor type.

    Args:
        tensor_types: the tensor type of each row.
        scalars: an array [rows] for each statistic.
        counts: [rows, 1 + len(powers) + 1]: -inf, each of `powers`, inf.
        powers: the exponents that the inner columns of `counts` stand for.
    """
    metrics = [name for name in METRICS if name in scalars] or [name for name in scalars if name not in _COUNTS]
    insight = [name for name in scalars if insight_meaning(name) and name not in metrics]
    counted = [name for name in insight if _is_counted(name)]
    kinds = np.asarray(tensor_types, dtype=object)
    numbers: dict[str, float] = {}
    histograms: dict[str, Histogram] = {}
    for kind in dict.fromkeys(tensor_types):
        mine = kinds == kind
        of_kind = {name: np.asarray(values)[mine] for name, values in scalars.items()}
        for name in [*metrics, *(name for name in insight if name not in counted)]:
            numbers |= {f"{kind}/{name}/{which}": value for which, value in _over_layers(of_kind[name])}
        if total := float(of_kind["numel"].sum()) if "numel" in of_kind else 0.0:
            numbers |= {f"{kind}/{name}": float(of_kind[name].sum()) / total for name in SHARES if name in of_kind}
            numbers |= {f"{kind}/{name}": value / total for name, value in _outside(of_kind, counts[mine])}
            for name in counted:  # NaN in rows that have no such statistic
                there = ~np.isnan(of_kind[name])
                if there.any():
                    numbers[f"{kind}/{name}"] = float(of_kind[name][there].sum() / of_kind["numel"][there].sum())
        if found := histogram(counts[mine, 1:-1].sum(axis=0), powers):
            histograms[f"{kind}/exponents"] = found
    return Summary(numbers, histograms)


def _is_counted(name: str) -> bool:
    return name.startswith("zeros_") and not name.startswith("zeros_released_share")


def _over_layers(values: np.ndarray) -> Iterable[tuple[str, float]]:
    values = values[~np.isnan(values)].astype(np.float64)  # a layer without any finite value has no statistics
    if len(values):
        yield from zip(
            ("median", "min", "max"), map(float, (np.median(values), values.min(), values.max())), strict=True
        )


def _outside(scalars: Mapping[str, np.ndarray], counts: np.ndarray) -> Iterator[tuple[str, float]]:
    """Yield how many values lie below or above the counted exponents, where the user chose a narrower range."""
    for name, known, place in (("below", "zeros", 0), ("above", "infs", -1)):
        if known in scalars and (beyond := float(counts[:, place].sum() - scalars[known].sum())) > 0:
            yield name, beyond


def histogram(counts: np.ndarray, powers: Sequence[int]) -> Histogram | None:
    """Return the counts from the lowest to the highest power that has any; None if none has.

    Args:
        counts: how many values lie in each power of two.
        powers: the exponents that they stand for.
    """
    filled = np.flatnonzero(counts)
    if not len(filled):
        return None
    first, last = max(filled[0], filled[-1] - _AT_MOST + 1), filled[-1]
    return Histogram(int(powers[first]), counts[first : last + 1])
