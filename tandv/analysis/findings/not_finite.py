"""The first tensor that is not finite, in the order of execution, and what led there."""

import numpy as np

from tandv.analysis.findings.advice import advice
from tandv.analysis.findings.between import (
    ADVICE_ON_LOSS,
    Seen,
    of_check,
    seen_between,
    survived_between,
)
from tandv.analysis.findings.finding import EVERY, LOSS, Finding
from tandv.analysis.findings.first_tensor import (
    BEFORE,
    GRADIENTS,
    BadStep,
    feeding,
    format_of,
    grown,
    is_overflow,
    origin,
    value_of,
)
from tandv.analysis.findings.matrices import Matrices
from tandv.analysis.findings.order import Tensor
from tandv.analysis.findings.wording import begun, course, power, tensor
from tandv.messages import some
from tandv.tensor_types import ACTIVATION, GRADIENT, INPUT, WEIGHT, WEIGHT_GRADIENT


def not_finite(m: Matrices) -> list[Finding]:
    """Report the first tensor with NaN or infinity, in the order of execution.

    Sees: counts of NaN and infinity above 0. Threshold: none, any is wrong. Not reported are gradients of steps that a
    gradient scaler skipped, which is how it finds its scale. A note, not an error: gradients after which weights and
    outputs stayed finite (something else skipped the update), and infinities in an output that reach nothing else (a
    mask of -inf).

    When it is wrong: in a log without the order of execution it is a guess, by the order in which modules are declared
    and by the share of values that are not finite, which mostly grows from layer to layer; what is done to an output
    after its module has returned shows in the next module. Between recorded steps the run's own check sees that
    gradients or the loss were not finite, and at which step; which tensor was first is then known only in part.
    """
    notes: list[Finding] = []
    for step in _steps(m):
        if (seen := _seen_before(m, step.at)) is not None and not survived(m, step.at, step.tensors):
            return [of_check(m, seen, step.at, _first(m, step)), *notes]
        if survived(m, step.at, step.tensors):
            if not notes and not skipped(m)[step.at]:
                notes.append(_survived(m, step))
        elif _contained(m, step):
            if not notes:
                notes.append(_masked(m, step))
        else:
            return [_first(m, step), *notes]
    return (notes or _only_between(m)) + _of_loss(m)


def _seen_before(m: Matrices, at: int) -> Seen | None:
    """Return what was not finite between a recorded step and the one before it."""
    return seen_between(m, int(m.steps[at - 1]) if at else None, int(m.steps[at]))


def _only_between(m: Matrices) -> list[Finding]:
    """Return what was not finite only at steps that are not recorded: at the end of the run an error, else a note."""
    if (seen := seen_between(m, None, None)) is None:
        return []
    at = int(np.searchsorted(m.steps, seen["step"]))
    if at < len(m.steps):
        last = seen_between(m, int(m.steps[-1]), None)
        return [of_check(m, last, None, None)] if last is not None else [survived_between(m, seen, at)]
    return [of_check(m, seen, None, None)]


def skipped(m: Matrices) -> np.ndarray:
    """Return which steps a gradient scaler skipped, [steps] booleans.

    Args:
        m: the log.
    """
    return m.of_step("skipped") == 1


def survived(m: Matrices, at: int, tensors: list[Tensor]) -> bool:
    """Tell whether gradients that are not finite had no effect: what was recorded of weights after them is finite.

    Args:
        m: the log.
        at: the position of the step.
        tensors: the tensors that are not finite there.
    """
    if any(kind not in GRADIENTS for kind, _ in tensors):
        return False
    if skipped(m)[at]:
        return True
    lasting = [kind for kind in m.tensor_types if kind not in GRADIENTS]
    if not any(kind in (WEIGHT, ACTIVATION) for kind in lasting) or at + 1 >= len(m.steps):
        return False
    return not any((m(kind, "bad")[:, at + 1] > 0).any() for kind in lasting)


def _steps(m: Matrices) -> list[BadStep]:
    """Return the steps at which a tensor is not finite, ascending, each with its tensors in the order of execution."""
    bad = {kind: m(kind, "bad") > 0 for kind in m.tensor_types}
    where = np.zeros(len(m.steps), bool)
    for mask in bad.values():
        where |= mask.any(0)
    out = []
    for at in np.flatnonzero(where)[:1000].tolist():
        tensors = [(kind, m.layers(kind)[row]) for kind, mask in bad.items() for row in np.flatnonzero(mask[:, at])]
        out.append(BadStep(at, sorted(tensors, key=m.places.__getitem__)))
    return out


def _contained(m: Matrices, step: BadStep) -> bool:
    """Tell whether infinities in outputs reach nothing else: no NaN, no gradient, no weight."""
    if any(kind not in (ACTIVATION, INPUT) for kind, _ in step.tensors):
        return False
    if GRADIENT not in m.tensor_types and WEIGHT_GRADIENT not in m.tensor_types:
        return False
    loss = m.loss
    if loss is not None and not np.isfinite(loss[step.at]):
        return False
    return all(_is_mask(m, one, step.at) for one in step.tensors)


def _is_mask(m: Matrices, one: Tensor, at: int) -> bool:
    """Tell whether an output has had infinities, and no NaN, from its first row on, far from where its format ends."""
    row = m.number(*one)
    infs, largest = m(one[0], "infs")[row, : at + 1], value_of(m, one, "max_abs", at)
    first = infs[~np.isnan(infs)][:1]
    near = is_overflow(m.dtypes.get(one, ""), [largest])
    return bool(first.size and first[0] > 0) and not near and not value_of(m, one, "nans", at) > 0


def _first(m: Matrices, step: BadStep) -> Finding:
    kind, layer = first = origin(m, step)
    if _is_of_loss(m, kind, step.at):
        return _loss_alone(m, step, first)
    counts = (np.nan_to_num(value_of(m, first, name, step.at)) for name in ("nans", "infs", "numel"))
    nans, infs, numel = map(float, counts)
    dtype = m.dtypes.get(first, "")
    steps = range(max(0, step.at - BEFORE), step.at + 1)
    largest = [value_of(m, first, "max_abs", at) for at in steps]
    lived = format_of(m, first)
    scale = m.loss_scale(kind)[steps.start : steps.stop]  # values are recorded without it
    overflow = infs > 0 and is_overflow(lived, [value * by for value, by in zip(largest, scale, strict=True)])
    number = int(m.steps[step.at])
    of = f"{m.types.get(first) or 'module'}, {dtype}" if dtype else m.types.get(first) or "module"
    which = " and ".join([f"{nans:,.0f} NaN"] * (nans > 0) + [f"{infs:,.0f} infinities"] * (infs > 0))
    among = f" among {numel:,.0f} values" if numel else ""
    what = f"{begun(tensor(kind, layer))} ({of}) has {which}{among} first at step {number:,}."
    known = [value for value in largest[:-1] if np.isfinite(value)]
    before = (
        f"Its largest magnitude was {course(known)} in the {len(known)} recorded steps before"
        if known
        else "No row of it was recorded before"
    )
    before += f", its finite values reach {power(largest[-1])} now" if np.isfinite(largest[-1]) else ""
    before += f", without the loss scale of {power(scale[-1])}" if scale[-1] != 1 else ""
    before += feeding(m, first, step.at) + "."
    evidence = [*(grown(m, step.at) if overflow and kind in GRADIENTS else []), *_spread(m, step)]
    numbers = {"nans": int(nans), "infs": int(infs), "numel": int(numel), "max_abs": largest[-1], "dtype": dtype}
    numbers |= {"max_abs_before": known[-1]} if known else {}
    return Finding(
        "overflow" if overflow else "not_finite", "error", kind, layer, number, numbers, what, before,
        advice(m, first, step.at, lived, overflow), evidence,
    )  # fmt: skip


def _is_of_loss(m: Matrices, first: str, at: int) -> bool:
    """Tell whether the loss is not finite though what the model returns is; `first` is the type of the first tensor."""
    loss = m.loss
    if loss is None or first not in GRADIENTS or np.isfinite(loss[at]):
        return False
    # A NaN is a loss that was not given, unless losses were given up to it.
    given = np.isinf(loss[at]) or (bool(np.isfinite(loss[at - 1])) if at else not np.isfinite(loss).any())
    outputs = m.layers(ACTIVATION)
    whole = [name for name in outputs[:1] if m.types.get((ACTIVATION, name)) == name]  # the model itself
    return given and any(value_of(m, (ACTIVATION, name), "numel", at) > 0 for name in whole)


def _loss_alone(m: Matrices, step: BadStep, first: Tensor) -> Finding:
    """Return the finding of a loss that is the first that is not finite, before the gradients."""
    assert m.loss is not None
    number, value = int(m.steps[step.at]), float(m.loss[step.at])
    known = [float(one) for one in m.loss[max(0, step.at - BEFORE) : step.at] if np.isfinite(one)]
    before = "Every recorded output of that step is finite"
    if known:
        before += f"; the loss was {', '.join(f'{one:.4g}' for one in known)} in the {len(known)} recorded steps before"
    return Finding(
        "not_finite", "error", LOSS, EVERY, number, {"loss": value},
        f"The loss is {'NaN' if np.isnan(value) else 'infinite'} first at step {number:,}, though the model's output "
        "is finite: it is the loss.",
        f"{before}.", ADVICE_ON_LOSS,
        [f"The first tensor that is not finite is {tensor(*first)}.", *_spread(m, step)],
    )  # fmt: skip


def _spread(m: Matrices, step: BadStep) -> list[str]:
    out = []
    if rest := [one for one in step.tensors if one != origin(m, step)]:
        words = some([tensor(*one) for one in rest], 3)
        out.append(f"Not finite in the same step: {words}.")
    later = len(m.steps) - step.at - 1
    bad = {kind: (m(kind, "bad")[:, step.at + 1 :] > 0).any(0) for kind in m.tensor_types}
    lasting = int(np.logical_or.reduce(list(bad.values())).sum()) if bad else 0
    if later:
        out.append(f"Of the {later:,} recorded steps after it {lasting:,} have NaN or infinity somewhere.")
    loss = m.loss
    if loss is not None and not np.isfinite(loss[step.at]):
        out.append(f"The loss is {'NaN' if np.isnan(loss[step.at]) else 'infinite'} in that step.")
    return out


def _survived(m: Matrices, step: BadStep) -> Finding:
    kind, layer = step.tensors[0]
    number = int(m.steps[step.at])
    return Finding(
        "not_finite", "note", kind, layer, number, {"tensors": len(step.tensors)},
        f"{begun(tensor(kind, layer))} is not finite at step {number:,}, and the update seems to have been skipped.",
        "Weights and outputs of the next recorded step are finite, as where a loss scale is searched.",
        "Nothing, if your loop skips such steps; else find out what replaced the gradient.",
    )  # fmt: skip


def _masked(m: Matrices, step: BadStep) -> Finding:
    kind, layer = step.tensors[0]
    number = int(m.steps[step.at])
    return Finding(
        "not_finite", "note", kind, layer, number, {"infs": int(value_of(m, (kind, layer), "infs", step.at))},
        f"{begun(tensor(kind, layer))} has infinities since step {number:,}, which reach no gradient.",
        "No tensor of that step has NaN, and all gradients are finite, as where values are masked by -inf.",
        "Nothing, if it is a mask; else look at what makes them.",
    )  # fmt: skip


def _of_loss(m: Matrices) -> list[Finding]:
    """Return the first loss that was NaN or infinite though every tensor is finite; a loss not given is no NaN."""
    loss = m.loss
    if loss is None or not np.isinf(loss).any():
        return []
    number = int(m.steps[np.argmax(np.isinf(loss))])
    return [
        Finding(
            "not_finite", "error", LOSS, EVERY, number, {"loss": float("inf")},
            f"The loss is infinite first at step {number:,}.",
            "Every recorded tensor of that step is finite.",
            ADVICE_ON_LOSS,
        )
    ]  # fmt: skip
