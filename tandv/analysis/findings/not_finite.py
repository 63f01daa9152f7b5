"""The first tensor that is not finite, in the order of execution, and what led there."""

from typing import NamedTuple

import numpy as np

from tandv.analysis.findings.between import (
    ADVICE_ON_LOSS,
    ADVICE_ON_WEIGHTS,
    Seen,
    of_check,
    seen_between,
    survived_between,
)
from tandv.analysis.findings.finding import EVERY, LOSS, Finding
from tandv.analysis.findings.matrices import Matrices
from tandv.analysis.findings.order import Place, Tensor, module_of
from tandv.analysis.findings.wording import begun, course, power, tensor
from tandv.formats import is_format, number_format
from tandv.messages import some
from tandv.tensor_types import ACTIVATION, GRADIENT, INPUT, OPTIMISER_STATE, WEIGHT, WEIGHT_GRADIENT, WEIGHT_UPDATE

NARROW = 16  # exponents: a format whose largest value is below 2^NARROW overflows in ordinary training
_NEAR = 6  # binades below the largest value of a format within which infinities are an overflow
_GRADIENTS = (GRADIENT, WEIGHT_GRADIENT)
_FEWER = 8.0  # times: a tensor with so many fewer values that are not finite comes before another
_STEPS = 3  # before it, of which the largest magnitudes are told
_GREW = 2.0  # bits in these steps, of an output that is told with a gradient that overflows


class _Step(NamedTuple):
    """A step at which something is not finite: its position among the recorded ones, and the tensors."""

    at: int
    tensors: list[Tensor]


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
    if any(kind not in _GRADIENTS for kind, _ in tensors):
        return False
    if skipped(m)[at]:
        return True
    lasting = [kind for kind in m.tensor_types if kind not in _GRADIENTS]
    if not any(kind in (WEIGHT, ACTIVATION) for kind in lasting) or at + 1 >= len(m.steps):
        return False
    return not any((m(kind, "bad")[:, at + 1] > 0).any() for kind in lasting)


def _steps(m: Matrices) -> list[_Step]:
    """Return the steps at which a tensor is not finite, ascending, each with its tensors in the order of execution."""
    bad = {kind: m(kind, "bad") > 0 for kind in m.tensor_types}
    where = np.zeros(len(m.steps), bool)
    for mask in bad.values():
        where |= mask.any(0)
    out = []
    for at in np.flatnonzero(where)[:1000].tolist():
        tensors = [(kind, m.layers(kind)[row]) for kind, mask in bad.items() for row in np.flatnonzero(mask[:, at])]
        out.append(_Step(at, sorted(tensors, key=m.places.__getitem__)))
    return out


def _contained(m: Matrices, step: _Step) -> bool:
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
    infs, largest = m(one[0], "infs")[row, : at + 1], _value(m, one, "max_abs", at)
    first = infs[~np.isnan(infs)][:1]
    near = _is_overflow(m.dtypes.get(one, ""), [largest])
    return bool(first.size and first[0] > 0) and not near and not _value(m, one, "nans", at) > 0


def _value(m: Matrices, one: Tensor, statistic: str, at: int) -> float:
    row = m.number(*one)
    return float("nan") if row is None or at < 0 else float(m(one[0], statistic)[row, at])


def _first(m: Matrices, step: _Step) -> Finding:
    kind, layer = first = _source(m, step)
    if _is_of_loss(m, kind, step.at):
        return _loss_alone(m, step, first)
    counts = (np.nan_to_num(_value(m, first, name, step.at)) for name in ("nans", "infs", "numel"))
    nans, infs, numel = map(float, counts)
    dtype = m.dtypes.get(first, "")
    steps = range(max(0, step.at - _STEPS), step.at + 1)
    largest = [_value(m, first, "max_abs", at) for at in steps]
    lived = _format_of(m, first)
    scale = m.loss_scale(kind)[steps.start : steps.stop]  # values are recorded without it
    overflow = infs > 0 and _is_overflow(lived, [value * by for value, by in zip(largest, scale, strict=True)])
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
    before += _feeding(m, first, step.at) + "."
    evidence = [*(_grown(m, step.at) if overflow and kind in _GRADIENTS else []), *_spread(m, step)]
    numbers = {"nans": int(nans), "infs": int(infs), "numel": int(numel), "max_abs": largest[-1], "dtype": dtype}
    numbers |= {"max_abs_before": known[-1]} if known else {}
    return Finding(
        "overflow" if overflow else "not_finite", "error", kind, layer, number, numbers, what, before,
        _advice(kind, layer, lived, overflow), evidence,
    )  # fmt: skip


def _is_of_loss(m: Matrices, first: str, at: int) -> bool:
    """Tell whether the loss is not finite though what the model returns is; `first` is the type of the first tensor."""
    loss = m.loss
    if loss is None or first not in _GRADIENTS or np.isfinite(loss[at]):
        return False
    # A NaN is a loss that was not given, unless losses were given up to it.
    given = np.isinf(loss[at]) or (bool(np.isfinite(loss[at - 1])) if at else not np.isfinite(loss).any())
    outputs = m.layers(ACTIVATION)
    whole = [name for name in outputs[:1] if m.types.get((ACTIVATION, name)) == name]  # the model itself
    return given and any(_value(m, (ACTIVATION, name), "numel", at) > 0 for name in whole)


def _loss_alone(m: Matrices, step: _Step, first: Tensor) -> Finding:
    """Return the finding of a loss that is the first that is not finite, before the gradients."""
    assert m.loss is not None
    number, value = int(m.steps[step.at]), float(m.loss[step.at])
    known = [float(one) for one in m.loss[max(0, step.at - _STEPS) : step.at] if np.isfinite(one)]
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


def _source(m: Matrices, step: _Step) -> Tensor:
    """Return the tensor in which it began: the first in the order of execution, or one with far fewer such values.

    What is computed from values that are not finite has more of them from layer to layer, but for functions that are 0
    for half of their inputs; the order of modules is only that of their declaration.
    """
    # A module that is called in several places has none of its own: one that is called less often goes first.
    calls = {one: _value(m, one, "calls", step.at) for one in step.tensors}
    least = {kind: min(value for one, value in calls.items() if one[0] == kind) for kind, _ in step.tensors}
    phase = m.places[step.tensors[0]].phase
    once = [one for one in step.tensors if m.places[one].phase == phase and not calls[one] > least[one[0]]]
    first = once[0]
    alike = [one for one in once if one[0] == first[0]]
    if infinite := [one for one in alike if not _value(m, one, "nans", step.at) > 0]:
        alike = infinite  # NaN comes of infinities, and infinities alone never come of NaN
        first = alike[0]
    if m.order_is_known:
        return first
    shares = {one: _share(m, one, step.at) for one in alike}
    fewest = min(shares, key=shares.__getitem__)
    return fewest if shares[fewest] * _FEWER < shares[first] else first


def _share(m: Matrices, one: Tensor, at: int) -> float:
    numel = _value(m, one, "numel", at)
    return _value(m, one, "bad", at) / numel if numel > 0 else 1.0


def _format_of(m: Matrices, one: Tensor) -> str:
    """Return the format in which a tensor was computed: a gradient in that of its module's output, under autocast."""
    dtype = m.dtypes.get(one, "")
    if one[0] not in _GRADIENTS:
        return dtype
    module = module_of(one[1], m.layers(ACTIVATION))
    output = m.dtypes.get((ACTIVATION, module or ""), "")
    narrow = is_format(output) and number_format(output).max < 2.0**NARROW
    return output if narrow else dtype


def _is_overflow(dtype: str, largest: list[float]) -> bool:
    """Tell whether infinities come of values that were too large for a format: those around them or before are near."""
    if not is_format(dtype):
        return False
    known = [value for value in largest[-2:] if np.isfinite(value)]
    return bool(known) and max(known) >= number_format(dtype).max / 2**_NEAR


def _feeding(m: Matrices, first: Tensor, at: int) -> str:
    """Return what was computed just before a tensor in the same step, with its largest magnitude."""
    kinds = (ACTIVATION, INPUT) if first[0] == ACTIVATION else (first[0],) if first[0] == GRADIENT else _GRADIENTS
    if first[0] not in (ACTIVATION, *_GRADIENTS):
        return ""
    here = m.places[first]
    earlier: list[tuple[Place, Tensor]] = []
    for kind in kinds:
        earlier += [
            (one, (kind, name))
            for name in m.layers(kind)
            if (one := m.places[kind, name]) < here and np.isfinite(_value(m, (kind, name), "max_abs", at))
        ]
    if not earlier:
        return ""
    fed = max(earlier)[1]
    return f"; before it came {tensor(*fed)}, which reaches {power(_value(m, fed, 'max_abs', at))} and is finite"


def _grown(m: Matrices, at: int) -> list[str]:
    """Return evidence of the output that grew most before a gradient overflowed, which is computed from it."""
    back = max(0, at - _STEPS)
    if not m.layers(ACTIVATION) or not m.has(ACTIVATION, "max_abs") or back == at:
        return []
    largest = m(ACTIVATION, "max_abs")
    with np.errstate(all="ignore"):
        bits = np.nan_to_num(np.log2(largest[:, at] / largest[:, back]), posinf=0.0)
    name = max(m.in_order(ACTIVATION), key=lambda one: bits[m.number(ACTIVATION, one)])  # the first of several
    row = m.number(ACTIVATION, name)
    if bits[row] < _GREW:
        return []
    grown = f"from {power(float(largest[row, back]))} to {power(float(largest[row, at]))}"
    return [f"{begun(tensor(ACTIVATION, name))} grew {grown} in the {at - back} recorded steps before."]


def _spread(m: Matrices, step: _Step) -> list[str]:
    out = []
    if rest := [one for one in step.tensors if one != _source(m, step)]:
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


def _advice(kind: str, layer: str, dtype: str, overflow: bool) -> str:
    if overflow:
        why = "a smaller learning rate or a norm keeps it from growing" if kind == ACTIVATION else "or scale it down"
        if is_format(dtype) and number_format(dtype).max < 2.0**NARROW:
            return f"Compute {layer!r} in bfloat16 or float32, which reaches further than {dtype}; {why}."
        why = why.removeprefix("or ")
        return f"No usual format reaches further than {dtype}: find out what makes {layer!r} grow; {why}."
    if kind in (ACTIVATION, INPUT):
        return (
            f"Check what goes into {layer!r} and what is done to its output: the batch of that step, a division by 0, "
            "log or sqrt of what is not positive; torch.autograd.detect_anomaly or jax.config debug_nans names the "
            "line."
        )
    if kind == GRADIENT:
        return (
            f"The outputs are finite, so a backward formula is not: look at what is computed from the output of "
            f"{layer!r} (sqrt or norm at 0, a division, where() over NaN)."
        )
    if kind == WEIGHT_GRADIENT:
        return (
            f"The gradient of its output is finite: look at what {layer!r} does in backward, and at what your loop "
            f"does "
            "to gradients between backward and the optimiser's step (clipping by a norm that is NaN, a division)."
        )
    if kind.startswith(OPTIMISER_STATE) or kind == WEIGHT_UPDATE:
        return "The gradients are finite: lower the learning rate, and check the optimiser's epsilon and its state."
    return ADVICE_ON_WEIGHTS


def _survived(m: Matrices, step: _Step) -> Finding:
    kind, layer = step.tensors[0]
    number = int(m.steps[step.at])
    return Finding(
        "not_finite", "note", kind, layer, number, {"tensors": len(step.tensors)},
        f"{begun(tensor(kind, layer))} is not finite at step {number:,}, and the update seems to have been skipped.",
        "Weights and outputs of the next recorded step are finite, as where a loss scale is searched.",
        "Nothing, if your loop skips such steps; else find out what replaced the gradient.",
    )  # fmt: skip


def _masked(m: Matrices, step: _Step) -> Finding:
    kind, layer = step.tensors[0]
    number = int(m.steps[step.at])
    return Finding(
        "not_finite", "note", kind, layer, number, {"infs": int(_value(m, (kind, layer), "infs", step.at))},
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
