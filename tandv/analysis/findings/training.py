"""Rules about weights that the run does not train: no gradient, not in the optimiser, rounded away, Adam's epsilon."""

from collections.abc import Mapping

import numpy as np

from tandv.analysis.findings.finding import EVERY, Finding
from tandv.analysis.findings.laws import LASTING
from tandv.analysis.findings.matrices import Matrices
from tandv.analysis.findings.order import module_of
from tandv.analysis.findings.stretches import begins, typical
from tandv.analysis.findings.wording import begun, others, percent, tensor
from tandv.formats import is_format, number_format
from tandv.tensor_types import ACTIVATION, GRADIENT, OPTIMISER_STATE, WEIGHT, WEIGHT_GRADIENT, WEIGHT_UPDATE

_SHIFTS = ("bias", "beta")
_LOST = 0.5  # share of the values of the typical matrix whose update is rounded away
_RULED = 0.8  # share whose step Adam's epsilon rules
_EPSILON = 1e-8  # of Adam, as torch and optax have it by default
_SMALL_GRADIENT = 1e-3  # of the typical one: below, a parameter has no gradient but rounding (the bias of keys)


def not_trained(m: Matrices) -> list[Finding]:
    """Report parameters that never change while others do.

    Sees: mean, rm2, rm4 and the largest magnitude of a weight, equal at all recorded steps; its gradient; and what
    run.json says of each parameter. Threshold: none. A gradient and no change: no optimiser has it, or the one that has
    it does not move it. A gradient that is required and never came, or is always zero: the graph is cut behind it. No
    gradient that is required: it is frozen, a note. Without the run's file, one whose output gets a gradient counts as
    frozen, any other as cut off.

    When it is wrong: a layer that is left out of the optimiser on purpose; it is a note where all of the first layers
    are, two or more, as in fine-tuning, and in JAX, where that is how to freeze them. Those of an optimiser that has
    not stepped yet, a beginning that is frozen in a log without its run.
    """
    if not m.layers(WEIGHT) or len(m.steps) <= LASTING or not m.layers(WEIGHT_GRADIENT):
        return []
    same = np.ones(len(m.layers(WEIGHT)), bool)
    for statistic in ("mean", "rm2", "rm4", "max_abs"):
        if m.has(WEIGHT, statistic):
            values = np.nan_to_num(m(WEIGHT, statistic))
            same &= (values == values[:, -1:]).all(1)
    if same.all() or not same.any():
        return []
    how: dict[str, list[str]] = {"none": [], "zero": [], "flows": []}
    size = m(WEIGHT_GRADIENT, "rm2")
    largest = {
        name: float(np.nanmax(row, initial=0)) for name, row in zip(m.layers(WEIGHT_GRADIENT), size, strict=True)
    }
    usual = float(np.median([value for value in largest.values() if value > 0] or [0.0]))
    for row in np.flatnonzero(same):
        name = m.layers(WEIGHT)[row]
        if name not in largest:
            how["none"].append(name)
        elif largest[name] == 0:
            how["zero"].append(name)
        elif largest[name] > _SMALL_GRADIENT * usual and not _rounds_away(m, name):
            how["flows"].append(name)
    out = []
    if how["flows"]:
        out += _not_moved(m, how["flows"])
    if lost := how["none"] or [name for name in how["zero"] if name in m.matrices(0)]:
        out.append(_without_gradient(m, lost, bool(how["none"])))
    return out


def _rounds_away(m: Matrices, name: str) -> bool:
    """Tell whether a parameter was, or may have been, given updates that its number format cannot hold."""
    row = m.number(WEIGHT_GRADIENT, name)
    if row is None or "rounded_away" not in m.statistics:
        dtype = m.dtypes.get((WEIGHT, name), "")
        return is_format(dtype) and number_format(dtype).bits <= 16
    return bool((np.nan_to_num(m(WEIGHT_GRADIENT, "rounded_away")[row]) > 0).any())


def _is_jax(m: Matrices) -> bool:
    return str(m.facts.get("framework", "")).startswith("jax")


def _fact(m: Matrices, name: str, what: str) -> bool | None:
    """Return what run.json says of a parameter; None where it says nothing."""
    return m.facts.get("parameters", {}).get(name, {}).get(what)


def _not_moved(m: Matrices, names: list[str]) -> list[Finding]:
    """Report weights that never change though they have a gradient: those that an optimiser has apart from others."""
    held = [name for name in names if _fact(m, name, "in_optimizer")]
    rest = [name for name in names if name not in held]
    return [_finding_of_still(m, some, some is held) for some in (held, rest) if some]


def _finding_of_still(m: Matrices, names: list[str], held: bool) -> Finding:
    name, step = _principal(names)[0], int(m.steps[0])
    state = any(m.number(kind, name) is not None for kind in m.tensor_types if kind.startswith(OPTIMISER_STATE))
    meant = _is_jax(m) or (not held and not state and _is_beginning(m, names))  # optax can zero what it has a state of
    if held or state:
        before = f"It has a gradient and {'is' if held else 'a state'} in the optimiser; other weights change."
        advice = (
            "Check the learning rate of its group, and whether the loop uses the weights that the optimiser returns."
        )
    else:
        before = "It has a gradient and no state in an optimiser; other weights change."
        advice = (
            "Give it to the optimiser: make that from all parameters after the last layer was added or replaced, and "
            "check the learning rate of its group."
        )
    if meant:
        advice = (
            "Nothing, if it is frozen on purpose: then requires_grad_(False), or in JAX no gradient of it, saves time."
        )
    return Finding(
        "not_trained", "note" if meant else "warning", WEIGHT, name, step,
        {"parameters": len(names), "gradient": "flows"},
        f"{begun(tensor(WEIGHT, name))} never changes, from step {step:,} on, though its gradient is not zero.",
        before, advice, others([one for one in names if one != name]),
    )  # fmt: skip


def _is_beginning(m: Matrices, names: list[str]) -> bool:
    """Tell whether parameters that the optimiser lacks are of the first layers, two or more, as in fine-tuning."""
    if any(_fact(m, name, "in_optimizer") is not False for name in names):
        return False
    known = m.in_order(ACTIVATION)
    of = {name: module_of(name, known) for name in m.layers(WEIGHT)}
    with_weights = [module for module in known if module in of.values()]
    without = {of.get(name) for name in names}
    return len(without) > 1 and without == set(with_weights[: len(without)])


def _without_gradient(m: Matrices, names: list[str], never: bool) -> Finding:
    """Report weights without a gradient: the last of them in the forward pass is where the graph may be cut."""
    at = {name: position for position, name in enumerate(m.in_order(ACTIVATION))}
    cut = (
        [name for name in names if _is_required(m, name, at) and not _is_frozen(m, name)]
        if never
        else [name for name in names if not _is_frozen(m, name)]
    )
    frozen = not cut
    forward = sorted(_principal(cut or names), key=lambda name: at.get(module_of(name, at) or "", -1))
    name, step = forward[-1], int(m.steps[0])
    if frozen:
        before = "It does not require one: it is frozen." if never else "No optimiser has it: it is frozen."
    elif never:
        before = "No backward pass reached it, while other weights have gradients."
    else:
        before = "Its gradient is exactly zero at every recorded step, while others are not."
    advice = (
        "Nothing, if it is frozen on purpose; else set requires_grad to True before the optimiser is made, or in JAX "
        "differentiate with respect to it."
        if frozen
        else "Look at what is done to the output of its layer: .detach(), .data, no_grad(), stop_gradient, .item(), a "
        "conversion to NumPy, or a result that is not used."
    )
    return Finding(
        "not_trained", "note" if frozen else "warning", WEIGHT, name, step,
        {"parameters": len(names), "gradient": "not required" if frozen else "none" if never else "zero"},
        f"{begun(tensor(WEIGHT, name))} gets no gradient and never changes, from step {step:,} on.",
        before, advice, others([one for one in names if one != name]),
    )  # fmt: skip


def _is_required(m: Matrices, name: str, modules: Mapping[str, int]) -> bool:
    """Tell whether a gradient of a parameter that has none was required, as far as the log tells."""
    required = _fact(m, name, "requires_grad")
    if required is not None:
        return required
    never_seen = m.facts.get("coverage", {}).get("gradients_never_seen")
    if never_seen is not None:
        return name in never_seen
    return (module_of(name, modules) or "") not in m.layers(GRADIENT)


def _is_frozen(m: Matrices, name: str) -> bool:
    """Tell whether the optimiser of a JAX run leaves a parameter out, which is how to freeze it there."""
    return _is_jax(m) and _fact(m, name, "in_optimizer") is False


def _principal(names: list[str]) -> list[str]:
    """Return the names that are not of biases, all if there are none."""
    return [name for name in names if not name.endswith(_SHIFTS)] or names


def rounded_away(m: Matrices) -> list[Finding]:
    """Report updates that are too small for the number format of the weights, which stay as they are.

    Sees: the share of values that stayed though the optimiser had something to add (`insight=True`); else, of updates
    that are exactly zero less those of gradients that are (`track_updates=True`). Threshold: half of the values of the
    mean matrix, 5 recorded steps in a row: half of the work is lost. Healthy runs: 0.21 (bfloat16 weights and AdamW).

    When it is wrong: optimisers that move few values at a time on purpose; with stochastic rounding the loss of each
    step averages out. In float32, after the first 20 recorded steps, it is a note: all may be learned.
    """
    names = m.matrices()
    if m.has(WEIGHT_GRADIENT, "rounded_away"):
        share = m(WEIGHT_GRADIENT, "rounded_away")[m.rows(WEIGHT_GRADIENT, names)]
    elif m.has(WEIGHT_UPDATE, "zeros", "numel") and m.has(WEIGHT_GRADIENT, "zeros"):
        names = [name for name in names if name in m.layers(WEIGHT_GRADIENT) and name in m.layers(WEIGHT_UPDATE)]
        moved = m(WEIGHT_UPDATE, "nonzero")[m.rows(WEIGHT_UPDATE, names)]
        meant = m(WEIGHT_GRADIENT, "nonzero")[m.rows(WEIGHT_GRADIENT, names)]
        share = np.where((moved > 0) | (meant > 0), meant - moved, np.nan)
        share[:, (np.nan_to_num(moved) == 0).all(0)] = np.nan  # nothing moved at all: the optimiser did not step
    else:
        return []
    mean = _mean(share)
    at = int(begins((mean > _LOST)[None], LASTING)[0])
    if at < 0:
        return []
    step, lost = int(m.steps[at]), float(mean[at])
    dtype = next((m.dtypes.get((WEIGHT, name), "") for name in names), "")
    # Where all is learned, updates are small in any format.
    late = at > 4 * LASTING and is_format(dtype) and number_format(dtype).bits > 16
    return [
        Finding(
            "rounded_away", "note" if late else "warning", WEIGHT, EVERY, step, {"share": lost, "dtype": dtype},
            f"{percent(lost)} of the values of the weights ({dtype}) stay as they are at an update, since step "
            f"{step:,}.",
            "The optimiser had something to add to them, but less than half the distance to the next number of their "
            "format.",
            "Keep the weights in float32 (a master copy, or autocast), round stochastically, or raise the learning "
            "rate.",
        )
    ]  # fmt: skip


def epsilon_regime(m: Matrices) -> list[Finding]:
    """Report gradients so small that Adam's epsilon, and no more the gradient, sets the size of the step.

    Sees: the share of values whose root of the second moment is below epsilon (`insight=True`), without those whose
    second moment is 0; else whether the mean second moment is below epsilon², if epsilon is 1e-8. Threshold: 0.8 of the
    values of the typical matrix, 5 recorded steps in a row. Healthy runs: 0.09.

    When it is wrong: runs that have ended learning (a loss of exactly 0); a large epsilon that was chosen.
    """
    names = m.matrices()
    if not m.second_moments():
        return []
    kind = m.second_moments()[0]
    held = [name for name in names if name in m.layers(kind) and name in m.layers(WEIGHT_GRADIENT)]
    if not held:
        return []
    if m.has(WEIGHT_GRADIENT, "epsilon_regime"):
        empty = 1 - m(kind, "nonzero")[m.rows(kind, held)]  # these never had a gradient: dead units, not epsilon
        ruled = m(WEIGHT_GRADIENT, "epsilon_regime")[m.rows(WEIGHT_GRADIENT, held)]
        share = typical((ruled - empty) / np.maximum(1 - empty, 0.05), 0)
    else:
        mean = m(kind, "mean")[m.rows(kind, held)]
        share = typical(np.where(np.isnan(mean), np.nan, (mean < _EPSILON**2) & (mean > 0)), 0)
    at = int(begins((share > _RULED)[None], LASTING)[0])
    if at < 0:
        return []
    step, ruled = int(m.steps[at]), float(share[at])
    size = float(typical(m(kind, "mean")[m.rows(kind, held), at : at + 1], 0)[0])
    return [
        Finding(
            "epsilon_regime", "warning", kind, EVERY, step, {"share": ruled, "second_moment": size},
            f"Adam's epsilon sets the size of the step of {percent(ruled)} of the values of the typical matrix, since "
            f"step {step:,}.",
            f"The root of the second moment of the typical matrix is {np.sqrt(size):.2g}.",
            "Scale the loss up or make epsilon smaller; and look for why gradients are so small (a mean over too much, "
            "a factor in the loss).",
        )
    ]  # fmt: skip


def clipped_to_nothing(m: Matrices) -> list[Finding]:
    """Report gradients that are clipped to one small norm at every step, so that nothing moves.

    Sees: the norm of all gradients as the optimiser receives them, and the update over the weight. Threshold: one norm
    within 0.1 % at 20 recorded steps in a row, and a typical update below 1e-5 of the weight. Clipping at every step
    alone is normal for language models, and Adam undoes any clipping.

    When it is wrong: it is right for any cause of a constant, small norm (normalised gradients with a tiny rate).
    """
    if not m.has(WEIGHT_GRADIENT, "rm2", "numel"):
        return []
    squares = m(WEIGHT_GRADIENT, "rm2").astype(np.float64) ** 2 * m(WEIGHT_GRADIENT, "numel")
    norm = np.sqrt(np.nansum(squares, 0))
    if not (norm > 0).any():
        return []
    usual = float(np.median(norm[norm > 0]))
    at = int(begins((np.abs(norm / usual - 1) < 1e-3)[None], 20)[0])
    ratio = update_ratio(m, m.matrices())
    if at < 0 or ratio is None or not (moved := float(typical(ratio.reshape(1, -1), 1)[0])) < 1e-5:
        return []
    step = int(m.steps[at])
    return [
        Finding(
            "clipped_to_nothing", "warning", WEIGHT_GRADIENT, EVERY, step, {"norm": usual, "update_to_weight": moved},
            f"The norm of all gradients is {usual:.3g} at every step from {step:,} on: they are clipped each time.",
            f"The typical update is {moved:.1g} of the weight, so that nothing moves.",
            "Clip at a norm that most steps stay below, such as the 90 % point of the norms without clipping.",
        )
    ]  # fmt: skip


def update_ratio(m: Matrices, names: list[str]) -> np.ndarray | None:
    """Return the size of the update over that of the weight, [layers, steps]; None where updates are not recorded.

    Args:
        m: the log.
        names: names of weights; those without are left out.
    """
    if m.has(WEIGHT_UPDATE, "rm2") and m.has(WEIGHT, "rm2"):
        names = [name for name in names if name in m.layers(WEIGHT_UPDATE) and name in m.layers(WEIGHT)]
        with np.errstate(all="ignore"):
            return m(WEIGHT_UPDATE, "rm2")[m.rows(WEIGHT_UPDATE, names)] / m(WEIGHT, "rm2")[m.rows(WEIGHT, names)]
    if m.has(WEIGHT_GRADIENT, "update_to_weight"):
        return m(WEIGHT_GRADIENT, "update_to_weight")[m.rows(WEIGHT_GRADIENT, names)]
    return None


def _mean(values: np.ndarray) -> np.ndarray:
    """Return the mean over rows, NaN where a column has none."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0).sum(0) / known.sum(0)
