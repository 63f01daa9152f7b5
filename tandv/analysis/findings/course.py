"""Rules from a run's own history: what leaves the course that it had in its last steps."""

import numpy as np

from tandv.analysis.findings.finding import EVERY, Finding
from tandv.analysis.findings.matrices import Matrices
from tandv.analysis.findings.stretches import BACK, begins, leaps, log2, typical
from tandv.analysis.findings.training import update_ratio
from tandv.analysis.findings.wording import begun, others, percent, power, tensor
from tandv.tensor_types import ACTIVATION, WEIGHT, WEIGHT_GRADIENT, WEIGHT_UPDATE

_SPREADS = 8.0
_UPDATE_BITS, _SPIKE_BITS = 4.0, 3.0
_LARGE_UPDATE = 0.5  # of the weight: after such a step a layer is another layer
_OF_LAYERS = 0.3
_GROWTH, _GROWING = 0.1, 8  # bits a step, recorded steps in a row
_LINEAR = 16  # steps in a row at the beginning, where small weights find their size
_SHRUNK = -2.0  # bits: three quarters of the weight are gone
_HALVED, _SOON = (
    -1.0,
    100,
)  # bits, and steps from the first: a rate × decay of 0.001, which is high, takes seven times it
_OUTLIER, _OUTLIER_SIZE, _OUTLIER_STEPS = 0.5, 3.0, 5
_EXTREME = 7.5  # bits, from which it is no note
_EARLY = 15  # recorded steps that are the beginning of an output's course
_LOSS_RISE = 2.0
_FIRST, _NOISE, _CLEAR = 5, 12, 3.0  # losses that are its beginning, those that tell its noise, and how often that
_EXPLODED, _VANISHED = 8.0, -10.0  # bits, of the typical gradient against that of the first steps


def updates_too_large(m: Matrices) -> list[Finding]:
    """Report steps that change the weights too much: a learning rate that is too high, or jumped.

    Sees: the size of the update over that of the weight, for matrices and embeddings of at least 64 values. Threshold:
    above 0.5 in 30 % of them at 2 recorded steps in a row; or, in half of them, 4 bits and 8 spreads above their own
    last 20 steps, and above 0.001. Healthy runs: no two steps in a row; jumps of 2.0 bits.

    When it is wrong: a schedule that restarts on purpose. Weights that begin at zero, or nearly, are left out: their
    first updates are as large as they are.
    """
    names = [name for name in m.matrices() if not _begins_at_zero(m, name)]
    ratio = update_ratio(m, names)
    if ratio is None or not len(ratio) or not len(m.steps):
        return []
    large = begins(_share(ratio > _LARGE_UPDATE, np.isfinite(ratio))[None] >= _OF_LAYERS, 2)[0]
    logs = log2(ratio)
    above, _ = leaps(logs, _UPDATE_BITS, _SPREADS)
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
    return [
        Finding(
            "updates_too_large", "warning", WEIGHT_UPDATE if m.has(WEIGHT_UPDATE) else WEIGHT_GRADIENT, EVERY, step,
            {"update_to_weight": size, "layers": int(which[:, at].sum())},
            f"The typical update is {size:.2g} of its weight at step {step:,}: the weights are replaced rather than "
            "trained.",
            before,
            "Lower the learning rate, to where the typical update is about 0.001 to 0.01 of the weight, or warm it up.",
        )
    ]  # fmt: skip


def _begins_at_zero(m: Matrices, name: str) -> bool:
    """Tell whether a weight begins at zero, or at less than a thousandth of what it comes to."""
    row = m.number(WEIGHT, name)
    if row is None or not m.has(WEIGHT, "rm2"):
        return False
    size = m(WEIGHT, "rm2")[row]
    known = size[np.isfinite(size)]
    return bool(len(known)) and not known[0] > 1e-3 * known.max()


def weight_growth(m: Matrices) -> list[Finding]:
    """Report a matrix that grows by the same factor step after step.

    Sees: log2 of the rms of a weight. Threshold: 0.1 bits a step, at 8 recorded steps in a row, twice the size in ten
    steps; it finds query and key weights whose products run away. Where it begins in the first 20 recorded steps, 16 in
    a row: by updates of one size a small weight grows so fast for no more than 15. Healthy runs: 0.085 bits.

    When it is wrong: small weights that find their size by updates that grow, as in a long warm-up.
    """
    found = []
    names = [name for name in m.matrices() if name in m.layers(WEIGHT) and not _begins_at_zero(m, name)]
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
        extreme = size > _EXTREME and names[row] != names[-1] and not _begins_at_zero(m, names[row])
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
    stay below those of the first 20 steps are a note: where all is learned, they jump from batch to batch.
    """
    found: list[tuple[int, int, str, str, float]] = []
    usual, start = np.full(len(m.steps), np.nan), np.nan
    gradients = m.rows(WEIGHT_GRADIENT, m.matrices())
    if len(gradients) and m.has(WEIGHT_GRADIENT, "rm2"):
        sizes = log2(m(WEIGHT_GRADIENT, "rm2")[gradients])
        usual = typical(sizes, 0)
        above, _ = leaps(usual[None], _SPIKE_BITS, _SPREADS)
        start = float(typical(usual[None, :BACK], 1)[0])
        found += [(int(at), 1, WEIGHT_GRADIENT, EVERY, float(above[0, at])) for at in np.flatnonzero(above[0])[:1]]
    if m.has(ACTIVATION, "rm2"):
        names = m.in_order(ACTIVATION)
        above, _ = leaps(log2(m(ACTIVATION, "rm2")[m.rows(ACTIVATION, names)]), _SPIKE_BITS, _SPREADS)
        columns = np.flatnonzero((above > 0).any(0))
        if len(columns):
            at = int(columns[0])
            row = int(np.argmax(above[:, at] > 0))
            found.append((at, 0, ACTIVATION, names[row], float(above[row, at])))
    if not found:
        return []
    at, _, kind, name, bits = min(found)
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
            "spike", severity, kind, name, step, {"times": float(2.0**bits)},
            f"{of} {verb} {2.0**bits:.3g} times as large at step {step:,} as in the {BACK} recorded steps before.",
            "In those it stayed within an eighth of that, as the median of their deviations tells.",
            "Look at the batch of that step (its scale, its labels, a damaged file); clip gradients if it comes back.",
            evidence + [f"Also {tensor(*one[2:4])}." for one in found if one[3] not in (name, EVERY)],
        )
    ]  # fmt: skip


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


def _share(mask: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the share of the known values for which something holds, [columns]; 0 where none is known."""
    return (mask & known).sum(0) / np.maximum(known.sum(0), 1)
