"""Values that were not finite at a step that is not recorded, of which one number for each group is known."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tandv.analysis.findings.finding import EVERY, LOSS, Finding
from tandv.analysis.findings.matrices import Matrices
from tandv.analysis.findings.order import Place
from tandv.analysis.findings.wording import begun, course, power, tensor
from tandv.formats import is_format, number_format
from tandv.messages import some
from tandv.names import module_of
from tandv.tensor_types import ACTIVATION, GRADIENT, WEIGHT, WEIGHT_GRADIENT

_NARROW = 16  # exponents: as in `not_finite`, of formats that overflow in ordinary training
_NEAR = 6  # binades below the largest value of a format, from which an output is taken for the one that overflowed
_BEFORE = 3  # recorded steps of which magnitudes are told

ADVICE_ON_LOSS = (
    "Look at how the loss is computed from the model's output and the targets: log of 0, a division by 0, targets that "
    "are not finite, or a sum in a narrow format."
)
ADVICE_ON_WEIGHTS = (
    "The weight was set to it between two steps: check what loads or changes weights, and the optimiser."
)

Seen = Mapping[str, Any]  # a step of `between_steps` in run.json: its groups, each with its state and its bad tensors


def seen_between(m: Matrices, after: int | None, until: int | None) -> Seen | None:
    """Return the first step between two steps at which gradients, weights or the loss were not finite, None if none.

    Args:
        m: the log.
        after: the step after which it is, None for the beginning.
        until: the step before which it is, None for the end.
    """
    steps: list[dict[str, Any]] = m.facts.get("between_steps", {}).get("not_finite", [])
    inside = [
        one
        for one in steps
        if (after is None or one["step"] > after) and (until is None or one["step"] < until) and _is_bad(one)
    ]
    return min(inside, key=lambda one: one["step"], default=None)


def of_check(m: Matrices, seen: Seen, at: int | None, first: Finding | None) -> Finding:
    """Return the finding of a step that is not recorded: what is known of it, and what is not.

    Args:
        m: the log.
        seen: what the check says of the step.
        at: the position of the recorded step after it, None if there is none.
        first: what that recorded step tells, None if it tells nothing.
    """
    step, last = int(seen["step"]), len(m.steps) if at is None else at
    forward, names = _is_forward(seen), _names(seen)
    kind, layer, what = "not_finite", EVERY, ""
    tensor_type = ACTIVATION if forward else WEIGHT_GRADIENT
    # Of several forward passes one was checked: then a finite output says nothing of the loss.
    of_loss = _state(seen, "loss") is False and _state(seen, "output") is True and seen.get("passes", 1) == 1
    set_after = _state(seen, "gradients") is True and _state(seen, "weights") is False
    near = _near(m, last) if forward is not False and not of_loss and not set_after else None
    # Of weights that are still finite, the same happens again.
    lasting = first is not None and m.has(WEIGHT) and first.tensor_type not in (WEIGHT, WEIGHT_GRADIENT)
    evidence = [] if first is None else [f"Of the next recorded step: {first.what}"]
    if of_loss:
        tensor_type, what = LOSS, "The model's output was finite: it is the loss."
    elif set_after:
        # No gradient tells which was first of several, and what is set at once has no first.
        tensor_type, layer = WEIGHT, names[0] if len(names) == 1 else EVERY
        what = "The gradients were finite: it is not the backward pass."
    elif near is not None:
        kind, tensor_type, layer = "overflow", ACTIVATION, near[0]
        what = f"It was most likely {tensor(ACTIVATION, layer)}, which was nearest to the end of its format."
    elif lasting and first is not None:
        kind, tensor_type, layer = first.kind, first.tensor_type, first.layer
        what = f"It was most likely {tensor(tensor_type, layer)}, which is the first at the next recorded step."
    elif names and forward is not True and (forward is False or len(names) < _of(seen)):
        # A gradient that is not finite makes those of all layers before its own so, and none after it.
        tensor_type = WEIGHT_GRADIENT if _bad_group(seen) == "gradients" else WEIGHT
        layer = min(names, key=lambda name: (_backward(m, name), len(name)))
        what = f"The first of them in the backward pass is {tensor(tensor_type, layer)}."
    elif names and forward is None and (unseen := _unseen(seen)):
        what = f"Which tensor was first is not known: {unseen}."
    else:
        what = "Which tensor was first is not known: no step was recorded in which others were finite still."
    return Finding(
        kind, "error", tensor_type, layer, step, _numbers(seen, at, m),
        f"{begun(_words(seen))} at step {step:,}, which is not recorded. {what}",
        _before(m, near, last, step),
        ADVICE_ON_LOSS if of_loss else _of_weights(names) if set_after else _advice(layer, kind, forward, near),
        evidence,
    )  # fmt: skip


def survived_between(m: Matrices, seen: Seen, at: int) -> Finding:
    """Return the note of a step that is not recorded, after which all is finite.

    Args:
        m: the log.
        seen: what the check says of the step.
        at: the position of the recorded step after it.
    """
    step = int(seen["step"])
    return Finding(
        "not_finite", "note", WEIGHT_GRADIENT, EVERY, step, _numbers(seen, at, m),
        f"{begun(_words(seen))} at step {step:,}, which is not recorded, and the update seems to have been skipped.",
        f"All tensors of the next recorded step, {int(m.steps[at]):,}, are finite.",
        "Nothing, if your loop skips such steps; else find out what replaced the gradient.",
    )  # fmt: skip


def _is_bad(seen: Seen) -> bool:
    """Tell whether a step went bad; a NaN for a loss whose gradients are finite is one that was not computed."""
    for group in ("weights", "gradients"):  # where the weights are finite, the update was skipped
        if (state := _state(seen, group)) is not None:
            return not state
    return _state(seen, "loss") is False or _state(seen, "output") is False


def _state(seen: Seen, group: str) -> bool | None:
    """Return whether a group was finite; None where it was not checked."""
    return None if group not in seen else seen[group]["state"] == "finite"


def _is_forward(seen: Seen) -> bool | None:
    """Return whether it began in the forward pass; None where that is not known."""
    if _state(seen, "loss") is False or _state(seen, "output") is False:
        return True
    if _unseen(seen):
        return None
    return False if _state(seen, "loss") or _state(seen, "output") else None


def _unseen(seen: Seen) -> str:
    """Return which forward passes of the step the check did not see, any of which may have spoilt all gradients."""
    passes, ranks = seen.get("passes", 1), seen.get("ranks", 1)
    if ranks > 1:
        return f"one of {ranks:,} ranks was checked, and another may have spoilt the gradients of all"
    if passes > 1:
        return f"one of {passes:,} forward passes was checked, and another may have spoilt all gradients"
    return "" if passes else "no forward pass of the whole model was seen, and one of several may have spoilt all"


def _bad_group(seen: Seen) -> str:
    """Return the group that names what is not finite: gradients, or new weights where these are not checked."""
    return "gradients" if seen.get("gradients", {}).get("names") else "weights"


def _names(seen: Seen) -> Sequence[str]:
    return seen.get(_bad_group(seen), {}).get("names", ())


def _of(seen: Seen) -> int:
    return int(seen.get(_bad_group(seen), {}).get("of", 0))


def _backward(m: Matrices, name: str) -> Place:
    """Return when the gradient of a parameter comes into being; last where that is not known."""
    module = module_of(name, m.layers(GRADIENT)) or ""
    last = Place(9, 0)
    return m.places.get((WEIGHT_GRADIENT, name), m.places.get((GRADIENT, module), last))


def _words(seen: Seen) -> str:
    """Return which groups were not finite, and how many tensors of them."""
    out = []
    if _state(seen, "loss") is False:
        out.append(f"the loss is {'NaN' if seen['loss']['state'] == 'nan' else 'infinite'}")
    if _state(seen, "output") is False:
        out.append("the model's output is not finite")
    for group, words in (("gradients", "gradients"), ("weights", "new weights")):
        if _state(seen, group) is False:
            names, of = seen[group].get("names"), seen[group].get("of")
            if not names:
                out.append(f"the {words} are not finite")
            else:
                which = "all" if len(names) == of else some(list(names), 3)
                out.append(f"{len(names):,} of {of:,} {words} are not finite ({which})")
    return ", ".join(out)


def _near(m: Matrices, last: int) -> tuple[str, list[float]] | None:
    """Return the output that was nearest to the end of a narrow format in the recorded steps before, with its course.

    Infinities are told from it only where it had come within a few binades of it.
    """
    if not last or not m.has(ACTIVATION, "max_abs"):
        return None
    there = m(ACTIVATION, "max_abs")
    best: tuple[float, str, list[float]] | None = None
    for row, name in enumerate(m.layers(ACTIVATION)):
        dtype = m.dtypes.get((ACTIVATION, name), "")
        if not is_format(dtype) or number_format(dtype).max >= 2.0**_NARROW:
            continue
        values = [float(value) for value in there[row, max(0, last - _BEFORE) : last] if np.isfinite(value)]
        share = values[-1] / number_format(dtype).max if values else 0.0
        if share >= 2.0**-_NEAR and (best is None or share > best[0]):
            best = share, name, values
    return None if best is None else best[1:]


def _before(m: Matrices, near: tuple[str, list[float]] | None, last: int, step: int) -> str:
    if not last:
        return "No step was recorded before it."
    before = int(m.steps[last - 1])
    words = f"At step {before:,}, the last recorded one before it, every tensor was finite"
    if near is not None:
        name, values = near
        dtype = m.dtypes[ACTIVATION, name]
        limit = power(number_format(dtype).max)
        words += (
            f"; the largest magnitude of {tensor(ACTIVATION, name)} was {course(values)} in the {len(values)} recorded "
            f"steps before, where {dtype} ends at {limit}"
        )
    return words + "."


def _advice(layer: str, kind: str, forward: bool | None, near: Any) -> str:
    if near is not None:
        return f"Compute {layer!r} in bfloat16 or float32; a smaller learning rate or a norm keeps it from growing."
    again = "train again from the step before with every=1, which names the first tensor"
    if forward:
        return f"Look at the batch of that step; {again}."
    if layer != EVERY:
        return f"Look at the backward pass of {layer!r}, and at what is computed from its output; {again}."
    return begun(again) + "."


def _of_weights(names: Sequence[str]) -> str:
    return ADVICE_ON_WEIGHTS if len(names) == 1 else ADVICE_ON_WEIGHTS.replace("The weight was", "The weights were")


def _numbers(seen: Seen, at: int | None, m: Matrices) -> dict[str, float | int | str]:
    out: dict[str, float | int | str] = {
        group: one["state"] if isinstance(one, Mapping) else one for group, one in seen.items() if group != "step"
    }
    if _names(seen):
        out |= {"tensors_not_finite": len(_names(seen)), "tensors_checked": _of(seen)}
    return out | ({"recorded_next": int(m.steps[at])} if at is not None else {})
