"""Rules about how a run begins: the scale of weights, of the input, and of signals along the depth of the network."""

import math

import numpy as np

from tandv.analysis.findings.finding import EVERY, Finding
from tandv.analysis.findings.matrices import Matrices
from tandv.analysis.findings.stretches import log2, typical
from tandv.analysis.findings.wording import begun, others, tensor
from tandv.tensor_types import ACTIVATION, GRADIENT, WEIGHT

_FIRST = 5  # recorded steps that are the beginning
_LARGE, _SMALL = 8.0, 1 / 64  # gains: torch 0.58, Xavier 1, He 1.41
_INPUT = 30.0  # rms of the input: raw bytes have 100 and more, standardised data 1
_LAYERS = 6  # of a chain, below which there is no slope to speak of
_BITS = 10.0  # between the ends of the chain
_CORRELATION = 0.9


def bad_init(m: Matrices) -> list[Finding]:
    """Report a weight whose first values are far too large or too small for its inputs.

    Sees: the gain, rms × √inputs, where the inputs are the values of the weight over those of its bias. Threshold:
    above 8 or below 1/64; torch's default is 0.58, Xavier's 1, He's 1.41. Exactly 0 is a choice. Healthy runs: 0.53 to
    0.82.

    When it is wrong: layers that are meant to begin near but not at zero, such as the last one of a residual branch
    (the last of the model may); weights of a run that is continued. Layers without bias are not checked, because a log
    does not have the shapes of weights.
    """
    found = []
    names = m.matrices(0)
    for name in names:
        gain = _gain(m, name)
        meant = name == names[-1] and gain is not None and gain < 1  # a last layer that says little at first
        if gain is not None and gain > 0 and not _SMALL <= gain <= _LARGE and not meant:
            found.append((abs(math.log2(gain)), name, gain))
    if not found:
        return []
    _, name, gain = max(found)
    step, large = int(m.steps[0]), gain > _LARGE
    return [
        Finding(
            "bad_init", "warning", WEIGHT, name, step, {"gain": gain},
            f"{begun(tensor(WEIGHT, name))} begins {'too large' if large else 'too small'}: its gain is {gain:.2g} at "
            f"step {step:,}.",
            "A gain of 0.6 to 1.4 keeps the size of what passes through; this one multiplies it by that number.",
            "Initialise it by its number of inputs: torch.nn.init.kaiming_normal_, or std = √(2 / inputs).",
            others([one for _, one, _ in found if one != name]),
        )
    ]  # fmt: skip


def _gain(m: Matrices, name: str) -> float | None:
    """Return the rms of a weight × the root of its number of inputs at the first step, None if that is not known."""
    weight, bias = m.number(WEIGHT, name), m.number(WEIGHT, f"{name}.bias")
    if weight is None or bias is None or not m.has(WEIGHT, "rm2", "numel"):
        return None
    values, units = (float(m(WEIGHT, "numel")[row, 0]) for row in (weight, bias))
    inputs = values / units if units > 0 else 0.0
    gain = float(m(WEIGHT, "rm2")[weight, 0]) * math.sqrt(inputs) if inputs >= 1 else math.nan
    return gain if math.isfinite(gain) else None


def input_scale(m: Matrices) -> list[Finding]:
    """Report an input that is far from unit scale, as pixels from 0 to 255 are.

    Sees: the rms of the first matrix layer's outputs, less its bias, over its gain: an estimate of that of its input.
    Threshold: 30; raw bytes have 100 and more. Healthy runs: 0.9 to 1.6.

    When it is wrong: where the first layer divides by itself; it is not checked where that has no bias, or begins with
    a gain that is wrong itself. `track(..., inputs=True)` records the input, which then is looked at.
    """
    modules = m.in_order(ACTIVATION)
    matrices = set(m.matrices(0))
    first = next((name for name in modules if name in matrices), None)
    if first is None or not m.has(ACTIVATION, "rm2"):
        return []
    gain, bias = _gain(m, first), m.number(WEIGHT, f"{first}.bias")
    if gain is None or bias is None or not _SMALL < gain < _LARGE:
        return []
    if "embed" in m.types.get((WEIGHT, first), "").lower():
        return []
    out = m(ACTIVATION, "rm2")[m.number(ACTIVATION, first), :3].astype(np.float64)
    known = out[np.isfinite(out)]
    if not len(known):
        return []
    shift = float(m(WEIGHT, "rm2")[bias, 0])
    size = float(np.median(np.sqrt(np.maximum(known**2 - shift**2, 0)))) / gain
    if not size > _INPUT:
        return []
    step = int(m.steps[0])
    return [
        Finding(
            "input_scale", "warning", ACTIVATION, first, step, {"input_rms": size},
            f"What goes into {first!r} has an rms of about {size:.3g} from step {step:,} on.",
            "It is estimated from the layer's output and weights; networks are initialised for inputs of about 1.",
            "Standardise the input: subtract the mean and divide by the standard deviation of the training set.",
        )
    ]  # fmt: skip


def depth(m: Matrices) -> list[Finding]:
    """Report gradients or outputs that vanish or explode from layer to layer at the beginning.

    Sees: the slope of log2(rms) over the matrix layers in the order of execution, in the first 5 recorded steps.
    Threshold: 10 bits between the ends, a correlation above 0.9, at least 6 layers. Healthy runs: 8.8 bits (11 layers
    of tanh); torch's default initialisation of a ReLU MLP of 11 layers has 13.5, and it stands still for its first
    steps.

    When it is wrong: networks whose branches lie one after the other in the order of the model.
    """
    matrices = set(m.matrices(0))
    chain = [name for name in m.in_order(ACTIVATION) if name in matrices]
    for kind in (GRADIENT, ACTIVATION):
        layers = [name for name in chain if m.number(kind, name) is not None]
        if len(layers) < _LAYERS or not m.has(kind, "rm2"):
            continue
        first = log2(m(kind, "rm2")[m.rows(kind, layers), :_FIRST])
        known = np.isfinite(first).any(1)
        if known.sum() < _LAYERS:
            continue
        size = typical(first[known], 1).astype(np.float64)
        at = np.arange(len(size))
        slope = float(np.polyfit(at, size, 1)[0])
        bits = slope * (len(size) - 1)
        if abs(bits) <= _BITS or abs(np.corrcoef(at, size)[0, 1]) <= _CORRELATION:
            continue
        grows = (slope > 0) == (kind == ACTIVATION)  # in the direction in which it is computed
        step, verb = int(m.steps[0]), "explode" if grows else "vanish"
        what = "Gradients" if kind == GRADIENT else "Outputs"
        return [
            Finding(
                "exploding_depth" if grows else "vanishing_depth", "warning", kind, EVERY, step,
                {"bits": abs(bits), "layers": len(size)},
                f"{what} {verb} along {len(size)} layers: by 2^{abs(bits):.1f} between the ends from step {step:,} on.",
                f"Each layer changes their size by {abs(slope):.2f} bits, where about 0 keeps it.",
                "Add a norm or residual connections, or initialise for the activation function in use (He for ReLU); "
                + ("a lower gain keeps them from growing." if grows else "a higher gain keeps them from shrinking."),
                [f"From {layers[0]!r} to {layers[-1]!r}."],
            )
        ]  # fmt: skip
    return []
