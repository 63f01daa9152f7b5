"""What went wrong first: the first NaN, infinity and overflow of each tensor, and which are zero from some step on."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from tandv.formats import Format
from tandv.log.execution import turn
from tandv.log.shown import First
from tandv.messages import some
from tandv.page.answers.run import Answer, Run, kinds_of

MOST = 400  # that are sent: of each kind and tensor type at least the first; the badges of the layers are of all
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
    kept, left = chosen(found, MOST)
    return {"found": kept, "total": len(found), "left": left, "badges": badges, "ready": ready}, []


def chosen(found: Sequence[dict[str, Any]], most: int) -> tuple[list[dict[str, Any]], str]:
    """Return what is sent, in its order, and a sentence about what is not; "" if all is.

    Of each kind and tensor type the first is kept, then the first of each step, then others.

    >>> found = [{"kind": "nan", "tt": tt, "step": 0} for tt in ("Weight", "Weight", "Weight", "Gradient")]
    >>> [one["tt"] for one in chosen(found, 2)[0]], chosen(found, 2)[1]
    (['Weight', 'Gradient'], '2 of 4 are not listed: 2 nan of Weight')

    Args:
        found: all, in order.
        most: how many are kept at most.
    """
    kinds: set[tuple] = set()
    steps: set[tuple] = set()
    ranks = []
    for at, one in enumerate(found):
        kind = one["kind"], one["tt"]
        ranks.append((0 if kind not in kinds else 1 if (one["step"], *kind) not in steps else 2, at))
        kinds.add(kind)
        steps.add((one["step"], *kind))
    kept = {at for _, at in sorted(ranks)[:most]}
    lost = Counter(f"{one['kind']} of {one['tt']}" for at, one in enumerate(found) if at not in kept)
    words = some([f"{many:,} {what}" for what, many in lost.most_common()], 4)
    left = f"{len(found) - len(kept):,} of {len(found):,} are not listed: {words}" if lost else ""
    return [one for at, one in enumerate(found) if at in kept], left


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
        return one.step, foreign, turn(one.tt), KINDS.index(one.kind), order[one.tt, one.layer]

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
