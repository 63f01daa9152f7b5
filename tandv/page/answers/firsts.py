"""What went wrong first: the first NaN, infinity and overflow of each tensor, and which are zero from some step on."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tandv.formats import Format
from tandv.log.execution import turn
from tandv.log.shown import First
from tandv.page.answers.run import Answer, Run, kinds_of

MOST = 400  # that are sent; the badges of the layers are of all
KINDS = ("inf", "nan", "overflow", "dead")  # within a step infinity comes first: NaN comes of it


def firsts(run: Run, runs: Sequence[Run], asked: dict[str, Any]) -> Answer:
    """Return the first NaN, infinity, overflow of a format and step of staying zero, in the order of execution.

    Args:
        run: the run.
        runs: all runs.
        asked: the fields of the question.
    """
    found, ready = found_firsts(run, asked["format"])
    badges: dict[str, dict[str, list[str]]] = {}
    for one in found:
        badges.setdefault(one["tt"], {}).setdefault(one["layer"], []).append(one["kind"])
    return {"found": found[:MOST], "total": len(found), "badges": badges, "ready": ready}, []


def found_firsts(run: Run, of: Format | None) -> tuple[list[dict[str, Any]], bool]:
    """Return what was found as far as it is known, in order, and whether that is of the newest rows.

    Args:
        run: a run with a log.
        of: a format whose overflows are looked for; None for none.
    """
    log = run.log()
    found, ready = run.firsts.result(of, log.version, lambda: _ordered(run, of))
    if isinstance(found, Exception):
        raise found
    return found or [], ready


def _ordered(run: Run, of: Format | None) -> list[dict[str, Any]]:
    log = run.log()
    found = [*log.firsts(), *([] if of is None else overflowing(run, of))]
    order = log.order()

    def key(one: First) -> tuple:
        foreign = of is not None and one.kind == "overflow" and run.dtype(one.tt) != of.name
        return foreign, one.step, turn(one.tt), KINDS.index(one.kind), order[one.tt, one.layer]

    return [_plain(one) for one in sorted(found, key=key)]


def overflowing(run: Run, of: Format) -> list[First]:
    """Return the first step at which the largest value of each tensor overflows a format, where it does.

    Args:
        run: a run with a log.
        of: the format.
    """
    log, out = run.log(), []
    for tt, layers in kinds_of(log).items():
        over = run.overflows(tt, of)
        for row in np.flatnonzero(over.any(1)):
            step = int(log.steps[over[row].argmax()])
            out.append(First("overflow", tt, layers[row], step, 0, 0))
    return out


def _plain(one: First) -> dict[str, Any]:
    place = {"kind": one.kind, "tt": one.tt, "layer": one.layer, "step": one.step}
    return place | {"count": one.many, "of": one.of}
