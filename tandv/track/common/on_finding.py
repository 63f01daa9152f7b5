"""What `track(on_finding=...)` may be, and what it means for findings of each severity."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from tandv.analysis.findings.finding import SEVERITIES, Finding, Severity

Word = Literal["warn", "save", "stop"]
Action = Word | Callable[[Finding], object]
OnFinding = Action | Sequence[Action] | Mapping[Severity, Action | Sequence[Action]]

WORDS: tuple[Word, ...] = ("warn", "save", "stop")
_ALLOWED = (
    "'warn', 'save', 'stop', a function of one finding, several of these in a list, or a dict of them by severity "
    "('error', 'warning', 'note'), such as {'error': ['save', 'stop'], 'warning': 'warn'}"
)


class FindingStop(Exception):
    """Raised by `tracker.step()` to stop a run with `track(on_finding="stop")`; its message is the finding.

    The tracker is closed, and the log written, before it is raised. `finding` is the finding.
    """

    def __init__(self, finding: Finding):
        super().__init__(finding.in_words())
        self.finding = finding

    def __reduce__(self) -> Any:
        return type(self), (self.finding,)


def actions_for(on_finding: Any) -> dict[Severity, list[Action]]:
    """Return what is done about findings of each severity.

    What is not said by severity is for errors and warnings, but only errors stop a run; a note is what may be meant.

    >>> actions_for("stop")
    {'error': ['stop'], 'warning': ['warn']}
    >>> actions_for({"warning": ["save", "stop"]})
    {'warning': ['save', 'stop']}

    Args:
        on_finding: what `track` was given.
    """
    if isinstance(on_finding, Mapping):
        return {severity: _as_list(actions) for severity, actions in on_finding.items()}
    actions = _as_list(on_finding)
    return {"error": actions, "warning": ["warn" if one == "stop" else one for one in actions]}


def saves(on_finding: Any) -> bool:
    """Tell whether a finding may save checkpoints.

    >>> saves(["save", "stop"]), saves("warn"), saves(None)
    (True, False, False)

    Args:
        on_finding: what `track` was given, None for nothing.
    """
    return "save" in _words(on_finding)


def stops(on_finding: Any) -> bool:
    """Tell whether a finding may stop the run.

    >>> stops({"error": ["save", "stop"]}), stops("warn")
    (True, False)

    Args:
        on_finding: what `track` was given, None for nothing.
    """
    return "stop" in _words(on_finding)


def on_finding_problems(on_finding: Any) -> list[str]:
    """Return what is wrong with the argument `on_finding=` of `track`.

    >>> on_finding_problems("halt")[0][:42]
    "on_finding='halt' is not one of what it ma"

    Args:
        on_finding: anything; right are None and what `actions_for` takes.
    """
    if on_finding is None:
        return []
    found = []
    if isinstance(on_finding, Mapping):
        odd = [key for key in on_finding if key not in SEVERITIES]
        if odd:
            found.append(f"on_finding={{{odd[0]!r}: ...}}: severities are {', '.join(map(repr, SEVERITIES))}")
    given = on_finding.values() if isinstance(on_finding, Mapping) else [on_finding]
    actions = [action for one in given for action in _as_list(one)]
    wrong = [one for one in actions if not callable(one) and not (isinstance(one, str) and one in WORDS)]
    if wrong or not actions:
        found.append(f"on_finding={(wrong or [on_finding])[0]!r} is not one of what it may be: {_ALLOWED}")
    return found


def _as_list(actions: Any) -> list[Any]:
    return list(actions) if isinstance(actions, list | tuple) else [actions]


def _words(on_finding: Any) -> set[str]:
    given = on_finding.values() if isinstance(on_finding, Mapping) else [on_finding]
    return {action for one in given for action in _as_list(one) if isinstance(action, str)}
