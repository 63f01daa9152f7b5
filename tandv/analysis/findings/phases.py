"""Phases whose rows the rules do not look at, such as validation: only whether their values are finite is told."""

from collections.abc import Sequence

from tandv.analysis.findings.finding import Finding
from tandv.analysis.findings.matrices import Matrices
from tandv.analysis.findings.not_finite import not_finite
from tandv.analysis.findings.sources import other_phases
from tandv.log.door import AnyLog


def not_finite_in_phases(log: AnyLog, found: Sequence[Finding]) -> list[Finding]:
    """Report the first tensor with NaN of each further phase: a warning; of infinities alone, a note.

    What comes no earlier than values that are not finite in the phase that is looked at follows from these.

    Args:
        log: the log, or the place of one.
        found: the findings of the phase that is looked at.
    """
    wrong = [one.step for one in found if one.severity == "error" and one.kind in ("not_finite", "overflow")]
    out = []
    for phase in other_phases(log):
        for one in not_finite(Matrices(log, phase)):
            if one.severity == "error" and not any(step <= one.step for step in wrong):
                severity = "warning" if one.numbers.get("nans") else "note"
                out.append(one._replace(severity=severity, what=f"In the phase {phase!r}: {one.what}"))
    return out


def unchecked_phases(log: AnyLog) -> list[str]:
    """Return that the rows of further phases were hardly looked at, a sentence; none where there are none.

    Args:
        log: the log, or the place of one.
    """
    if not (names := other_phases(log)):
        return []
    which = f"the phase{'s' * (len(names) > 1)} {', '.join(map(repr, names))}"
    return [f"the rows of {which} were looked at only for NaN and infinity; rules look at those outside of any phase, "
            "else at the first"]  # fmt: skip
