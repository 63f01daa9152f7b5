"""Search one curve for everything that happens in it: each event with its kind, its levels and how sure it is.

In this order: divergence at the end is cut off, values are put on the scale on which their noise is even, spikes are
bridged, teeth are taken out, and the rest is searched for bumps of the pace.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from tandv.analysis.transitions import bumps
from tandv.analysis.transitions.divergence import Divergence, diverging
from tandv.analysis.transitions.fastest_noise import local_sigma
from tandv.analysis.transitions.median import median
from tandv.analysis.transitions.noise import FEW
from tandv.analysis.transitions.pace import rounding
from tandv.analysis.transitions.recording import averaged_down, broken_end, without_held
from tandv.analysis.transitions.scale import Scaled, Values, scaled
from tandv.analysis.transitions.shape import Bump
from tandv.analysis.transitions.spikes import Spike, bridged, soon, spikes
from tandv.analysis.transitions.teeth import season
from tandv.analysis.transitions.transition import (
    FEWEST,
    P_RATE,
    Axis,
    Evidence,
    Kind,
    P,
    Transition,
    as_step,
    known,
)
from tandv.curves.outcomes import in_percent, is_accuracy

LEAST_ACCURACY = 0.05  # of the whole scale of an accuracy
SUDDEN = 4  # points; what takes no longer, or not longer than a jump would seem to, is a step, else a ramp
JUMP = 0.1  # of the logarithm of the learning rate, and ten times its usual change
_P_OTHER = 0.2  # of a transition on another scale, where it must be there as well


class Searched(NamedTuple):
    """The events of a curve, first to last, and its p-value: the chance that noise alone makes something as sure."""

    events: list[Transition]
    p: float


class _Curve(NamedTuple):
    """What all events of a curve share: its steps and values as they are searched, and the steps that were recorded."""

    name: str
    steps: np.ndarray
    values: np.ndarray
    recorded: np.ndarray

    def event(self, places: tuple[float, float, float], levels: tuple[float, float], evidence: Evidence) -> Transition:
        """Return an event; its steps are recorded ones, so that their unit makes no difference."""
        start, middle, end = places
        steps = self.recorded
        nearest = min(int(np.searchsorted(steps, middle)), len(steps) - 1)
        if nearest and middle - steps[nearest - 1] < (1 - 1e-6) * (steps[nearest] - middle):
            nearest -= 1  # of two that are as near, the later: a jump has happened there
        first = min(int(np.searchsorted(steps, start)), nearest)
        last = max(int(np.searchsorted(steps, end, "right")) - 1, nearest)
        at = [as_step(float(steps[k])) for k in (first, nearest, last)]
        return Transition(self.name, at[0], at[1], at[2], levels[0], levels[1], evidence)


def search(
    curve: pd.Series,
    *,
    axis: Axis = "linear",
    values: Values = "auto",
    lr: pd.Series | None = None,
    surest: bool = False,
) -> Searched:
    """Return the events of a curve and its p-value.

    Args:
        curve: values by step.
        axis: "linear", or "log" for the pace per factor of 1 + step.
        values: the scale on which it is judged.
        lr: the learning rate by step.
        surest: look for the surest change even if none counts: the p-value is 1 else.
    """
    steps, y = known(curve)
    name = "value" if curve.name is None else str(curve.name)
    unit = _unit(y)
    y = y / unit
    broken, last, missing = broken_end(name, curve)
    found = None
    bounded = _bounded(name, y)
    if broken is not None or not bounded:
        found = diverging(steps, y, broken, last, missing, rises=not bounded)
    recorded = np.append(steps, broken) if broken is not None else steps
    events, p = [], 1.0
    if found is not None:
        events, p = [_divergence(_Curve(name, recorded, y, recorded), found)], float(np.fmin(found.p, 1.0))
        steps, y = steps[: found.first], y[: found.first]
    if len(y) >= FEWEST and np.ptp(y) > 2 * rounding(y) * np.abs(y).max():
        steps, y = averaged_down(*without_held(steps, y))
        on = scaled(y, values, name)
        few = (values, axis) == ("auto", "linear") and len(y) < FEW and on.scale == "linear" and y.min() > 0
        other = scaled(y, "log", name) if few else None
        rest, p_rest = _within(_Curve(name, steps, y, recorded), axis, on, other, lr, surest)
        events, p = sorted(rest + events, key=lambda t: t.step), min(p, p_rest)
    return Searched(events if unit == 1 else [_times(event, unit) for event in events], p)


def _unit(values: np.ndarray) -> float:
    """Return the power of two in which a curve is searched, where squares of its values would not be finite or be 0."""
    largest = float(np.abs(values).max(initial=0.0))
    return 1.0 if largest == 0 or 1e-50 < largest < 1e50 else float(2.0 ** (np.frexp(largest)[1] - 1))


def _times(event: Transition, unit: float) -> Transition:
    evidence = event.evidence._replace(noise=event.evidence.noise * unit)
    return event._replace(before=event.before * unit, after=event.after * unit, evidence=evidence)


def _within(
    curve: _Curve, axis: Axis, on: Scaled, other: Scaled | None, lr: pd.Series | None, surest: bool
) -> tuple[list[Transition], float]:
    """Return the events of a curve on a scale, and its p; transitions must be there on the other scale as well."""
    steps, n = curve.steps, len(curve.values)
    time = steps if axis == "linear" else np.log1p(steps - min(0.0, float(steps[0])))
    none = np.zeros(n, bool)
    sigma = np.hypot(local_sigma(on.values, none), on.floor)
    excursions = spikes(on.values, sigma)
    clean, gone = bridged(on.values, excursions)
    if not gone.any():
        excursions = []
    else:
        sigma = np.hypot(local_sigma(clean, gone), on.floor)
    events: list[Transition] = []
    period, part = season(on.values, sigma)
    if period:
        rest = on.values - part
        excursions = spikes(rest, sigma)
        clean, gone = bridged(rest, excursions)
        height = float(np.ptp(part))
        noise = median(sigma)
        evidence = Evidence(effect=height / noise, noise=noise, kind="teeth", values=on.scale)
        places = float(steps[0]), float(steps[period]), float(steps[-1])
        events.append(curve.event(places, (float(curve.values[0]), float(curve.values[-1])), evidence))
    events += [_spike(curve, spike, on.scale) for spike in excursions if gone.any()]
    least = _least(curve.name, curve.values)
    limit = np.log(min(P, P_RATE * n))
    found = bumps.find(
        time,
        clean,
        limit=limit,
        floor=on.floor,
        removed=gone,
        sigma=None if period else sigma,
        least=least if on.scale == "linear" else 0.0,
        ignored=lambda bump: _returns(bump, excursions, on.values) or (period > 0 and _of_teeth(bump, part, period)),
        surest=surest,
    )
    kept, log_p = found.bumps, found.log_p
    if other is not None and (kept or surest):  # the noise of few values does not tell the scale
        there = bumps.find(
            time,
            bridged(other.values, excursions)[0],
            limit=np.log(_P_OTHER),
            floor=other.floor,
            removed=gone,
            surest=surest,
        )
        kept = [bump for bump in kept if any(b.sign == bump.sign and b.overlaps(bump) for b in there.bumps)]
        log_p = max(log_p, there.log_p)
    for bump in kept:
        event = _bump(curve, bump, int(found.windows.widths[bump.scale]), time, on.scale, lr)
        if abs(event.after - event.before) >= least or on.scale == "linear":
            events.append(event)
    return events, float(np.exp(log_p))


def _bump(curve: _Curve, bump: Bump, wide: int, time: np.ndarray, scale: str, lr: pd.Series | None) -> Transition:
    start, middle, end = np.interp([bump.start, bump.middle, bump.end], time, curve.steps).tolist()
    reach = min(max(2, (bump.right - bump.left) // 2), 10)
    before = float(np.median(curve.values[max(0, bump.left + 1 - reach) : bump.left + 1]))
    after = float(np.median(curve.values[bump.right + 1 : bump.right + 1 + reach]))
    rows = int(time.searchsorted(bump.end)) - int(time.searchsorted(bump.start))
    kind: Kind = "step" if rows <= (max(SUDDEN, 1.3 * wide) if wide <= 2 * SUDDEN else SUDDEN) else "ramp"
    if lr is not None and scheduled(lr, curve.steps, start, end):
        kind = "schedule"
    p = float(np.exp(bump.log_p))
    change = bump.change if scale == "linear" else abs(after - before)
    rate = 1000 * p / float(curve.steps[-1] - curve.steps[0])
    evidence = Evidence(bump.effect, min(bump.ratio, 1e3), bump.z, p, rate, change / bump.effect, kind, scale)
    return curve.event((start, middle, end), (before, after), evidence)


def _spike(curve: _Curve, spike: Spike, scale: str) -> Transition:
    steps, values = curve.steps, curve.values
    before, top = float(values[max(spike.first - 1, 0)]), float(values[spike.peak])
    evidence = Evidence(effect=spike.z, noise=abs(top - before) / spike.z, kind="spike", values=scale)
    places = float(steps[spike.first]), float(steps[spike.peak]), float(steps[spike.last])
    return curve.event(places, (before, top), evidence)


def _divergence(curve: _Curve, found: Divergence) -> Transition:
    rate = 1000 * found.p / max(float(curve.steps[-1] - curve.steps[0]), 1e-300)
    evidence = Evidence(found.effect, p=found.p, false_alarms=rate, noise=found.noise, kind="divergence")
    return curve.event((found.start, found.middle, found.end), (found.before, found.after), evidence)


def _bounded(name: str, values: np.ndarray) -> bool:
    """Whether a curve is a share, whose rise to 1 is what is wanted."""
    return is_accuracy(name) and len(values) > 0 and values.max() <= 100


def _least(name: str, values: np.ndarray) -> float:
    """Return the least change that counts for any range: for an accuracy a share of its whole scale."""
    if is_accuracy(name) and values.min() >= 0 and values.max() <= 100:
        return 100 * LEAST_ACCURACY if in_percent(float(values.max())) else LEAST_ACCURACY
    return 0.0


def _returns(bump: Bump, excursions: list[Spike], values: np.ndarray) -> bool:
    """Whether a bump is part of a spike: its way back, a chord over it, or a rise to another that takes all back."""
    left, right, points = bump.left, bump.right + 1, len(values)
    for s in excursions:
        shared = min(right, s.last + 1) - max(left, s.first - 1)
        inside = s.first - soon(points) // 4 <= left and right <= s.last + soon(points) // 4
        if inside or (shared >= 0.5 * (right - left) and bump.change <= 1.1 * abs(s.height)):
            return True
        back = bump.sign == -np.sign(s.height) and bump.change <= 1.1 * abs(s.height)
        if back and s.first - 2 <= left <= s.last + 1.5 * (s.last - s.first) + points // 50:
            return True
        if bump.sign == np.sign(s.height) and 0 <= s.first - right <= soon(points):
            later = values[s.last + soon(points) :][:5]
            before = float(np.median(values[max(0, left - 4) : left + 1]))
            if len(later) and bump.sign * (float(np.median(later)) - before) < 0.4 * bump.change:
                return True
    return False


def _of_teeth(bump: Bump, part: np.ndarray, period: int) -> bool:
    """Whether a bump is what is left of a tooth that is not like the others."""
    jump = int(np.argmax(np.abs(np.diff(part[: period + 1]))))
    away = (jump - bump.left) % period
    near = away <= bump.right - bump.left + period // 8 or period - away <= period // 8
    return near and bump.change <= float(np.ptp(part))


def scheduled(lr: pd.Series, steps: np.ndarray, start: float, end: float) -> bool:
    """Whether the learning rate jumps at a change or just before: by a tenth, and ten times as far as usual.

    >>> scheduled(pd.Series([0.1, 0.1, 0.1, 0.01, 0.01]), np.arange(5.0), 3, 3)
    True

    Args:
        lr: the learning rate by step.
        steps: of the curve.
        start: of the change.
        end: of the change.
    """
    at, rate = known(lr)
    if len(rate) < 2:
        return False
    change = np.abs(np.diff(np.log(np.maximum(rate, 1e-30))))
    wide = max(end - start, 3 * float(np.median(np.diff(steps))))
    near = (at[1:] >= start - wide) & (at[:-1] <= end)
    return bool((change[near] > max(10 * float(np.median(change)), JUMP)).any())
