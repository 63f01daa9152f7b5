"""Rules from number formats: values at the upper or the lower end of their own format, and loss scales."""

import numpy as np

from tandv.analysis.findings.finding import EVERY, Finding
from tandv.analysis.findings.matrices import Matrices
from tandv.analysis.findings.not_finite import skipped
from tandv.analysis.findings.stretches import begins, earliest
from tandv.analysis.findings.wording import begun, others, percent, power, tensor
from tandv.formats import Format, exponent, is_format, number_format
from tandv.messages import some
from tandv.tensor_types import ACTIVATION, GRADIENT, WEIGHT_GRADIENT

_EDGE = 6  # binades above the smallest number of a format
_AT_THE_EDGE = 0.25  # share of the values that are not zero which lie in them
_OF_TENSORS = 0.2  # share of the tensors in which that is so
_IN_A_ROW = 3
_SAMPLES = 64  # steps that are looked at first, where looking at all would take long
_CELLS = 50_000  # tensors × steps whose exponents are read without choosing among steps
_WIDE = 2.0**100  # formats that reach further than training does before other rules see it
_LEARNED = 0.1  # of the first loss, above which there is something to learn and so a gradient
_SKIPPED = 4  # recorded steps in a row: after a back-off the next step fits


def near_overflow(m: Matrices) -> list[Finding]:
    """Report values in the last binade of their own number format, before any is infinite.

    Sees: the largest magnitude, and the largest value of the format; formats that reach as far as float32 are left out,
    and gradients of a scaled loss, whose scale is chosen so that they come near it.
    Threshold: half of the largest value. Healthy runs: none.

    When it is wrong: it is right, but a format that saturates (float8 with scaling) may reach its end on purpose: a
    note.
    """
    found = []
    for kind in m.tensor_types:
        if not m.has(kind, "max_abs"):
            continue
        limits = np.array([_largest(m.dtypes.get((kind, name), "")) for name in m.layers(kind)])
        if not (limits < _WIDE).any():
            continue
        high = (m(kind, "max_abs") >= limits[:, None] / 2) & (m.loss_scale(kind) == 1)[None]
        found += [
            (int(np.argmax(row)), m.places[kind, name], kind, name)
            for row, name in zip(high, m.layers(kind), strict=True)
            if row.any()
        ]
    if not found:
        return []
    at, _, kind, name = min(found)
    step, dtype = int(m.steps[at]), m.dtypes[kind, name]
    value = float(m(kind, "max_abs")[m.number(kind, name), at])
    return [
        Finding(
            "near_overflow", "note", kind, name, step, {"max_abs": value, "dtype": dtype},
            f"{begun(tensor(kind, name))} reaches {power(value)} at step {step:,}, more than half of what {dtype} "
            f"holds ({power(number_format(dtype).max)}).",
            "No value was infinite until then.",
            "Use bfloat16 or float32 for it before it overflows, or find out what makes it grow.",
            others([one for _, _, _, one in found if one != name]),
        )
    ]  # fmt: skip


def _largest(dtype: str) -> float:
    return number_format(dtype).max if is_format(dtype) else float("inf")


def underflow(m: Matrices) -> list[Finding]:
    """Report gradients that their own number format cuts off at the lower end.

    Sees: the share of the values that are not zero which lie in the lowest 6 binades of the format (a distribution that
    is cut piles up at the edge), or outputs' gradients that are nearly all zero, though not in all layers or though the
    loss is above a tenth of the first. With a loss
    scale the format is that which the gradient had before the scale was taken out, and its edge is divided by the
    scale. Threshold: a quarter, at 3 recorded steps in a row, in a fifth of the tensors.

    When it is wrong: distributions that are wide on their own, such as gradients after a softmax with thousands of
    classes; of runs with more than 50,000 tensors × steps, a stretch shorter than a 64th of the run may be missed.
    """
    layers = [name for name in m.in_order(GRADIENT) if _lived(m, name) is not None]
    if not layers or not m.has(GRADIENT, "min_abs", "zeros", "numel"):
        return []
    rows = m.rows(GRADIENT, layers)
    scale = m.loss_scale(GRADIENT)
    by = np.array([exponent(float(one)) for one in scale])
    lowest = np.array([exponent(_format(m, name).smallest_subnormal) for name in layers])
    limits = lowest[:, None] + _EDGE - by[None, :]
    with np.errstate(invalid="ignore"):
        reaches = m(GRADIENT, "min_abs")[rows] < np.exp2(limits.astype(np.float64))
    gone = (m(GRADIENT, "nonzero")[rows] < 0.001) & _alive(m)[None, :]
    few = max(2, int(np.ceil(_OF_TENSORS * len(layers))))
    columns = np.flatnonzero((reaches | gone).sum(0) >= few)
    if len(columns) < _IN_A_ROW:
        return []

    def bad(at: np.ndarray) -> np.ndarray:
        """Return [layers, columns]: whether a quarter of the values lie at the edge, or nearly all are gone."""
        with np.errstate(invalid="ignore"):
            return (m.below(GRADIENT, layers, at, limits[:, at]) > _AT_THE_EDGE) | gone[:, at]

    if len(columns) * len(layers) > _CELLS:
        chosen = columns[np.unique(np.linspace(0, len(columns) - 1, _SAMPLES).astype(int))]
        hit = np.flatnonzero(bad(chosen).sum(0) >= few)
        if not len(hit):
            return []
        first = chosen[hit[0] - 1] if hit[0] else columns[0]
        columns = columns[(columns >= first) & (columns <= chosen[hit[0]] + _IN_A_ROW)]
    mask = np.zeros((len(layers), len(m.steps)), bool)
    mask[:, columns] = bad(columns)
    starts = begins(mask, _IN_A_ROW)
    if (starts >= 0).sum() < few:
        return []
    row = earliest(starts)
    assert row is not None
    at, name = int(starts[row]), layers[row]
    step, dtype = int(m.steps[at]), _format(m, name).name
    share = float(np.nan_to_num(m.below(GRADIENT, [name], np.array([at]), limits[row : row + 1, [at]]))[0, 0])
    zeros = 1 - float(m(GRADIENT, "nonzero")[rows[row], at])
    count = int((starts >= 0).sum())
    scaled = f" at a loss scale of {power(float(scale[at]))}" if by[at] else " without a loss scale"
    return [
        Finding(
            "underflow", "warning", GRADIENT, EVERY if count > 1 else name, step,
            {"share": share, "zeros": zeros, "layers": count, "dtype": dtype},
            f"Gradients underflow in {dtype}{scaled}, in {count} of {len(layers)} layers since step {step:,}.",
            f"Of the gradient of the output of {name!r}, {percent(share)} of what is not zero lies in the lowest "
            f"{_EDGE} "
            f"binades of the format, and {percent(zeros)} is zero.",
            "Scale the loss (torch.amp.GradScaler, or a higher scale), or use bfloat16, whose range is that of "
            "float32.",
            [f"First in {name}; in {some([layers[one] for one in np.flatnonzero(starts >= 0)], 5)}."],
        )
    ]  # fmt: skip


def _alive(m: Matrices) -> np.ndarray:
    """Return at which steps some gradient is not all zero, or the loss says that none should be, [steps]."""
    alive = [(m(kind, "nonzero") > 0).any(0) for kind in (GRADIENT, WEIGHT_GRADIENT) if m.layers(kind)]
    loss = m.loss
    if loss is not None and np.isfinite(loss).any():  # else all may be learned, and gradients be zero
        with np.errstate(invalid="ignore"):
            alive.append(loss > _LEARNED * loss[np.isfinite(loss)][0])
    return np.logical_or.reduce(alive)


def _lived(m: Matrices, name: str) -> str | None:
    """Return the narrow format in which the gradient of an output was computed; None if it is wide or not known."""
    dtype = m.dtypes.get((GRADIENT, name), "")
    if "loss_scale" in m.statistics and dtype == "float32":  # in older logs, that in which it was measured
        dtype = m.dtypes.get((ACTIVATION, name), dtype)
    return dtype if is_format(dtype) and number_format(dtype).smallest_normal > 2.0**-100 else None


def _format(m: Matrices, name: str) -> Format:
    dtype = _lived(m, name)
    assert dtype is not None
    return number_format(dtype)


def loss_scale_collapse(m: Matrices) -> list[Finding]:
    """Report a gradient scaler that skips step after step.

    Sees: `skipped` of the rows. Threshold: 4 recorded steps in a row; growth and back-off alternate, after a back-off
    the next step fits. The first search, from 2^16 down, is left out as long as the scale stays above 1.

    When it is wrong: a scale set by hand that is far too high after the start.
    """
    skips = skipped(m)
    if not skips.any():
        return []
    scale = m.of_step("loss_scale")
    first_fit = int(np.argmin(skips)) if not skips.all() else len(skips)
    searched = np.zeros(len(skips), bool)
    searched[:first_fit] = np.nan_to_num(scale[:first_fit], nan=2.0) >= 1
    at = int(begins((skips & ~searched)[None], _SKIPPED)[0])
    if at < 0:
        return []
    step, last = int(m.steps[at]), float(scale[-1])
    counts = [
        (m.places[kind, name], kind, name)
        for kind in (GRADIENT, WEIGHT_GRADIENT)
        for name, value in zip(m.layers(kind), m(kind, "nans")[:, at] if m.layers(kind) else [], strict=True)
        if value > 0
    ]
    evidence = [f"NaN, which no scale removes, is first in {tensor(*min(counts)[1:])}."] if counts else []
    return [
        Finding(
            "loss_scale_collapse", "error", WEIGHT_GRADIENT, EVERY, step, {"scale": last, "skipped": int(skips.sum())},
            f"The gradient scaler skips every step from step {step:,} on, at least {_SKIPPED} recorded ones in a row: "
            "nothing is trained.",
            f"The scale was {power(float(scale[max(at - 1, 0)]))} before and is {power(last)} at the end.",
            "Find the first tensor whose gradient is NaN or infinite whatever the scale; lowering the scale by hand "
            "does "
            "not help.",
            evidence,
        )
    ]  # fmt: skip
