"""Two runs of one experiment, other seeds and data: which tensors lie outside the spread of repeats.

A statistic of the log sees what changes the size of tensors, or their zeros. What is inside the spread of seeds, as a
module in bfloat16 or another epsilon is, no statistic of a log tells: docs/diff.md says what was found and what not.
"""

from typing import Any

import numpy as np

from tandv.analysis.diff.aligned import Aligned
from tandv.analysis.diff.difference import Gap
from tandv.analysis.diff.same import Compared

# By how many repeats of A there are, A among them: the largest |z| of any tensor, and of a tensor type as a whole. They
# were chosen on repeats of two small networks, of which 2 to 4 % still alarm (benchmarks/diff.py). The last ones hold
# for more.
TENSOR = {2: 22.0, 3: 11.0, 4: 8.5, 5: 7.5}
SHIFT = {2: 32.0, 3: 20.0, 4: 14.0, 5: 9.0}
_TYPICAL = 2.0  # times the median spread of the tensor type, at least: three repeats say little of one tensor
_LEAST_SHIFT = 0.02  # of the log of sizes
_ZEROS, _TIMES = 1e-3, 3.0  # share of zeros, and times the largest of the repeats


def same_experiment(repeats: list[Aligned]) -> Compared:
    """Return which tensors of B lie outside of what repeats of A do.

    Compared is the logarithm of the root mean square, averaged over the common steps. A tensor's spread is the largest
    of its own over the repeats, twice the median of its tensor type, and its change from step to step.

    Args:
        repeats: B beside each repeat of A, all with the same tensors and steps.
    """
    tensors, steps = repeats[0].tensors, repeats[0].steps
    kinds = np.array([kind for kind, _ in tensors])
    logged = np.logical_and.reduce([one.logged for one in repeats])
    known = logged.all(axis=1)
    ours = np.stack([_log2(one.a["rm2"]) for one in repeats])  # [repeats, tensors, steps]
    theirs = _log2(repeats[0].b["rm2"])
    known &= np.isfinite(ours).all(axis=(0, 2)) & np.isfinite(theirs).all(axis=1)
    ours, theirs = np.where(known[:, None], ours, 0.0), np.where(known[:, None], theirs, 0.0)

    means, mine = ours.mean(axis=2), theirs.mean(axis=1)
    spread = means.std(axis=0, ddof=1)
    for kind in set(kinds):
        of = kinds == kind
        spread[of] = np.fmax(spread[of], _TYPICAL * np.median(spread[of & known])) if (of & known).any() else spread[of]
    if len(steps) > 1:
        spread = np.fmax(spread, np.abs(np.diff(ours, axis=2)).mean(axis=(0, 2)))
    more = np.sqrt(1 + 1 / len(repeats))
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(known, (mine - means.mean(axis=0)) / (spread * more), np.nan)
    z = np.where(known & (mine == means.mean(axis=0)), 0.0, z)

    found: list[Gap] = []
    limit = _of(TENSOR, len(repeats))
    sizes = np.exp2(means.mean(axis=0)), np.exp2(mine)
    last = int(steps[-1])
    for i in np.flatnonzero(np.abs(z) > 0):
        shift = float(mine[i] - means[:, i].mean())
        found.append(
            Gap(*tensors[i], last, "rm2", float(sizes[0][i]), float(sizes[1][i]), shift, abs(float(z[i])) / limit)
        )
    found += _shifts(kinds, known, means, mine, more, last, _of(SHIFT, len(repeats)))
    found += _zeros(repeats, logged.all(axis=1), last)
    found.sort(key=lambda one: -one.score)
    broken, gone = _not_finite(repeats, logged)
    found = broken + found
    beyond = [one for one in found if one.beyond]
    scores = np.full((len(tensors), len(steps)), np.nan)
    scores[known] = (np.abs(z[known]) / limit)[:, None]
    scores[gone] = np.inf
    first = beyond[0] if beyond else None
    by_type: dict[str, Gap] = {}
    for one in beyond:
        by_type.setdefault(one.tensor_type, one)
    return Compared(scores, first, None, by_type, beyond, found[0] if found else None, [])


def _shifts(
    kinds: np.ndarray, known: np.ndarray, means: np.ndarray, mine: np.ndarray, more: Any, last: int, limit: float
) -> list[Gap]:
    """Return how far each tensor type has moved as a whole, by the median of its tensors."""
    out = []
    for kind in dict.fromkeys(kinds[known]):
        of = (kinds == kind) & known
        each, other = np.median(means[:, of], axis=1), float(np.median(mine[of]))
        t = abs(other - each.mean()) / (max(float(each.std(ddof=1)), _LEAST_SHIFT) * more)
        size = float(other - each.mean())
        out.append(
            Gap(str(kind), "*", last, "rm2", float(np.exp2(each.mean())), float(np.exp2(other)), size, t / limit)
        )
    return out


def _zeros(repeats: list[Aligned], known: np.ndarray, last: int) -> list[Gap]:
    """Return the tensors of B with zeros that no repeat has, such as behind a dropout."""
    if not {"zeros", "numel"} <= repeats[0].a.keys():
        return []
    share = [of["zeros"] / of["numel"] for of in (repeats[0].b, *(one.a for one in repeats))]
    least, most = share[0].min(axis=1), np.stack(share[1:]).max(axis=(0, 2))
    score = least / np.fmax(_TIMES * most, _ZEROS)
    out = []
    for i in np.flatnonzero(known & (score > 1)):
        before, now = float(most[i]), float(least[i])
        out.append(Gap(*repeats[0].tensors[i], last, "zeros share", before, now, now - before, float(score[i])))
    return out


def _not_finite(repeats: list[Aligned], logged: np.ndarray) -> tuple[list[Gap], np.ndarray]:
    """Return the tensors of B with NaN or infinity at steps where no repeat has any, the first first; and where."""
    out: list[Gap] = []
    gone = np.zeros(logged.shape, bool)
    for name in ("nans", "infs"):
        if name not in repeats[0].a:
            continue
        never = np.logical_and.reduce([~(one.a[name] > 0) for one in repeats])
        there = logged & never & (repeats[0].b[name] > 0)
        for i in np.flatnonzero(there.any(axis=1)):
            j = int(there[i].argmax())
            count = float(repeats[0].b[name][i, j])
            out.append(Gap(*repeats[0].tensors[i], int(repeats[0].steps[j]), name, 0.0, count, np.inf, np.inf))
        gone |= there
    place = {tensor: i for i, tensor in enumerate(repeats[0].tensors)}
    return sorted(out, key=lambda one: (one.step, place[one.tensor_type, one.layer])), gone


def _of(limits: dict[int, float], repeats: int) -> float:
    return limits[min(repeats, max(limits))]


def _log2(values: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log2(values)
