"""What a run has, and where its page opens."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tandv import glossary, tensor_types
from tandv.formats import Format, is_format, number_format
from tandv.page.answers.curves_of_a_run import CurvesOnly
from tandv.page.answers.firsts import found_firsts
from tandv.page.answers.ratios import early, ratios
from tandv.page.answers.run import Answer, Run, kinds_of
from tandv.page.answers.sources import LogSource

OFFERED = ("e4m3", "e5m2", "fp16", "bf16")  # formats that a log is asked what a cast to them would cost
_NARROW = 2.0**16  # of the largest value: formats that overflow in ordinary training
_EXACT = 2**53  # up to which every whole number is one of float64
FIRST_SHOWN = ("rm2", "std", "max_abs")  # statistics, the first of which that a log has is shown at first


def meta(run: Run, runs: Sequence[Run], asked: dict[str, Any]) -> Answer:
    """Return what a run has: names, statistics, formats, notes, where to begin; and its steps.

    Two logs with a tensor in common begin compared with each other.

    Args:
        run: the run.
        runs: all runs.
        asked: the fields of the question, of which there are none.
    """
    source = run.source
    head = {
        "name": run.name,
        "status": run.status,
        "runs": [one.name for one in runs],
        "version": run.version,
        "notes": run.notes,
        "title": source.title if isinstance(source, CurvesOnly) else run.name,
        "transitionsRule": run.rule,
        "meanings": {str(name): glossary.meaning(str(name)) for name in run.curves.table.columns},
    }
    if isinstance(source, CurvesOnly) or run.holds_curves:
        steps = run.curves.table.index.to_numpy(np.float64)
        where = {"axis": source.axis if isinstance(source, CurvesOnly) else "linear"}
        nothing = {"types": {}, "metrics": [], "low": 0, "high": 0, "phases": [], "phase": None, "ranks": []}
        head["notes"] = [*head["notes"], *_rounded(steps)]
        return {**head, **nothing, "holds": "curves", "rank": None, "formats": {}, "start": where}, [steps]
    low, high = source.exponents
    head["meanings"] |= {name: glossary.statistic_meaning(name) for name in source.metrics}
    about = {
        "holds": "log",
        "types": kinds_of(source),
        "metrics": list(source.metrics),
        "low": low,
        "high": high,
        "phases": list(source.phases),
        "phase": source.phase,
        "ranks": list(source.ranks),
        "rank": source.rank,
        "formats": {one.short: _limits(one) for one in formats_of(run)},
        "start": start(run) | _beside(run, runs),
    }
    steps = source.steps.astype(np.float64)
    return head | about | {"notes": [*head["notes"], *_rounded(steps)]}, [steps]


def _rounded(steps: np.ndarray) -> list[str]:
    """Return the note that steps are too large for a browser, which has no whole numbers but float64."""
    largest = np.abs(steps).max(initial=0.0)
    return [f"Steps beyond {_EXACT:,} are shown to the nearest number of float64."] * int(largest >= _EXACT)


def formats_of(run: Run) -> list[Format]:
    """Return the formats that a page offers: the common ones, and those of the tensors.

    Args:
        run: a run with a log.
    """
    own = [run.dtype(tt) for tt in kinds_of(run.log())]
    return list(dict.fromkeys(number_format(name) for name in (*OFFERED, *filter(None, own))))


def start(run: Run) -> dict[str, Any]:
    """Return where a page opens: at the first infinity or NaN, else at the last step, at the layer that changed most.

    The format is that of the first tensor with infinity or NaN, if it is narrow enough to have overflowed.

    Args:
        run: a run with a log.
    """
    log = run.log()
    kinds = kinds_of(log)
    if not kinds or not len(log.steps):
        return {"tt": None, "layer": None, "step": None, "metric": None, "format": OFFERED[0]}
    metric = next((name for name in FIRST_SHOWN if name in log.metrics), log.metrics[0])
    found = {"metric": metric, "format": OFFERED[0]}
    firsts, _ = found_firsts(run, None)
    if bad := [one for one in firsts if one["kind"] in ("nan", "inf")]:
        where = {"tt": bad[0]["tt"], "layer": bad[0]["layer"], "step": bad[0]["step"]}
        return where | found | {"format": _format_at(log, **where)}
    tt = tensor_types.ACTIVATION if tensor_types.ACTIVATION in kinds else next(iter(kinds))
    return {"tt": tt, "layer": _furthest(log, tt, metric), "step": int(log.steps[-1])} | found


def _format_at(log: LogSource, tt: str, layer: str, step: int) -> str:
    """Return the format of a tensor that is not finite if it is narrow and offered, else the first offered."""
    cell = log.cell(tt, layer, step)
    dtype = "" if cell is None else cell.text.get("dtype", "")
    if not is_format(dtype):
        return OFFERED[0]
    own = number_format(dtype)
    return own.short if own.short in OFFERED and own.max < _NARROW else OFFERED[0]


def _beside(run: Run, runs: Sequence[Run]) -> dict[str, int]:
    """Return the number of the run that this one is compared with at first: of two logs with a tensor in common."""
    if len(runs) != 2 or any(one.holds_curves for one in runs):
        return {}
    other = 1 - next(number for number, one in enumerate(runs) if one is run)
    common = set(run.log().tensors) & set(runs[other].log().tensors)
    return {"other": other} if common else {}


def _furthest(log: LogSource, tt: str, metric: str) -> str:
    values = log.matrix(tt, metric).values
    with np.errstate(divide="ignore"):
        change = np.abs(np.log2(ratios(values[:, -1], early(values))))
    change[~np.isfinite(change)] = -1.0
    return log.layers(tt)[int(change.argmax())]


def _limits(one: Format) -> dict[str, Any]:
    return {name: value for name, value in one._asdict().items() if name != "short"}
