"""Of overlapping bumps of the pace, keep those that describe the change best."""

import numpy as np

from tandv.analysis.transitions.noise import Noise
from tandv.analysis.transitions.pace import Windows
from tandv.analysis.transitions.shape import FASTER, MARGIN, Bump

SPLIT = 6.0  # surety that each part of a bump needs for it to be split
CERTAIN = 10.0  # surety from which the finest scale is preferred


def resolved(candidates: list[Bump]) -> list[Bump]:
    """Of overlapping bumps keep the surest, from CERTAIN on the finest; split one if each part is sure."""
    order = sorted(candidates, key=lambda b: (-round(min(b.surety, CERTAIN)), b.scale))
    chosen: list[Bump] = []
    for bump in order:
        if not any(bump.overlaps(other) for other in chosen):
            chosen.append(bump)
    out: list[Bump] = []
    for whole in chosen:
        others = [b for b in chosen if b is not whole]
        parts: list[Bump] = []
        for part in order:
            inside = part.sign == whole.sign and part.scale < whole.scale and part.overlaps(whole)
            counts = part.surety >= SPLIT and part.change >= 0.15 * whole.change
            if inside and counts and not any(part.overlaps(b) for b in parts + others):
                parts.append(part)
        out += parts if len(parts) > 1 and sum(p.change for p in parts) >= 0.7 * whole.change else [whole]
    for whole in sorted(candidates, key=lambda b: b.scale):
        if whole.surety < CERTAIN:
            continue
        inside = [b for b in out if b is not whole and whole.overlaps(b)]
        uncertain = len(inside) > 1 and min(b.surety for b in inside) < SPLIT
        piece = len(inside) == 1 and inside[0].change < 0.7 * whole.change
        if (uncertain or piece) and all(b.sign == whole.sign and _within(b, whole) for b in inside):
            out = [b for b in out if b not in inside] + [whole]
    return out


def _within(part: Bump, whole: Bump) -> bool:
    half = 0.5 * (part.end - part.start)
    return whole.start - half <= part.start and part.end <= whole.end + half


def without_rebounds(found: list[Bump], bank: Windows, noises: Noise) -> list[Bump]:
    """Drop bumps that only resume the trend after a bump the other way, such as a decay after a sudden rise."""
    kept = []
    for bump in found:
        against = [other for other in found if other.sign != bump.sign]
        if not against:
            kept.append(bump)
            continue
        pace, error = bump.sign * bank.pace[bump.scale], noises.error[bump.scale]
        at_most = pace + MARGIN * error
        reach = round(0.7 * int(bank.widths[bump.scale]))
        for other in against:
            at_most[max(other.left - reach, 0) : other.right + reach + 1] = np.inf
        higher = np.flatnonzero(pace[: bump.peak] > pace[bump.peak])
        low = int(higher[-1]) if len(higher) else 0
        higher = np.flatnonzero(pace[bump.peak + 1 :] > pace[bump.peak])
        high = bump.peak + 1 + int(higher[0]) if len(higher) else len(pace) - 1
        slow = max(at_most[low : bump.peak].min(initial=np.inf), at_most[bump.peak + 1 : high + 1].min(initial=np.inf))
        if np.isfinite(slow) and pace[bump.peak] - FASTER * max(slow, 0) >= 0.5 * bump.z * error[bump.peak]:
            kept.append(bump)
    return kept
