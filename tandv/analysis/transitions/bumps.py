"""Find bumps of the pace of a curve: where it is higher than before and after, with certainty and by enough to matter.

A bump is tested at every width against the noise at that width. It counts if its shape is that of a transition: slower
before for some time and slower after, no half-wave of an oscillation, large compared with the noise and the range.
Noise is measured on the curve without its bumps, so both are estimated in turns until they agree.
"""

from collections.abc import Callable
from math import log
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from tandv.analysis.transitions.noise import Noise, between, measure, noise_of
from tandv.analysis.transitions.overlaps import resolved, without_rebounds
from tandv.analysis.transitions.pace import Windows, differences, windows
from tandv.analysis.transitions.significance import log_tail, log_tails, looks, surety
from tandv.analysis.transitions.spikes import recovers

FASTER = 1.3  # times as fast as before and after
MIN_EFFECT = 3.0  # standard deviations of the noise of the level
SHARE = 0.01  # of the range of the curve
LONGEST = 0.4  # share of the run; a slower change is its trend
SURE = 8.0  # standard errors of a bump that cannot be noise
MARGIN = 1.0  # standard errors added to the slowest pace before and after
FOOT = 0.15  # share of the way up to the highest pace at which a bump begins and ends
MIN_SLOW = 0.2  # share of its width that the slow pace before and after it must last
FEWEST = 5  # points that must lie before and after it, of a tenth of the curve at most
SWING = 0.5  # a reverse pace of this share of the highest, within NEIGHBOURHOOD, is an oscillation
NEIGHBOURHOOD = 0.8  # of its width

_LOOSE = 3  # first rounds, with a lower threshold: possible bumps do not count as noise
_LOOSE_Z = 3.0
_COVERED = 0.5  # share of the curve that may be removed in these rounds
_FEW = 16  # points; removing a shorter bump also removes the noise on it
_ROUNDS = 5  # then with the threshold


class Bump(NamedTuple):
    """One stretch of higher pace. Positions are those of differences: the k-th is from point k to the next."""

    sign: int
    scale: int  # which of the widths
    peak: int
    left: int
    right: int
    start: float  # steps at which a tenth, a half and nine tenths of the change have happened
    middle: float
    end: float
    change: float
    before: float  # pace
    after: float
    ratio: float  # highest pace over that before or after
    z: float  # standard errors
    surety: float  # the same for a normal distribution
    log_p: float
    effect: float  # change in standard deviations of the noise

    def overlaps(self, other: "Bump") -> bool:
        return self.end > other.start and self.start < other.end


class Detection(NamedTuple):
    """The bumps of a curve, with the intermediate results."""

    bumps: list[Bump]
    log_p: float  # of the surest that has the shape of a transition, whether it counts or not
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
    least: float = 0.0,
    ignored: Callable[[Bump], bool] | None = None,
) -> Detection:
    """Return the bumps of a curve.

    Args:
        steps: where it is known, ascending.
        values: the curve.
        limit: logarithm of the largest p of a bump.
        floor: standard deviation of the rounding of its values.
        removed: points whose values are interpolated.
        least: the smallest change that counts.
        ignored: whether a bump belongs to something that is known already.
    """
    bank = windows(steps, values)
    smallest = max(least, SHARE * float(np.ptp(values)))

    def search(noises: Noise, loose: bool) -> tuple[list[Bump], float]:
        shaped = _bumps(steps, values, bank, noises, loose, limit)
        if ignored is not None:
            shaped = [b for b in shaped if not ignored(b)]
        best = min((b.log_p for b in shaped if b.effect >= 1), default=0.0)
        large = [b for b in shaped if b.effect >= MIN_EFFECT and b.change >= smallest and (loose or b.log_p <= limit)]
        return without_rebounds(resolved(large), bank, noises), best

    background, gone, measured = values, removed, measure(values, removed, bank, floor)
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
        if found == before:
            break
    if any(b.surety < SURE for b in found):
        # Noise has bumps too, and looks quieter without the largest of them.
        with_them, gone_then = _remove(steps, values, [b for b in found if b.surety >= SURE])
        noises = between(noises, noise_of(measure(with_them, gone_then | removed, bank, floor), bank))
        found, best = search(noises, False)
    return Detection(sorted(found, key=lambda b: b.middle), best, steps, values, background, bank, noises)


def _bumps(steps, values, bank: Windows, noises: Noise, loose: bool, limit: float) -> list[Bump]:
    """Return the bumps at every width that look like transitions; of unlikely ones only the surest."""
    places = looks(len(values), bank.widths)
    out: list[Bump] = []
    best = log(0.5)
    for sign in (1, -1):
        pace = sign * bank.pace
        higher = pace > 2.5 * noises.error
        higher[:, [0, -1]] = False
        higher[:, 1:-1] &= (pace[:, 1:-1] > pace[:, :-2]) & (pace[:, 1:-1] >= pace[:, 2:])
        scales, peaks = np.nonzero(higher)
        if not len(peaks):
            continue
        before = np.minimum.accumulate(pace, axis=1)[scales, peaks]
        after = np.minimum.accumulate(pace[:, ::-1], axis=1)[scales, len(pace[0]) - 1 - peaks]
        bound = (pace[scales, peaks] - FASTER * np.maximum(np.maximum(before, after), 0)) / noises.error[scales, peaks]
        hopeful = -bound if loose else places[scales] + log_tails(bound, noises.freedom[scales])
        covered = np.zeros(pace.shape, bool)
        for i in np.argsort(hopeful).tolist():
            worst = max(limit, best)
            if hopeful[i] > (-_LOOSE_Z if loose else worst):
                break
            k, peak = int(scales[i]), int(peaks[i])
            if covered[k, peak]:
                continue
            bump = _with_shape(steps, values, sign, k, peak, pace[k], bank, noises, places, None if loose else worst)
            if bump is not None:
                covered[k, bump.left : bump.right + 1] = True
                best = min(best, bump.log_p)
                out.append(bump)
    return out


def _valley(pace: np.ndarray, peak: int) -> tuple[int, int]:
    """Return the positions of the nearest higher paces on both sides, or the ends."""
    left = pace[:peak][::-1] > pace[peak]
    right = pace[peak + 1 :] > pace[peak]
    low = peak - 1 - int(left.argmax()) if left.any() else 0
    return low, (peak + 1 + int(right.argmax()) if right.any() else len(pace) - 1)


def _with_shape(
    steps, values, sign, k, peak, pace, bank: Windows, noises: Noise, places, worst: float | None
) -> Bump | None:
    """Return the bump if its shape is that of a transition, and its p no worse; without a worst p if it is loosely."""
    low, high = _valley(pace, peak)
    if low == peak or high == peak:
        return None
    error, highest = noises.error[k], float(pace[peak])
    wide, its_error = int(bank.widths[k]), float(error[peak])
    before, z_before = _slowest(pace, error, low, peak, peak, wide)
    after, z_after = _slowest(pace, error, peak + 1, high + 1, peak, wide)
    slow = max(float(pace[before]), 0.0), max(float(pace[after]), 0.0)
    z = min(highest / its_error, z_before, z_after)
    log_p = float(places[k]) + log_tail(z, float(noises.freedom[k]))
    if z < _LOOSE_Z if worst is None else log_p > worst:
        return None
    below = (pace[before:peak] <= slow[0] + FOOT * (highest - slow[0])).nonzero()[0]
    left = before + int(below[-1]) if len(below) else before
    below = (pace[peak + 1 : after + 1] <= slow[1] + FOOT * (highest - slow[1])).nonzero()[0]
    right = peak + 1 + int(below[0]) if len(below) else after
    between = steps[left : right + 2]
    gained = np.zeros(len(between))
    np.cumsum(pace[left : right + 1] * (between[1:] - between[:-1]), out=gained[1:])
    change = float(gained[-1])
    if change <= 0:
        return None
    start, middle, end = np.interp([0.1 * change, 0.5 * change, 0.9 * change], gained, between).tolist()
    width = end - start
    if width > LONGEST * (steps[-1] - steps[0]) or min(start - steps[0], steps[-1] - end) < MIN_SLOW * width:
        return None
    first, last = int(steps.searchsorted(start)), int(steps.searchsorted(end))
    if min(first, len(values) - last) < min(FEWEST, len(values) // 10):
        return None
    if not _one_way(steps, pace, highest, left, right, start, end):
        return None
    # Noise slower than the window has bumps of its own: this one must exceed those of its own width.
    own = max(k, int(bank.widths.searchsorted(0.8 * max(last - first, 1), "right")) - 1)
    sure = surety(z, float(noises.freedom[k]))
    if own != k:
        run, freedom = float(bank.run[own, peak]), float(noises.freedom[own])
        z_own = (change - FASTER * max(slow) * max(width, run)) / (float(noises.error[own, peak]) * run)
        log_p = max(log_p, float(places[own]) + log_tail(z_own, freedom))
        sure, z = min(sure, surety(z_own, freedom)), min(z, z_own)
        if z < _LOOSE_Z if worst is None else log_p > worst:
            return None
    sigma = sorted((float(noises.sigma[left]), float(noises.sigma[peak]), float(noises.sigma[right + 1])))[1]
    level = sigma * float(noises.level[own])
    if change < 0.6 * MIN_EFFECT * level:
        return None
    count = max(2, (right - left) // 2, min(len(values) // 50, 12))
    near = values[max(0, left + 1 - count) : left + 1], values[right + 1 : right + 1 + count]
    lasting = sign * (_median(near[1]) - _median(near[0]))
    if lasting < max(0.5 * change, 0.6 * MIN_EFFECT * level) or recovers(values, left, right + 1, sign):
        return None
    if recovers(values[::-1], len(values) - 2 - right, len(values) - 1 - left, -sign):  # the way back of a spike
        return None
    ratio = highest / max(slow) if max(slow) > 1e-3 * highest else 1e3
    numbers = (start, middle, end, change, *slow, ratio, z, sure, min(log_p, 0.0), change / level)
    return Bump(sign, k, peak, left, right, *numbers)


def _slowest(pace: np.ndarray, error: np.ndarray, first: int, end: int, peak: int, wide: int) -> tuple[int, float]:
    """Return the slowest place of a valley, and by how many standard errors the peak is FASTER times as fast.

    The slowest of many is slower than they are: by what is expected of normal noise (Blom 1958). What is below zero
    counts as zero, which is known without an error.
    """
    count = max((end - first) / wide, 1.0)
    expected = float(ndtri((count - 0.375) / (count + 0.25)))
    here, its_error, own = pace[first:end], error[first:end], float(error[peak])
    at = first + int((here + max(MARGIN, expected) * its_error).argmin())
    slow = np.maximum(here + expected * its_error, 0.0)
    # what is less certain than the peak may be as fast as that
    uncertain = np.maximum(np.minimum(slow, its_error) ** 2, its_error**2 - own**2) / (1 + log(count))
    beyond = (float(pace[peak]) - FASTER * slow) / np.sqrt(own**2 + FASTER**2 * uncertain)
    return at, float(beyond.max())


def _median(values: np.ndarray) -> float:
    """Return the median of a few values, in less time than NumPy takes."""
    ordered = sorted(values.tolist())
    return 0.5 * (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2])


def _one_way(steps, pace, highest, left, right, start, end) -> bool:
    """Whether the curve does not swing back on both sides, as a half-wave of an oscillation does."""
    reach = NEIGHBOURHOOD * (end - start)
    first, last = int(steps.searchsorted(start - reach)), int(steps.searchsorted(end + reach))
    back = start - reach >= steps[0] and not (pace[min(first, left) : left] < -SWING * highest).any()
    return back or (end + reach <= steps[-1] and not (pace[right + 1 : last] < -SWING * highest).any())


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
