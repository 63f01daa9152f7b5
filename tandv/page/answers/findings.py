"""What the rules find wrong in a run: looked for in the background, and of a run that goes on every few seconds."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from tandv.analysis.findings import Examined, Finding, examined
from tandv.log.shown import named
from tandv.page.answers.run import Answer, Run
from tandv.page.answers.sources import LogSource

MOST_ROWS = 2_000_000  # that the page examines: beside it, the statistics of more would take several 100 MB
MOST = 400  # findings that are sent


class _Looked(NamedTuple):
    """What was found, and up to which step."""

    found: Examined
    step: int | None


def findings(run: Run, runs: Sequence[Run], asked: dict[str, Any]) -> Answer:
    """Return what the rules find wrong, the gravest first, and what they could not check.

    `ready` is false until they were asked once, and in a run that has ended until they know its last rows; `step` is
    the last one that they know.

    Args:
        run: the run.
        runs: all runs.
        asked: the fields of the question, of which there are none.
    """
    log = run.log()
    rows = len(log.tensors) * len(log.steps)
    if not rows:  # yet
        return _head(_Looked(Examined([], []), None), True), []
    if rows > MOST_ROWS:
        return _head(_Looked(Examined([], [_too_large(rows)]), None), True), []
    looked, newest = run.findings.result("findings", run.version, lambda: _looked(log))
    if isinstance(looked, Exception):
        raise looked
    if looked is None:
        return _head(_Looked(Examined([], []), None), False), []
    return _head(looked, newest or run.status == "running"), []


def _looked(log: LogSource) -> _Looked:
    last = int(log.steps[-1])
    found = examined(log.everything())
    return _Looked(Examined(found.findings, [*_chosen(log), *found.not_checked]), last)


def _head(looked: _Looked, ready: bool) -> dict[str, Any]:
    found, not_checked = looked.found
    return {
        "found": [_plain(one) for one in found[:MOST]],
        "total": len(found),
        "notChecked": not_checked,
        "step": looked.step,
        "ready": ready,
    }


def _plain(one: Finding) -> dict[str, Any]:
    place = {
        "kind": one.kind,
        "severity": one.severity,
        "tt": one.tensor_type,
        "layer": named(one.layer),
        "step": one.step,
    }
    return place | {"what": one.what, "before": one.before, "advice": one.advice, "evidence": list(one.evidence)}


def _chosen(log: LogSource) -> list[str]:
    """Return which phase and which ranks were looked at, where there are several."""
    out = []
    if len(log.phases) > 1:
        kept = "the rows outside of any phase" if "" in log.phases else f"the phase '{log.phases[0]}'"
        out.append(f"of the phases of this log only {kept} was looked at")
    if len(log.ranks) > 1:
        out.append(f"the {len(log.ranks)} ranks were looked at together, not one by one")
    return out


def _too_large(rows: int) -> str:
    return (
        f"nothing by rules: a log of {rows:,} rows is too large for a page; `tandv check` with the run's folder does it"
    )
