"""What a plan is: a number format for each tensor of each layer, and how narrower ones fail; kept as JSON."""

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tandv.analysis.whatif.scales import one_scale
from tandv.formats import Format, number_format
from tandv.messages import UnknownName
from tandv.tensor_types import ACTIVATION, GRADIENT, INPUT, WEIGHT

__all__ = ["OPERANDS", "Choice", "Failure", "Plan", "formats_in", "read_plan"]

OPERANDS = (INPUT, ACTIVATION, WEIGHT, GRADIENT)


class Failure(NamedTuple):
    """How a narrower format fails a limit.

    >>> Failure("e4m3", "underflow", 0.5, 100, 40, 0.2, [(0, 0.0), (100, 0.5)]).first
    40

    Args:
        format: the format.
        quantity: "sqnr", "underflow", "overflow" or "subnormal".
        worst: its worst value, dB or a share.
        step: where it is worst.
        first: the first step at which it is beyond its limit.
        share: of the steps at which it is.
        course: how it developed: (step, value) at a few steps.
    """

    format: str
    quantity: str
    worst: float
    step: int
    first: int
    share: float
    course: list[tuple[int, float]]


class Choice(NamedTuple):
    """What a plan says of one tensor of a layer.

    >>> Choice("head", "Weight", "e4m3", 31.5, 0.0, [], False, {"e4m3": (31.5, 0.0)}).format
    'e4m3'

    Args:
        layer: the layer.
        tensor_type: the tensor type.
        format: the narrowest format that keeps all limits at all steps; None where none does: it stays as it is.
        sqnr: the lowest SQNR with it, or with the best candidate, in dB.
        underflow: the largest underflow, likewise, a share.
        failures: how the narrower formats fail, the narrowest first.
        close: whether a limit lies within the 95 % range of a prediction that decided.
        worst: the lowest SQNR in dB and the largest underflow in each candidate.
        not_finite: the shares of steps at which some of its values are NaN, and infinite: SQNR is of the others.
    """

    layer: str
    tensor_type: str
    format: str | None
    sqnr: float
    underflow: float
    failures: list[Failure]
    close: bool
    worst: dict[str, tuple[float, float]]
    not_finite: tuple[float, float] = (0.0, 0.0)


class Plan(NamedTuple):
    """Formats for the tensors of a model, from a log.

    >>> Plan([], ["e4m3"], "max", {"sqnr": 20.0}, (0, 9), [], []).formats_of("head")
    {}

    Args:
        choices: one for each tensor of each layer, riskiest first.
        formats: the candidates, narrowest first.
        scale: the scale of the casts.
        want: the limits.
        steps: the first and the last step that were looked at.
        notes: what was left out or guessed.
        layers: in the order of the model.
        own: what the formats of your own among the candidates are.
    """

    choices: list[Choice]
    formats: list[str]
    scale: str
    want: dict[str, float]
    steps: tuple[int, int]
    notes: list[str]
    layers: list[str]
    own: tuple[Format, ...] = ()

    def formats_of(self, layer: str) -> dict[str, str | None]:
        """Return the format of each tensor type of a layer.

        Args:
            layer: the layer.
        """
        return {one.tensor_type: one.format for one in self.choices if one.layer == layer}

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as what JSON can hold: formats by layer and tensor type, and why."""
        layers: dict[str, dict[str, str | None]] = {}
        for one in self.choices:
            layers.setdefault(one.layer, {})[one.tensor_type] = one.format
        why = [{**one._asdict(), "failures": [failure._asdict() for failure in one.failures]} for one in self.choices]
        own = {"own_formats": {one.name: one._asdict() for one in self.own}} if self.own else {}
        return _without_infinity(
            {
                "want": self.want, "scale": self.scale, "formats": self.formats, "steps": list(self.steps),
                "layers": layers, "order_of_risk": why, "notes": self.notes, **own,
            }
        )  # fmt: skip

    def to_json(self) -> str:
        """Return the plan as JSON, which `read_plan` reads and a person can edit."""
        return json.dumps(self.as_dict(), ensure_ascii=False, indent=1, allow_nan=False)


def read_plan(plan: Plan | dict | str | Path) -> tuple[dict[str, dict[str, str | None]], str]:
    """Return the formats by layer and tensor type of a plan, and its scale.

    >>> read_plan({"scale": "max", "layers": {"head": {"Weight": "e4m3", "Gradient": None}}})
    ({'head': {'Weight': 'e4m3', 'Gradient': None}}, 'max')

    Args:
        plan: the plan, the object of its JSON, or the path of its JSON.

    Raises ValueError that names everything that is wrong.
    """
    found = _opened(plan)
    own, wrong = _own_formats(found)
    layers = found["layers"]
    for layer, formats in layers.items():
        for tensor_type, name in formats.items() if isinstance(formats, dict) else [("", formats)]:
            if tensor_type not in OPERANDS:
                wrong.append(f"{layer}: there is no operand {tensor_type!r}; there are {', '.join(OPERANDS)}")
            if name is not None and name not in own:
                try:
                    number_format(name)
                except (UnknownName, TypeError) as error:
                    wrong.append(f"{layer}: {error}")
    scale = found.get("scale", "max")
    try:
        one_scale(scale)
    except ValueError as error:
        wrong.append(str(error))
    if wrong:
        raise ValueError("\n".join(wrong))
    return layers, scale


def formats_in(plan: Plan | dict | str | Path) -> dict[str, Format]:
    """Return the limits of each number format that a plan names, of your own ones as the plan has them.

    >>> formats_in({"layers": {"head": {"Weight": "e4m3", "Gradient": None}}})["e4m3"].max
    448.0

    Args:
        plan: the plan, the object of its JSON, or the path of its JSON.

    Raises ValueError that names everything that is wrong.
    """
    found = _opened(plan)
    layers, _ = read_plan(found)
    own, _ = _own_formats(found)
    names = dict.fromkeys(name for formats in layers.values() for name in formats.values() if name is not None)
    return {name: own[name] if name in own else number_format(name) for name in names}


def _opened(plan: Any) -> dict[str, Any]:
    if isinstance(plan, str | Path):
        plan = json.loads(Path(plan).read_text(encoding="utf-8"))
    found = plan.as_dict() if isinstance(plan, Plan) else plan
    if not isinstance(found, dict) or not isinstance(found.get("layers"), dict):
        raise ValueError('this is no plan: it has no object "layers"; `tandv whatif RUN --json` writes one')
    return found


def _own_formats(found: dict[str, Any]) -> tuple[dict[str, Format], list[str]]:
    """Return the formats that a plan describes itself, by name, and what is wrong with them."""
    given, own, wrong = found.get("own_formats", {}), {}, []
    if not isinstance(given, dict):
        return {}, [f"own_formats is no object of formats by name: {given!r}"]
    for name, fields in given.items():
        numbers = Format._fields[2:]
        whole = isinstance(fields, dict) and all(
            isinstance(fields.get(one), int | float) and 0 < fields[one] < math.inf for one in numbers
        )
        if whole:
            own[name] = Format(name, name, int(fields["bits"]), *(float(fields[one]) for one in numbers[1:]))
        else:
            wrong.append(f"own_formats, {name}: a format has {', '.join(numbers)}, numbers above 0")
    return own, wrong


def _without_infinity(value: Any) -> Any:
    """Return what JSON can hold, with infinite SQNRs, of casts that lose nothing, as None."""
    if isinstance(value, dict):
        return {name: _without_infinity(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_infinity(one) for one in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
