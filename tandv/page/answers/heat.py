"""Layers × steps of a statistic: its values, how they changed, or how they differ from those of another run."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tandv.log.narrowed import narrowed
from tandv.page.answers.columns import columns, flagged, largest
from tandv.page.answers.comparison import compared
from tandv.page.answers.ratios import CHANGE, changes, logs_of_ratios
from tandv.page.answers.run import Answer, Run
from tandv.page.answers.sources import OVERFLOWS


def heat(run: Run, runs: Sequence[Run], asked: dict[str, Any]) -> Answer:
    """Return a statistic of all layers of a type over steps, pooled to the columns of a screen.

    Args:
        run: the run.
        runs: all runs, of which `asked` may name another.
        asked: the fields of the question.
    """
    log = run.log()
    tt, metric = run.tensor_type(asked["tt"]), run.metric(asked["metric"])
    of = columns(log.steps, asked["from"], asked["to"], asked["w"])
    matrix = log.matrix(tt, metric)
    values, flags = matrix.values, matrix.flags
    head: dict[str, Any] = {"parted": None, "base": None}
    if asked["format"] is not None:
        flags = flags | run.overflows(tt, asked["format"]) * np.uint8(OVERFLOWS)
    if asked["against"] is not None:
        found = compared(run, runs, asked["against"], tt, metric)
        flags = flags | found.flags
        pooled = logs_of_ratios(found.ratios, of)
        head = found.head()
    elif asked["change"]:
        pooled = changes(values, of)
        head["base"] = CHANGE.replace("{}", metric)
    else:
        pooled = largest(values, of)
    arrays = [narrowed(pooled), flagged(flags, of), of.starts]
    return {"rows": len(pooled), "cols": pooled.shape[1], "pooled": of.pooled} | head, arrays
