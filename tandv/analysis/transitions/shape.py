"""Which peaks of the pace of a curve have the shape of a transition.

Slower before for some time and slower after, by the errors of all three; no half-wave of an oscillation, no spike, and
a level that stays.
"""

from math import log
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri, ndtri_exp

from tandv.analysis.transitions.memory import log_p_of_few
from tandv.analysis.transitions.noise import FEW, SHORT, Noise
from tandv.analysis.transitions.pace import Windows
from tandv.analysis.transitions.significance import log_tail, surety
from tandv.analysis.transitions.spikes import recovers

FASTER = 1.3  # times as fast as before and after
LONGEST = 0.4  # share of the run; a slower change is its trend
MARGIN = 1.0  # standard errors added to the slowest pace before and after
FOOT = 0.15  # share of the way up to the highest pace at which a bump begins and ends
MIN_SLOW = 0.2  # share of its width that the slow pace before and after it must last
FEWEST = 5  # points that must lie before and after it, of a tenth of the curve at most
SWING = 0.5  # a reverse pace of this share of the highest, within NEIGHBOURHOOD, is an oscillation
NEIGHBOURHOOD = 1.2  # of its width
LESS = 0.15  # share of the variance of a pace that is known less well than the highest, as where steps are dense
STAYS = 1.8  # standard deviations of the noise of the level, by which the levels of both sides differ
BESIDE = 2  # half widths, over which the pace next to a bump is taken
NEXT, AROUND = 0.7, 2.2  # widths from its middle, between which a curve that swings changes the other way
BACK = 0.4  # times as fast at least
AGAIN = 3.0  # times as far, until it turns again
LASTING = 16  # points over which the levels on both sides of a sudden change must differ, of a twelfth of the curve
LOOSE_Z = 3.0  # without a limit of p


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
    stays: float  # of the levels on both sides, the same

    def overlaps(self, other: "Bump") -> bool:
        return self.end > other.start and self.start < other.end


def _valley(pace: np.ndarray, peak: int) -> tuple[int, int]:
    """Return the positions of the nearest higher paces on both sides, or the ends."""
    left = pace[:peak][::-1] > pace[peak]
    right = pace[peak + 1 :] > pace[peak]
    low = peak - 1 - int(left.argmax()) if left.any() else 0
    return low, (peak + 1 + int(right.argmax()) if right.any() else len(pace) - 1)


def with_shape(
    steps, values, sign, k, peak, pace, bank: Windows, noises: Noise, places, worst: float | None, small: bool
) -> Bump | None:
    """Return the bump if its shape is that of a transition, and its p no worse; without a worst p if it is loosely.

    Those that are too `small` to count are left early unless they are asked for.
    """
    low, high = _valley(pace, peak)
    if low == peak or high == peak:
        return None
    error, highest = noises.error[k], float(pace[peak])
    wide, its_error = int(bank.widths[k]), float(error[peak])
    slowest = max(float(pace[low:peak].min()), float(pace[peak + 1 : high + 1].min()), 0.0)
    z = (highest - FASTER * slowest) / its_error  # at most; most are left here
    if z < LOOSE_Z if worst is None else float(places[k]) + log_tail(z, float(noises.freedom[k])) > worst:
        return None
    before, z_before = _slowest(pace, error, low, peak, peak, wide)
    after, z_after = _slowest(pace, error, peak + 1, high + 1, peak, wide)
    slow = max(float(pace[before]), 0.0), max(float(pace[after]), 0.0)
    z = min(highest / its_error, z_before, z_after)
    log_p = float(places[k]) + log_tail(z, float(noises.freedom[k]))
    if z < LOOSE_Z if worst is None else log_p > worst:
        return None
    below = (pace[before:peak] <= slow[0] + FOOT * (highest - slow[0])).nonzero()[0]
    left = before + int(below[-1]) if len(below) else before
    below = (pace[peak + 1 : after + 1] <= slow[1] + FOOT * (highest - slow[1])).nonzero()[0]
    right = peak + 1 + int(below[0]) if len(below) else after
    beside, its_own = (0.0, 0.0) if worst is None or not noises.memory else _beside(sign, k, left, right, bank, noises)
    z_beside = (highest - beside) / float(np.hypot(its_error, min(beside, its_own)))
    if z_beside < z:
        z, log_p = z_beside, float(places[k]) + log_tail(z_beside, float(noises.freedom[k]))
        if z < LOOSE_Z if worst is None else log_p > worst:
            return None
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
    if _swings(sign * bank.pace[own], (first + last) // 2, max(last - first, 2 * int(bank.widths[k]))):
        return None
    sure = surety(z, float(noises.freedom[k]))
    if own != k:
        run, freedom = float(bank.run[own, peak]), float(noises.freedom[own])
        usual = max(FASTER * max(slow), beside)
        z_own = (change - usual * max(width, run)) / (float(noises.error[own, peak]) * run)
        log_p = max(log_p, float(places[own]) + log_tail(z_own, freedom))
        sure, z = min(sure, surety(z_own, freedom)), min(z, z_own)
        if z < LOOSE_Z if worst is None else log_p > worst:
            return None
    sigma = sorted((float(noises.sigma[left]), float(noises.sigma[peak]), float(noises.sigma[right + 1])))[1]
    level = sigma * float(noises.level[own])
    if change < STAYS * level and not small:
        return None
    if len(values) < SHORT or (len(values) < FEW and noises.memory):
        log_p = max(log_p, log_p_of_few(values, left, right + 1))
        sure = min(sure, -float(ndtri_exp(min(log_p, log(0.5)))))
    log_p = max(log_p, _log_p_lasting(sign, k, left, right, max(slow), bank, noises))
    if worst is not None and log_p > worst:
        return None
    count = max(2, (right - left) // 2, min(len(values) // 50, 12))
    near = values[max(0, left + 1 - count) : left + 1], values[right + 1 : right + 1 + count]
    lasting = sign * (_median(near[1]) - _median(near[0]))
    if lasting < 0.5 * change or recovers(values, left, right + 1, sign):
        return None
    if recovers(values[::-1], len(values) - 2 - right, len(values) - 1 - left, -sign):  # the way back of a spike
        return None
    ratio = highest / max(slow) if max(slow) > 1e-3 * highest else 1e3
    numbers = (start, middle, end, change, *slow, ratio, z, sure, min(log_p, 0.0), change / level, lasting / level)
    return Bump(sign, k, peak, left, right, *numbers)


def _log_p_lasting(sign: int, k: int, left: int, right: int, slow: float, bank: Windows, noises: Noise) -> float:
    """Return the logarithm of the chance of a change as large over LASTING points, at this one place.

    Noise with heavy tails that remembers jumps as far as any change, and takes it back.
    """
    wide = int(bank.widths.searchsorted(min(LASTING, len(noises.sigma) // 12), "right")) - 1
    if not noises.memory or k >= wide or right - left >= LASTING:
        return -np.inf
    at = (left + right) // 2
    z = (sign * float(bank.pace[wide, at]) - slow) / float(noises.error[wide, at])
    return log_tail(z, float(noises.freedom[wide]))


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
    uncertain = np.maximum(np.minimum(slow, its_error) ** 2, LESS * (its_error**2 - own**2) / (1 + log(count)))
    beyond = (float(pace[peak]) - FASTER * slow) / np.sqrt(own**2 + FASTER**2 * uncertain)
    return at, float(beyond.max())


def _swings(pace: np.ndarray, middle: int, wide: int) -> bool:
    """Whether a curve changes the other way both just before and just after a change, nearly as fast, and turns again.

    What falls on both sides of a rise and does not turn is a decay with a rise in it.
    """
    least = -BACK * float(pace[max(middle - wide // 2, 0) : middle + wide // 2 + 1].max())
    sides = pace[:middle][::-1], pace[middle + 1 :]
    near, far, further = round(NEXT * wide), round(AROUND * wide), round(AGAIN * AROUND * wide)
    falls = [bool((side[near:far] < least).any()) for side in sides]
    if not all(falls):
        return False
    return any(bool((side[near + int(side[near:far].argmin()) : further] > 0).any()) for side in sides)


def _beside(sign: int, k: int, left: int, right: int, bank: Windows, noises: Noise) -> tuple[float, float]:
    """Return the higher pace of the curve just before and just after a bump, 0 at least, and its error.

    Where a whole stretch is faster than the rest, noise on it is no transition.
    """
    reach = BESIDE * max(int(bank.widths[k]), (right - left) // 2)
    j = max(int(bank.widths.searchsorted(reach, "right")) - 1, 0)
    h = int(bank.widths[j])
    rest = noises.pace[j]
    places = [at for at in (left - h, right + h) if h // 2 <= at < len(rest) - h // 2]
    if not places:
        return 0.0, 0.0
    pace, at = max((sign * float(rest[at]), at) for at in places)
    its_error = float(noises.error[j, at])
    return max(pace - MARGIN * its_error, 0.0), its_error


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
