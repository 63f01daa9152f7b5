"""Rules from a run's own history: what leaves the course that it had in its last steps."""

import numpy as np

from tandv.analysis.findings.finding import EVERY, Finding
from tandv.analysis.findings.matrices import Matrices
from tandv.analysis.findings.stretches import BACK, begins, leaps, log2, typical
from tandv.analysis.findings.weight_sizes import SPREADS, begins_at_zero
from tandv.analysis.findings.wording import begun, power, tensor
from tandv.tensor_types import ACTIVATION, WEIGHT, WEIGHT_GRADIENT

OF_INPUT = "of_input"  # the number of a spike that comes from what goes into the model
_SPIKE_BITS = 3.0
_OUTLIER, _OUTLIER_SIZE, _OUTLIER_STEPS = 0.5, 3.0, 5
_EXTREME = 7.5  # bits, from which it is no note
_EARLY = 15  # recorded steps that are the beginning of an output's course
_LOSS_RISE = 2.0
_FIRST, _NOISE, _CLEAR = 5, 12, 3.0  # losses that are its beginning, those that tell its noise, and how often that
_EXPLODED, _VANISHED = 8.0, -10.0  # bits, of the typical gradient against that of the first steps


def outlier_feature(m: Matrices) -> list[Finding]:
    """Report an output in which a few features grow far beyond the others.

    Sees: rm8 / rm2 of outputs (1.9 for a normal distribution; one of d features that carries all gives d^(3/8)) and the
    largest magnitude, against their first 15 recorded steps. Threshold: 0.5 bits for 5 recorded steps, and 3 bits; the
    step is traced back to where the growth began. Healthy runs: 9 of 80 have one.

    When it is wrong: language models have them without harm; they matter for quantisation: a note, but where the
    largest magnitude grows by more than 7.5 bits in a layer that is not the last (healthy runs: 5.7, the last 6.2).
    """
    if not m.has(ACTIVATION, "rm8", "rm2", "max_abs") or len(m.steps) < BACK:
        return []
    matrices = set(m.matrices(0))
    names = [name for name in m.in_order(ACTIVATION) if name in matrices]
    rows = m.rows(ACTIVATION, names)
    if not len(rows):
        return []
    tails = log2(m(ACTIVATION, "rm8")[rows]) - log2(m(ACTIVATION, "rm2")[rows])
    largest = log2(m(ACTIVATION, "max_abs")[rows])
    with np.errstate(all="ignore"):
        tails -= typical(tails[:, :_EARLY], 1)[:, None]
        largest -= typical(largest[:, :_EARLY], 1)[:, None]
        starts = begins(tails > _OUTLIER, _OUTLIER_STEPS)
    for row, at in enumerate(starts.tolist()):
        if at < 0 or not np.nanmax(largest[row, at:], initial=-np.inf) > _OUTLIER_SIZE:
            continue
        begun_at = at - int(np.argmax((tails[row, at::-1] < 0.1) | (np.arange(at, -1, -1) == 0)))
        step = int(m.steps[min(begun_at + 1, at)])
        share, size = float(2.0 ** np.nanmax(tails[row, at:])), float(np.nanmax(largest[row, at:]))
        extreme = size > _EXTREME and names[row] != names[-1] and not begins_at_zero(m, names[row])
        return [
            Finding(
                "outlier_feature", "warning" if extreme else "note", ACTIVATION, names[row], step,
                {"rm8_to_rm2": share, "bits": size, "until": int(m.steps[at])},
                f"A few features of the output of {names[row]!r} grow beyond the others since step {step:,}.",
                f"rm8 / rm2 comes to {share:.2f} times what it was in the first {_EARLY} recorded steps, the largest "
                f"magnitude to {power(2.0**size)} times.",
                "Nothing for training in bfloat16 or float32; for float16, float8 or quantisation, look at weight "
                "decay and at the norm before this layer.",
            )
        ]  # fmt: skip
    return []


def spike(m: Matrices) -> list[Finding]:
    """Report a step that stands out from the run's own: gradients of most layers, or the outputs of one.

    Sees: log2 of the rms of the typical weight gradient, and of each module's outputs (a batch of another scale in
    front of a norm shows in outputs only). Threshold: 3 bits and 8 spreads above the last 20 recorded steps. Healthy
    runs: gradients reach 3.8 bits, but then less than 8 spreads; outputs 2.5 bits.

    When it is wrong: a schedule that changes at once (a new phase of data); runs recorded at few steps. Gradients that
    stay below those of the first 20 steps are a note: once the loss is near its minimum, they jump from batch to batch.
    """
    found: list[tuple[int, int, str, str, float]] = []
    usual, start = np.full(len(m.steps), np.nan), np.nan
    gradients = m.rows(WEIGHT_GRADIENT, m.matrices())
    if len(gradients) and m.has(WEIGHT_GRADIENT, "rm2"):
        sizes = log2(m(WEIGHT_GRADIENT, "rm2")[gradients])
        usual = typical(sizes, 0)
        above, _ = leaps(usual[None], _SPIKE_BITS, SPREADS)
        start = float(typical(usual[None, :BACK], 1)[0])
        found += [(int(at), 1, WEIGHT_GRADIENT, EVERY, float(above[0, at])) for at in np.flatnonzero(above[0])[:1]]
    if m.has(ACTIVATION, "rm2"):
        names = m.in_order(ACTIVATION)
        above, _ = leaps(log2(m(ACTIVATION, "rm2")[m.rows(ACTIVATION, names)]), _SPIKE_BITS, SPREADS)
        columns = np.flatnonzero((above > 0).any(0))
        if len(columns):
            at = int(columns[0])
            row = int(np.argmax(above[:, at] > 0))
            found.append((at, 0, ACTIVATION, names[row], float(above[row, at])))
    if not found:
        return []
    at, _, kind, name, bits = min(found)
    entered = kind == ACTIVATION and name == m.in_order(ACTIVATION)[0] and _has_stayed(m, name, at)
    step = int(m.steps[at])
    of = "The gradients of the typical weight" if name == EVERY else begun(tensor(kind, name))
    verb = "are" if name == EVERY else "is"
    severity = "note" if name == EVERY and usual[at] < start else "warning"
    evidence = []
    loss = m.loss
    if loss is not None and at and np.isfinite(loss[at - 1 : at + 1]).all():
        evidence.append(f"The loss goes from {loss[at - 1]:.4g} to {loss[at]:.4g}.")
    return [
        Finding(
            "spike", severity, kind, name, step, {"times": float(2.0**bits), **({OF_INPUT: 1} if entered else {})},
            f"{of} {verb} {2.0**bits:.3g} times as large at step {step:,} as in the {BACK} recorded steps before.",
            "Its weights have not grown: it is what goes into the model."
            if entered
            else "In those it stayed within an eighth of that, as the median of their deviations tells.",
            "Look at the batch of that step (its scale, its labels, a damaged file); clip gradients if it comes back.",
            evidence + [f"Also {tensor(*one[2:4])}." for one in found if one[3] not in (name, EVERY)],
        )
    ]  # fmt: skip


def _has_stayed(m: Matrices, name: str, at: int) -> bool:
    """Tell whether a weight is known to be less than twice as large as in any of the last steps before a column."""
    row = m.number(WEIGHT, name)
    if row is None or not m.has(WEIGHT, "rm2"):
        return False
    size = m(WEIGHT, "rm2")[row, max(at - BACK, 0) : at + 1]
    return bool((size[-1] < 2 * size[:-1]).all())


def diverging(m: Matrices) -> list[Finding]:
    """Report a loss that ends higher than it began, as with the wrong sign or a learning rate that is too high.

    Sees: the median of the last tenth of the losses over that of the first 5. Threshold: 2, at 30 recorded steps and
    more. Healthy runs: 1.12 (a GAN).

    When it is wrong: losses of adversarial games, and of curricula that become harder. A loss that was negative is
    looked at only where it began at more than 3 times its noise above 0: of others (policy gradients, contrastive ones)
    a ratio to the beginning says nothing. Of several losses none is looked at if none is the whole.
    """
    loss = m.loss
    if loss is None or len(loss) < 30:
        return []
    steps, known = m.steps[np.isfinite(loss)], loss[np.isfinite(loss)]
    if len(known) < 30:
        return []
    first, last = float(np.median(known[:_FIRST])), float(np.median(known[-max(5, len(known) // 10) :]))
    if known.min() < 0 and not first > _CLEAR * _noise_of(known[:_NOISE]):
        return []
    falls = first > 0 and last > _LOSS_RISE * first
    below = known.min() < 0 and last < 0 < first and -last > 10 * first  # one that was bounded by 0 turned round
    if not falls and not below:
        return []
    at = int(np.argmax(known > _LOSS_RISE * first)) if falls else int(np.argmax(known < 0))
    begun_at = int(np.argmin(known[: at + 1])) if falls else 0  # the lowest loss before it
    step = int(steps[begun_at])
    return [
        Finding(
            "diverging", "warning", "loss", EVERY, step, {"first": first, "last": last, "until": int(steps[at])},
            f"The loss ends at {last:.4g}, {'above' if falls else 'far below 0, from'} the {first:.4g} it began with.",
            f"From {known[begun_at]:.4g} at step {step:,} it comes to {known[at]:.4g} at step {int(steps[at]):,}.",
            "Check the sign of the loss and what it averages over, then try a learning rate ten times as low.",
        )
    ]  # fmt: skip


def _noise_of(values: np.ndarray) -> float:
    """Return the standard deviation of a series about its course, by its second differences, robustly."""
    return float(1.4826 * np.median(np.abs(np.diff(values, 2)))) / 6**0.5


def in_time(m: Matrices) -> list[Finding]:
    """Report gradients that explode or vanish over the run, while the loss gets no better.

    Sees: log2 of the rms of the typical weight gradient, after the first 20 recorded steps, against that of these.
    Threshold: 8 bits more than in them, and than in the first 5 of them; or 10 bits less while the loss has fallen by
    less than a tenth; at 5 recorded steps in a row.

    When it is wrong: without a loss in the run, gradients that vanish because all is learned are not told from others,
    and not reported.
    """
    gradients = m.rows(WEIGHT_GRADIENT, m.matrices())
    if not len(gradients) or len(m.steps) < 2 * BACK:
        return []
    sizes = log2(m(WEIGHT_GRADIENT, "rm2")[gradients])
    usual = typical(sizes, 0)
    if not np.isfinite(usual[:BACK]).any():
        return []
    start, early = (float(typical(usual[None, :first], 1)[0]) for first in (BACK, _FIRST))
    # A run that has converged within these steps is compared with how it began.
    high = max(start, early) if np.isfinite(early) else start
    up = _after_the_first(usual - high > _EXPLODED)
    loss = m.loss
    down = -1
    if loss is not None and np.isfinite(loss[:BACK]).any():
        down = _after_the_first(usual - start < _VANISHED)
        known = loss[np.isfinite(loss)]
        if down >= 0 and np.median(known[-5:]) < 0.9 * np.median(known[:5]):
            down = -1
    if up < 0 and down < 0:
        return []
    grows = up >= 0
    at, usually = (up, high) if grows else (down, start)
    change = usual - usually if grows else usually - usual
    back = at - int(np.argmax(change[at::-1] < 1))  # where it left the course of the first steps
    step, bits = int(m.steps[back]), float(change[at])
    verb = "grow" if grows else "fall"
    first = _FIRST if grows and high > start else BACK
    return [
        Finding(
            "exploding_in_time" if grows else "vanishing_in_time", "warning", WEIGHT_GRADIENT, EVERY, step,
            {"bits": bits, "until": int(m.steps[at])},
            f"The gradients of the typical weight {verb} by 2^{bits:.1f} from step {step:,} to {int(m.steps[at]):,}.",
            f"They were {power(2.0**usually)} in the first {first} recorded steps.",
            "Clip gradients and lower the learning rate." if grows else
            "Look for what cuts the signal (saturated or dead layers), and whether the loss still depends on the "
            "model.",
        )
    ]  # fmt: skip


def _after_the_first(holds: np.ndarray) -> int:
    """Return where something begins to hold for 5 recorded steps after the first 20, -1 if it never does."""
    at = int(begins(holds[None, BACK:], 5)[0])
    return at + BACK if at >= 0 else -1
