"""Compare what a detector found with what is true, and write the counts as rows of a table."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import chi2

from benchmarks.curves.case import Case, Interval
from tandv.analysis.transitions import Transition

SURE = 0.95  # of upper bounds


class Score(NamedTuple):
    """Counts over curves: true changes and those found, named as they should be, false alarms, points, errors.

    `spikes` are true ones that were called so, `others` spikes and teeth that are none.
    """

    hits: int
    changes: int
    named: int
    alarms: int
    points: int
    spikes: int
    others: int
    errors: tuple[float, ...]
    alarmed: int
    curves: int = 1


def kind_of(found: Transition) -> str:
    """Return the kind of an event; of detectors that name none, an empty string."""
    return str(getattr(found.evidence, "kind", ""))


def judge(found: Sequence[Transition], case: Case, kinds: set[str] | None = None) -> Score:
    """One detection in a true interval, widened by 2 % of the run, is a hit; every other is a false alarm.

    Events that are called spikes or teeth are no transitions; they are judged by the true spikes, which need not be
    found, and by whether there are teeth.
    """
    reach = 0.02 * float(case.curve.index.max() - case.curve.index.min())
    spikes = [t.step for t in found if kind_of(t) == "spike"]
    teeth = sum(kind_of(t) == "teeth" for t in found)
    changes = [t for t in found if kind_of(t) not in ("spike", "teeth")]
    pairs = matched([t.step for t in changes], case.truth, reach)
    recovered = len(matched(spikes, case.spikes, reach))
    errors = tuple(0.02 * abs(changes[k].step - case.truth[j][1]) / reach for j, k in pairs.items())
    named = sum(kinds is None or kind_of(changes[k]) in kinds for k in pairs.values())
    alarms, others = len(changes) - len(pairs), len(spikes) - recovered + max(teeth - case.teeth, 0)
    points = len(case.curve)
    return Score(len(pairs), len(case.truth), named, alarms, points, recovered, others, errors, int(alarms > 0))


def matched(steps: Sequence[float], truth: Sequence[Interval], reach: float) -> dict[int, int]:
    """Return for each interval that has a step in or near it which one: the nearest to its middle."""
    pairs: dict[int, int] = {}
    for j, (first, middle, last) in enumerate(truth):
        taken = set(pairs.values())
        near = [k for k, s in enumerate(steps) if k not in taken and first - reach <= s <= last + reach]
        if near:
            pairs[j] = min(near, key=lambda k: abs(steps[k] - middle))
    return pairs


def total(scores: Sequence[Score]) -> Score:
    counts = [sum(column) for column in zip(*[s[:7] for s in scores], strict=True)]
    errors = tuple(e for s in scores for e in s.errors)
    return Score(*counts, errors, sum(s.alarmed for s in scores), len(scores))


def at_most(events: int) -> float:
    """Return the upper bound of the mean of a Poisson count (Garwood 1936), one-sided, 95 %.

    >>> round(at_most(0), 2), round(at_most(4), 2)
    (3.0, 9.15)
    """
    return float(chi2.ppf(SURE, 2 * (events + 1)) / 2)


def rate(score: Score) -> str:
    """Return the false alarms in 1,000 points and their upper bound."""
    return f"{1000 * score.alarms / score.points:.3f} (≤ {1000 * at_most(score.alarms) / score.points:.3f})"


def recall(score: Score) -> str:
    return f"{score.hits}/{score.changes} = {score.hits / score.changes:.2f}" if score.changes else ""


def error(score: Score) -> str:
    return f"{100 * np.median(score.errors):.2f} %" if score.errors else ""


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
