"""What to do about the first tensor that is not finite."""

import numpy as np

from tandv.analysis.findings.between import ADVICE_ON_WEIGHTS
from tandv.analysis.findings.first_tensor import NARROW, fed_by, value_of
from tandv.analysis.findings.matrices import Matrices
from tandv.analysis.findings.order import Tensor
from tandv.analysis.findings.wording import tensor
from tandv.formats import is_format, number_format
from tandv.tensor_types import ACTIVATION, GRADIENT, INPUT, OPTIMISER_STATE, WEIGHT, WEIGHT_GRADIENT, WEIGHT_UPDATE

_CAST_TO = ("float8_e4m3fn", "float8_e5m2", "float16")  # which casts without saturation take beyond their end


def advice(m: Matrices, first: Tensor, at: int, dtype: str, overflow: bool) -> str:
    """Return what to do first about the first tensor that is not finite.

    Args:
        m: the log.
        first: the tensor.
        at: the position of the step.
        dtype: the format in which it was computed.
        overflow: whether its values outgrew that format.
    """
    kind, layer = first
    if overflow and (fed := _given_infinities(m, first, at)) is not None:
        return (
            f"Look between {fed[1]!r} and {layer!r}: no finite value is near the end of {dtype}, so {layer!r} was "
            f"probably given infinities. Compute what lies between them in bfloat16 or float32, or keep "
            f"{tensor(*fed)} smaller; track(inputs=True) records what each module is given."
        )
    if overflow:
        why = "a smaller learning rate or a norm keeps it from growing" if kind == ACTIVATION else "or scale it down"
        if is_format(dtype) and number_format(dtype).max < 2.0**NARROW:
            return f"Compute {layer!r} in bfloat16 or float32, which reaches further than {dtype}; {why}."
        why = why.removeprefix("or ")
        return f"No usual format reaches further than {dtype}: find out what makes {layer!r} grow; {why}."
    if kind in (ACTIVATION, INPUT):
        check = (
            f"check what goes into {layer!r} and what is done to its output: the batch of that step, a division by 0, "
            "log or sqrt of what is not positive; torch.autograd.detect_anomaly or jax.config debug_nans names the "
            "line."
        )
        cast = _at_the_end_of(m, first, at, dtype)
        return f"{cast} If not, {check}" if cast else check[0].upper() + check[1:]
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
    if (state := _divided_by_zero(m, layer, at)) is not None:
        moment = state.rpartition(".")[2]
        return (
            f"{moment} of it is zero in {m.dtypes[state, layer]} for values whose gradient is not, and so is an "
            "epsilon of 1e-8: the optimiser divides by zero. Keep weights and states in float32 and compute under "
            "torch.autocast, or use bfloat16."
        )
    return ADVICE_ON_WEIGHTS


def _is_narrow(dtype: str) -> bool:
    return is_format(dtype) and number_format(dtype).max < 2.0**NARROW


def _at_the_end_of(m: Matrices, first: Tensor, at: int, dtype: str) -> str:
    """Tell of a narrower format that it is likely the cause: the largest finite value is exactly where it ends."""
    largest = value_of(m, first, "max_abs", at)
    for name in _CAST_TO:
        if largest == (end := number_format(name).max) and is_format(dtype) and number_format(dtype).max > end:
            return (
                f"Its largest finite value, {end:,.0f}, is that of {name}: if it is cast to it, values overflow there; "
                "scale them down before the cast, or let it saturate."
            )
    return ""


def _given_infinities(m: Matrices, first: Tensor, at: int) -> Tensor | None:
    """Return the output after which values overflowed on their way to a layer, None if they did so in the layer.

    Its weights cannot make such sums of what came before, and no finite value is in the last binade of the format: what
    is computed between two modules, such as the square of a ReLU, outgrew it.
    """
    kind, layer = first
    if kind != ACTIVATION or INPUT in m.tensor_types or (fed := fed_by(m, first, at)) is None:
        return None
    limit, bias = number_format(m.dtypes[first]).max, (WEIGHT, f"{layer}.bias")
    numel, outputs = value_of(m, (WEIGHT, layer), "numel", at), value_of(m, bias, "numel", at)
    inputs = numel / outputs if outputs > 0 else numel
    sums = inputs * value_of(m, (WEIGHT, layer), "max_abs", at) * value_of(m, fed, "max_abs", at)
    reach = np.fmax(sums + np.nan_to_num(value_of(m, bias, "max_abs", at)), value_of(m, first, "max_abs", at))
    return fed if sums < limit / 2 and reach < limit / 2 else None


def _divided_by_zero(m: Matrices, layer: str, at: int) -> str | None:
    """Return the second moment by whose root the update of a weight was divided though it was zero, None if none was.

    The square of a small gradient is zero in float16, and so is Adam's epsilon.
    """
    gradient = value_of(m, (WEIGHT_GRADIENT, layer), "nonzero", at - 1)
    for kind in m.second_moments():
        if _is_narrow(m.dtypes.get((kind, layer), "")) and value_of(m, (kind, layer), "nonzero", at - 1) < gradient:
            return kind
    return None
