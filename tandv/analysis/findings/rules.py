"""All rules in the order in which they take precedence, and one main finding for each cause."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tandv.analysis.findings import (
    attention,
    beginnings,
    course,
    laws,
    optimiser,
    ranges,
    training,
    units,
    weight_sizes,
)
from tandv.analysis.findings.finding import SEVERITIES, Finding
from tandv.analysis.findings.matrices import Matrices
from tandv.analysis.findings.not_finite import not_finite
from tandv.analysis.findings.phases import not_finite_in_phases, unchecked_phases
from tandv.analysis.findings.unchecked import unchecked
from tandv.log.door import AnyLog, is_table
from tandv.log.schema import check_repeats, validate

Rule = Callable[[Matrices], list[Finding]]

# Exact laws, then number formats, then how the run begins, then the run's own history.
RULES: dict[str, Rule] = {
    "second_moment_collapse": laws.second_moment_collapse,
    "loss_scale_collapse": ranges.loss_scale_collapse,
    "input_scale": beginnings.input_scale,
    "bad_init": beginnings.bad_init,
    "probabilities_as_logits": laws.probabilities_as_logits,
    "underflow": ranges.underflow,
    "dead": laws.dead,
    "stale_norm": laws.stale_norm,
    "updates_too_large": weight_sizes.updates_too_large,
    "depth": beginnings.depth,
    "saturated": laws.saturated,
    "not_trained": training.not_trained,
    "epsilon_regime": optimiser.epsilon_regime,
    "rounded_away": optimiser.rounded_away,
    "clipped_to_nothing": optimiser.clipped_to_nothing,
    "weights_shrink": weight_sizes.weights_shrink,
    "weight_growth": weight_sizes.weight_growth,
    "attention_logits": attention.attention_logits,
    "entropy_collapse": attention.entropy_collapse,
    "spike": course.spike,
    "in_time": course.in_time,
    "diverging": course.diverging,
    "near_overflow": ranges.near_overflow,
    "outlier_feature": course.outlier_feature,
    "outlier_channel": units.outlier_channel,
    "dead_units": units.dead_units,
}

_OUTPUTS = {"spike", "outlier_feature", "outlier_channel", "near_overflow", "weight_growth"}
_TIME = {"exploding_in_time", "vanishing_in_time", "diverging"}
_LOST = {"dead", "dead_units", "saturated"}
_HEADS = {"attention_logits", "entropy_collapse"}
_DEPTH = {"exploding_depth", "vanishing_depth"}
_SMALL = {"epsilon_regime", "rounded_away", "not_trained", "clipped_to_nothing"}
# What a fault brings with it, if it comes no earlier than the fault: told as evidence, not as findings of their own.
CONSEQUENCES: dict[str, set[str]] = {
    "second_moment_collapse": {*_OUTPUTS, *_TIME, *_LOST, "updates_too_large"},
    "loss_scale_collapse": {*_OUTPUTS, *_TIME, *_SMALL, "underflow", "dead"},
    "input_scale": {*_HEADS, *_OUTPUTS, *_TIME, *_LOST, *_DEPTH, "updates_too_large", "epsilon_regime"},
    "bad_init": {*_HEADS, *_OUTPUTS, *_TIME, *_LOST, *_DEPTH, *_SMALL, "updates_too_large", "underflow"},
    "probabilities_as_logits": {*_TIME, *_DEPTH, *_LOST},
    "underflow": {*_SMALL, *_LOST, *_DEPTH, *_TIME},
    "stale_norm": {*_OUTPUTS, *_TIME, *_LOST, "updates_too_large"},
    "updates_too_large": {*_HEADS, *_OUTPUTS, *_TIME, *_LOST, *_DEPTH, *_SMALL},
    "exploding_depth": {*_OUTPUTS, *_TIME, *_LOST, "epsilon_regime"},
    "vanishing_depth": {*_OUTPUTS, *_TIME, *_SMALL, "dead_units"},
    "saturated": {*_OUTPUTS, *_TIME, *_SMALL, "dead", "dead_units"},
    "dead": {*_OUTPUTS, *_TIME, *_SMALL, "dead_units", "stale_norm"},
    "not_trained": {*_TIME, "dead", "epsilon_regime", "rounded_away", "dead_units"},
    "epsilon_regime": {*_TIME, "rounded_away", "weights_shrink"},
    "clipped_to_nothing": {*_TIME, "rounded_away"},
    "weights_shrink": {*_TIME, *_LOST, *_OUTPUTS},
    "weight_growth": {*_OUTPUTS, *_TIME},
    "attention_logits": {*_TIME, "entropy_collapse"},
    "spike": {*_TIME, *_OUTPUTS, "dead_units"},
    "exploding_in_time": _OUTPUTS,
    "diverging": {*_OUTPUTS, *_LOST, "exploding_in_time", "vanishing_in_time", "updates_too_large"},
    "outlier_feature": {"outlier_channel", "spike", "near_overflow", "weight_growth"},
}
# What leads to values that are not finite, told as what came before them.
_LEADS_THERE = {*_OUTPUTS, "exploding_in_time", "diverging"}


class Examined(NamedTuple):
    """What the rules say about a log.

    >>> Examined([], ["the run has no loss"]).not_checked
    ['the run has no loss']

    Args:
        findings: the gravest first, of those the earliest.
        not_checked: a sentence for each thing that the log lacks, with the argument that would record it.
    """

    findings: list[Finding]
    not_checked: list[str]


def examined(log: AnyLog) -> Examined:
    """Return what is wrong in a run by its log, and what could not be checked.

    >>> from tandv.log.example import example_log
    >>> [(one.kind, one.layer) for one in examined(example_log()).findings][0]
    ('overflow', 'head')

    Args:
        log: the log, or the place of one: a run's folder or a file.

    Raises SchemaError for a table without rows, of which nothing can be said, or with rows that are there twice, and
    what `tandv.read` raises.
    """
    if is_table(log):
        (check_repeats if len(log) else validate)(log)
    m = Matrices(log)
    found = found_in(m)
    found += not_finite_in_phases(log, found)
    return Examined(sorted(found, key=_gravest_first), unchecked(m) + unchecked_phases(log))


def found_in(m: Matrices, told: Sequence[Finding] = ()) -> list[Finding]:
    """Return what is wrong by the matrices of a log: the gravest first, of those the earliest.

    >>> from tandv.log.example import example_log
    >>> found_in(Matrices(example_log()))[0].kind
    'overflow'

    Args:
        m: the matrices, of at least one step.
        told: findings of an earlier look at the run; neither they nor what follows from them are returned, unless a
            note has become graver.
    """
    first = not_finite(m)
    end = min((one.step for one in first if one.severity == "error"), default=None)
    rest = m if end is None else m.until(end)
    found = list(first)
    if len(rest.steps):
        for rule in RULES.values():
            with np.errstate(over="ignore", invalid="ignore"):  # squares beyond float64: no limit holds for them
                found += rule(rest)
    known: dict[tuple[str, str, str], int] = {}
    for one in told:
        known[one.key] = min(known.get(one.key, len(SEVERITIES)), SEVERITIES.index(one.severity))

    def is_new(one: Finding) -> bool:
        return SEVERITIES.index(one.severity) < known.get(one.key, len(SEVERITIES))

    kept = one_for_each_cause([*told, *filter(is_new, found)], m.steps)
    kept = list(filter(is_new, kept))
    return sorted(kept, key=_gravest_first)


def findings(log: AnyLog) -> list[Finding]:
    """Return what is wrong in a run by its log: where, since when, what came before, and what to do first.

    >>> from tandv.log.example import example_log
    >>> findings(example_log(layers=3, tensor_types=["Gradient"]))[0].what
    "The gradient of the output of 'head' (Linear, float16) has 4,096 NaN among 4,096 values first at step 49."

    Args:
        log: the log, or the place of one: a run's folder or a file.

    Raises what `examined` raises.
    """
    return examined(log).findings


def one_for_each_cause(found: Sequence[Finding], steps: np.ndarray) -> list[Finding]:
    """Return the main findings; those that follow from another become its evidence.

    Args:
        found: findings in the order in which they take precedence.
        steps: the recorded steps, ascending.
    """
    causes: list[int | None] = []
    for at, one in enumerate(found):
        explains = [by for by, main in enumerate(found) if by != at and _follows(one, main, steps)]
        # Of two that may follow from each other, the one that takes precedence is the cause.
        explains = [by for by in explains if by < at or not _follows(found[by], one, steps)]
        causes.append(explains[0] if explains else None)
    evidence: dict[int, list[str]] = {at: list(one.evidence) for at, one in enumerate(found)}
    for at, one in enumerate(found):
        main, seen = at, {at}
        while (cause := causes[main]) is not None and cause not in seen:
            main = cause
            seen.add(main)
        if main != at:
            words = f"{'Before it' if one.step < found[main].step else 'With it'}: {one.what}"
            evidence[main].append(words)
    return [one._replace(evidence=evidence[at]) for at, one in enumerate(found) if causes[at] is None]


def _follows(one: Finding, main: Finding, steps: np.ndarray) -> bool:
    """Tell whether a finding is a consequence of another, or leads to its not finite values."""
    if main.severity == "note":
        return False
    seen = int(one.numbers.get("until", one.step))  # what is gradual was seen later than it began
    at, since = np.searchsorted(steps, [seen, main.step])
    if main.severity == "error" and main.kind in ("overflow", "not_finite"):
        # A format that is too narrow at one end is so at the other: one cause, mended by one change.
        return one.kind in _LEADS_THERE or (one.kind == "underflow" and main.kind == "overflow")
    if "updates_too_large" in (one.kind, main.kind) and course.OF_INPUT in {**one.numbers, **main.numbers}:
        return main.kind == "spike" and since <= at <= since + 2  # a step is updated after its forward pass
    return one.kind in CONSEQUENCES.get(main.kind, ()) and at >= since - 2


def _gravest_first(one: Finding) -> tuple[int, int]:
    return SEVERITIES.index(one.severity), one.step


def by_severity(found: Sequence[Finding]) -> Mapping[str, int]:
    """Return how many findings there are of each severity.

    >>> by_severity([])
    {'error': 0, 'warning': 0, 'note': 0}

    Args:
        found: the findings.
    """
    return {severity: sum(one.severity == severity for one in found) for severity in SEVERITIES}
