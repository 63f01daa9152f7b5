"""Find bumps of the pace of a curve: where it is higher than before and after, with certainty and by enough to matter.

A bump is tested at every scale against the noise at that scale. It counts if its shape is that of a transition: slower
before for some time and slower after, no half-wave of an oscillation, large compared with the noise and the range.
Noise is measured on the curve without its bumps, so both are estimated in turns until they agree.
"""

from typing import NamedTuple

import numpy as np
from scipy.signal import find_peaks

from tandv.analysis.transitions.pace import Noise, Window, noise, smooth, window, windows, without_outliers

FASTER = 1.3  # times as fast as before and after, by at least MIN_Z standard errors
MIN_Z = 5.5  # standard errors of the pace
MIN_EFFECT = 3.0  # standard deviations of the noise of the level
SHARE = 0.01  # of the range of the curve
DRIFT, DRIFT_SHARE = (
    5.0,
    0.05,
)  # noise of so many times white noise drifts: then a change must be this share of the range, or CERTAIN
LONGEST = 0.4  # share of the run; a slower change is its trend
MARGIN = 1.0  # standard errors added to the slowest pace before and after
FOOT = 0.15  # share of the way up to the highest pace at which a bump begins and ends
MIN_SLOW = 0.2  # share of its width that the slow pace before and after it must last
SWING = 0.5  # a reverse pace of this share of the highest, within NEIGHBOURHOOD, is an oscillation
NEIGHBOURHOOD = 0.8  # of its width
SPLIT_Z = 6.0  # standard errors that each part of a bump needs for it to be split
CERTAIN = 10.0  # standard errors from which the finest scale is preferred

_LOOSE = 3  # first rounds, with lower thresholds: possible bumps do not count as noise
_LOOSE_MIN_Z, _LOOSE_MIN_EFFECT = 3.0, 3.0
_COVERED = 0.5  # share of the curve that may be removed in these rounds
_FEW = 16  # points; removing a shorter bump also removes the noise on it
_ROUNDS = 8


class Bump(NamedTuple):
    """One stretch of higher pace. Positions are those of differences: the k-th is from point k to the next."""

    sign: int
    scale_index: int  # index of its window in the list of all scales
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
    z: float
    effect: float  # change in standard deviations of the noise
    drift: float  # noise as slow as this bump, in multiples of white noise

    def overlaps(self, other: "Bump") -> bool:
        return self.end > other.start and self.start < other.end


class Detection(NamedTuple):
    """The bumps of a curve, with the intermediate results."""

    bumps: list[Bump]
    steps: np.ndarray
    values: np.ndarray  # without outliers
    background: np.ndarray  # without outliers and bumps
    windows: list[Window]
    noise: Noise


def find(steps: np.ndarray, values: np.ndarray, least: float = 0.0) -> Detection:
    """Return the bumps of a curve at `steps` that change its `values` by `least` at least."""
    values = without_outliers(values)
    bank = windows(steps, values)
    background, removed = values, np.zeros(len(values), bool)
    noises = noise(values, background, removed, bank)
    found: list[Bump] | None = None
    for turn in range(_ROUNDS):
        loose = turn < _LOOSE
        min_z, min_effect = (_LOOSE_MIN_Z, _LOOSE_MIN_EFFECT) if loose else (MIN_Z, MIN_EFFECT)
        candidates = [
            bump
            for k in range(len(bank))
            for sign in (1, -1)
            for bump in _bumps(steps, values, k, sign, bank, noises, min_z)
            if bump.effect >= min_effect and bump.change >= least and _is_large(bump, _share(bump, values), loose)
        ]
        chosen = _without_rebounds(_resolve_overlaps(candidates), bank, noises)
        if chosen == found and not loose:
            break
        found = chosen
        out = _largest(found, len(values)) if loose else found
        background, removed = _remove(steps, values, out)
        noises = noise(values, background, removed, bank)
    return Detection(sorted(found or [], key=lambda b: b.middle), steps, values, background, bank, noises)


def _is_large(bump: Bump, share: float, loose: bool) -> bool:
    return share >= (SHARE if loose or bump.drift <= DRIFT or bump.z >= CERTAIN else DRIFT_SHARE)


def _share(bump: Bump, values: np.ndarray) -> float:
    """Return the change as a share of the range of the curve; where that spans decades, of its logarithms if larger."""
    low, high = values.min(), values.max()
    share = bump.change / (high - low)
    if not 0 < 10 * low <= high:
        return share
    first, last = np.abs(values[[bump.left, bump.right + 1]])
    return max(share, abs(np.log(last / first)) / np.log(high / low))


def _bumps(steps, values, k: int, sign: int, bank: list[Window], noises: Noise, min_z: float) -> list[Bump]:
    pace, error = sign * bank[k].pace, noises.pace[k]
    at_most = pace + MARGIN * error
    peaks = find_peaks(np.concatenate([[-np.inf], pace, [-np.inf]]))[0] - 1
    peaks = peaks[
        scores(pace, error)[peaks] >= min_z
    ]  # a quick test; the exact one uses the range up to the next higher peak
    out = []
    for peak in peaks.tolist():
        low, high = _bounds(pace, peak)
        if low == peak or high == peak:
            continue
        before = low + int(np.argmin(at_most[low:peak]))
        after = peak + 1 + int(np.argmin(at_most[peak + 1 : high + 1]))
        z = (pace[peak] - FASTER * max(0.0, at_most[before], at_most[after])) / error[peak]
        if (
            z >= min_z
            and (bump := _with_shape(steps, values, k, sign, pace, (before, peak, after), z, bank, noises))
            and bump.z >= min_z
        ):
            out.append(bump)
    return out


def scores(pace: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Return by how many standard errors each pace exceeds FASTER times the slowest before it and after it."""
    at_most = pace + MARGIN * error
    before = np.minimum.accumulate(at_most, axis=-1)
    after = np.minimum.accumulate(at_most[..., ::-1], axis=-1)[..., ::-1]
    return (pace - FASTER * np.maximum(0, np.maximum(before, after))) / error


def _bounds(pace: np.ndarray, peak: int) -> tuple[int, int]:
    """Return the positions of the nearest higher paces on both sides, or the ends."""
    before, after = np.flatnonzero(pace[:peak] > pace[peak]), np.flatnonzero(pace[peak + 1 :] > pace[peak])
    return (int(before[-1]) if len(before) else 0), (peak + 1 + int(after[0]) if len(after) else len(pace) - 1)


def _with_shape(steps, values, k, sign, pace, places, z, bank, noises: Noise) -> Bump | None:
    """Return the bump if its shape is that of a transition."""
    before, peak, after = places
    slow = max(pace[before], 0.0), max(pace[after], 0.0)
    highest = pace[peak]
    below = np.flatnonzero(pace[before:peak] <= slow[0] + FOOT * (highest - slow[0]))
    left = before + int(below[-1]) if len(below) else before
    below = np.flatnonzero(pace[peak + 1 : after + 1] <= slow[1] + FOOT * (highest - slow[1]))
    right = peak + 1 + int(below[0]) if len(below) else after
    gained = np.concatenate([[0.0], np.cumsum(pace[left : right + 1] * np.diff(steps[left : right + 2]))])
    change = gained[-1]
    if change <= 0:
        return None
    start, middle, end = np.interp([0.1 * change, 0.5 * change, 0.9 * change], gained, steps[left : right + 2])
    width = end - start
    if width > LONGEST * (steps[-1] - steps[0]) or min(start - steps[0], steps[-1] - end) < MIN_SLOW * width:
        return None
    between = (steps[1:] + steps[:-1]) / 2
    first, last = start - NEIGHBOURHOOD * width, end + NEIGHBOURHOOD * width
    sides = [
        first >= steps[0] and not (pace[(between <= steps[left]) & (between >= first)] < -SWING * highest).any(),
        last <= steps[-1] and not (pace[(between >= steps[right + 1]) & (between <= last)] < -SWING * highest).any(),
    ]
    # Noise slower than the window has bumps of its own: this one must exceed those of equal width.
    points = np.interp([start, end], steps, np.arange(len(steps)))
    scale = max(k, int(np.abs(np.log([v.scale * 2.56 / max(points[1] - points[0], 1.0) for v in bank])).argmin()))
    z = min(
        z, 0.7 * (highest - FASTER * max(slow)) / noises.pace[scale][peak]
    )  # 0.7: how much lower the pace is in a window of that width
    level = float(np.median(noises.sigma[left : right + 2])) * noises.level[scale]
    count = max(2, (right - left) // 2)
    near = values[max(0, left + 1 - count) : left + 1], values[right + 1 : right + 1 + count]
    lasting = sign * (np.median(near[1]) - np.median(near[0]))
    if not any(sides) or lasting < max(0.5 * change, 0.6 * MIN_EFFECT * level):
        return None
    ratio = highest / max(slow) if max(slow) > 1e-3 * highest else 1e3
    numbers = (start, middle, end, change, *slow, ratio, z, change / level, noises.excess[scale])
    return Bump(sign, k, peak, left, right, *map(float, numbers))


def _resolve_overlaps(candidates: list[Bump]) -> list[Bump]:
    """Of overlapping bumps keep the most certain, from CERTAIN on the finest; split one if each part is certain."""
    order = sorted(candidates, key=lambda b: (-min(b.z, CERTAIN), b.scale_index))
    chosen: list[Bump] = []
    for bump in order:
        if not any(bump.overlaps(other) for other in chosen):
            chosen.append(bump)
    resolved: list[Bump] = []
    for whole in chosen:
        others = [b for b in chosen if b is not whole]
        parts: list[Bump] = []
        for part in order:
            inside = part.sign == whole.sign and part.scale_index < whole.scale_index and part.overlaps(whole)
            counts = part.z >= SPLIT_Z and part.change >= 0.15 * whole.change
            if inside and counts and not any(part.overlaps(b) for b in parts + others):
                parts.append(part)
        resolved += parts if len(parts) > 1 and sum(p.change for p in parts) >= 0.7 * whole.change else [whole]
    for whole in sorted(candidates, key=lambda b: b.scale_index):
        if whole.z < CERTAIN:
            continue
        inside = [b for b in resolved if b is not whole and whole.overlaps(b)]
        uncertain = len(inside) > 1 and min(b.z for b in inside) < SPLIT_Z
        piece = len(inside) == 1 and inside[0].change < 0.7 * whole.change
        if (uncertain or piece) and all(b.sign == whole.sign and _within(b, whole) for b in inside):
            resolved = [b for b in resolved if b not in inside] + [whole]
    return resolved


def _within(part: Bump, whole: Bump) -> bool:
    half = 0.5 * (part.end - part.start)
    return whole.start - half <= part.start and part.end <= whole.end + half


def _without_rebounds(found: list[Bump], bank: list[Window], noises: Noise) -> list[Bump]:
    """Drop bumps that only resume the trend after a bump the other way, such as a decay after a sudden rise."""
    kept = []
    for bump in found:
        pace, error = bump.sign * bank[bump.scale_index].pace, noises.pace[bump.scale_index]
        at_most = pace + MARGIN * error
        reach = round(1.5 * bank[bump.scale_index].scale)
        for other in found:
            if other.sign != bump.sign:
                at_most[max(other.left - reach, 0) : other.right + reach + 1] = np.inf
        low, high = _bounds(pace, bump.peak)
        slow = max(at_most[low : bump.peak].min(), at_most[bump.peak + 1 : high + 1].min())
        if np.isfinite(slow) and pace[bump.peak] - FASTER * max(slow, 0) >= 0.5 * bump.z * error[bump.peak]:
            kept.append(bump)
    return kept


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
    between, change = np.diff(steps), np.diff(values)
    for bump in found:
        here = slice(bump.left, bump.right + 1)
        points = bump.right - bump.left + 1
        slow = bump.sign * np.linspace(bump.before, bump.after, points) * between[here]
        if points >= _FEW:
            gaussian = window(steps, values, points / 16)
            slow = slow + change[here] - (smooth(change, gaussian) / smooth(between, gaussian) * between)[here]
        else:
            removed[bump.left : bump.right + 2] = True
        change[here] = slow
    return values[0] + np.concatenate([[0.0], np.cumsum(change)]), removed
