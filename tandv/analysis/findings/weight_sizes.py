"""Rules about the sizes of weights and of their updates over a run."""

import numpy as np

from tandv.analysis.findings.finding import EVERY, Finding
from tandv.analysis.findings.matrices import Matrices
from tandv.analysis.findings.optimiser import update_ratio
from tandv.analysis.findings.stretches import BACK, begins, leaps, log2, typical
from tandv.analysis.findings.wording import begun, others, percent, power, tensor
from tandv.tensor_types import WEIGHT, WEIGHT_GRADIENT, WEIGHT_UPDATE

SPREADS = 8.0  # of a layer's own last steps, beyond which a step stands out
_UPDATE_BITS = 4.0
_LARGE_UPDATE = 0.5  # of the weight: after such a step a layer is another layer
_OF_LAYERS = 0.3
_DOUBLED = 1.0  # of the weight: the least update that makes a norm twice as large
_GROWTH, _GROWING = 0.1, 8  # bits a step, recorded steps in a row
_LINEAR = 16  # steps in a row at the beginning, where small weights find their size
_SHRUNK = -2.0  # bits: three quarters of the weight are gone
# Bits, and steps from the first: a rate × decay of 0.001, which is high, takes seven times it.
_HALVED, _SOON = -1.0, 100


def updates_too_large(m: Matrices) -> list[Finding]:
    """Report steps that change the weights too much: a learning rate that is too high, or jumped.

    Sees: the size of the update over that of the weight, for matrices and embeddings of at least 64 values. Threshold:
    above 0.5 in 30 % of them at 2 recorded steps in a row; or, in half of them, 4 bits and 8 spreads above their own
    last 20 steps, and above 0.001. Healthy runs: no two steps in a row; jumps of 2.0 bits. Where updates were not
    recorded, by how much the rms of a weight changes from one step to the next, which is the least that an update is:
    above 0.5 in 30 % of the matrices twice, above 1 in half of them, or above 0.5 in half after the first 20.

    When it is wrong: a schedule that restarts on purpose. Weights that begin at zero, or nearly, are left out: their
    first updates are as large as they are.
    """
    names = [name for name in m.matrices() if not begins_at_zero(m, name)]
    ratio = update_ratio(m, names)
    if ratio is None:
        return _of_sizes(m, names)
    if not len(ratio) or not len(m.steps):
        return []
    large = begins(_share(ratio > _LARGE_UPDATE, np.isfinite(ratio))[None] >= _OF_LAYERS, 2)[0]
    logs = log2(ratio)
    above, _ = leaps(logs, _UPDATE_BITS, SPREADS)
    jumped = (above > 0) & (ratio > 1e-3)
    many = np.flatnonzero(jumped.sum(0) >= max(2, 0.5 * len(ratio)))
    options = [(int(many[0]), "jump")] if len(many) else []
    options += [(int(large), "large")] if large >= 0 else []
    if not options:
        return []
    at, how = min(options)
    step, size = int(m.steps[at]), float(typical(ratio[:, at : at + 1], 0)[0])
    which = jumped if how == "jump" else ratio > _LARGE_UPDATE
    before = "It was so from the first recorded step on."
    if at:
        before = f"In the recorded step before it was {float(typical(ratio[:, at - 1 : at], 0)[0]):.2g}."
    kind = WEIGHT_UPDATE if m.has(WEIGHT_UPDATE) else WEIGHT_GRADIENT
    return [_too_large(kind, step, size, int(which[:, at].sum()), "", before)]


def _of_sizes(m: Matrices, names: list[str]) -> list[Finding]:
    """Report such steps where updates were not recorded: one is at least as large as the change of the norm."""
    names = [name for name in names if name in m.layers(WEIGHT)]
    if not names or not m.has(WEIGHT, "rm2"):
        return []
    size = m(WEIGHT, "rm2")[m.rows(WEIGHT, names)].astype(np.float64)
    with np.errstate(all="ignore"):
        least = np.where(np.diff(m.steps) == 1, np.abs(np.diff(size, axis=1)) / size[:, :-1], np.nan)
    known = np.isfinite(least)
    twice = np.flatnonzero(_share(least > _DOUBLED, known) >= 0.5)
    calm = np.flatnonzero(_share(least > _LARGE_UPDATE, known)[BACK:] >= 0.5) + BACK
    row = begins(_share(least > _LARGE_UPDATE, known)[None] >= _OF_LAYERS, 2)
    options = [int(some[0]) for some in (twice, calm, row[row >= 0]) if len(some)]
    if not options:
        return []
    at = min(options)
    which = least[:, at] > _LARGE_UPDATE
    was, now = (float(typical(size[which, one : one + 1], 0)[0]) for one in (at, at + 1))
    before = f"That is at least how far a step must go for the rms of {which.sum()} of {len(names)} matrices to change "
    before += f"from {was:.2g} to {now:.2g} (the typical one), as it does; track_updates=True measures it."
    ratio = float(typical(least[which, at : at + 1], 0)[0])
    return [_too_large(WEIGHT, int(m.steps[at]), ratio, int(which.sum()), "at least ", before)]


def _too_large(kind: str, step: int, size: float, layers: int, least: str, before: str) -> Finding:
    return Finding(
        "updates_too_large", "warning", kind, EVERY, step,
        {"update_to_weight": size, "layers": layers},
        f"The typical update is {least}{size:.2g} of its weight at step {step:,}: the weights are replaced rather than "
        "trained.",
        before,
        "Lower the learning rate, to where the typical update is about 0.001 to 0.01 of the weight, or warm it up.",
    )  # fmt: skip


def begins_at_zero(m: Matrices, name: str) -> bool:
    """Tell whether a weight begins at zero, or at less than a thousandth of what it comes to.

    One that stays within twice its size for the first 20 recorded steps does not: what makes it grow comes later.
    """
    row = m.number(WEIGHT, name)
    if row is None or not m.has(WEIGHT, "rm2"):
        return False
    size = m(WEIGHT, "rm2")[row]
    known = size[np.isfinite(size)]
    if not len(known) or known[0] > 1e-3 * known.max():
        return False
    return not (known[0] > 0 and len(known) > BACK and known[: BACK + 1].max() < 2 * known[0])


def weight_growth(m: Matrices) -> list[Finding]:
    """Report a matrix that grows by the same factor step after step.

    Sees: log2 of the rms of a weight. Threshold: 0.1 bits a step, at 8 recorded steps in a row, twice the size in ten
    steps; it finds query and key weights whose products run away. Where it begins in the first 20 recorded steps, 16 in
    a row: by updates of one size a small weight grows so fast for no more than 15. Healthy runs: 0.085 bits.

    When it is wrong: small weights that find their size by updates that grow, as in a long warm-up.
    """
    found = []
    names = [name for name in m.matrices() if name in m.layers(WEIGHT) and not begins_at_zero(m, name)]
    if not names or len(m.steps) <= _GROWING or not m.has(WEIGHT, "rm2"):
        return []
    size = log2(m(WEIGHT, "rm2")[m.rows(WEIGHT, names)])
    with np.errstate(invalid="ignore"):
        grows = np.diff(size, axis=1) / np.diff(m.steps) > _GROWTH
    # By updates of one size a weight grows so fast for no more than 15 steps: 1.44 / 15 is 0.1 bits.
    starts, later = begins(grows, _LINEAR), begins(grows[:, BACK:], _GROWING)
    late = (later >= 0) & ((starts < 0) | (later + BACK < starts))
    starts[late] = later[late] + BACK
    for row, at in enumerate(starts.tolist()):
        if at >= 0:
            found.append((at, row))
    if not found:
        return []
    at, row = min(found)
    step, end = int(m.steps[at + 1]), min(at + _GROWING, len(m.steps) - 1)
    rise = float((size[row, end] - size[row, at]) / (m.steps[end] - m.steps[at]))
    return [
        Finding(
            "weight_growth", "warning", WEIGHT, names[row], step, {"bits_per_step": rise},
            f"{begun(tensor(WEIGHT, names[row]))} grows by {rise:.2f} bits a step since step {step:,}.",
            f"Its rms was {power(float(2.0 ** size[row, at]))} and is {power(float(2.0 ** size[row, end]))} "
            f"{int(m.steps[end] - m.steps[at])} steps later.",
            "Lower the learning rate of this layer or give it weight decay; of query and key weights, normalise both "
            "(QK-norm).",
            others([names[one] for _, one in found if one != row]),
        )
    ]  # fmt: skip


def weights_shrink(m: Matrices) -> list[Finding]:
    """Report weights that decay towards zero.

    Sees: log2 of the rms of the matrices against that of the first step. Threshold: −2 bits in the typical one, at 30
    recorded steps and more, or −1 bit within the first 100 steps. Healthy runs: −0.003.

    When it is wrong: long runs with weight decay from a large initialisation, as in grokking; pruning.
    """
    names = [name for name in m.matrices() if name in m.layers(WEIGHT)]
    if not names or len(m.steps) < 30 or not m.has(WEIGHT, "rm2"):
        return []
    size = log2(m(WEIGHT, "rm2")[m.rows(WEIGHT, names)])
    known = size[np.isfinite(size[:, 0])]
    if not len(known):
        return []
    change = typical(known - known[:, :1], 0)
    soon = m.steps - m.steps[0] <= _SOON
    low = np.flatnonzero((change < _SHRUNK) | (soon & (change < _HALVED)))
    if not len(low):
        return []
    at = int(low[0])
    step, share = int(m.steps[0]), float(2.0 ** change[at])
    return [
        Finding(
            "weights_shrink", "warning", WEIGHT, EVERY, step, {"share": share, "until": int(m.steps[at])},
            f"The typical weight shrinks from step {step:,} on, to {percent(share)} of its size at step "
            f"{int(m.steps[at]):,}.",
            f"That is {abs(float(change[at])) / max(int(m.steps[at]) - step, 1):.2g} bits a step.",
            "Lower the weight decay: with decoupled decay a step keeps 1 − rate × decay of the weight.",
        )
    ]  # fmt: skip


def _share(mask: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the share of the known values for which something holds, [columns]; 0 where none is known."""
    return (mask & known).sum(0) / np.maximum(known.sum(0), 1)
