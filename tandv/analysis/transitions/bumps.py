"""Where the pace of a curve is higher than before and after, surely and by enough to count: its bumps.

Whether there is one is asked at every scale, against the noise at that scale. Whether it counts is asked of its
shape: slower before for some time and slower after, not a swing of an oscillation, large beside the noise and the
range. Noise is measured on the curve without its bumps, so both are found in turns until they agree.
"""

from typing import NamedTuple

import numpy as np
from scipy.signal import find_peaks

from tandv.analysis.transitions.pace import Noise, Window, noise, smooth, window, windows, without_outliers

SLOWER = 1.3  # times as fast as before and after, beyond doubt
SURE = 5.5  # standard errors of the pace
LARGE = 3.0  # standard deviations of the noise of the level
SHARE = 0.01  # of the range of the curve
WANDER, WANDER_SHARE = 5.0, 0.05  # of noise that is so many times white noise: less of the range must be CERTAIN
LONGEST = 0.4  # of the run: what takes longer is its course
MARGIN = 1.0  # standard errors that the slowest pace before and after may be above what is seen
FOOT = 0.15  # of the way up to the highest pace: where a bump begins and ends
LASTED = 0.2  # of its width that the slow pace before it, and after it, must last
SWING = 0.5  # of the highest pace, backwards, within QUIET of its width: an oscillation
QUIET = 0.8
PARTED = 6.0  # standard errors from which a bump falls into two
CERTAIN = 10.0  # from which the finest scale describes best

_LOOSE = 3  # rounds in which what may be a bump does not count as noise
_LOOSE_SURE, _LOOSE_LARGE = 3.0, 3.0
_COVERED = 0.5  # of the curve that may be taken out in these rounds
_FEW = 16  # points; a shorter bump leaves no noise behind when it is taken out
_ROUNDS = 8


class Bump(NamedTuple):
    """One stretch of higher pace. Positions count differences: the k-th is from point k to the next."""

    sign: int
    view: int  # the scale, a position in the list of windows
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
    wander: float  # noise as slow as this bump, in times of white noise

    def meets(self, other: "Bump") -> bool:
        return self.end > other.start and self.start < other.end


class Found(NamedTuple):
    """The bumps of a curve, and all that was seen on the way."""

    bumps: list[Bump]
    steps: np.ndarray
    values: np.ndarray  # without outliers
    quiet: np.ndarray  # and without bumps
    views: list[Window]
    noise: Noise


def find(steps: np.ndarray, values: np.ndarray, least: float = 0.0) -> Found:
    """Find the bumps of a curve that change it by `least` at least."""
    values = without_outliers(values)
    views = windows(steps, values)
    quiet, gone = values, np.zeros(len(values), bool)
    noises = noise(values, quiet, gone, views)
    found: list[Bump] | None = None
    for turn in range(_ROUNDS):
        loose = turn < _LOOSE
        sure, large = (_LOOSE_SURE, _LOOSE_LARGE) if loose else (SURE, LARGE)
        candidates = [
            bump
            for k in range(len(views))
            for sign in (1, -1)
            for bump in _bumps(steps, values, k, sign, views, noises, sure)
            if bump.effect >= large and bump.change >= least and _counts(bump, _share(bump, values), loose)
        ]
        chosen = _alone(_chosen(candidates), views, noises)
        if chosen == found and not loose:
            break
        found = chosen
        out = _largest(found, len(values)) if loose else found
        quiet, gone = _without(steps, values, out)
        noises = noise(values, quiet, gone, views)
    return Found(sorted(found or [], key=lambda b: b.middle), steps, values, quiet, views, noises)


def _counts(bump: Bump, share: float, loose: bool) -> bool:
    return share >= (SHARE if loose or bump.wander <= WANDER or bump.z >= CERTAIN else WANDER_SHARE)


def _share(bump: Bump, values: np.ndarray) -> float:
    """The change over the range of the curve; of one that spans decades, also of the logarithms."""
    low, high = values.min(), values.max()
    share = bump.change / (high - low)
    if not 0 < 10 * low <= high:
        return share
    first, last = np.abs(values[[bump.left, bump.right + 1]])
    return max(share, abs(np.log(last / first)) / np.log(high / low))


def _bumps(steps, values, k: int, sign: int, views: list[Window], noises: Noise, sure: float) -> list[Bump]:
    pace, error = sign * views[k].pace, noises.pace[k]
    at_most = pace + MARGIN * error
    peaks = find_peaks(np.concatenate([[-np.inf], pace, [-np.inf]]))[0] - 1
    peaks = peaks[scores(pace, error)[peaks] >= sure]  # a quick look; what is between it and a higher one counts
    out = []
    for peak in peaks.tolist():
        low, high = _bounds(pace, peak)
        if low == peak or high == peak:
            continue
        before = low + int(np.argmin(at_most[low:peak]))
        after = peak + 1 + int(np.argmin(at_most[peak + 1 : high + 1]))
        z = (pace[peak] - SLOWER * max(0.0, at_most[before], at_most[after])) / error[peak]
        if (
            z >= sure
            and (bump := _shaped(steps, values, k, sign, pace, (before, peak, after), z, views, noises))
            and bump.z >= sure
        ):
            out.append(bump)
    return out


def scores(pace: np.ndarray, error: np.ndarray) -> np.ndarray:
    """By how many standard errors each pace is above SLOWER times the slowest before it and after it."""
    at_most = pace + MARGIN * error
    before = np.minimum.accumulate(at_most, axis=-1)
    after = np.minimum.accumulate(at_most[..., ::-1], axis=-1)[..., ::-1]
    return (pace - SLOWER * np.maximum(0, np.maximum(before, after))) / error


def _bounds(pace: np.ndarray, peak: int) -> tuple[int, int]:
    """The nearest higher paces on both sides, or the ends."""
    before, after = np.flatnonzero(pace[:peak] > pace[peak]), np.flatnonzero(pace[peak + 1 :] > pace[peak])
    return (int(before[-1]) if len(before) else 0), (peak + 1 + int(after[0]) if len(after) else len(pace) - 1)


def _shaped(steps, values, k, sign, pace, places, z, views, noises: Noise) -> Bump | None:
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
    if width > LONGEST * (steps[-1] - steps[0]) or min(start - steps[0], steps[-1] - end) < LASTED * width:
        return None
    between = (steps[1:] + steps[:-1]) / 2
    first, last = start - QUIET * width, end + QUIET * width
    sides = [
        first >= steps[0] and not (pace[(between <= steps[left]) & (between >= first)] < -SWING * highest).any(),
        last <= steps[-1] and not (pace[(between >= steps[right + 1]) & (between <= last)] < -SWING * highest).any(),
    ]
    # Noise that is slower than the window makes bumps of its own: those as wide as this one are what it must exceed.
    points = np.interp([start, end], steps, np.arange(len(steps)))
    own = max(k, int(np.abs(np.log([v.scale * 2.56 / max(points[1] - points[0], 1.0) for v in views])).argmin()))
    z = min(z, 0.7 * (highest - SLOWER * max(slow)) / noises.pace[own][peak])  # 0.7: the pace in a window as wide
    level = float(np.median(noises.sigma[left : right + 2])) * noises.level[own]
    count = max(2, (right - left) // 2)
    near = values[max(0, left + 1 - count) : left + 1], values[right + 1 : right + 1 + count]
    lasting = sign * (np.median(near[1]) - np.median(near[0]))
    if not any(sides) or lasting < max(0.5 * change, 0.6 * LARGE * level):
        return None
    ratio = highest / max(slow) if max(slow) > 1e-3 * highest else 1e3
    numbers = (start, middle, end, change, *slow, ratio, z, change / level, noises.excess[own])
    return Bump(sign, k, peak, left, right, *map(float, numbers))


def _chosen(candidates: list[Bump]) -> list[Bump]:
    """Of bumps that overlap keep the surest; from CERTAIN on the finest, and parts if each is sure."""
    order = sorted(candidates, key=lambda b: (-min(b.z, CERTAIN), b.view))
    chosen: list[Bump] = []
    for bump in order:
        if not any(bump.meets(other) for other in chosen):
            chosen.append(bump)
    parted: list[Bump] = []
    for whole in chosen:
        others = [b for b in chosen if b is not whole]
        parts: list[Bump] = []
        for part in order:
            inside = part.sign == whole.sign and part.view < whole.view and part.meets(whole)
            counts = part.z >= PARTED and part.change >= 0.15 * whole.change
            if inside and counts and not any(part.meets(b) for b in parts + others):
                parts.append(part)
        parted += parts if len(parts) > 1 and sum(p.change for p in parts) >= 0.7 * whole.change else [whole]
    for whole in sorted(candidates, key=lambda b: b.view):
        if whole.z < CERTAIN:
            continue
        inside = [b for b in parted if b is not whole and whole.meets(b)]
        unsure = len(inside) > 1 and min(b.z for b in inside) < PARTED
        piece = len(inside) == 1 and inside[0].change < 0.7 * whole.change
        if (unsure or piece) and all(b.sign == whole.sign and _within(b, whole) for b in inside):
            parted = [b for b in parted if b not in inside] + [whole]
    return parted


def _within(part: Bump, whole: Bump) -> bool:
    half = 0.5 * (part.end - part.start)
    return whole.start - half <= part.start and part.end <= whole.end + half


def _alone(found: list[Bump], views: list[Window], noises: Noise) -> list[Bump]:
    """Drop what is faster than before only because of a bump the other way: a decay goes on after a sudden rise."""
    keep = []
    for bump in found:
        pace, error = bump.sign * views[bump.view].pace, noises.pace[bump.view]
        at_most = pace + MARGIN * error
        reach = round(1.5 * views[bump.view].scale)
        for other in found:
            if other.sign != bump.sign:
                at_most[max(other.left - reach, 0) : other.right + reach + 1] = np.inf
        low, high = _bounds(pace, bump.peak)
        slow = max(at_most[low : bump.peak].min(), at_most[bump.peak + 1 : high + 1].min())
        if np.isfinite(slow) and pace[bump.peak] - SLOWER * max(slow, 0) >= 0.5 * bump.z * error[bump.peak]:
            keep.append(bump)
    return keep


def _largest(found: list[Bump], points: int) -> list[Bump]:
    out, covered = [], 0
    for bump in sorted(found, key=lambda b: -b.change):
        covered += bump.right - bump.left + 1
        if out and covered > _COVERED * points:
            break
        out.append(bump)
    return out


def _without(steps: np.ndarray, values: np.ndarray, found: list[Bump]) -> tuple[np.ndarray, np.ndarray]:
    """Take bumps out of a curve, and leave the slow pace around them and, of wide ones, the noise on them."""
    gone = np.zeros(len(values), bool)
    between, change = np.diff(steps), np.diff(values)
    for bump in found:
        here = slice(bump.left, bump.right + 1)
        points = bump.right - bump.left + 1
        slow = bump.sign * np.linspace(bump.before, bump.after, points) * between[here]
        if points >= _FEW:
            view = window(steps, values, points / 16)
            slow = slow + change[here] - (smooth(change, view) / smooth(between, view) * between)[here]
        else:
            gone[bump.left : bump.right + 2] = True
        change[here] = slow
    return values[0] + np.concatenate([[0.0], np.cumsum(change)]), gone
