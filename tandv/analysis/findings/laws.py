"""Rules from exact laws: what every correct run obeys, so that thresholds are only rounding."""

import numpy as np

from tandv.analysis.findings.finding import EVERY, Finding
from tandv.analysis.findings.functions import revives
from tandv.analysis.findings.matrices import Matrices
from tandv.analysis.findings.stretches import begins
from tandv.analysis.findings.wording import begun, others, percent, power, tensor
from tandv.messages import some
from tandv.tensor_types import ACTIVATION, GRADIENT, WEIGHT

LASTING = 5  # recorded steps in a row after which something is a state and no accident of a batch
_FALL = 0.8  # of a second moment in one step: below every decay rate in use (0.9 and more)
_DERIVATIVE = 0.05  # of the largest derivative of an activation function
_BATCH_NORM_LOW, _BATCH_NORM_HIGH = 0.5, 1.05


def second_moment_collapse(m: Matrices) -> list[Finding]:
    """Report a second moment of Adam or RMSprop that fell faster than its decay rate allows.

    Sees: the mean of exp_avg_sq (optax: nu) against that of the recorded step before. Threshold: below 0.8 a step; v is
    never less than decay × v of the step before, and decay rates are 0.9 and more. Healthy runs: at least 0.999 with
    Adam's 0.999.

    When it is wrong: with a decay rate below 0.8; where an optimiser is replaced or its state reset on purpose.
    """
    gap = np.diff(m.steps)
    found = []
    for kind in m.second_moments():
        mean = m(kind, "mean")
        with np.errstate(all="ignore"):
            ratio = mean[:, 1:] / mean[:, :-1]
        # Where nearly all is below the smallest subnormal number, means are of rounding.
        fell = (ratio < _FALL**gap) & (mean[:, :-1] > 1e-37) & (mean[:, 1:] >= 0)
        if not fell.any():
            continue
        at = int(np.argmax(fell.any(0)))
        rows = np.flatnonzero(fell[:, at])
        names = m.layers(kind)
        matrices = set(m.matrices(0))
        row = int(min(rows, key=lambda one: (names[one] not in matrices, ratio[one, at])))
        step, share = int(m.steps[at + 1]), float(ratio[row, at])
        layer = EVERY if len(rows) > max(2, len(names) // 2) else names[row]
        found.append(
            Finding(
                "second_moment_collapse", "error", kind, layer, step, {"ratio": share, "layers": len(rows)},
                f"{begun(tensor(kind, names[row]))} fell to {percent(share)} of what it was, first at step {step:,}.",
                f"It was {power(float(mean[row, at]))} at step {int(m.steps[at]):,}; by its own rule it keeps at least "
                "90 % a step, so it was not the optimiser's step that changed it.",
                "Look at what writes to the optimiser's state: a checkpoint that was loaded in part, a state that was "
                "reset or re-sharded; until it has recovered, updates are too large.",
                others([names[one] for one in rows if one != row]),
            )
        )  # fmt: skip
    return found[:1]


def stale_norm(m: Matrices) -> list[Finding]:
    """Report a batch norm whose outputs are not normalised by its own batch.

    Sees: the mean square of its outputs over that of its weight plus that of its bias, which is 1 in training mode but
    for the norm's epsilon. Threshold: above 1.05 or below 0.5, 5 recorded steps in a row. Healthy runs: 1.000.

    When it is wrong: where batch norm is frozen on purpose, as in fine-tuning of detectors, which is why it is a note
    where it is so from the first recorded step on; where its inputs are nearly
    constant, so that epsilon rules (then below 0.5).
    """
    found = []
    modules = [
        name for name in m.in_order(ACTIVATION) if "batchnorm" in m.types.get((ACTIVATION, name), "").lower()
    ]  # fmt: skip
    for name in modules:
        row, weight, bias = m.number(ACTIVATION, name), m.number(WEIGHT, name), m.number(WEIGHT, f"{name}.bias")
        if row is None or weight is None or bias is None:
            continue
        squares = [
            m(kind, "rm2")[at].astype(np.float64) ** 2
            for kind, at in ((ACTIVATION, row), (WEIGHT, weight), (WEIGHT, bias))
        ]
        with np.errstate(all="ignore"):
            ratio = squares[0] / (squares[1] + squares[2])
        at = int(begins(((ratio > _BATCH_NORM_HIGH) | (ratio < _BATCH_NORM_LOW))[None], LASTING)[0])
        if at >= 0:
            found.append((at, name, float(ratio[at]), float(ratio[at - 1]) if at else float("nan")))
    if not found:
        return []
    at, name, ratio, earlier = min(found, key=lambda one: one[0])
    step = int(m.steps[at])
    return [
        Finding(
            "stale_norm", "warning" if at else "note", ACTIVATION, name, step, {"ratio": ratio},
            f"The outputs of the batch norm {name!r} have {ratio:.3g} times the mean square that its weight and bias "
            f"give, since step {step:,}.",
            f"It was {earlier:.3g} in the recorded step before." if at else "It is so from the first step on.",
            "It normalises by running statistics that do not fit: call model.train() before training goes on after an "
            "evaluation, and check which modules are in eval mode.",
            others([one for _, one, _, _ in found if one != name]),
        )
    ]  # fmt: skip


def saturated(m: Matrices) -> list[Finding]:
    """Report a tanh or sigmoid whose derivative is nearly zero for nearly all of its outputs.

    Sees: the mean derivative, exactly, from two moments: 1 − rm2² of tanh, mean − rm2² of sigmoid. Threshold: below a
    twentieth of its maximum, 5 recorded steps in a row. Healthy runs: at least 0.22 of it.

    When it is wrong: gates that are meant to be open or closed (an LSTM's are no modules and have no row).
    """
    found = []
    for name in m.in_order(ACTIVATION):
        kind = m.types.get((ACTIVATION, name), "")
        if kind not in ("Tanh", "Sigmoid"):
            continue
        row = m.number(ACTIVATION, name)
        square = m(ACTIVATION, "rm2")[row].astype(np.float64) ** 2
        derivative = 1 - square if kind == "Tanh" else 4 * (m(ACTIVATION, "mean")[row] - square)
        at = int(begins((derivative < _DERIVATIVE)[None], LASTING)[0])
        if at >= 0:
            found.append((at, name, float(derivative[at]), float(derivative[at - 1]) if at else float("nan")))
    if not found:
        return []
    at, name, share, earlier = min(found, key=lambda one: one[0])
    step = int(m.steps[at])
    return [
        Finding(
            "saturated", "warning", ACTIVATION, name, step, {"derivative": share},
            f"{m.types[ACTIVATION, name]} {name!r} passes on {percent(max(share, 0.0))} of the gradient it could, "
            f"since "
            f"step {step:,}: its outputs lie at the ends of its range.",
            f"It was {percent(max(earlier, 0.0))} in the recorded step before." if at else "It is so from the start.",
            "Look at the weights and the learning rate of the layer before it; normalise its input, or start with "
            "smaller weights.",
            others([one for _, one, _, _ in found if one != name]),
        )
    ]  # fmt: skip


def dead(m: Matrices) -> list[Finding]:
    """Report a layer that passes nothing on: all outputs are zero, or no gradient reaches its output.

    Sees: outputs all exactly zero; and, for functions that have no row such as `F.relu`, gradients of an output all
    exactly zero while that of the model's last output is not. Threshold: 5 recorded steps in a row. Healthy runs: at
    most 0.64 zeros.

    When it is wrong: a branch that is switched off on purpose (dropout of 1, an expert without tokens); a layer that
    starts at zero and has not moved yet, which is left out where its weights are zero.
    """
    found = []
    ordered = m.in_order(ACTIVATION)
    rows = m.rows(ACTIVATION, ordered)
    starts = begins(m(ACTIVATION, "nonzero")[rows] == 0, LASTING) if len(rows) else np.zeros(0, int)
    for name, at in zip(ordered, starts.tolist(), strict=True):
        if at >= 0 and not _starts_at_zero(m, name, at):
            found.append((at, 0, ACTIVATION, name))
    # The last layer of the forward pass that gets no gradient: all before it get none either.
    backward = m.in_order(GRADIENT)
    if backward:
        nonzero = m(GRADIENT, "nonzero")[m.rows(GRADIENT, backward)]
        alive = nonzero[:1] > 0
        starts = begins((nonzero == 0) & alive, LASTING)
        found += [(at, 1, GRADIENT, name) for name, at in zip(backward, starts.tolist(), strict=True) if at >= 0]
    if not found:
        return []
    at, _, kind, name = min(found, key=lambda one: (one[0], one[1]))
    step = int(m.steps[at])
    same = [one[3] for one in found if one[3] != name]
    what = "All outputs of" if kind == ACTIVATION else "All gradients of the output of"
    before = "It was so from the first recorded step on."
    if at:
        share = float(m(kind, "nonzero")[m.number(kind, name), at - 1])
        before = f"In the recorded step before, {percent(share)} of them were not zero."
    numbers = {"nonzero": 0.0, "layers": len({one[3] for one in found})}
    return [
        Finding(
            "dead", "warning", kind, name, step, numbers,
            f"{what} {name!r} ({m.types.get((kind, name)) or 'module'}) are exactly zero since step {step:,}.",
            before,
            f"No gradient brings it back: {_look_at(m, kind, name, at)}, or {revives(m, name)}.",
            [f"Zero as well: {some(list(dict.fromkeys(same)), 5)}."] if same else [],
        )
    ]  # fmt: skip


def _look_at(m: Matrices, kind: str, name: str, at: int) -> str:
    """Return where to look for the cause: a layer by name where all that it returns is negative, 0 after a ReLU."""
    ordered = m.in_order(ACTIVATION)
    end = ordered.index(name) + (kind == GRADIENT) if name in ordered else 0  # no gradient comes of what follows it
    whose, why = "the layer before it" if kind == ACTIVATION else repr(name), ""
    weighted = [one for one in ordered[:end] if m.number(WEIGHT, one) is not None]
    if weighted and m.has(ACTIVATION, "mean", "mean_abs"):
        row = m.number(ACTIVATION, weighted[-1])
        mean, size = (float(m(ACTIVATION, statistic)[row, at]) for statistic in ("mean", "mean_abs"))
        if mean < 0 and size <= -mean * (1 + 1e-6):
            whose, why = repr(weighted[-1]), f", whose outputs are all negative (mean {mean:.3g})"
    if at:
        return (
            f"look at the bias and the learning rate of {whose} at that step{why}; start again with a smaller one, "
            "with warm-up"
        )
    return f"look at how the bias and the weights of {whose} begin{why}"


def _starts_at_zero(m: Matrices, name: str, at: int) -> bool:
    """Tell whether a module's output is zero because its own weights are, as some residual branches begin."""
    row = m.number(WEIGHT, name)
    return row is not None and not m(WEIGHT, "nonzero")[row, at] > 0


def probabilities_as_logits(m: Matrices) -> list[Finding]:
    """Report a model whose last output is already a probability, where a loss expects logits.

    Sees: the mean of the model's output times its number of classes, which is 1 for probabilities that add up to 1,
    outputs that are all positive and at most 1. The number of classes is that of the last layer's bias. Threshold:
    0.001 at 95 % of the steps; exact but for rounding.

    When it is wrong: models that are meant to end in probabilities, with a loss that expects them (NLL of their log).
    """
    ordered = m.in_order(ACTIVATION)
    if not ordered or not m.has(ACTIVATION, "mean", "mean_abs", "max_abs"):
        return []
    last = ordered[-1]
    biases = [m.number(WEIGHT, f"{name}.bias") for name in ordered]
    known = [row for row in biases if row is not None]
    if not known:
        return []
    classes = float(m(WEIGHT, "numel")[known[-1], 0])
    row = m.number(ACTIVATION, last)
    mean, size, top = (m(ACTIVATION, name)[row] for name in ("mean", "mean_abs", "max_abs"))
    seen = ~np.isnan(mean)
    holds = (np.abs(mean * classes - 1) < 1e-3) & (np.abs(size - mean) <= 1e-6 * np.abs(mean)) & (top <= 1)
    if classes < 2 or not seen.any() or holds[seen].mean() <= 0.95:
        return []
    step = int(m.steps[0])
    return [
        Finding(
            "probabilities_as_logits", "warning", ACTIVATION, last, step, {"classes": int(classes)},
            f"{begun(tensor(ACTIVATION, last))} is a probability of {classes:,.0f} classes, from step {step:,} on.",
            f"Its mean is 1/{classes:,.0f} at every step, and no value is negative or above 1.",
            "Return logits if the loss is cross_entropy, which applies softmax itself; its gradients are too small "
            "otherwise.",
        )
    ]  # fmt: skip
