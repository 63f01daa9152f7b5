"""The curves of a run and where they change."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tandv.curves import learning_rate_of
from tandv.page.answers.curves_of_a_run import CurvesOnly, shown, states
from tandv.page.answers.run import Answer, Run

LOOKED_FOR = 200  # curves of which transitions are found: each takes a hundredth of a second of 2,000 values


def curves(run: Run, runs: Sequence[Run], asked: dict[str, Any]) -> Answer:
    """Return all curves of a run at their steps, and what their values are that are not finite.

    Args:
        run: the run.
        runs: all runs.
        asked: the fields of the question, of which there are none.
    """
    table = run.curves.table
    names = [str(name) for name in table.columns]
    values = np.ascontiguousarray(table.to_numpy(np.float64).T)
    arrays = [table.index.to_numpy(np.float64), values, states(table)]
    of_log = not run.holds_curves
    return {"names": names, "shown": shown(table) if of_log else shown(table, None)}, arrays


def transitions(run: Run, runs: Sequence[Run], asked: dict[str, Any]) -> Answer:
    """Return the transitions of the curves of a run, or those that were found before something was added.

    Args:
        run: the run.
        runs: all runs.
        asked: the fields of the question, of which there are none.
    """
    if isinstance(run.source, CurvesOnly) and run.source.transitions is not None:
        known = [_plain(one) for one in run.source.transitions]
        return {"found": known, "rule": run.rule, "ready": True, "note": None}, []
    names = shown(run.curves.table, None)
    if not names:
        return {"found": [], "rule": run.rule, "ready": True, "note": "there are no curves"}, []
    found, ready = run.transitions.result("found", run.curves.version, lambda: _found(run))
    if isinstance(found, Exception):
        return {"found": [], "rule": run.rule, "ready": ready, "note": f"transitions cannot be found: {found}"}, []
    note = None if ready else "transitions are being looked for"
    if ready and len(names) > LOOKED_FOR:
        note = f"transitions are looked for in {LOOKED_FOR} of {len(names):,} curves, losses first"
    lr = learning_rate_of(run.curves.table.columns)
    rule = run.rule if lr is None else f"{run.rule}; {lr} is taken as the learning rate"
    return {"found": found or [], "rule": rule, "ready": ready, "note": note}, []


def _found(run: Run) -> list[dict[str, Any]]:
    from tandv.analysis.transitions import find_transitions  # imports SciPy

    table = run.curves.table
    if not len(table):
        return []
    lr = learning_rate_of(table.columns)
    wanted = shown(table, LOOKED_FOR)
    given = wanted if lr is None or lr in wanted else [*wanted, lr]
    return [_plain(one) for one in find_transitions(table[given], lr=lr)]


def _plain(one: Any) -> dict[str, Any]:
    from tandv.analysis.transitions import wording

    places = {"curve": one.quantity, "start": one.start, "step": one.step, "end": one.end}
    levels = {"before": one.before, "after": one.after}
    return (
        places
        | levels
        | {
            "kind": wording.kind_in_words(one),
            "uncertain": wording.is_uncertain(one),
            "size": wording.size_in_words(one.evidence.effect),
            "chance": wording.chance_in_words(one.evidence.p),
        }
    )
