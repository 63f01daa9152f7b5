"""Rules about single units of a layer: those that are dead, and one that carries far more than the others."""

from collections.abc import Sequence

import numpy as np

from tandv.analysis.findings.finding import Finding
from tandv.analysis.findings.functions import only_passes, revives
from tandv.analysis.findings.matrices import Matrices
from tandv.analysis.findings.stretches import BACK, begins
from tandv.analysis.findings.wording import others, percent, tensor
from tandv.names import module_of
from tandv.tensor_types import ACTIVATION, GRADIENT, WEIGHT_GRADIENT

_MANY, _MOST = 0.25, 0.75  # of the units of a layer: to be told, and to be more than a note
_LEAST = 8  # units of a layer, of which a share is spoken
_TIMES, _FOR = 16.0, 5  # the rms of the median unit; recorded steps in a row
_ALIKE = 0.1  # of the units: by so much two layers differ that lose the same ones
_HALF = 0.5  # of the bias, without counts of units

# When it is told (a note later, position, kind, position in the forward pass), name, dead, units, last step, passed on.
_Dead = tuple[tuple[bool, int, int, int], str, float, float, int, bool]


def dead_units(m: Matrices) -> list[Finding]:
    """Report a layer many of whose units give nothing, or get no gradient.

    Sees: with `track(units=True)`, how many units have been zero for every sample of the last 20 recorded steps, of
    outputs and, for functions that have no row such as `F.relu`, of the gradients with respect to outputs. Threshold: a
    quarter of the units of a layer is a note, three quarters a warning. Without these counts: half of the values of a
    bias's gradient exactly zero at 20 recorded steps in a row, a note. Healthy runs: 39 % (ReLU of a GPT, SGD).

    When it is wrong: batches so small or tasks so sparse that each sees few units; pruned channels. Without counts,
    layers without bias are not checked, and other units may be zero at each step.
    """
    if not m.has(ACTIVATION, "dead_units", "units") and not m.has(GRADIENT, "dead_units", "units"):
        return _by_biases(m)
    found: list[_Dead] = []
    forward = {name: at for at, name in enumerate(m.in_order(ACTIVATION))}
    for turn, kind in enumerate((ACTIVATION, GRADIENT)):
        names = m.in_order(kind)
        if not names:
            continue
        dead, units = (m(kind, name)[m.rows(kind, names)] for name in ("dead_units", "units"))
        with np.errstate(all="ignore"):
            share = np.where(units >= _LEAST, dead / units, 0.0)
        if kind == GRADIENT:  # where nothing reaches the model's own output, no unit is dead for it
            share = np.where(m(kind, "nonzero")[m.rows(kind, names)][:1] > 0, share, 0.0)
        passing = [kind == ACTIVATION and only_passes(m.types.get((kind, name), "")) for name in names]
        for row, name in enumerate(names):
            # All units of a layer dead is the layer dead, which has a rule of its own.
            many = np.flatnonzero((share[row] >= _MANY) & (share[row] < 1))
            if len(many):
                most = many[np.argmax(share[row, many])]
                at = many[0] if share[row, most] < _MOST else np.flatnonzero(share[row] >= _MOST)[0]
                worst = share[row, most] >= _MOST
                place = (not worst, int(at), turn, forward.get(name, len(forward)))
                found.append((place, name, dead[row, most], units[row, most], int(m.steps[most]), passing[row]))
    # What a dropout is given as zeros is told of the layer before it, where that has a row.
    found = [one for one in found if not one[-1] or not _has_source(one, found)]
    if not found:
        return []
    (note, at, turn, _), name, dead, units, last, _ = min(found)
    kind, step = (ACTIVATION, GRADIENT)[turn], int(m.steps[max(0, at - BACK + 1)])
    what = "been zero for every sample" if kind == ACTIVATION else "got no gradient from any sample"
    return [
        Finding(
            "dead_units", "note" if note else "warning", kind, name, step,
            {"dead": int(dead), "units": int(units), "share": float(dead / units), "until": int(m.steps[at])},
            f"{int(dead)} of {int(units)} units of {name!r} have {what} of the last {BACK} recorded steps at step "
            f"{last:,}.",
            f"It was {percent(_MANY if note else _MOST)} of them or more first at step {int(m.steps[at]):,}.",
            _advice(m, name),
            others(list(dict.fromkeys(one[1] for one in sorted(found) if one[1] != name))),
        )
    ]  # fmt: skip


def _by_biases(m: Matrices) -> list[Finding]:
    names = [name for name in m.layers(WEIGHT_GRADIENT) if name.endswith(".bias")]
    if not names or not m.has(WEIGHT_GRADIENT, "zeros", "numel"):
        return []
    share = 1 - m(WEIGHT_GRADIENT, "nonzero")[m.rows(WEIGHT_GRADIENT, names)]
    starts = begins(share >= _HALF, BACK)
    found = [(int(at), names[row], float(share[row, at])) for row, at in enumerate(starts) if at >= 0]
    if not found:
        return []
    at, name, dead = min(found)
    step, layer = int(m.steps[at]), module_of(name, m.layers(ACTIVATION)) or name
    return [
        Finding(
            "dead_units", "note", WEIGHT_GRADIENT, layer, step, {"share": dead},
            f"{percent(dead)} of the units of {layer!r} get no gradient, since step {step:,}.",
            f"The gradient of their bias is exactly zero at {BACK} recorded steps in a row.",
            _advice(m, layer),
            others([one for _, one, _ in found if one != name]),
        )
    ]  # fmt: skip


def _has_source(passed: _Dead, found: Sequence[_Dead]) -> bool:
    """Tell whether a layer before it of as many units, of which about as many are dead, is among those found."""
    (*_, at), _, dead, units, _, _ = passed
    return any(
        one[0][-1] < at and one[3] == units and abs(one[2] - dead) <= _ALIKE * units for one in found if not one[-1]
    )


def _advice(m: Matrices, name: str) -> str:
    first = "Lower the learning rate at the beginning"
    return f"{first}, or {revives(m, name)}; a narrower layer would do the same."


def outlier_channel(m: Matrices) -> list[Finding]:
    """Report one unit of an output that carries far more than the others.

    Sees: with `track(units=True)`, the rms of the largest unit over that of the median unit that is not zero.
    Threshold: 16, four bits, for the same unit at 5 recorded steps in a row. Healthy runs: 10 (GELU of a GPT).

    When it is wrong: language models have such channels without harm; they matter for quantisation and for formats of
    16 and 8 bits: a note.
    """
    if not m.has(ACTIVATION, "largest_unit", "largest_unit_ratio"):
        return []
    names = m.in_order(ACTIVATION)
    unit, ratio = (m(ACTIVATION, name)[m.rows(ACTIVATION, names)] for name in ("largest_unit", "largest_unit_ratio"))
    found = []
    for row, name in enumerate(names):
        known = unit[row][np.isfinite(unit[row])].astype(int)
        if not len(known):
            continue
        usual = int(np.bincount(known).argmax())  # an outlier is one unit, not each in turn
        at = int(begins(((ratio[row] > _TIMES) & (unit[row] == usual))[None], _FOR)[0])
        if at >= 0:
            found.append((at, row, name, usual, float(np.nanmax(ratio[row][unit[row] == usual]))))
    if not found:
        return []
    at, _, name, usual, times = min(found)
    step = int(m.steps[at])
    return [
        Finding(
            "outlier_channel", "note", ACTIVATION, name, step, {"unit": usual, "times": times},
            f"Unit {usual} of {tensor(ACTIVATION, name)} carries up to {times:.3g} times the rms of the median unit, "
            f"since step {step:,}.",
            f"Above {_TIMES:.0f} times at {_FOR} recorded steps in a row; units count from 0.",
            "Nothing for training in bfloat16 or float32; for float16, float8 or quantisation, scale it by channel, or "
            "look at weight decay and at the norm before this layer.",
            others([one for _, _, one, _, _ in found if one != name]),
        )
    ]  # fmt: skip
