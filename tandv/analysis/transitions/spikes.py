"""Spikes: sudden excursions of a curve that are taken back. They are events of their own, and no transitions.

A spike is what a running median of a fifth of the curve forgets, that comes suddenly and does not stay: a change that
stays for a time is two transitions.
"""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import median_filter

HIGH = 6.0  # standard deviations of the noise that a spike must reach
_BEGINS, _LASTS, _ENDS = 3.0, 2.0, 1.5  # standard deviations: where it begins, goes on and is lost in the noise
_PLATEAU = 0.6  # of its height, over which it must not stay for this share of its length
_BACK = 0.4  # of its height, below which most of it is taken back
_MOST = 0.4  # share of the curve that spikes may cover; if more, they are its noise
_LATE = 0.09  # share of the curve within which most of a single one is taken back; later, it is a change and a decay
_FEWEST_LATE = 60  # points, from which that is looked at
_CYCLES = 5  # from which they are teeth
_REGULAR = 0.03  # of the curve, by which equal distances may differ
_PASSES = 4  # over spikes that overlap
_SHORTEST = 24  # points of a curve; of fewer, what is left without a spike does not tell the noise
_WINDOW = 5  # the running median covers this fraction of the curve


class Spike(NamedTuple):
    """One excursion: positions of its first point, its peak and its last point, and its height with its sign."""

    first: int
    peak: int
    last: int
    height: float
    z: float  # height in standard deviations of the noise


def spikes(values: np.ndarray, sigma: np.ndarray) -> list[Spike]:
    """Return the spikes of a curve, first to last.

    >>> curve = np.sin(np.arange(200.0) ** 2)
    >>> curve[50:53] += [40, 20, 8]
    >>> [(s.first, s.peak, s.last) for s in spikes(curve, np.full(200, 0.7))]
    [(50, 50, 52)]

    Args:
        values: the curve.
        sigma: standard deviation of its fast noise at each point.
    """
    n = len(values)
    if n < _SHORTEST:
        return []
    more = out = _sudden(values, sigma)
    rest, _ = bridged(values, out)
    for _ in range(_PASSES):
        if not more:
            break
        # without these, those before them are seen to go
        more = [s for s in _sudden(rest, sigma) if not any(s.first <= o.first <= s.peak for o in out)]
        out = sorted([o for o in out if not any(m.first < o.first and o.last <= m.last for m in more)] + more)
        rest, _ = bridged(values, out)
    late = _sudden(rest, sigma, round(_LATE * n)) if n >= _FEWEST_LATE else []
    late = [s for s in late if not any(s.first <= o.last and o.first <= s.last for o in out)]
    if late and not _restarts(late, n):
        out += late
        rest, _ = bridged(values, sorted(out))
    out += [s for s in _forgotten(rest, sigma) if not any(s.first <= o.last and o.first <= s.last for o in out)]
    return [] if _restarts(sorted(out), n) else sorted(out)


def _restarts(found: list[Spike], points: int) -> bool:
    """Whether jumps come after equal distances from the first point to the last, as few restarts of a schedule do."""
    apart = np.diff([0, *(spike.first for spike in found), points])
    return 1 < len(found) < _CYCLES and bool(np.ptp(apart) <= _REGULAR * points)


def _sudden(values: np.ndarray, sigma: np.ndarray, within: int | None = None) -> list[Spike]:
    """Return excursions that come within one point and go soon, or `within` so many; several may follow closely."""
    n = len(values)
    late, within = within is not None, within or soon(len(values))
    change = np.diff(values)
    out: list[Spike] = []
    for left in np.flatnonzero(np.abs(change) > HIGH * np.hypot(sigma[1:], sigma[:-1])).tolist():
        sign = 1 if change[left] > 0 else -1
        before = change[max(0, left - 4) : left]
        usual = sorted(np.abs(before).tolist())
        falls = len(before) == 4 and bool((sign * before < 0).all())  # as after another
        if usual and not falls and abs(change[left]) < 3 * usual[len(usual) // 2]:
            continue  # the curve is as steep before it
        inside = bool(out) and left < out[-1].last
        flat = _level(values, left, sign, within) if late else values
        usual = sorted(values[max(0, left + 1 - max(3, n // 40)) : left + 1].tolist())
        if sign * (usual[len(usual) // 2] - values[left]) > 0.5 * abs(change[left]):
            continue  # the way back of another
        if (inside and sign != np.sign(out[-1].height)) or not recovers(
            flat, left, left + 1, sign, within, float(values[left]) if falls else None
        ):
            continue
        if inside:  # another begins before the first has gone
            out[-1] = out[-1]._replace(last=left)
        ordered = sorted(values[max(0, left - 2) : left + 1].tolist())
        height = sign * (values[left + 1 : left + 2 + 4 * within] - ordered[len(ordered) // 2])
        peak = int(height[: soon(n)].argmax())
        top = left + 1 + peak
        if height[peak] < HIGH * sigma[top]:
            continue
        gone = np.flatnonzero(height[peak:] < max(_ENDS * sigma[left], 0.05 * height[peak]))
        last = top + (int(gone[0]) - 1 if len(gone) else len(height) - 1 - peak)
        out.append(Spike(left + 1, top, max(last, top), sign * float(height[peak]), float(height[peak] / sigma[top])))
    return out


def _forgotten(values: np.ndarray, sigma: np.ndarray) -> list[Spike]:
    """Return excursions from the running median."""
    n = len(values)
    away = values - _running_median(values, max(3, n // (2 * _WINDOW)))
    if not (np.abs(away) > HIGH * sigma).any():
        return []
    size = np.maximum(_usual(np.abs(away)), sigma)
    ratio = away / size
    out: list[Spike] = []
    at = 0
    for start in np.flatnonzero(np.abs(ratio) > _BEGINS).tolist():
        if start < at:
            continue
        sign = np.sign(away[start])
        on = sign * ratio[start:] > _LASTS
        pairs = np.flatnonzero(~on[:-1] & ~on[1:])  # two in a row that are not: it has ended
        last = start + (int(pairs[0]) if len(pairs) else len(on)) - 1
        while last > start and sign * ratio[last] <= _LASTS:
            last -= 1
        at = last + 1
        height = sign * away[start : last + 1]
        peak = start + int(height.argmax())
        if sign * ratio[peak] < HIGH or start == 0 or not _comes_back(height, n, last == n - 1):
            continue
        lost = np.minimum(size, sigma) * _ENDS
        while last < n - 1 and sign * away[last + 1] > lost[last + 1]:
            last += 1
        while start > 0 and sign * away[start - 1] > lost[start - 1]:
            start -= 1
        out.append(Spike(start, peak, last, float(away[peak]), float(abs(ratio[peak]))))
        at = last + 1
    return out


def _comes_back(height: np.ndarray, points: int, at_end: bool) -> bool:
    """Whether an excursion comes suddenly and does not stay; what has no end yet is none unless it is brief."""
    length = len(height)
    high = height > _PLATEAU * height.max()
    if length <= max(4, points // 100):
        return True
    rise = int(high.argmax())
    sudden = rise <= max(1, (length - 1 - rise) // 4)
    peak = int(height.argmax())
    mostly = int((height[peak:] > _BACK * height[peak]).sum())
    return not at_end and sudden and high.sum() < _PLATEAU * length and mostly <= soon(points)


def soon(points: int) -> int:
    """Return within how many points most of a spike is taken back, in a curve of so many."""
    return max(10, points // 40)


def bridged(values: np.ndarray, found: list[Spike]) -> tuple[np.ndarray, np.ndarray]:
    """Return the curve with a chord instead of each spike, and which points were replaced; none, if it is all spikes.

    On a decay the pace of a chord lies between those of both sides, so that it adds no transition.
    """
    out, gone = values.copy(), np.zeros(len(values), bool)
    for spike in found:
        gone[spike.first : spike.last + 1] = True
    if gone.mean() > _MOST:
        return values, np.zeros(len(values), bool)
    n = len(values)
    for spike in found:
        a, b = spike.first, spike.last
        near = np.arange(max(0, a - 5), a), np.arange(b + 1, min(n, b + 6))
        sides = [side[~gone[side]] if not gone[side].all() else side for side in near if len(side)]
        if not sides:
            continue
        at, level = [side.mean() for side in sides], [float(np.median(values[side])) for side in sides]
        out[a : b + 1] = np.interp(np.arange(a, b + 1), at, level)
    return out, gone


def _level(values: np.ndarray, left: int, sign: int, within: int) -> np.ndarray:
    """Return a curve without the trend before a jump, if that would take the jump back."""
    before = values[max(0, left + 1 - within) : left + 1]
    part = max(1, len(before) // 4)
    slope = float(np.median(before[-part:]) - np.median(before[:part])) / max(len(before) - part, 1)
    if slope * sign >= 0:
        return values
    out = values.copy()
    out[left + 1 :] -= slope * np.arange(1, len(values) - left)
    return out


def recovers(
    values: np.ndarray, left: int, right: int, sign: int, within: int | None = None, before: float | None = None
) -> bool:
    """Whether a sudden change between two points is mostly taken back soon after, without having stayed.

    Args:
        values: the curve.
        left: the last point before the change.
        right: the first point after it.
        sign: of the change.
        within: how many points; `soon` if None.
        before: the level before it; the median of the nearest values if None.
    """
    n = len(values)
    within = within or soon(n)
    if right - left > max(8, n // 40):
        return False
    reach = max(3, n // 40)
    if before is None:
        ordered = sorted(values[max(0, left + 1 - reach) : left + 1].tolist())
        before = ordered[len(ordered) // 2]
    after = sign * (values[right : min(n, right + within + 3)] - before)
    if len(after) < 3:
        return False
    one, two, three = after[:-2], after[1:-1], after[2:]
    level = np.maximum(np.minimum(one, two), np.minimum(np.maximum(one, two), three))  # medians of three
    top = float(level[0])
    if top <= 0:
        return True
    back = level < _BACK * top
    if not back.any():
        return False
    taken = int(back.argmax()) + 1
    return taken <= max(4, n // 100) or int((level[:taken] > 0.75 * top).sum()) < 0.5 * taken


def _running_median(values: np.ndarray, half: int) -> np.ndarray:
    """Return medians of 2 half + 1 points; a curve goes on beyond its ends as it came, so that a slope stays."""
    half = min(half, len(values) - 1)
    padded = np.pad(values, half, mode="reflect", reflect_type="odd")
    return median_filter(padded, size=2 * half + 1, mode="nearest")[half : half + len(values)]


def _usual(away: np.ndarray) -> np.ndarray:
    """Return the standard deviation of the distance from the running median, over windows of a fifth of the curve."""
    n = len(away)
    width = min(max(61, n // _WINDOW), n)
    knots = np.unique(np.append(np.arange(0, n, max(1, width // 4)), n - 1))
    first = np.clip(knots - width // 2, 0, n - width)
    middle = np.median(away[first[:, None] + np.arange(width)], axis=1)
    return np.interp(np.arange(n), knots, 1.4826 * middle)
