"""Find bumps of the pace of a curve: where it is higher than before and after, with certainty and by enough to matter.

A bump is tested at every width against the noise at that width. It counts if its shape is that of a transition: slower
before for some time and slower after, no half-wave of an oscillation, large compared with the noise and the range.
Noise is measured on the curve without its bumps, so both are estimated in turns until they agree.
"""

from collections.abc import Callable
from math import log
from typing import NamedTuple

import numpy as np

from tandv.analysis.transitions.noise import Noise, between, measure, noise_of
from tandv.analysis.transitions.overlaps import CERTAIN, resolved, without_rebounds
from tandv.analysis.transitions.pace import Windows, differences, windows
from tandv.analysis.transitions.shape import FASTER, LOOSE_Z, STAYS, Bump, with_shape
from tandv.analysis.transitions.significance import correction, log_tails, looks

MIN_EFFECT = 3.0  # standard deviations of the noise of the level
SHARE = 0.01  # of the range of the curve
SURE = 8.0  # standard errors of a bump that cannot be noise

_LOOSE = 3  # first rounds, with a lower threshold: possible bumps do not count as noise
_SURELY = -40.0  # log p from which peaks are as sure, so that the finest of them comes first
_ALL = 1.25  # times the change of a bump, that noise may add
_COVERED = 0.5  # share of the curve that may be removed in these rounds
_FEW = 16  # points; removing a shorter bump also removes the noise on it
_ROUNDS = 5  # then with the threshold


class Detection(NamedTuple):
    """The bumps of a curve, with the intermediate results."""

    bumps: list[Bump]
    log_p: (
        float  # of the surest that has the shape of a transition, of whatever size; of those that count, if not asked
    )
    steps: np.ndarray
    values: np.ndarray
    background: np.ndarray  # without bumps
    windows: Windows
    noise: Noise


def find(
    steps: np.ndarray,
    values: np.ndarray,
    *,
    limit: float,
    floor: np.ndarray | float,
    removed: np.ndarray,
    sigma: np.ndarray | None = None,
    least: float = 0.0,
    ignored: Callable[[Bump], bool] | None = None,
    surest: bool = False,
) -> Detection:
    """Return the bumps of a curve.

    Args:
        steps: where it is known, ascending.
        values: the curve.
        limit: logarithm of the largest p of a bump.
        floor: standard deviation of the rounding of its values.
        removed: points whose values are interpolated.
        sigma: standard deviation of its fastest noise at each point, if it is known.
        least: the smallest change that counts.
        ignored: whether a bump belongs to something that is known already.
        surest: look for the surest of all, even if none counts.
    """
    bank = windows(steps, values)
    smallest = max(least, SHARE * float(np.ptp(values)))

    def search(noises: Noise, loose: bool) -> tuple[list[Bump], float]:
        shaped = _bumps(steps, values, bank, noises, None if loose else limit, surest and not loose)
        if ignored is not None:
            shaped = [b for b in shaped if not ignored(b)]
        best = min((b.log_p for b in shaped), default=0.0)
        large = [b for b in shaped if _is_large(b) and b.change >= smallest and (loose or b.log_p <= limit)]
        return without_rebounds(resolved(large), bank, noises), best

    background, gone, measured = values, removed, measure(values, removed, bank, floor, sigma)
    for turn in range(_LOOSE):
        chosen, _ = search(noise_of(measured, bank, loose=turn < _LOOSE - 1), True)
        if not chosen:
            break
        background, gone = _remove(steps, values, _largest(chosen, len(values)))
        measured = measure(background, gone | removed, bank, floor)
    noises = noise_of(measured, bank)
    found, best = search(noises, False)
    for _ in range(_ROUNDS):
        if not found and background is values:
            break
        background, gone = _remove(steps, values, found)
        noises = noise_of(measure(background, gone | removed, bank, floor), bank)
        before, (found, best) = found, search(noises, False)
        if list(map(_extent, found)) == list(map(_extent, before)):
            break  # so that the curve without them, and its noise, would be as now
    if any(b.surety < SURE for b in found):
        # Noise has bumps too, and looks quieter without the largest of them.
        with_them, gone_then = _remove(steps, values, [b for b in found if b.surety >= SURE])
        noises = between(noises, noise_of(measure(with_them, gone_then | removed, bank, floor), bank))
        found, best = search(noises, False)
    return Detection(sorted(found, key=lambda b: b.middle), best, steps, values, background, bank, noises)


def _extent(bump: Bump) -> tuple[float, ...]:
    """Return where a bump is."""
    return bump.sign, bump.left, bump.right


def _is_large(bump: Bump) -> bool:
    return bump.effect >= MIN_EFFECT and bump.stays >= STAYS


def _bumps(steps, values, bank: Windows, noises: Noise, limit: float | None, surest: bool) -> list[Bump]:
    """Return the bumps at every width that look like transitions, up to a limit of log p; without one, loosely."""
    places = looks(len(values), bank.widths)
    if noises.memory:
        places = places + correction(len(values), bank.widths, noises.growth)
    out: list[Bump] = []
    best = log(0.5) if surest else -np.inf
    for sign in (1, -1):
        pace = sign * bank.pace
        higher = pace > 2.5 * noises.error
        higher[:, [0, -1]] = False
        if limit is None:
            higher[1::2] = False  # every second width will do to see roughly where bumps are
        higher[:, 1:-1] &= (pace[:, 1:-1] > pace[:, :-2]) & (pace[:, 1:-1] >= pace[:, 2:])
        scales, peaks = np.nonzero(higher)
        if not len(peaks):
            continue
        lowest = np.maximum(pace.min(axis=1), 0)
        hopeful, worst = _hopeful(pace, noises, scales, peaks, lowest[scales], places, limit), _worst(limit, best)
        kept = hopeful <= worst
        scales, peaks = scales[kept], peaks[kept]
        hopeful = _hopeful(pace, noises, scales, peaks, _slow(pace, scales, peaks), places, limit)
        covered = np.zeros(pace.shape, bool)
        certain: list[Bump] = []
        for i in np.lexsort((scales, np.maximum(hopeful, _SURELY))).tolist():
            worst = _worst(limit, best)
            if hopeful[i] > max(worst, _SURELY):
                break
            k, peak = int(scales[i]), int(peaks[i])
            if covered[k, peak] or any(b.scale < k and _is_all(b, peak, sign * bank.rise[k, peak]) for b in certain):
                continue
            bump = with_shape(
                steps, values, sign, k, peak, pace[k], bank, noises, places, None if limit is None else worst, surest
            )
            if bump is not None:
                covered[k, bump.left : bump.right + 1] = True
                best = min(best, bump.log_p)
                out.append(bump)
                if bump.surety >= CERTAIN:
                    certain.append(bump)
    return out


def _hopeful(pace, noises: Noise, scales, peaks, slow, places, limit: float | None) -> np.ndarray:
    """Return the least that log p of peaks may be, of which so slow a pace is known; without a limit less their z."""
    bound = (pace[scales, peaks] - FASTER * slow) / noises.error[scales, peaks]
    return -bound if limit is None else places[scales] + log_tails(bound, noises.freedom[scales])


def _slow(pace: np.ndarray, scales: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """Return the least pace on the faster side of each peak, 0 at least."""
    rows, at = np.unique(scales, return_inverse=True)
    before = np.minimum.accumulate(pace[rows], axis=1)[at, peaks]
    after = np.minimum.accumulate(pace[rows, ::-1], axis=1)[at, pace.shape[1] - 1 - peaks]
    return np.maximum(np.maximum(before, after), 0.0)


def _worst(limit: float | None, best: float) -> float:
    return -LOOSE_Z if limit is None else max(limit, best)


def _is_all(bump: Bump, peak: int, rise: float) -> bool:
    """Whether a certain bump of a finer width is all that a wider window sees."""
    return bump.left <= peak <= bump.right and rise <= _ALL * bump.change


def _largest(found: list[Bump], points: int) -> list[Bump]:
    out, covered = [], 0
    for bump in sorted(found, key=lambda b: -b.change):
        covered += bump.right - bump.left + 1
        if out and covered > _COVERED * points:
            break
        out.append(bump)
    return out


def _remove(steps: np.ndarray, values: np.ndarray, found: list[Bump]) -> tuple[np.ndarray, np.ndarray]:
    """Remove bumps from a curve; the slow pace around them remains, and of wide ones the noise on them."""
    removed = np.zeros(len(values), bool)
    if not found:
        return values, removed
    between, change = np.diff(steps), np.diff(values)
    for bump in found:
        here = slice(bump.left, bump.right + 1)
        points = bump.right - bump.left + 1
        slow = bump.sign * np.linspace(bump.before, bump.after, points) * between[here]
        if points >= _FEW:
            width = np.array([max(points // 7, 1)])
            smooth = (differences(values, width) / differences(steps, width))[0]
            slow = slow + (change - smooth * between)[here]
        else:
            removed[bump.left : bump.right + 2] = True
        change[here] = slow
    return values[0] + np.concatenate([[0.0], np.cumsum(change)]), removed
