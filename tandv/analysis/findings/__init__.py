"""Findings: what is wrong in a run by its log, where, since when, what came before, and what to do."""

from tandv.analysis.findings.explain import Departure, Explanation, explain
from tandv.analysis.findings.finding import EVERY, SEVERITIES, Finding, Severity, gravest
from tandv.analysis.findings.matrices import Matrices
from tandv.analysis.findings.rules import RULES, Examined, by_severity, examined, findings

__all__ = [
    "EVERY",
    "RULES",
    "SEVERITIES",
    "Departure",
    "Examined",
    "Explanation",
    "Finding",
    "Matrices",
    "Severity",
    "by_severity",
    "examined",
    "explain",
    "findings",
    "gravest",
]
