"""The noun of this room: what is wrong in a run, where, since when, what came before it, and what to do."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")  # the gravest first
EVERY = "*"  # the layer of a finding that is of no single one
LOSS = "loss"  # the tensor type of a finding about the loss


class Finding(NamedTuple):
    """What is wrong in a run, in three sentences and the numbers that they name.

    >>> Finding("dead", "warning", "Activation", "act", 40, {"zeros": 1.0}, "All zero.", "Before.", "Do.").layer
    'act'

    Args:
        kind: what kind of fault it is, such as "overflow"; see docs/findings.md.
        severity: "error" for what makes the run's results wrong, "warning" for what a person should look at, "note" for
            what may be meant.
        tensor_type: the tensors it was seen in, such as "Gradient"; "loss" for the loss.
        layer: the layer as the log names it, or "*" where it is of no single one.
        step: the recorded step since when it holds.
        numbers: the numbers behind it by name.
        what: one sentence: what, where, since when.
        before: one sentence: what came before, or what it is compared with.
        advice: one sentence: what to do first.
        evidence: further sentences: consequences, and the same in other layers.
    """

    kind: str
    severity: Severity
    tensor_type: str
    layer: str
    step: int
    numbers: Mapping[str, float | int | str]
    what: str
    before: str
    advice: str
    evidence: Sequence[str] = ()

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it another finding than one of another look: its kind, tensor type and layer."""
        return self.kind, self.tensor_type, self.layer

    def in_words(self) -> str:
        """Return its sentences in one line.

        >>> Finding("dead", "warning", "Activation", "act", 40, {}, "All zero.", "Before.", "Do.").in_words()
        "warning, dead at step 40, Activation of 'act': All zero. Before. To do: Do."
        """
        of = self.tensor_type if self.layer == EVERY else f"{self.tensor_type} of {self.layer!r}"
        about = f"{self.severity}, {self.kind} at step {self.step:,}, {of}"
        return f"{about}: {self.what} {self.before} To do: {self.advice}"

    def as_dict(self) -> dict[str, Any]:
        """Return it as what JSON can hold: numbers that are not finite are text.

        >>> found = Finding("overflow", "error", "Activation", "up", 9, {"max_abs": float("inf")}, "", "", "")
        >>> found.as_dict()["numbers"]
        {'max_abs': 'inf'}
        """
        numbers = {name: _plain(value) for name, value in self.numbers.items()}
        return {**self._asdict(), "numbers": numbers, "evidence": list(self.evidence)}


def gravest(found: Sequence[Finding]) -> Severity | None:
    """Return the highest severity of some findings, None of none.

    >>> gravest([]) is None
    True

    Args:
        found: the findings.
    """
    there = {one.severity for one in found}
    return next((severity for severity in SEVERITIES if severity in there), None)


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value
    value = value.item() if hasattr(value, "item") else value
    return value if isinstance(value, int) or math.isfinite(value) else str(value)
