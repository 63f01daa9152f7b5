"""What went wrong first: the first NaN, infinity and overflow of each tensor, and which are zero from some step on."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tandv.formats import Format
from tandv.page.answers.run import Answer, Run, kinds_of
from tandv.page.answers.sources import First, LogSource
from tandv.tensor_types import ACTIVATION, GRADIENT, INPUT, OPTIMISER_STATE, WEIGHT, WEIGHT_GRADIENT, WEIGHT_UPDATE

MOST = 400  # that are sent; the badges of the layers are of all
# Within a step: weights are as they are before it.
EXECUTED = (INPUT, WEIGHT, ACTIVATION, GRADIENT, WEIGHT_GRADIENT, OPTIMISER_STATE, WEIGHT_UPDATE)
KINDS = ("inf", "nan", "overflow", "dead")  # infinity first: NaN comes of it


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
    found, ready = run.firsts.result(of, log.version, lambda: _ordered(log, of))
    if isinstance(found, Exception):
        raise found
    return found or [], ready


def _ordered(log: LogSource, of: Format | None) -> list[dict[str, Any]]:
    found = [*log.firsts(), *([] if of is None else overflowing(log, of))]
    place = {tt: execution(layers) for tt, layers in kinds_of(log).items()}

    def key(one: First) -> tuple:
        foreign = of is not None and one.kind == "overflow" and log.dtypes.get((one.tt, one.layer)) != of.name
        position = place[one.tt][one.layer]
        return (
            foreign,
            one.step,
            _executed(one.tt),
            KINDS.index(one.kind),
            -position if one.tt == GRADIENT else position,
        )

    return [_plain(one) for one in sorted(found, key=key)]


def overflowing(log: LogSource, of: Format) -> list[First]:
    """Return the first step at which the largest value of each tensor overflows a format, where it does.

    Args:
        log: a log.
        of: the format.
    """
    out = []
    for tt, layers in kinds_of(log).items():
        over = log.overflows(tt, of.overflows_above)
        for row in np.flatnonzero(over.any(1)):
            step = int(log.steps[over[row].argmax()])
            out.append(First("overflow", tt, layers[row], step, 0, 0))
    return out


def execution(layers: Sequence[str]) -> dict[str, int]:
    """Return the place of each layer in the forward pass, as far as names tell: children before what holds them.

    >>> execution(["Net", "layers.0", "layers.0.wq", "layers.1"])
    {'layers.0.wq': 0, 'layers.0': 1, 'layers.1': 2, 'Net': 3}

    Args:
        layers: the layers in model order.
    """
    ends = {name: (i, 0) for i, name in enumerate(layers)}
    for i, name in enumerate(layers):
        parts = name.split(".")
        for depth in range(1, len(parts)):
            outer = ".".join(parts[:depth])
            if outer in ends:
                ends[outer] = max(ends[outer][0], i), len(parts) - depth
    # The model itself is called by its class, and no other layer's name begins with that.
    roots = [name for name in layers if "." not in name and name[:1].isupper()][:1]
    ends |= {name: (len(layers), 0) for name in roots}
    return {name: place for place, name in enumerate(sorted(layers, key=lambda name: ends[name]))}


def _executed(tt: str) -> int:
    top = tt.partition(".")[0]
    return EXECUTED.index(top) if top in EXECUTED else len(EXECUTED)


def _plain(one: First) -> dict[str, Any]:
    place = {"kind": one.kind, "tt": one.tt, "layer": one.layer, "step": one.step}
    return place | {"count": one.many, "of": one.of}
