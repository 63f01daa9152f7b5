"""Rules about weights that the run does not train: no gradient, or not in the optimiser."""

from collections.abc import Mapping

import numpy as np

from tandv.analysis.findings.finding import EVERY, Finding
from tandv.analysis.findings.laws import LASTING
from tandv.analysis.findings.matrices import Matrices
from tandv.analysis.findings.stretches import BACK
from tandv.analysis.findings.wording import begun, others, tensor
from tandv.formats import is_format, number_format
from tandv.names import module_of
from tandv.tensor_types import ACTIVATION, GRADIENT, OPTIMISER_STATE, WEIGHT, WEIGHT_GRADIENT

_SHIFTS = ("bias", "beta")
_SMALL_GRADIENT = 1e-3  # of the typical one: below, a parameter has no gradient but rounding (the bias of keys)


def not_trained(m: Matrices) -> list[Finding]:
    """Report parameters that never change while others do.

    Sees: mean, rm2, rm4 and the largest magnitude of a weight, equal at all recorded steps; its gradient; and what
    run.json says of each parameter. Threshold: none. A gradient and no change: no optimiser has it, or the one that has
    it does not move it. A gradient that is required and never came, or is always zero: the graph is cut behind it. No
    gradient that is required: it is frozen, a note. Without the run's file, one whose output gets a gradient counts as
    frozen, any other as cut off. Where no weight ever changes, at more than 20 recorded steps, it is one finding: a
    note where no optimiser is known.

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
    if same.all():
        return _nothing_moves(m)
    if not same.any():
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


def _nothing_moves(m: Matrices) -> list[Finding]:
    """Report that no weight changes though there are gradients, as where the optimiser does not step."""
    names = m.layers(WEIGHT)
    held = any(kind.startswith(OPTIMISER_STATE) for kind in m.tensor_types)
    held |= any(_fact(m, name, "in_optimizer") for name in names)
    rounded = any(_rounds_away(m, name) for name in names)
    if len(m.steps) <= BACK or (rounded and "rounded_away" in m.statistics):
        return []
    if not (m(WEIGHT_GRADIENT, "rm2") > 0).any():
        return []
    step = int(m.steps[0])
    meant = "" if held else "Nothing, if no weight is meant to be trained; else give track the optimiser. "
    narrow = ", and whether updates are rounded away (insight=True)" if rounded else ""
    return [
        Finding(
            "not_trained", "warning" if held else "note", WEIGHT, EVERY, step,
            {"parameters": len(names), "gradient": "flows"},
            f"No weight changes, from step {step:,} on, though gradients are not zero.",
            f"All {len(names)} are the same at each of {len(m.steps):,} recorded steps.",
            f"{meant}Check that the loop calls the optimiser's step, that the optimiser has this model's parameters, "
            f"and that its learning rate is not zero (or in JAX that the new weights are used){narrow}.",
        )
    ]  # fmt: skip


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
