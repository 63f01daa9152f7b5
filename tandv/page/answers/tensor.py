"""One tensor: its exponents over steps, its statistics over steps, and its exact row at one step."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tandv.log.narrowed import narrowed
from tandv.page.answers.columns import columns, flagged, highest, lowest
from tandv.page.answers.over_ranks import over_ranks
from tandv.page.answers.run import Answer, Run


def exponent_map(run: Run, runs: Sequence[Run], asked: dict[str, Any]) -> Answer:
    """Return the share of a tensor's values in each power of two, over steps: the largest in each column.

    A share is sent as a byte: 0 for none, else 255 + 8·log2(share), at least 1.

    Args:
        run: the run.
        runs: all runs.
        asked: the fields of the question.
    """
    run.tensor(asked["tt"], asked["layer"])
    first, last = asked["from"], asked["to"]
    low, high = None if first is None else math.ceil(first), None if last is None else math.floor(last)
    found = run.log().shares(asked["tt"], asked["layer"], low, high, asked["w"])
    arrays = [found.shares, found.lanes.astype(np.float32), found.starts, found.logged]
    return {"bins": found.bins.tolist(), "cols": len(found.logged), "pooled": found.pooled}, arrays


def lines(run: Run, runs: Sequence[Run], asked: dict[str, Any]) -> Answer:
    """Return some statistics of a tensor over steps: the lowest and the highest value of each column.

    Args:
        run: the run.
        runs: all runs.
        asked: the fields of the question.
    """
    log = run.log()
    row = run.tensor(asked["tt"], asked["layer"])
    names = [run.metric(name) for name in asked["metrics"]]
    of = columns(log.steps, asked["from"], asked["to"], asked["w"])
    arrays = []
    for name in names:
        matrix = log.matrix(asked["tt"], name)
        values = matrix.values[row]
        arrays += [narrowed(lowest(values, of)), narrowed(highest(values, of)), flagged(matrix.flags[row], of)]
    return {"cols": len(of.edges), "pooled": of.pooled, "metrics": names}, [*arrays, of.starts]


def at(run: Run, runs: Sequence[Run], asked: dict[str, Any]) -> Answer:
    """Return the exact row of a tensor at the last logged step that is not after one, and a statistic of all layers.

    Where the log knows of single ranks, that is also the statistic's smallest and largest value over them. Before the
    first logged step it is that of the first.

    Args:
        run: the run.
        runs: all runs.
        asked: the fields of the question.
    """
    log = run.log()
    run.tensor(asked["tt"], asked["layer"])
    matrix = log.matrix(asked["tt"], run.metric(asked["metric"]))
    if not len(log.steps):
        return {"step": None, "logged": False, "stats": {}, "bins": []}, _nothing(0)
    place = max(int(np.searchsorted(log.steps, asked["step"], "right")) - 1, 0)
    step = int(log.steps[place])
    profile = [narrowed(matrix.values[:, place]), matrix.flags[:, place]]
    if (cell := log.cell(asked["tt"], asked["layer"], step)) is None:
        return {"step": step, "logged": False, "stats": {}, "bins": []}, [*_nothing(0)[:2], *profile]
    bins = list(range(min(cell.counts), max(cell.counts) + 1)) if cell.counts else []
    counts = np.array([cell.counts.get(n, 0) for n in bins], np.float64)
    head = {"step": step, "logged": True, "stats": dict(cell.statistics), "bins": bins}
    ranks = over_ranks(log, asked["tt"], asked["layer"], step, asked["metric"], cell.statistics)
    if ranks is not None:
        head["ranks"] = ranks
    return head, [counts, np.array([cell.zeros, cell.infs, cell.nans], np.float64), *profile]


def _nothing(layers: int) -> list[np.ndarray]:
    return [np.zeros(0), np.zeros(3), np.zeros(layers, np.float32), np.zeros(layers, np.uint8)]
