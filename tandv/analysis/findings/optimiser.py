"""Rules about steps of an optimiser that have no effect: rounded away, ruled by Adam's epsilon, clipped to nothing."""

import numpy as np

from tandv.analysis.findings.finding import EVERY, Finding
from tandv.analysis.findings.laws import LASTING
from tandv.analysis.findings.matrices import Matrices
from tandv.analysis.findings.stretches import begins, typical
from tandv.analysis.findings.wording import percent
from tandv.formats import is_format, number_format
from tandv.tensor_types import WEIGHT, WEIGHT_GRADIENT, WEIGHT_UPDATE

_LOST = 0.5  # share of the values of the typical matrix whose update is rounded away
_RULED = 0.8  # share whose step Adam's epsilon rules
_EPSILON = 1e-8  # of Adam, as torch and optax have it by default


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
