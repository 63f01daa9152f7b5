"""One tensor: its exponents over steps, its statistics over steps, and its exact row at one step."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tandv.page.answers.columns import columns, flagged, highest, lowest
from tandv.page.answers.run import Answer, Run
from tandv.page.answers.sources import Exponents

PER_POWER = 8  # codes of a share for each power of two


def exponent_map(run: Run, runs: Sequence[Run], asked: dict[str, Any]) -> Answer:
    """Return the share of a tensor's values in each power of two, over steps: the largest in each column.

    A share is sent as a byte: 0 for none, else 255 + 8·log2(share), at least 1.

    Args:
        run: the run.
        runs: all runs.
        asked: the fields of the question.
    """
    log = run.log()
    run.tensor(asked["tt"], asked["layer"])
    found = log.exponents_of(asked["tt"], asked["layer"])
    of = columns(log.steps, asked["from"], asked["to"], asked["w"])
    shares, lanes = shares_of(found)
    logged = highest(found.logged.astype(np.uint8), of)
    arrays = [coded(highest(shares.T, of)).T, highest(lanes, of).astype(np.float32), of.starts, logged]
    return {"bins": found.bins.tolist(), "cols": len(of.edges), "pooled": of.pooled}, arrays


def shares_of(found: Exponents) -> tuple[np.ndarray, np.ndarray]:
    """Return the shares of all values [steps, bins], and those that are zero, infinite and NaN [3, steps].

    Args:
        found: the counts of a tensor.
    """
    all_of_them = np.maximum(found.numel, 1)
    lanes = np.stack([found.zeros, found.infs, found.nans]) / all_of_them
    return found.counts / all_of_them[:, None], lanes


def coded(shares: np.ndarray) -> np.ndarray:
    """Return shares as bytes.

    >>> coded(np.array([1.0, 0.5, 0.0, 1e-30])).tolist()
    [255, 247, 0, 1]

    Args:
        shares: from 0 to 1.
    """
    with np.errstate(divide="ignore"):
        codes = np.clip(np.rint(255 + PER_POWER * np.log2(shares)), 1, 255)
    return np.where(shares > 0, codes, 0).astype(np.uint8)


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
        arrays += [lowest(values, of), highest(values, of), flagged(matrix.flags[row], of)]
    return {"cols": len(of.edges), "pooled": of.pooled, "metrics": names}, [*arrays, of.starts]


def at(run: Run, runs: Sequence[Run], asked: dict[str, Any]) -> Answer:
    """Return the exact row of a tensor at the last logged step that is not after one, and a statistic of all layers.

    Before the first logged step it is that of the first.

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
    profile = [matrix.values[:, place], matrix.flags[:, place]]
    if (cell := log.cell(asked["tt"], asked["layer"], step)) is None:
        return {"step": step, "logged": False, "stats": {}, "bins": []}, [*_nothing(0)[:2], *profile]
    bins = list(range(min(cell.counts), max(cell.counts) + 1)) if cell.counts else []
    counts = np.array([cell.counts.get(n, 0) for n in bins], np.float64)
    head = {"step": step, "logged": True, "stats": dict(cell.statistics), "bins": bins}
    return head, [counts, np.array([cell.zeros, cell.infs, cell.nans], np.float64), *profile]


def _nothing(layers: int) -> list[np.ndarray]:
    return [np.zeros(0), np.zeros(3), np.zeros(layers, np.float32), np.zeros(layers, np.uint8)]
