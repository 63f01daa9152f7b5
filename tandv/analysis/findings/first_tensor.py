"""Which tensor is the first that is not finite in a step, and what led there."""

from typing import NamedTuple

import numpy as np

from tandv.analysis.findings.matrices import Matrices
from tandv.analysis.findings.order import Place, Tensor
from tandv.analysis.findings.wording import begun, power, tensor
from tandv.formats import is_format, number_format
from tandv.names import module_of
from tandv.tensor_types import ACTIVATION, GRADIENT, INPUT, WEIGHT_GRADIENT

NARROW = 16  # exponents: a format whose largest value is below 2^NARROW overflows in ordinary training
_NEAR = 6  # binades below the largest value of a format within which infinities are an overflow
GRADIENTS = (GRADIENT, WEIGHT_GRADIENT)
_FEWER = 8.0  # times: a tensor with so many fewer values that are not finite comes before another
BEFORE = 3  # before it, of which the largest magnitudes are told
_GREW = 2.0  # bits in these steps, of an output that is told with a gradient that overflows


class BadStep(NamedTuple):
    """A step at which something is not finite: its position among the recorded ones, and the tensors."""

    at: int
    tensors: list[Tensor]


def value_of(m: Matrices, one: Tensor, statistic: str, at: int) -> float:
    """Return a statistic of a tensor at a recorded step, given by its position; NaN where it is not known."""
    row = m.number(*one)
    return float("nan") if row is None or at < 0 else float(m(one[0], statistic)[row, at])


def origin(m: Matrices, step: BadStep) -> Tensor:
    """Return the tensor in which it began: the first in the order of execution, or one with far fewer such values.

    What is computed from values that are not finite has more of them from layer to layer, but for functions that are 0
    for half of their inputs; the order of modules is only that of their declaration.
    """
    # A module that is called in several places has none of its own: one that is called less often goes first.
    calls = {one: value_of(m, one, "calls", step.at) for one in step.tensors}
    least = {kind: min(value for one, value in calls.items() if one[0] == kind) for kind, _ in step.tensors}
    phase = m.places[step.tensors[0]].phase
    once = [one for one in step.tensors if m.places[one].phase == phase and not calls[one] > least[one[0]]]
    first = once[0]
    alike = [one for one in once if one[0] == first[0]]
    if infinite := [one for one in alike if not value_of(m, one, "nans", step.at) > 0]:
        alike = infinite  # NaN comes of infinities, and infinities alone never come of NaN
        first = alike[0]
    if m.order_is_known:
        return first
    shares = {one: share(m, one, step.at) for one in alike}
    fewest = min(shares, key=shares.__getitem__)
    return fewest if shares[fewest] * _FEWER < shares[first] else first


def share(m: Matrices, one: Tensor, at: int) -> float:
    """Return the share of values that are not finite."""
    numel = value_of(m, one, "numel", at)
    return value_of(m, one, "bad", at) / numel if numel > 0 else 1.0


def format_of(m: Matrices, one: Tensor) -> str:
    """Return the format in which a tensor was computed: a gradient in that of its module's output, under autocast."""
    dtype = m.dtypes.get(one, "")
    if one[0] not in GRADIENTS:
        return dtype
    module = module_of(one[1], m.layers(ACTIVATION))
    output = m.dtypes.get((ACTIVATION, module or ""), "")
    narrow = is_format(output) and number_format(output).max < 2.0**NARROW
    return output if narrow else dtype


def is_overflow(dtype: str, largest: list[float]) -> bool:
    """Tell whether infinities come of values that were too large for a format: those around them or before are near."""
    if not is_format(dtype):
        return False
    known = [value for value in largest[-2:] if np.isfinite(value)]
    return bool(known) and max(known) >= number_format(dtype).max / 2**_NEAR


def feeding(m: Matrices, first: Tensor, at: int) -> str:
    """Return what was computed just before a tensor in the same step, with its largest magnitude."""
    if (fed := fed_by(m, first, at)) is None:
        return ""
    return f"; before it came {tensor(*fed)}, which reaches {power(value_of(m, fed, 'max_abs', at))} and is finite"


def fed_by(m: Matrices, first: Tensor, at: int) -> Tensor | None:
    """Return the finite tensor that was computed just before another in the same step, None if none is known."""
    kinds = (ACTIVATION, INPUT) if first[0] == ACTIVATION else (first[0],) if first[0] == GRADIENT else GRADIENTS
    if first[0] not in (ACTIVATION, *GRADIENTS):
        return None
    here = m.places[first]
    earlier: list[tuple[Place, Tensor]] = []
    for kind in kinds:
        earlier += [
            (one, (kind, name))
            for name in m.layers(kind)
            if (one := m.places[kind, name]) < here and np.isfinite(value_of(m, (kind, name), "max_abs", at))
        ]
    return max(earlier)[1] if earlier else None


def grown(m: Matrices, at: int) -> list[str]:
    """Return evidence of the output that grew most before a gradient overflowed, which is computed from it."""
    back = max(0, at - BEFORE)
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
